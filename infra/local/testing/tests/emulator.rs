//! The emulator as tests and `infra` get it: the real one, with real clients and real functions.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;

use annapurna_local::emulator::{self, EmulatorOptions};
use annapurna_local::process::{Detached, ServiceSpec, ServiceState, Spawn};
use annapurna_local::{Home, LocalError};
use annapurna_local_testing::{TestEmulator, test_emulator, tools};
use serde_json::Value;

mod common;

/// Takes the port of the first emulator that it starts, and answers there as one does: an environment that is deployed
/// at the same time, and was faster.
#[derive(Default)]
struct Thief(Mutex<Option<u16>>);

impl Spawn for Thief {
    fn spawn(&self, home: &Home, spec: ServiceSpec) -> Result<ServiceState, LocalError> {
        let mut stolen = self.0.lock().unwrap();
        if stolen.is_none() {
            let port = spec.port.unwrap();
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    // Who only looks whether somebody listens is gone by then.
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            });
            *stolen = Some(port);
        }
        Detached.spawn(home, spec)
    }
}

#[tokio::test]
async fn a_port_that_another_environment_took_first_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("local"));
    let _stopped = common::Stopped(home.clone(), emulator::SERVICE);
    let thief = Thief::default();
    let (venv, options) = (&tools().await.venv, EmulatorOptions::default());
    let started = emulator::start(&home, venv, &options, &thief).await;
    let started = started.unwrap();
    let stolen = thief.0.lock().unwrap().unwrap();
    assert!(!started.endpoint_url.ends_with(&format!(":{stolen}")));
    let made = common::script(
        &venv.python(),
        &started.endpoint_url,
        "print(json.dumps(client('s3').create_bucket(Bucket='bucket')['ResponseMetadata']['HTTPStatusCode']))",
    );
    assert_eq!(made, 200);
    let again = emulator::start(&home, venv, &options, &thief).await;
    assert_eq!(again.unwrap(), started, "it runs, and is its own");
}

fn script(emulator: &TestEmulator, body: &str) -> Value {
    common::script(&emulator.python(), &emulator.endpoint_url, body)
}

/// A function of the kind we deploy, in Python so that the test needs no build: it answers with its
/// environment and its process id.
fn make_function(emulator: &TestEmulator) -> Value {
    let python = emulator.python();
    let bootstrap = format!(
        "#!{} -I\n\
         import json, os, urllib.request as r\n\
         api = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/'\n\
         while True:\n    \
             event = r.urlopen(api + 'next')\n    \
             answer = json.dumps({{'env': dict(os.environ), 'pid': os.getpid(), 'file': __file__}}).encode()\n    \
             url = api + event.headers['Lambda-Runtime-Aws-Request-Id'] + '/response'\n    \
             r.urlopen(r.Request(url, data=answer, method='POST'))\n",
        python.display()
    );
    let body = format!(
        "code = io.BytesIO()\n\
         with zipfile.ZipFile(code, 'w') as archive:\n    \
             archive.writestr('bootstrap', {bootstrap:?})\n\
         trust = json.dumps({{'Version': '2012-10-17', 'Statement': [{{'Effect': 'Allow',\n    \
             'Principal': {{'Service': 'lambda.amazonaws.com'}}, 'Action': 'sts:AssumeRole'}}]}})\n\
         role = client('iam').create_role(RoleName='r', AssumeRolePolicyDocument=trust)['Role']['Arn']\n\
         client('lambda').create_function(FunctionName='f', Runtime='provided.al2023', Handler='bootstrap',\n    \
             Role=role, Code={{'ZipFile': code.getvalue()}}, Environment={{'Variables': {{'OWN': 'value'}}}})\n\
         print(client('lambda').invoke(FunctionName='f')['Payload'].read().decode())\n"
    );
    script(emulator, &body)
}

