//! What each role of the synthesised template may do, asked of its policies as IAM evaluates them.
//!
//! Every role is asked about every call below: those that its code makes must be allowed, and every other one, its
//! neighbours' prefixes, queues and APIs among them, denied. Keys and paths are what the functions' own code makes.

mod evaluation;

use std::collections::BTreeSet;

use annapurna_contract::PaperId;
use annapurna_contract::models::ModelId;
use annapurna_contract::spent::Spender;
use serde_json::Value;

use super::*;
use evaluation::{Call, Role};

/// One object of each kind that a stage reads or writes, by its key.
fn objects(bucket: Bucket) -> Vec<String> {
    let paper = PaperId::of("Adam", None);
    match bucket {
        Bucket::Papers => {
            let of_source = Source::ALL.into_iter().flat_map(|source| {
                [
                    keys::paper_pdf(source, 2025, &paper),
                    keys::paper_source_record(source, 2025, &paper),
                    keys::list_part(source, 2025, "0a1b", 3),
                    keys::paper_details(source, 2025, "0a1b", "page"),
                    keys::id_alias(source, 2025, "1412.6980"),
                ]
            });
            let others = [
                keys::title_alias("Adam"),
                keys::host_lease("arxiv.org"),
                keys::verdict(&paper),
                "elsewhere/notes.json".to_owned(),
            ];
            of_source.chain(others).collect()
        }
        Bucket::Code => vec![
            keys::spent_on_day("2026-01-02", Spender::Judge),
            keys::spent_on_paper(&paper, Spender::Generator),
            keys::code(&paper),
            keys::code_metadata(&paper),
            "elsewhere.json".to_owned(),
        ],
        Bucket::Outputs => vec![
            keys::result(&paper),
            format!("{}stdout.log", keys::outputs_prefix(&paper)),
            keys::result_in(&keys::trial_prefix("trial-0a1b", &paper)),
            keys::REFUSED_STARTS.to_owned(),
            format!("{}plots/loss.png", keys::outputs_prefix(&paper)),
            format!("{paper}/notes.json"),
        ],
        Bucket::Datasets => vec![
            keys::dataset_description("mnist"),
            "mnist/train-0a1b.safetensors".to_owned(),
            "imdb/vocabulary-0a1b.json".to_owned(),
            "mnist/mnist_pytorch.pt".to_owned(),
            "dataset_index.json".to_owned(),
        ],
    }
}

/// Everything that every role is asked about, `action resource`.
fn universe() -> Vec<(String, String)> {
    let mut asked = Vec::new();
    let mut add = |actions: &[&str], service: &str, resource: &str| {
        for action in actions {
            asked.push((format!("{service}:{action}"), resource.to_owned()));
        }
    };
    add_what_holds_papers(&mut add);
    add_what_works(&mut add);
    add_what_is_for_people(&mut add);
    asked
}

/// Buckets with what is in them, queues and the index.
fn add_what_holds_papers(add: &mut impl FnMut(&[&str], &str, &str)) {
    for bucket in Bucket::ALL {
        let arn = format!("arn:aws:s3:::{}", bucket.name());
        for key in objects(bucket) {
            add(OBJECT_ACTIONS, "s3", &format!("{arn}/{key}"));
        }
        add(BUCKET_ACTIONS, "s3", &arn);
    }
    for key in ["functions/papers-judge/0a.zip", "trainium-agent/0a.tar.gz"] {
        add(OBJECT_ACTIONS, "s3", &format!("arn:aws:s3:::assets/{key}"));
    }
    for queue in Queue::ALL {
        for name in [queue.name(), queue.dead_letter_name()] {
            add(QUEUE_ACTIONS, "sqs", &in_account("sqs", &name));
        }
    }
    add(QUEUE_ACTIONS, "sqs", &in_account("sqs", "failed-events"));
    let domain = in_account("es", "domain/research-papers");
    for path in INDEX_PATHS {
        add(INDEX_ACTIONS, "es", &format!("{domain}/{path}"));
    }
    add(&["DeleteDomain", "UpdateDomainConfig"], "es", &domain);
}

