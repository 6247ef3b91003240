"""Holds templates and their policies against checkov, parliament and cloudsplaining.

In: paths of templates. Out: each finding that no exception of the template covers, and each exception that covers
none, with exit code 1 where there is one. Exceptions stand in a resource's metadata (`checkov`, `parliament`).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import parliament
from cloudsplaining.scan.policy_document import PolicyDocument

# What a reference becomes in the policies that parliament and cloudsplaining read.
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "111122223333"}
# What cloudsplaining calls a finding, by the name of its list.
LISTS = {
    "PrivilegeEscalation": "allows_privilege_escalation",
    "DataExfiltration": "allows_data_exfiltration_actions",
    "ResourceExposure": "permissions_management_without_constraints",
    "CredentialsExposure": "credentials_exposure",
    "InfrastructureModification": "infrastructure_modification",
    "ServiceWildcard": "service_wildcard",
}


def checkov(path, template):
    command = [Path(sys.executable).with_name("checkov"), "-f", path, "--framework", "cloudformation", "-o", "json"]
    done = subprocess.run([*command, "--compact", "--soft-fail"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"checkov failed: {done.stderr}")
    answer = json.loads(done.stdout)
    results = answer["results"]
    if answer["summary"]["parsing_errors"] or not answer["summary"]["resource_count"]:
        yield f"checkov cannot read it: {answer['summary']}"
    for check in results["failed_checks"]:
        yield f"{check['resource']}: {check['check_id']}: {check['check_name']}"
    excused = {(check["resource"].split(".")[1], check["check_id"]) for check in results["skipped_checks"]}
    for name, resource in template["Resources"].items():
        for exception in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            if (name, exception["id"]) not in excused:
                yield f"{name}: the exception from {exception['id']} covers nothing"


def resolved(value, template):
    """The value as CloudFormation would make it, with any name where only a deployment knows it."""
    if isinstance(value, list):
        return [resolved(it, template) for it in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return named(value["Ref"], template)
    if "Fn::GetAtt" in value:
        return named(value["Fn::GetAtt"][0], template)
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^!}.]+)[^}]*\}", lambda found: named(found[1], template), value["Fn::Sub"])
    return {key: resolved(it, template) for key, it in value.items()}


def named(name, template):
    if name in PSEUDO:
        return PSEUDO[name]
    resource = template["Resources"].get(name)
    if resource is None:
        return name.lower()
    _, service, kind = resource["Type"].split("::")
    names = [it for key, it in resource["Properties"].items() if key in ("QueueName", "FunctionName", "StateMachineName")]
    prefix = {"Lambda": "function:", "StepFunctions": "stateMachine:"}.get(service, "")
    service = {"StepFunctions": "states"}.get(service, service.lower())
    return f"arn:aws:{service}:us-east-1:111122223333:{prefix}{names[0] if names else name}"


def policies(template):
    """Each role's own policy, with the role's name and what is ignored of it."""
    for name, resource in template["Resources"].items():
        for policy in resource["Properties"].get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            yield name, resolved(policy["PolicyDocument"], template), exceptions(resource)


def exceptions(resource):
    """The exceptions from parliament's rules, each an issue and an action."""
    return {it["id"] for it in resource.get("Metadata", {}).get("parliament", {}).get("ignore", [])}


def of_role(name, document, ignored):
    used = set()
    for finding in parliament.analyze_policy_string(json.dumps(document)).findings:
        details = finding.detail if isinstance(finding.detail, list) else [finding.detail]
        actions = {it["action"] if isinstance(it, dict) and "action" in it else str(it) for it in details}
        found = {f"{finding.issue} {action}" for action in actions}
        used |= found
        if not found <= ignored:
            yield f"{name}: parliament: {finding.issue}: {finding.detail} {finding.location}"
    for exception in ignored - used:
        yield f"{name}: the exception from {exception} covers nothing"
    policy = PolicyDocument(document)
    for title, attribute in LISTS.items():
        if found := getattr(policy, attribute):
            yield f"{name}: cloudsplaining: {title}: {found}"


def main(paths):
    wrong = n_roles = 0
    for path in paths:
        template = json.loads(Path(path).read_text(encoding="utf-8"))
        roles = list(policies(template))
        n_roles += len(roles)
        findings = [*checkov(path, template), *(it for role in roles for it in of_role(*role))]
        for finding in findings:
            print(f"{path}: {finding}")
        print(f"{path}: checkov, and parliament and cloudsplaining on {len(roles)} policies")
        wrong += len(findings)
    if n_roles == 0:
        raise SystemExit("no template has a policy")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
