//! What `scripts/resources.py` adds to ministack: instances and every setting of a function in CloudFormation, the
//! zones that offer a type, and refusals in EC2's words.

#![allow(clippy::unwrap_used)]

use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::{TestEmulator, test_emulator};
use serde_json::{Value, json};

mod common;

/// Runs a script that has `deploy(template)`, which brings the stack `s` to a template and gives back its status with
/// the reasons of what failed.
fn script(emulator: &TestEmulator, body: &str) -> Value {
    let deploy = "import time\n\
        cloudformation, ec2, functions = client('cloudformation'), client('ec2'), client('lambda')\n\
        def deploy(resources):\n    \
            template = json.dumps({'Resources': resources})\n    \
            there = cloudformation.list_stacks(StackStatusFilter=['CREATE_COMPLETE', 'UPDATE_COMPLETE'])\n    \
            call = cloudformation.update_stack if there['StackSummaries'] else cloudformation.create_stack\n    \
            call(StackName='s', TemplateBody=template, Capabilities=['CAPABILITY_IAM'])\n    \
            while True:\n        \
                status = cloudformation.describe_stacks(StackName='s')['Stacks'][0]['StackStatus']\n        \
                if not status.endswith('_IN_PROGRESS'):\n            \
                    break\n        \
                time.sleep(0.1)\n    \
            events = cloudformation.describe_stack_events(StackName='s')['StackEvents']\n    \
            failed = [it['ResourceStatusReason'] for it in events if it['ResourceStatus'].endswith('_FAILED')]\n    \
            return [status, failed]\n\
        def trust(service):\n    \
            return {'Statement': [{'Effect': 'Allow', 'Principal': {'Service': service}, 'Action': 'sts:AssumeRole'}]}\n";
    common::script(
        &emulator.python(),
        &emulator.endpoint_url,
        &format!("{deploy}{body}"),
    )
}

/// `instance(subnet, version)`: a template of one instance with what it needs.
const INSTANCE: &str = "def instance(subnet, version='1'):\n    \
        return {\n        \
            'Role': {'Type': 'AWS::IAM::Role', 'Properties': {'AssumeRolePolicyDocument': trust('ec2.amazonaws.com')}},\n        \
            'Profile': {'Type': 'AWS::IAM::InstanceProfile', 'Properties': {'Roles': [{'Ref': 'Role'}]}},\n        \
            'Launch': {'Type': 'AWS::EC2::LaunchTemplate', 'Properties': {'LaunchTemplateData': {\n            \
                'InstanceType': 'trn1.2xlarge', 'ImageId': 'ami-0123456789abcdef0',\n            \
                'IamInstanceProfile': {'Arn': {'Fn::GetAtt': ['Profile', 'Arn']}}}}},\n        \
            'Firewall': {'Type': 'AWS::EC2::SecurityGroup', 'Properties': {'GroupDescription': 'd'}},\n        \
            'Machine': {'Type': 'AWS::EC2::Instance', 'Properties': {\n            \
                'LaunchTemplate': {'LaunchTemplateId': {'Ref': 'Launch'}, 'Version': version}, 'SubnetId': subnet,\n            \
                'SecurityGroupIds': [{'Fn::GetAtt': ['Firewall', 'GroupId']}],\n            \
                'Tags': [{'Key': 'Purpose', 'Value': 'tests'}]}}}\n\
    def machines():\n    \
        filters = [{'Name': 'tag:Purpose', 'Values': ['tests']}, {'Name': 'instance-state-name', 'Values': ['running']}]\n    \
        found = ec2.describe_instances(Filters=filters)['Reservations']\n    \
        return [[it['InstanceType'], it['Placement']['AvailabilityZone']] for r in found for it in r['Instances']]\n\
    subnets = {it['AvailabilityZone'][-1]: it['SubnetId'] for it in ec2.describe_subnets()['Subnets']}\n";

#[tokio::test]
async fn a_stack_has_an_instance_of_a_launch_template_that_moves_and_ends_with_it() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let body = "first = [deploy(instance(subnets['a'])), machines()]\n\
        moved = [deploy(instance(subnets['b'])), machines()]\n\
        cloudformation.delete_stack(StackName='s')\n\
        while machines():\n    \
            time.sleep(0.1)\n\
        print(json.dumps([first, moved]))";
    let said = script(&emulator, &format!("{INSTANCE}{body}"));
    let in_zone = |status: &str, zone: &str| json!([[status, []], [["trn1.2xlarge", zone]]]);
    assert_eq!(
        said,
        json!([
            in_zone("CREATE_COMPLETE", "us-east-1a"),
            in_zone("UPDATE_COMPLETE", "us-east-1b"),
        ])
    );
}

