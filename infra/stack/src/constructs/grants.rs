//! Turns the contract's grants into IAM statements. The one place where a capability becomes actions
//! and ARNs: no `*` action, and a `*` resource only where AWS has no resource-level permission.

use std::collections::BTreeSet;

use annapurna_contract::keys::Objects;
use annapurna_contract::models::ModelId;
use annapurna_contract::{Bucket, Grant, Principal, Queue};

use super::bucket::Buckets;
use super::queue::QueueHandle;
use crate::cloudformation::iam::{Condition, Statement};
use crate::cloudformation::{Arn, Expr};

/// The condition keys of an instance's tags, `annapurna_contract::names::PURPOSE_TAG` and `ENVIRONMENT_TAG`.
const RESOURCE_PURPOSE: &str = "aws:ResourceTag/Purpose";
const RESOURCE_ENVIRONMENT: &str = "aws:ResourceTag/Environment";

/// The resources that grants are about.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) buckets: Buckets,
    /// The index within the search domain; `None` when the environment names its own OpenSearch, which knows
    /// nothing of IAM.
    pub(crate) index: Option<Arn>,
    /// The index of states beside it.
    pub(crate) states: Option<Arn>,
    /// Ids of the models that the functions ask.
    pub(crate) models: Models,
    /// The instances that the tester starts and stops; `None` where the agent is a process.
    pub(crate) instances: Option<Instances>,
    /// Name of the SSM parameter with the agent's token; `None` where nobody calls the agent with one.
    pub(crate) token_parameter: Option<String>,
}

/// Which instances of the account run the environment's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instances {
    /// Those of the environment's own stack, by both of their tags.
    Tagged {
        /// Value of the tag `Purpose`.
        purpose: String,
        /// Value of the tag `Environment`.
        environment: String,
    },
    /// One that somebody else made, by its id.
    Own(String),
}

/// Ids of models or of inference profiles, as Bedrock has them.
#[derive(Debug)]
pub(crate) struct Models {
    /// Judges relevance.
    pub(crate) judge: String,
    /// Makes the vectors of abstracts.
    pub(crate) embedding: String,
    /// Writes programs.
    pub(crate) generator: String,
}

impl Targets {
    /// Everything that the contract lets a principal do.
    pub(crate) fn granted(&self, principal: Principal) -> Vec<Statement> {
        let grants = principal.grants();
        let buckets: BTreeSet<Bucket> = grants
            .iter()
            .filter_map(|grant| match grant {
                Grant::ReadObjects(objects) => Some(objects.bucket()),
                _ => None,
            })
            .collect();
        let listings = buckets.into_iter().map(|bucket| self.list(bucket));
        let statements = grants.iter().flat_map(|grant| self.statements(*grant));
        statements.chain(listings).collect()
    }

    /// The statements of one grant; none when the environment has no such resource.
    fn statements(&self, grant: Grant) -> Vec<Statement> {
        match grant {
            Grant::ReadObjects(objects) => self.on_objects("Read", &["s3:GetObject"], objects),
            Grant::WriteObjects(objects) => self.on_objects("Write", &["s3:PutObject"], objects),
            Grant::SendMessages(queue) => on_queue("SendTo", queue, &["sqs:SendMessage"]),
            Grant::CountMessages(queue) => on_queue("Count", queue, &["sqs:GetQueueAttributes"]),
            // Source: Lambda guide, "Creating and configuring an Amazon SQS event source mapping", permissions.
            Grant::BeInvokedBy(queue) => on_queue(
                "InvokedBy",
                queue,
                &[
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                ],
            ),
            Grant::HoldMessages(queue) => on_queue("Hold", queue, &["sqs:ChangeMessageVisibility"]),
            Grant::TakeMessages(queue) => on_queue(
                "TakeFrom",
                queue,
                &[
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                ],
            ),
            Grant::DeadLetterMessages(queue) => dead_letter(queue),
            Grant::ReadIndex => [
                on_index(&self.index, "ReadDocuments", "es:ESHttpGet", "_doc/*"),
                on_index(&self.index, "Search", "es:ESHttpPost", "_search"),
            ]
            .concat(),
            Grant::UpsertDocuments => {
                on_index(&self.index, "UpsertDocuments", "es:ESHttpPost", "_update/*")
            }
            Grant::ReplaceDocuments => {
                on_index(&self.index, "ReplaceDocuments", "es:ESHttpPut", "_doc/*")
            }
            Grant::KeepStates => [
                on_index(&self.states, "ReadStates", "es:ESHttpGet", "_doc/*"),
                on_index(&self.states, "WriteStates", "es:ESHttpPut", "_doc/*"),
            ]
            .concat(),
            Grant::InvokeJudgeModel => invoke(grant, &self.models.judge),
            Grant::InvokeEmbeddingModel => invoke(grant, &self.models.embedding),
            Grant::InvokeGeneratorModel => invoke(grant, &self.models.generator),
            Grant::RunInstance => self.run_instance(),
            Grant::ReadAgentToken => self.read_agent_token(),
        }
    }

