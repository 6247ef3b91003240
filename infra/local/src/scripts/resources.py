"""What ministack's CloudFormation and EC2 lack of AWS's that our templates need.

`emulate.py` follows in the same program and calls `complete` before the server starts. Added are instances of a
launch template and budgets, which ministack has in their services only; alarms of an expression; the zones that offer
an instance type; of a function its VPC, its dead-letter target and its reserved concurrency, which ministack's
CloudFormation accepts and forgets; the import of a search domain that is there; and that a request over loopback is as
good as encrypted. An instance is checked as EC2 checks it: the launch template, its version, the
subnet, the firewall and the profile have to be there.

A subnet with the tag `emulate:refuse` refuses launches for the reason that its value names, one of `REFUSALS`: that is
how a test has no quota, or a zone no capacity. With the tag `emulate:seconds` a launch takes so long until it succeeds
or is refused.
"""

import logging
from time import sleep

log = logging.getLogger("emulate")

# Where every instance type is offered: not in every zone, as in AWS. ministack's zones are a, b and c.
OFFERED_IN = "ab"
REFUSE = "emulate:refuse"
SECONDS = "emulate:seconds"
# As CloudFormation passes on EC2's words.
REFUSALS = {
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our "
        "system will be working on provisioning additional capacity. (Service: Ec2, Status Code: 500)"
    ),
    "Unsupported": (
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}). Please "
        "retry your request by not specifying an Availability Zone. (Service: Ec2, Status Code: 400)"
    ),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request "
        "an adjustment to this limit. (Service: Ec2, Status Code: 400)"
    ),
}


# What replaces a resource. Of a type that ministack has no list for, its change sets call every change a perhaps, and
# what may be replaced may lose what it holds. Source: CloudFormation template reference, "Update requires".
REPLACED_BY = {
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::OpenSearchService::Domain": ("DomainName",),
    "AWS::S3::Bucket": ("BucketName",),
}


class Refused(ValueError):
    """A resource that AWS would refuse, in the words of its handler."""

    def __init__(self, reason):
        super().__init__(f'Resource handler returned message: "{reason}"')


def launch_data(ec2, reference):
    """What the launch template says of an instance, in the version that is asked for."""
    template = ec2._launch_templates.get(reference["LaunchTemplateId"])
    if template is None:
        raise Refused(f"The specified launch template, with template ID {reference['LaunchTemplateId']}, does not exist.")
    named = {"$Latest": template["LatestVersionNumber"], "$Default": template["DefaultVersionNumber"]}
    wanted = str(named.get(reference["Version"], reference["Version"]))
    for version in template["Versions"]:
        if str(version["VersionNumber"]) == wanted:
            return version["LaunchTemplateData"]
    raise Refused(f"Could not find the launch template version {wanted} of {reference['LaunchTemplateId']}.")


def placed(ec2, subnet_id, groups, instance_type):
    """The subnet's zone, where an instance of the type may be launched behind these firewalls."""
    subnet = ec2._subnets.get(subnet_id)
    if subnet is None:
        raise Refused(f"The subnet ID '{subnet_id}' does not exist")
    for group in groups:
        if ec2._security_groups.get(group, {}).get("VpcId") != subnet["VpcId"]:
            raise Refused(f"Security group {group} and subnet {subnet_id} belong to different networks.")
    zone = subnet["AvailabilityZone"]
    tags = {tag["Key"]: tag["Value"] for tag in ec2._tags.get(subnet_id, [])}
    sleep(float(tags.get(SECONDS, 0)))
    reason = tags.get(REFUSE) if zone[-1] in OFFERED_IN else "Unsupported"
    if reason:
        raise Refused(REFUSALS[reason].format(type=instance_type, zone=zone))
    return zone


def instance_type(provisioners, ec2):
    """The handlers of `AWS::EC2::Instance`, for instances of a launch template in a subnet."""

    def create(logical_id, props, stack_name):
        data = {**launch_data(ec2, props["LaunchTemplate"]), **props}
        kind, groups = data["InstanceType"], data.get("SecurityGroupIds", [])
        zone = placed(ec2, data["SubnetId"], groups, kind)
        profile, refused = ec2._resolve_iam_instance_profile(iam_arn=data["IamInstanceProfile"]["Arn"])
        if refused:
            raise Refused(refused[2].decode())
        instance, = ec2._launch_instances_internal(
            data["ImageId"], kind, data["SubnetId"], 1, user_data=data.get("UserData", ""), sg_ids=groups,
            iam_profile=profile,
        )
        instance["Placement"]["AvailabilityZone"] = zone
        provisioners._ec2_apply_tags(instance["InstanceId"], props)
        return instance["InstanceId"], {"InstanceId": instance["InstanceId"]}

    def update(physical_id, old_props, new_props, stack_name):
        groups = [ec2._security_groups[group] for group in new_props.get("SecurityGroupIds", [])]
        names = [{"GroupId": group["GroupId"], "GroupName": group["GroupName"]} for group in groups]
        ec2._instances[physical_id]["SecurityGroups"] = names
        provisioners._ec2_apply_tags(physical_id, new_props, old_props)
        return physical_id, {"InstanceId": physical_id}

    def delete(physical_id, props):
        # One that somebody ended is gone, and that is what was wanted.
        ec2._terminate_instances({"InstanceId.1": [physical_id]})

    provisioners._REPLACING_PROPERTIES["AWS::EC2::Instance"] = ("ImageId", "LaunchTemplate", "SubnetId")
    return {"create": create, "update": update, "delete": delete}