/// Functions with their logs, instances, the state machine and models.
fn add_what_works(add: &mut impl FnMut(&[&str], &str, &str)) {
    for function in Function::ALL {
        let arn = in_account("lambda", &format!("function:{}", function.name()));
        add(&["InvokeFunction", "UpdateFunctionCode"], "lambda", &arn);
        let streams = format!("log-group:/aws/lambda/{}:log-stream:x", function.name());
        add(LOG_ACTIONS, "logs", &in_account("logs", &streams));
    }
    let instance = in_account("ec2", "instance/i-0abc");
    add(INSTANCE_ACTIONS, "ec2", &instance);
    add(&["DescribeInstances"], "ec2", "*");
    let machine = in_account("states", "stateMachine:ScrapeConference");
    add(&["StartExecution"], "states", &machine);
    for model in models() {
        add(MODEL_ACTIONS, "bedrock", &model);
    }
}

/// Parameters, roles and the alarms' topic: what the deployer and the operators change.
fn add_what_is_for_people(add: &mut impl FnMut(&[&str], &str, &str)) {
    let bundle = in_account("ssm", "parameter/annapurna/prod/trainium-agent");
    add(&["GetParameter", "PutParameter"], "ssm", &bundle);
    let other = in_account("ssm", "parameter/other");
    add(&["GetParameter"], "ssm", &other);
    for role in ["PapersJudgeRole", "TrainiumAgentRole"] {
        let arn = format!("arn:aws:iam::111122223333:role/{role}");
        add(&["PassRole", "PutRolePolicy"], "iam", &arn);
        add(&["AssumeRole"], "sts", &arn);
    }
    add(&["Publish"], "sns", &in_account("sns", "PipelineAlarms"));
}

const OBJECT_ACTIONS: &[&str] = &[
    "GetObject",
    "PutObject",
    "DeleteObject",
    "DeleteObjectVersion",
    "PutObjectAcl",
];
const BUCKET_ACTIONS: &[&str] = &[
    "ListBucket",
    "DeleteBucket",
    "PutBucketPolicy",
    "PutLifecycleConfiguration",
];
const QUEUE_ACTIONS: &[&str] = &[
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "PurgeQueue",
    "DeleteQueue",
    "SetQueueAttributes",
];
const INDEX_ACTIONS: &[&str] = &[
    "ESHttpGet",
    "ESHttpHead",
    "ESHttpPost",
    "ESHttpPut",
    "ESHttpPatch",
    "ESHttpDelete",
];
const INDEX_PATHS: &[&str] = &[
    "research-papers-v2",
    "research-papers-v2/_doc/paper",
    "research-papers-v2/_search",
    "research-papers-v2/_update/paper",
    "research-papers-v2/_delete_by_query",
    "research-papers-v2/_update_by_query",
    "research-papers-v2/_bulk",
    "research-papers-v2/_mapping",
    "research-papers-v2/_close",
    "research-papers-status",
    "research-papers-status/_doc/paper",
    "research-papers-status/_search",
    "research-papers-status/_update/paper",
    "research-papers-status/_delete_by_query",
    "research-papers-v3/_doc/paper",
    "research-papers-v3/_search",
    "_bulk",
    "_reindex",
    "_cluster/settings",
    "_snapshot/mine",
];
const LOG_ACTIONS: &[&str] = &["CreateLogStream", "PutLogEvents", "DeleteLogStream"];
const INSTANCE_ACTIONS: &[&str] = &[
    "StartInstances",
    "StopInstances",
    "TerminateInstances",
    "RunInstances",
];
const MODEL_ACTIONS: &[&str] = &["InvokeModel", "InvokeModelWithResponseStream"];