    /// Listing is part of reading: without it S3 answers 403, not 404, for an object that is not there. It knows no
    /// prefixes, for the question whether there is an object names none.
    /// Source: S3 API reference, `GetObject`, permissions.
    fn list(&self, bucket: Bucket) -> Statement {
        let arn = self.buckets.get(bucket).arn();
        Statement::allow(format!("List{bucket:?}"), &["s3:ListBucket"], vec![arn])
    }

    fn on_objects(&self, verb: &str, actions: &[&'static str], objects: Objects) -> Vec<Statement> {
        let bucket = self.buckets.get(objects.bucket()).arn();
        let of = |pattern: String| bucket.followed_by(Expr::Literal(format!("/{pattern}")));
        let arns = objects.patterns().into_iter().map(of).collect();
        vec![Statement::allow(
            format!("{verb}{objects:?}"),
            actions,
            arns,
        )]
    }

    /// Starting and stopping is limited to the instances by their tags; describing has no resource-level
    /// permission. Source: Service Authorization Reference, Amazon EC2.
    fn run_instance(&self) -> Vec<Statement> {
        let Some(instances) = &self.instances else {
            return Vec::new();
        };
        let start_and_stop = |name: &str| {
            Statement::allow(
                "StartAndStopInstances",
                &["ec2:StartInstances", "ec2:StopInstances"],
                vec![Arn::in_account("ec2", format!("instance/{name}"))],
            )
        };
        let start_and_stop = match instances {
            Instances::Tagged {
                purpose,
                environment,
            } => start_and_stop("*").when(
                Condition::string_equals(RESOURCE_PURPOSE, purpose.as_str())
                    .and_string_equals(RESOURCE_ENVIRONMENT, environment.as_str()),
            ),
            Instances::Own(id) => start_and_stop(id),
        };
        let see = Statement::allow("SeeInstances", &["ec2:DescribeInstances"], vec![Arn::any()]);
        vec![start_and_stop, see]
    }

    /// The account's key `aws/ssm`, with which such a parameter is encrypted, needs no statement: its own policy
    /// lets everybody use it through SSM who may read the parameter.
    /// Source: Systems Manager user guide, "How AWS Systems Manager Parameter Store uses AWS KMS".
    fn read_agent_token(&self) -> Vec<Statement> {
        let parameter = self.token_parameter.iter();
        let read = |name: &String| {
            let parameter = Arn::in_account("ssm", format!("parameter{name}"));
            Statement::allow("ReadAgentToken", &["ssm:GetParameter"], vec![parameter])
        };
        parameter.map(read).collect()
    }
}

/// One kind of request to one API of an index, which is a path below it, so that none has
/// `_delete_by_query` or a document's deletion among what it allows.
/// Source: OpenSearch Service developer guide, "Identity and Access Management", subresources.
fn on_index(index: &Option<Arn>, sid: &str, action: &'static str, api: &str) -> Vec<Statement> {
    let allow = |index: &Arn| {
        let path = index.followed_by(format!("/{api}"));
        Statement::allow(sid, &[action], vec![path])
    };
    index.iter().map(allow).collect()
}

fn on_queue(verb: &str, queue: Queue, actions: &[&'static str]) -> Vec<Statement> {
    vec![Statement::allow(
        format!("{verb}{queue:?}"),
        actions,
        vec![QueueHandle::of(queue).arn()],
    )]
}

/// The queue's redrive policy names its dead-letter queue, whose address is asked by name.
fn dead_letter(queue: Queue) -> Vec<Statement> {
    let sent = Statement::allow(
        format!("DeadLetter{queue:?}"),
        &["sqs:SendMessage", "sqs:GetQueueUrl"],
        vec![QueueHandle::of(queue).dead_letter_arn()],
    );
    let mut statements = on_queue("FindDeadLettersOf", queue, &["sqs:GetQueueAttributes"]);
    statements.push(sent);
    statements
}

/// A cross-region inference profile is granted together with the model behind it in the regions that it may choose,
/// which AWS adds to: in any region, but only by way of the profile. The model's ARN has no region at all where a
/// global profile leads to it; the `*` stands for that, too.
/// Source: Bedrock user guide, "Geographic cross-Region inference" and "Global cross-Region inference".
fn invoke(grant: Grant, model: &str) -> Vec<Statement> {
    const ACTION: [&str; 1] = ["bedrock:InvokeModel"];
    let sid = format!("{grant:?}");
    let bedrock = |text: String| Arn::in_partition([Expr::Literal(format!(":bedrock:{text}"))]);
    let id = ModelId::parse(model);
    if id.geography.is_none() {
        let model = format!("::foundation-model/{model}");
        let model = bedrock(String::new()).followed_by_each([Expr::region(), Expr::Literal(model)]);
        return vec![Statement::allow(sid, &ACTION, vec![model])];
    }
    let profile = Arn::in_account("bedrock", format!("inference-profile/{model}"));
    let behind = bedrock(format!("*::foundation-model/{}", id.base));
    let by_profile = Condition::arn_equals("bedrock:InferenceProfileArn", profile.clone());
    vec![
        Statement::allow(sid.clone(), &ACTION, vec![profile]),
        Statement::allow(format!("{sid}Behind"), &ACTION, vec![behind]).when(by_profile),
    ]
}