def offerings(ec2, region):
    """EC2's DescribeInstanceTypeOfferings by zone, of the types that the filter names."""

    def describe(params):
        types = ec2._parse_filters(params).get("instance-type", [])
        items = "".join(
            f"<item><instanceType>{ec2._esc(kind)}</instanceType><locationType>availability-zone</locationType>"
            f"<location>{region()}{letter}</location></item>"
            for kind in types for letter in OFFERED_IN
        )
        return ec2._xml(
            200, "DescribeInstanceTypeOfferingsResponse",
            f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>",
        )

    return describe


def remembering(handler, functions):
    """A handler of `AWS::Lambda::Function` whose function has all of its settings."""

    def settled(name, props):
        function = functions._functions[name]
        function["config"]["VpcConfig"] = functions._vpc_config_with_id(props.get("VpcConfig"))
        target = props.get("DeadLetterConfig")
        refused = functions._validate_dead_letter_config(target)
        if refused:
            raise Refused(refused[2].decode())
        function["config"].pop("DeadLetterConfig", None)
        if target:
            function["config"]["DeadLetterConfig"] = target
        reserved = props.get("ReservedConcurrentExecutions")
        function["concurrency"] = None if reserved is None else int(reserved)

    # Nobody can ask the server how far it is while it is at a stack; its log says that it is in the middle of one.
    def create(logical_id, props, stack_name):
        log.info("CloudFormation is at function %s", logical_id)
        made = handler["create"](logical_id, props, stack_name)
        settled(made[0], props)
        return made

    def update(physical_id, old_props, new_props, *more):
        log.info("CloudFormation is at function %s", physical_id)
        made = handler["update"](physical_id, old_props, new_props, *more)
        settled(made[0], new_props)
        return made

    return {**handler, "create": create, "update": update}


def importing_domains(provisioners, changesets, opensearch):
    """Has a new stack take up a search domain that outlived its own, as AWS does and ministack does for buckets."""
    kind = "AWS::OpenSearchService::Domain"

    def problem(name):
        known = name in opensearch._domains
        return None if known else changesets._IMPORT_NOT_FOUND.format(type=kind, value=name)

    def take_up(identifier):
        name = identifier["DomainName"]
        return name, provisioners._opensearch_attributes(opensearch._domains[name])

    changesets._IMPORT_LOOKUPS[kind] = (("DomainName",), problem)
    provisioners._RESOURCE_HANDLERS[kind]["import"] = take_up


def budget_type(budgets):
    """The handlers of `AWS::Budgets::Budget`; it is known by its name."""

    def create(logical_id, props, stack_name):
        # A template has numbers where the API has texts.
        limit = {**props["Budget"]["BudgetLimit"], "Amount": str(props["Budget"]["BudgetLimit"]["Amount"])}
        status, _, body = budgets._create_budget({**props, "Budget": {**props["Budget"], "BudgetLimit": limit}})
        if status != 200:
            raise Refused(body.decode() if isinstance(body, bytes) else body)
        return props["Budget"]["BudgetName"], {}

    def update(physical_id, old_props, new_props, stack_name):
        delete(physical_id, old_props)
        return create(physical_id, new_props, stack_name)

    def delete(physical_id, props):
        # One that somebody removed is gone, and that is what was wanted.
        budgets._delete_budget({"BudgetName": physical_id})

    return {"create": create, "update": update, "delete": delete}


def computed(handler):
    """Handlers of `AWS::CloudWatch::Alarm` that take one of an expression, as an alarm of its first metric.

    Nothing is measured here, so that no alarm goes off.
    """

    def simple(props):
        queries = props.get("Metrics")
        if not queries:
            return props
        stat = next(query["MetricStat"] for query in queries if "MetricStat" in query)
        rest = {key: value for key, value in props.items() if key != "Metrics"}
        return {**rest, **stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]}

    def create(logical_id, props, stack_name):
        return handler["create"](logical_id, simple(props), stack_name)

    def update(physical_id, old_props, new_props, *more):
        return handler["update"](physical_id, simple(old_props), simple(new_props), *more)

    def delete(physical_id, props):
        return handler["delete"](physical_id, simple(props))

    return {**handler, "create": create, "update": update, "delete": delete}


def watching(handlers):
    """Adds budgets and alarms of an expression, and takes plain HTTP over loopback for encrypted."""
    from ministack import app
    from ministack.core import iam_evaluator
    from ministack.services import budgets

    alarm = "AWS::CloudWatch::Alarm"
    handlers["AWS::Budgets::Budget"] = budget_type(budgets)
    handlers[alarm] = computed(handlers[alarm])
    # What an environment in AWS refuses over plain HTTP is for its tests here, where nobody can listen.
    app.pin_request_origin = lambda address, secure: iam_evaluator.pin_request_origin(address, True)


def complete():
    """Gives ministack what it lacks."""
    from ministack.core.responses import get_region
    from ministack.services import ec2, lambda_svc, opensearch
    from ministack.services.cloudformation import changesets, provisioners, stacks

    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::EC2::Instance"] = instance_type(provisioners, ec2)
    # A launch that takes long must not hold up the server.
    blocks = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda kind: kind == "AWS::EC2::Instance" or blocks(kind)
    handlers["AWS::Lambda::Function"] = remembering(handlers["AWS::Lambda::Function"], lambda_svc)
    provisioners._REPLACING_PROPERTIES.update(REPLACED_BY)
    importing_domains(provisioners, changesets, opensearch)
    ec2._ACTION_MAP["DescribeInstanceTypeOfferings"] = offerings(ec2, get_region)
    watching(handlers)
