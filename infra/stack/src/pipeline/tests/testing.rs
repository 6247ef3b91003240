//! How the tester reaches what runs programs: instances of ours, an instance of somebody's own, or an address.

use annapurna_contract::names::{ENVIRONMENT_TAG, PURPOSE_TAG};

use super::*;

/// `dev` with these lines in `[trainium]`: the tester's variables, and what its role says of instances.
fn tester_with(lines: &str) -> (serde_json::Value, serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments/dev.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[trainium]", &format!("[trainium]\n{lines}"));
    let environment = Environment::parse("dev", &path, &text).unwrap();
    let resources = stack(&environment).unwrap().to_json().unwrap()["Resources"].take();
    let policy = &resources["PapersCodeTesterRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    let statements = policy["Statement"].as_array().unwrap().iter();
    let start = statements
        .clone()
        .find(|it| it["Sid"] == "StartAndStopInstances");
    let variables = &resources["PapersCodeTester"]["Properties"]["Environment"]["Variables"];
    (variables.clone(), start.unwrap().clone())
}

#[test]
fn the_tester_finds_its_instances_by_both_tags_and_may_start_no_others() {
    let (variables, start) = tester_with("");
    assert_eq!(variables["TRAINIUM_PURPOSE"], "dev-PapersCodeTester");
    assert_eq!(variables["TRAINIUM_ENVIRONMENT"], "dev");
    assert_eq!(variables["TRAINIUM_INSTANCE_ID"], "none");
    let tag = |key: &str| format!("aws:ResourceTag/{key}");
    let both = serde_json::json!({"StringEquals": {
        tag(PURPOSE_TAG): "dev-PapersCodeTester", tag(ENVIRONMENT_TAG): "dev",
    }});
    assert_eq!(start["Condition"], both);
    assert_eq!(
        start["Action"],
        serde_json::json!(["ec2:StartInstances", "ec2:StopInstances"])
    );
}

#[test]
fn an_instance_of_somebodys_own_is_the_only_one_that_the_tester_may_start() {
    let id = "i-0123456789abcdef0";
    let own = format!("instances = 0\ninstance-id = \"{id}\"");
    let (variables, start) = tester_with(&own);
    assert_eq!(variables["TRAINIUM_INSTANCE_ID"], id);
    assert_eq!(variables["TRAINIUM_PURPOSE"], "none");
    assert_eq!(start.get("Condition"), None);
    let resource = start["Resource"].to_string();
    assert!(resource.contains(&format!("instance/{id}")), "{resource}");
}

#[test]
fn programs_go_through_the_queue_unless_the_agent_has_an_address() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments/dev.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let with = |line: &str| {
        let text = text.replace("[testing]", &format!("[testing]\n{line}"));
        // Time for a call that lasts as long as a program.
        let text = text.replace(
            "timeout-secs = 300\nbatch-size",
            "timeout-secs = 690\nbatch-size",
        );
        Environment::parse("dev", Path::new("dev.toml"), &text)
    };
    let endpoint = |line: &str| {
        let json = stack(&with(line).unwrap()).unwrap().to_json().unwrap();
        let variables = &json["Resources"]["PapersCodeTester"]["Properties"]["Environment"];
        variables["Variables"]["TRAINIUM_ENDPOINT"].clone()
    };
    assert_eq!(endpoint(""), "queue");
    assert_eq!(endpoint("trainium-endpoint = \"queue\""), "queue");
    let address = "http://10.0.0.7:8080";
    assert_eq!(
        endpoint(&format!("trainium-endpoint = \"{address}\"")),
        address
    );
    for bad in [
        "",
        "Queue",
        "10.0.0.7:8080",
        "ftp://agent.example",
        "http://",
    ] {
        let error = with(&format!("trainium-endpoint = \"{bad}\"")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("testing.trainium-endpoint") && error.contains("must be an address"),
            "{bad}: {error}"
        );
    }
}

#[test]
fn settings_as_shipped_with_an_address_alone_are_refused_with_what_to_change() {
    for name in ["dev", "prod"] {
        let path = format!("../../environments/{name}.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        let line = "[testing]\ntrainium-endpoint = \"https://agent.example\"";
        let text = text.replace("[testing]", line);
        let error = Environment::parse(name, &path, &text).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("testing.timeout-secs must be at least 690")
                && error.contains("got 300"),
            "{error}"
        );
        let text = text.replace(
            "timeout-secs = 300\nbatch-size",
            "timeout-secs = 690\nbatch-size",
        );
        Environment::parse(name, &path, &text).unwrap();
    }
}

#[test]
fn only_the_tester_may_read_the_agents_token_and_no_template_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments/dev.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = "[testing]\n\
        trainium-endpoint = \"https://agent.example\"\n\
        trainium-token-parameter = \"/annapurna/dev/agent-token\"";
    let text = text.replace("[testing]", lines);
    let text = text.replace(
        "timeout-secs = 300\nbatch-size",
        "timeout-secs = 900\nbatch-size",
    );
    let environment = Environment::parse("dev", &path, &text).unwrap();
    let json = stack(&environment).unwrap().to_json().unwrap();
    let resources = json["Resources"].as_object().unwrap();
    let names_it = |resource: &serde_json::Value| resource.to_string().contains("agent-token");
    let naming: Vec<&String> = resources
        .iter()
        .filter(|(_, resource)| names_it(resource))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(naming, ["PapersCodeTester", "PapersCodeTesterRole"]);
    let role = json["Resources"]["PapersCodeTesterRole"].to_string();
    let (_, statement) = role.split_once("ReadAgentToken").unwrap();
    assert!(
        statement.contains("ssm:GetParameter\"")
            && statement.contains("parameter/annapurna/dev/agent-token"),
        "{statement}"
    );
    let variables = &json["Resources"]["PapersCodeTester"]["Properties"]["Environment"];
    let variable = &variables["Variables"]["TRAINIUM_TOKEN_PARAMETER"];
    assert_eq!(variable, "/annapurna/dev/agent-token");
    let plain = stack(&super::environment("dev"))
        .unwrap()
        .to_json()
        .unwrap();
    assert!(!plain.to_string().contains("ReadAgentToken"));
}