#[tokio::test]
async fn queues_and_objects_survive_a_restart_at_the_same_address() {
    let mut emulator = test_emulator(&EmulatorOptions::default()).await;
    let url = emulator.endpoint_url.clone();
    let made = script(
        &emulator,
        "queue = client('sqs').create_queue(QueueName='q.fifo', Attributes={'FifoQueue': 'true'})['QueueUrl']\n\
         client('sqs').send_message(QueueUrl=queue, MessageBody='kept', MessageGroupId='g', MessageDeduplicationId='d')\n\
         client('s3').create_bucket(Bucket='bucket')\n\
         client('s3').put_object(Bucket='bucket', Key='k', Body=b'kept')\n\
         print(json.dumps(queue))",
    );
    assert_eq!(made, format!("{url}/000000000000/q.fifo"));
    emulator.restart().await;
    assert_eq!(emulator.endpoint_url, url);
    let found = script(
        &emulator,
        &format!(
            "message = client('sqs').receive_message(QueueUrl={made})['Messages'][0]['Body']\n\
             body = client('s3').get_object(Bucket='bucket', Key='k')['Body'].read().decode()\n\
             print(json.dumps([message, body]))"
        ),
    );
    assert_eq!(found, serde_json::json!(["kept", "kept"]));
}

#[tokio::test]
async fn a_function_gets_its_own_variables_and_none_of_the_callers() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let answer = make_function(&emulator);
    let variables = answer["env"].as_object().unwrap();
    assert_eq!(variables["OWN"], "value");
    assert_eq!(
        variables["AWS_ENDPOINT_URL"],
        emulator.endpoint_url.as_str()
    );
    assert_ne!(
        variables["AWS_ACCESS_KEY_ID"], "test",
        "a function has its role's credentials"
    );
    for name in [
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "USER",
        "LOGNAME",
        "SSH_AUTH_SOCK",
    ] {
        assert!(!variables.contains_key(name), "{name}");
    }
    let code = Path::new(answer["file"].as_str().unwrap());
    assert!(
        code.starts_with(emulator.home().root()),
        "{}",
        code.display()
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn functions_end_with_the_emulator_and_nothing_is_left() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let function = make_function(&emulator)["pid"].clone();
    assert!(
        common::lives(&function),
        "a function waits for its next event"
    );
    let folder = emulator.home().root().to_owned();
    drop(emulator);
    assert!(!common::lives(&function));
    assert!(!folder.exists());
}

#[tokio::test]
async fn policies_are_enforced_and_unknown_keys_refused() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let answers = script(
        &emulator,
        "def attempt(key):\n    \
             try:\n        \
                 client('sqs', key).list_queues()\n        \
                 return 'allowed'\n    \
             except Exception as error:\n        \
                 return error.response['ResponseMetadata']['HTTPStatusCode']\n\
         client('iam').create_user(UserName='u')\n\
         powerless = client('iam').create_access_key(UserName='u')['AccessKey']['AccessKeyId']\n\
         print(json.dumps([attempt('test'), attempt(powerless), attempt('AKIAUNKNOWNUNKNOWN00')]))",
    );
    assert_eq!(answers, serde_json::json!(["allowed", 403, 403]));
}

#[tokio::test]
async fn a_search_domain_has_the_given_endpoint() {
    let options = EmulatorOptions {
        search_endpoint: Some("127.0.0.1:9299".to_owned()),
        ..EmulatorOptions::default()
    };
    let emulator = test_emulator(&options).await;
    let body = "domain = client('opensearch').create_domain(DomainName='papers', EngineVersion='OpenSearch_3.3')\n\
                print(json.dumps(domain['DomainStatus']['Endpoint']))";
    assert_eq!(script(&emulator, body), "127.0.0.1:9299");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_listens_on_loopback_only() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    make_function(&emulator);
    let port: u16 = emulator
        .endpoint_url
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let mut seen = false;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap().lines().skip(1) {
            let local = line.split_whitespace().nth(1).unwrap();
            if local.ends_with(&format!(":{port:04X}")) && line.contains(" 0A ") {
                assert!(local.starts_with("0100007F"), "{local}");
                seen = true;
            }
        }
    }
    assert!(seen);
}
