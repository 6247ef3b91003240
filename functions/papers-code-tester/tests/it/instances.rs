//! Which instances the tester finds, starts and leaves alone. The emulator has EC2's tags, filters and states.

use annapurna_contract::keys;
use annapurna_local_testing::unique_index;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use papers_code_tester::Tester;
use serde_json::{Value, json};

use super::proxy::{self, Calls};
use super::{QUARTER, Setting};

/// An environment with a purpose of its own, so that other tests' instances are not its own.
struct Tagged {
    setting: Setting,
    ec2: Client,
    purpose: String,
}

impl Tagged {
    async fn new() -> Self {
        let mut setting = Setting::new().await;
        let purpose = unique_index("purpose");
        setting.config.trainium_purpose.clone_from(&purpose);
        setting.config.trainium_environment = "dev".to_owned();
        let ec2 = Client::new(&setting.stage.sdk);
        Self {
            setting,
            ec2,
            purpose,
        }
    }

    /// A stopped instance with these tags.
    async fn stopped(&self, purpose: &str, environment: Option<&str>) -> String {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = [
            Some(tag("Purpose", purpose)),
            environment.map(|name| tag("Environment", name)),
        ];
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .set_tags(Some(tags.into_iter().flatten().collect()))
            .build();
        let request = self.ec2.run_instances().image_id("ami-0123456789abcdef0");
        let request = request.min_count(1).max_count(1).tag_specifications(tags);
        let output = request.send().await.unwrap();
        let id = output.instances()[0].instance_id().unwrap().to_owned();
        let stop = self.ec2.stop_instances().instance_ids(&id);
        stop.send().await.unwrap();
        id
    }

    /// A stopped instance as the stack makes it.
    async fn own(&self) -> String {
        self.stopped(&self.purpose, Some("dev")).await
    }

    async fn terminate(&self, id: &str) {
        let request = self.ec2.terminate_instances().instance_ids(id);
        request.send().await.unwrap();
    }

    async fn state(&self, id: &str) -> String {
        let request = self.ec2.describe_instances().instance_ids(id);
        let output = request.send().await.unwrap();
        let instance = &output.reservations()[0].instances()[0];
        let state = instance.state().unwrap().name().unwrap();
        state.as_str().to_owned()
    }