/// The profiles that `prod` names, the models behind them in a region that they choose, and others.
fn models() -> Vec<String> {
    let settings = environment();
    let profiles = [&settings.judge.model, &settings.generator.model];
    let foundation =
        |region: &str, id: &str| format!("arn:aws:bedrock:{region}::foundation-model/{id}");
    let behind = profiles.map(|id| foundation("us-west-2", ModelId::parse(id).base));
    let others = [
        foundation("us-east-1", &settings.judge.embedding_model),
        foundation("us-west-2", &settings.judge.embedding_model),
        foundation("us-east-1", "amazon.nova-pro-v1:0"),
    ];
    let profiles = profiles.map(|id| in_account("bedrock", &format!("inference-profile/{id}")));
    profiles.into_iter().chain(behind).chain(others).collect()
}

/// Whether an ARN is the model of these settings, or what its profile leads to.
fn is_model(arn: &str, id: &str) -> bool {
    let base = ModelId::parse(id).base;
    arn.ends_with(&format!("foundation-model/{base}")) || arn.ends_with(&format!("/{id}"))
}

fn in_account(service: &str, name: &str) -> String {
    format!("arn:aws:{service}:us-east-1:111122223333:{name}")
}

/// Whether the code of the principal makes the call, or Lambda makes it for the principal: read off the code, not off
/// its grants.
fn is_made(principal: Principal, action: &str, resource: &str) -> bool {
    match principal {
        Principal::Agent => agent_makes(action, resource),
        Principal::Function(function) => {
            let own = format!("log-group:/aws/lambda/{}:", function.name());
            let logs = ["logs:CreateLogStream", "logs:PutLogEvents"];
            (logs.contains(&action) && resource.contains(&own))
                || match function {
                    Function::Judge => judge_makes(action, resource),
                    Function::Generator => generator_makes(action, resource),
                    Function::Tester => tester_makes(action, resource),
                    _ => scraper_makes(action, resource),
                }
        }
    }
}

fn scraper_makes(action: &str, resource: &str) -> bool {
    let is_ours = resource.contains("llm-research-papers/")
        && !resource.contains("/verdicts/")
        && !resource.contains("/elsewhere/");
    match action {
        "s3:GetObject" | "s3:PutObject" => is_ours,
        "s3:ListBucket" => resource.ends_with(":llm-research-papers"),
        "sqs:SendMessage" => resource.ends_with(":researchQueue.fifo"),
        _ => false,
    }
}

/// A counter of what models cost.
fn is_counter(resource: &str) -> bool {
    resource.contains(":papers-code-artifacts/_spent/")
}

fn judge_makes(action: &str, resource: &str) -> bool {
    let is_verdict = resource.contains("llm-research-papers/verdicts/");
    match action {
        "s3:GetObject" => is_verdict || is_counter(resource) || resource.ends_with(".pdf"),
        "s3:PutObject" => is_verdict || is_counter(resource),
        "s3:ListBucket" => {
            resource.ends_with(":llm-research-papers")
                || resource.ends_with(":papers-code-artifacts")
        }
        "sqs:ReceiveMessage"
        | "sqs:DeleteMessage"
        | "sqs:GetQueueAttributes"
        | "sqs:ChangeMessageVisibility" => resource.ends_with(":researchQueue.fifo"),
        "sqs:SendMessage" => {
            resource.ends_with(":researchQueue.fifo") || resource.ends_with(":code-generation.fifo")
        }
        "bedrock:InvokeModel" => {
            let settings = environment().judge;
            let embedding = format!("us-east-1::foundation-model/{}", settings.embedding_model);
            is_model(resource, &settings.model) || resource.ends_with(&embedding)
        }
        _ => {
            reads_index(action, resource)
                || upserts(action, resource)
                || keeps_states(action, resource)
        }
    }
}