#[tokio::test]
async fn a_launch_is_refused_in_ec2s_words_and_leaves_nothing() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let body = "def attempt(subnet, version='1'):\n    \
            status, reasons = deploy(instance(subnet, version))\n    \
            cloudformation.delete_stack(StackName='s')\n    \
            return [status, reasons[-1], machines()]\n\
        said = [attempt('subnet-none'), attempt(subnets['a'], '7'), attempt(subnets['c'])]\n\
        for reason in ['VcpuLimitExceeded', 'InsufficientInstanceCapacity']:\n    \
            ec2.create_tags(Resources=[subnets['a']], Tags=[{'Key': 'emulate:refuse', 'Value': reason}])\n    \
            said.append(attempt(subnets['a']))\n\
        kind = [{'Name': 'instance-type', 'Values': ['trn1.2xlarge']}]\n\
        offered = ec2.describe_instance_type_offerings(LocationType='availability-zone', Filters=kind)\n\
        said.append([it['Location'] for it in offered['InstanceTypeOfferings']])\n\
        print(json.dumps(said))";
    let said = script(&emulator, &format!("{INSTANCE}{body}"));
    let words = [
        "The subnet ID 'subnet-none' does not exist",
        "Could not find the launch template version 7",
        "is not supported in your requested Availability Zone (us-east-1c)",
        "your current vCPU limit of 0",
        "do not have sufficient trn1.2xlarge capacity",
    ];
    for (number, word) in words.iter().enumerate() {
        let [status, reason, machines] = [0, 1, 2].map(|at| said[number][at].clone());
        assert_eq!(status, "ROLLBACK_COMPLETE", "{word}");
        assert!(reason.as_str().unwrap().contains(word), "{reason}");
        assert_eq!(machines, json!([]), "{word}");
    }
    assert_eq!(said[words.len()], json!(["us-east-1a", "us-east-1b"]));
}

#[tokio::test]
async fn a_function_of_a_stack_has_its_vpc_dead_letters_and_concurrency() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let body = "def function(more):\n    \
            properties = {'FunctionName': 'f', 'Runtime': 'python3.12', 'Handler': 'index.h',\n        \
                'Role': {'Fn::GetAtt': ['Role', 'Arn']}, 'Code': {'ZipFile': 'def h(e, c): return 1'}}\n    \
            trusted = {'AssumeRolePolicyDocument': trust('lambda.amazonaws.com')}\n    \
            return {'Role': {'Type': 'AWS::IAM::Role', 'Properties': trusted},\n        \
                'Dead': {'Type': 'AWS::SQS::Queue', 'Properties': {'QueueName': 'dead'}},\n        \
                'Function': {'Type': 'AWS::Lambda::Function', 'Properties': {**properties, **more}}}\n\
        def settings():\n    \
            answer = functions.get_function(FunctionName='f')\n    \
            found = answer['Configuration']\n    \
            dead = found.get('DeadLetterConfig', {}).get('TargetArn', '').split(':')[-1]\n    \
            reserved = answer.get('Concurrency', {}).get('ReservedConcurrentExecutions')\n    \
            return [found['VpcConfig']['SubnetIds'], dead, reserved]\n\
        more = {'VpcConfig': {'SubnetIds': ['subnet-00000001'], 'SecurityGroupIds': []}, 'ReservedConcurrentExecutions': 3,\n    \
            'DeadLetterConfig': {'TargetArn': {'Fn::GetAtt': ['Dead', 'Arn']}}}\n\
        said = [deploy(function(more))[0], settings(), deploy(function({}))[0], settings()]\n\
        said.append(deploy(function({'DeadLetterConfig': {'TargetArn': 'arn:aws:s3:::bucket'}}))[0])\n\
        said.append(settings())\n\
        print(json.dumps(said))";
    assert_eq!(
        script(&emulator, body),
        json!([
            "CREATE_COMPLETE",
            [["subnet-00000001"], "dead", 3],
            "UPDATE_COMPLETE",
            [[], "", null],
            "UPDATE_ROLLBACK_COMPLETE",
            [[], "", null],
        ])
    );
}