    /// Hands over a batch of one new program, and says what became of the instances.
    async fn batch(&self) -> String {
        self.setting.waiting(&unique_index("paper")).await;
        let answer = self.setting.dispatch(true).await;
        assert_eq!(
            answer["dispatched"], 1,
            "a batch waits in its queue whatever the instances do"
        );
        answer["instance"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn without_an_instance_a_batch_waits_and_the_answer_says_so() {
    let tagged = Tagged::new().await;
    assert_eq!(tagged.batch().await, "missing");
    assert_eq!(tagged.setting.batches().await.len(), 1);
}

#[tokio::test]
async fn a_stopped_instance_is_started_for_a_batch_and_left_alone_without_one() {
    let tagged = Tagged::new().await;
    let id = tagged.own().await;
    let look = async || tagged.setting.dispatch(false).await["instance"].clone();
    assert_eq!(look().await, "stopped");
    assert_eq!(tagged.batch().await, "starting");
    assert_eq!(tagged.state(&id).await, "running");
    assert_eq!(look().await, "running");
}

#[tokio::test]
async fn of_several_instances_one_is_started_for_each_batch() {
    let tagged = Tagged::new().await;
    let mut ids = [tagged.own().await, tagged.own().await, tagged.own().await];
    ids.sort();
    assert_eq!(tagged.batch().await, "starting, stopped, stopped");
    assert_eq!(tagged.batch().await, "running, starting, stopped");
    assert_eq!(tagged.state(&ids[2]).await, "stopped");
}

#[tokio::test]
async fn a_terminated_instance_does_not_count() {
    let tagged = Tagged::new().await;
    let gone = tagged.own().await;
    tagged.terminate(&gone).await;
    assert_eq!(tagged.batch().await, "missing");
    let next = tagged.own().await;
    assert_eq!(tagged.batch().await, "starting");
    assert_eq!(tagged.state(&next).await, "running");
}

#[tokio::test]
async fn the_instance_that_is_named_goes_before_those_with_the_tags() {
    let mut tagged = Tagged::new().await;
    let other = tagged.own().await;
    let named = tagged.stopped("of somebody's own", None).await;
    tagged
        .setting
        .config
        .trainium_instance_id
        .clone_from(&named);
    assert_eq!(tagged.batch().await, "starting");
    assert_eq!(tagged.state(&named).await, "running");
    assert_eq!(tagged.state(&other).await, "stopped");
    tagged.terminate(&named).await;
    assert_eq!(tagged.batch().await, "terminated");
    tagged.setting.config.trainium_instance_id = "i-00000000000000000".to_owned();
    let answer = tagged.batch().await;
    assert!(answer.starts_with("error: "), "{answer}");
    assert_eq!(tagged.state(&other).await, "stopped");
}

#[tokio::test]
async fn an_instance_of_another_purpose_or_environment_is_left_alone() {
    let tagged = Tagged::new().await;
    let strangers = [
        tagged.stopped(&tagged.purpose, Some("prod")).await,
        // As one was made by hand before there was a stack.
        tagged.stopped(&tagged.purpose, None).await,
        tagged.stopped("PapersCodeTester", Some("dev")).await,
    ];
    assert_eq!(tagged.batch().await, "missing");
    for id in &strangers {
        assert_eq!(tagged.state(id).await, "stopped");
    }
    assert_eq!(
        tagged.setting.dispatch(false).await["instance"],
        json!("missing")
    );
}

#[tokio::test]
async fn a_start_for_want_of_capacity_is_tried_at_each_look_and_noted_until_it_succeeds() {
    let tagged = Tagged::new().await;
    let mut ids = [tagged.own().await, tagged.own().await];
    ids.sort();
    let calls = Calls::new(None);
    let sdk = proxy::before_aws(&tagged.setting.stage.sdk, &calls).await;
    let look = async || -> String {
        let tester = Tester::new(&sdk, tagged.setting.config.clone()).unwrap();
        let event = json!({"action": "dispatch", "force": true});
        let answer = tester.handle(event, QUARTER).await.unwrap();
        answer["instance"].as_str().unwrap().to_owned()
    };
    let noted = async || -> Value {
        let bucket = &tagged.setting.config.outputs_bucket;
        let object = tagged
            .setting
            .stage
            .object(bucket, keys::REFUSED_STARTS)
            .await;
        object.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    };
    look().await;
    assert_eq!(noted().await, Value::Null, "nothing to note");
    let code = "InsufficientInstanceCapacity";
    calls.refuse(Some((ids[0].clone(), code)));
    tagged.setting.waiting("Adam").await;
    // The batch goes to the next instance.
    let said = look().await;
    assert!(
        said.starts_with("error: ") && said.ends_with(", starting"),
        "{said}"
    );
    let first = noted().await;
    assert_eq!(
        (&first[0]["instance_id"], &first[0]["code"]),
        (&json!(ids[0]), &json!(code))
    );
    assert!(
        first[0]["reason"]
            .as_str()
            .unwrap()
            .contains("none in this zone")
    );
    // A second batch has only the refused one left.
    tagged.setting.waiting("Lion").await;
    let said = look().await;
    assert!(
        said.starts_with("error: ") && said.ends_with(", running"),
        "{said}"
    );
    let second = noted().await;
    assert_eq!(second[0]["since"], first[0]["since"]);
    assert_eq!(second.as_array().unwrap().len(), 1);
    calls.refuse(None);
    assert_eq!(look().await, "starting, running");
    assert_eq!(noted().await, json!([]));
}