fn generator_makes(action: &str, resource: &str) -> bool {
    let is_program = resource.ends_with(".py")
        || resource.ends_with("/metadata.json")
        || resource.ends_with("/claim.json");
    match action {
        "s3:GetObject" => {
            is_program
                || is_counter(resource)
                || resource.ends_with(".pdf")
                || resource.ends_with("/dataset.json")
        }
        "s3:PutObject" => is_program || is_counter(resource),
        "s3:ListBucket" => {
            resource.ends_with(":llm-research-papers")
                || resource.ends_with(":papers-code-artifacts")
                || resource.ends_with(":datasets-for-all-papers")
        }
        "sqs:ReceiveMessage"
        | "sqs:DeleteMessage"
        | "sqs:GetQueueAttributes"
        | "sqs:ChangeMessageVisibility" => resource.ends_with(":code-generation.fifo"),
        "sqs:SendMessage" => {
            resource.ends_with(":code-generation.fifo")
                || resource.ends_with(":code-evaluation.fifo")
                || resource.ends_with(":failed-events")
        }
        "bedrock:InvokeModel" => {
            is_model(resource, &environment().generator.model)
                || is_model(resource, &environment().judge.model)
        }
        _ => {
            reads_index(action, resource)
                || upserts(action, resource)
                || replaces(action, resource)
                || keeps_states(action, resource)
        }
    }
}

fn tester_makes(action: &str, resource: &str) -> bool {
    match action {
        "s3:GetObject" => {
            resource.ends_with(".py")
                || resource.ends_with("/outputs/result.json")
                || resource.ends_with("/outputs/stderr.log")
                || resource.ends_with(keys::REFUSED_STARTS)
        }
        "s3:PutObject" => resource.ends_with(keys::REFUSED_STARTS),
        "s3:ListBucket" => {
            resource.ends_with(":papers-code-artifacts")
                || resource.ends_with(":papers-test-outputs")
        }
        "sqs:ReceiveMessage" | "sqs:DeleteMessage" | "sqs:ChangeMessageVisibility" => {
            resource.ends_with(":code-evaluation.fifo")
        }
        // The queue's redrive policy, and the count of batches.
        "sqs:GetQueueAttributes" => {
            resource.ends_with(":code-evaluation.fifo") || resource.ends_with(":code-testing.fifo")
        }
        "sqs:GetQueueUrl" => resource.ends_with(":code-evaluation-dlq.fifo"),
        "sqs:SendMessage" => {
            resource.ends_with(":code-evaluation-dlq.fifo")
                || resource.ends_with(":code-generation.fifo")
                || resource.ends_with(":code-testing.fifo")
                || resource.ends_with(":failed-events")
        }
        "ec2:StartInstances" | "ec2:StopInstances" | "ec2:DescribeInstances" => true,
        _ => {
            reads_index(action, resource)
                || replaces(action, resource)
                || keeps_states(action, resource)
        }
    }
}

fn agent_makes(action: &str, resource: &str) -> bool {
    match action {
        "s3:GetObject" => {
            resource.ends_with("/code.py")
                || resource.ends_with("/result.json")
                || resource.ends_with("/dataset.json")
                || resource.ends_with(".safetensors")
                || resource.ends_with("/vocabulary-0a1b.json")
                || resource.contains("assets/trainium-agent/")
        }
        "s3:PutObject" => resource.contains("/outputs/") || resource.contains(keys::TRIALS),
        "s3:ListBucket" => !resource.ends_with(":llm-research-papers"),
        "sqs:ReceiveMessage" | "sqs:DeleteMessage" | "sqs:ChangeMessageVisibility" => {
            resource.ends_with(":code-testing.fifo")
        }
        "ssm:GetParameter" => resource.ends_with("/trainium-agent"),
        _ => false,
    }
}

fn reads_index(action: &str, resource: &str) -> bool {
    let path = |path: &str| resource.ends_with(&format!("/{INDEX}/{path}"));
    (action == "es:ESHttpGet" && path("_doc/paper"))
        || (action == "es:ESHttpPost" && path("_search"))
}

fn upserts(action: &str, resource: &str) -> bool {
    action == "es:ESHttpPost" && resource.ends_with(&format!("/{INDEX}/_update/paper"))
}

fn replaces(action: &str, resource: &str) -> bool {
    action == "es:ESHttpPut" && resource.ends_with(&format!("/{INDEX}/_doc/paper"))
}

fn keeps_states(action: &str, resource: &str) -> bool {
    let is_document = resource.ends_with(&format!("/{STATUS_INDEX}/_doc/paper"));
    matches!(action, "es:ESHttpGet" | "es:ESHttpPut") && is_document
}

fn environment() -> Environment {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
    Environment::load(&folder, "prod").unwrap()
}

fn prod() -> Value {
    stack(&environment()).unwrap().to_json().unwrap()["Resources"].take()
}

/// The condition keys of a call: on one of the pipeline's own instances, and of a model by way of the profile that `prod`
/// names for it.
fn keys_of(arn: &str) -> Vec<(&'static str, String)> {
    let settings = environment();
    let profile = [settings.judge.model, settings.generator.model];
    let profile = profile.into_iter().find(|id| is_model(arn, id));
    let profile = profile.map(|id| in_account("bedrock", &format!("inference-profile/{id}")));
    let own = [
        ("aws:ResourceTag/Purpose", "PapersCodeTester".to_owned()),
        ("aws:ResourceTag/Environment", "prod".to_owned()),
    ];
    let by = profile.map(|arn| ("bedrock:InferenceProfileArn", arn));
    own.into_iter().chain(by).collect()
}

#[test]
fn every_role_may_do_what_its_code_does_and_nothing_else() {
    let resources = prod();
    let functions = Function::ALL.into_iter().map(Principal::Function);
    let mut wrong = BTreeSet::new();
    let mut n_allowed = 0;
    for principal in functions.chain([Principal::Agent]) {
        let role = Role::of(principal, &resources);
        for (action, arn) in universe() {
            let call = Call {
                action: &action,
                arn: &arn,
                keys: &keys_of(&arn),
            };
            let wanted = is_made(principal, &action, &arn);
            n_allowed += usize::from(wanted);
            if role.may(&call) != wanted {
                let word = if wanted { "denied" } else { "allowed" };
                wrong.insert(format!("{principal:?}: {word} {action} {arn}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(n_allowed > 300, "{n_allowed}");
}

#[test]
fn the_dispatcher_starts_and_stops_no_instance_of_somebody_else() {
    let role = Role::of(Principal::Function(Function::Tester), &prod());
    let arn = in_account("ec2", "instance/i-0abc");
    let purpose = |value: &str| ("aws:ResourceTag/Purpose", value.to_owned());
    let environment = |value: &str| ("aws:ResourceTag/Environment", value.to_owned());
    let others = [
        vec![],
        vec![purpose("PapersCodeTester")],
        vec![environment("prod")],
        vec![purpose("Payroll"), environment("prod")],
        vec![purpose("PapersCodeTester"), environment("dev")],
    ];
    for keys in &others {
        for action in ["ec2:StartInstances", "ec2:StopInstances"] {
            let arn = &arn;
            assert!(!role.may(&Call { action, arn, keys }), "{action} {keys:?}");
        }
    }
}

#[test]
fn a_model_behind_a_profile_is_asked_by_way_of_the_profile_only() {
    let resources = prod();
    for function in [Function::Judge, Function::Generator] {
        let role = Role::of(Principal::Function(function), &resources);
        for arn in models().iter().filter(|arn| arn.contains("us-west-2")) {
            let action = "bedrock:InvokeModel";
            assert!(
                !role.may(&Call {
                    action,
                    arn,
                    keys: &[]
                }),
                "{function:?} {arn}"
            );
        }
    }
}
