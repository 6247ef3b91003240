//! Turns the contract's grants into IAM statements. The one place where a capability becomes actions
//! and ARNs: no `*` action, and a `*` resource only where AWS has no resource-level permission.

use std::collections::BTreeMap;

use annapurna_contract::{Bucket, Grant, Queue, keys};
use serde_json::json;

use super::queue::QueueHandle;
use crate::cloudformation::iam::{Policy, PolicyDocument, Role, Statement};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// The resources that grants are about.
#[derive(Debug)]
pub struct Targets {
    /// Bucket names.
    pub buckets: BTreeMap<Bucket, String>,
    /// Queues.
    pub queues: BTreeMap<Queue, QueueHandle>,
    /// ARN of the search domain; `None` when the environment names its own OpenSearch.
    pub domain_arn: Option<Expr>,
    /// The index.
    pub index: &'static str,
    /// Model ids by the grant that allows them.
    pub models: BTreeMap<Grant, String>,
    /// The instance's `Purpose` tag, and whether the environment has an instance.
    pub instance_purpose: Option<String>,
}

impl Targets {
    /// A queue's handle.
    pub fn queue(&self, queue: Queue) -> &QueueHandle {
        &self.queues[&queue]
    }

    /// The statements of one grant; none when the environment has no such resource.
    fn statements(&self, grant: Grant) -> Vec<Statement> {
        match grant {
            Grant::ReadObjects(bucket) => self.read_objects(bucket),
            Grant::WriteObjects(bucket) => vec![Statement::allow(
                format!("Write{bucket:?}"),
                &["s3:PutObject"],
                vec![self.objects(bucket)],
            )],
            Grant::WriteVerdicts => {
                let verdicts = Expr::Literal(format!("/{}*", keys::VERDICTS_PREFIX));
                let verdicts = Expr::concat([self.bucket_arn(Bucket::Papers), verdicts]);
                vec![Statement::allow(
                    "WriteVerdicts",
                    &["s3:PutObject"],
                    vec![verdicts],
                )]
            }
            Grant::SendMessages(queue) => self.on_queue(
                "SendTo",
                queue,
                &["sqs:SendMessage", "sqs:GetQueueAttributes"],
            ),
            Grant::ConsumeMessages(queue) => self.on_queue(
                "ConsumeFrom",
                queue,
                &[
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:GetQueueAttributes",
                ],
            ),
            Grant::DeadLetterMessages(queue) => self.dead_letters(queue),
            Grant::ReadIndex => self.on_index(
                "ReadIndex",
                &["es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"],
            ),
            Grant::WriteIndex => self.on_index("WriteIndex", &["es:ESHttpPost", "es:ESHttpPut"]),
            Grant::InvokeJudgeModel | Grant::InvokeGeneratorModel | Grant::InvokeEmbeddingModel => {
                self.models
                    .get(&grant)
                    .map(|model| invoke(grant, model))
                    .into_iter()
                    .collect()
            }
            Grant::RunInstance => self.run_instance(),
        }
    }

    fn bucket_arn(&self, bucket: Bucket) -> Expr {
        let name = self
            .buckets
            .get(&bucket)
            .map_or(bucket.name(), String::as_str);
        Expr::global_arn("s3", name)
    }

    fn objects(&self, bucket: Bucket) -> Expr {
        Expr::concat([self.bucket_arn(bucket), Expr::from("/*")])
    }

    /// Listing is part of reading: without it S3 answers 403, not 404, for an object that is not there.
    fn read_objects(&self, bucket: Bucket) -> Vec<Statement> {
        vec![
            Statement::allow(
                format!("Read{bucket:?}"),
                &["s3:GetObject"],
                vec![self.objects(bucket)],
            ),
            Statement::allow(
                format!("List{bucket:?}"),
                &["s3:ListBucket"],
                vec![self.bucket_arn(bucket)],
            ),
        ]
    }

    fn on_queue(&self, verb: &str, queue: Queue, actions: &[&'static str]) -> Vec<Statement> {
        let arn = self.queue(queue).arn.clone();
        vec![Statement::allow(
            format!("{verb}{queue:?}"),
            actions,
            vec![arn],
        )]
    }

    fn dead_letters(&self, queue: Queue) -> Vec<Statement> {
        let arn = self.queue(queue).dead_letter_arn.clone();
        let actions = ["sqs:SendMessage", "sqs:GetQueueUrl"];
        vec![Statement::allow(
            format!("DeadLetter{queue:?}"),
            &actions,
            vec![arn],
        )]
    }

    fn on_index(&self, sid: &str, actions: &[&'static str]) -> Vec<Statement> {
        let Some(domain) = &self.domain_arn else {
            return Vec::new();
        };
        let index = Expr::concat([domain.clone(), Expr::Literal(format!("/{}", self.index))]);
        let below = Expr::concat([index.clone(), Expr::from("/*")]);
        vec![Statement::allow(sid, actions, vec![index, below])]
    }

    /// Starting and stopping is limited to the instance by its tag; describing has no resource-level
    /// permission. Source: Service Authorization Reference, Amazon EC2.
    fn run_instance(&self) -> Vec<Statement> {
        let Some(purpose) = &self.instance_purpose else {
            return Vec::new();
        };
        let instances = Expr::arn("ec2", "instance/*");
        vec![
            Statement::allow(
                "StartAndStopInstance",
                &["ec2:StartInstances", "ec2:StopInstances"],
                vec![instances],
            )
            .when(json!({"StringEquals": {"aws:ResourceTag/Purpose": purpose}})),
            Statement::allow(
                "SeeInstances",
                &["ec2:DescribeInstances"],
                vec![Expr::from("*")],
            ),
        ]
    }
}

/// A cross-region inference profile (`us.`, `eu.`, `apac.`, `global.` before the model's id) is
/// granted together with the model in the regions it may choose.
/// Source: Bedrock user guide, "Prerequisites for inference profiles".
fn invoke(grant: Grant, model: &str) -> Statement {
    let base = ["us.", "eu.", "apac.", "global."]
        .iter()
        .find_map(|prefix| model.strip_prefix(prefix));
    let in_partition = |text: String| {
        Expr::concat([
            Expr::from("arn:"),
            Expr::Ref("AWS::Partition".to_owned()),
            Expr::Literal(text),
        ])
    };
    let resources = match base {
        Some(base) => vec![
            Expr::arn("bedrock", format!("inference-profile/{model}")),
            in_partition(format!(":bedrock:*::foundation-model/{base}")),
        ],
        None => vec![Expr::concat([
            in_partition(":bedrock:".to_owned()),
            Expr::region(),
            Expr::Literal(format!("::foundation-model/{model}")),
        ])],
    };
    Statement::allow(format!("{grant:?}"), &["bedrock:InvokeModel"], resources)
}

/// Adds a role that `principals` assume and that has exactly these grants besides `own` statements.
pub fn add_role(
    template: &mut Template,
    id: LogicalId,
    trust: Vec<Statement>,
    grants: &[Grant],
    targets: &Targets,
    own: Vec<Statement>,
    managed: Vec<Expr>,
) -> LogicalId {
    let mut statements: Vec<Statement> = grants
        .iter()
        .flat_map(|grant| targets.statements(*grant))
        .collect();
    statements.extend(own);
    let policies = if statements.is_empty() {
        Vec::new()
    } else {
        vec![Policy {
            policy_name: "grants".to_owned(),
            policy_document: PolicyDocument::new(statements),
        }]
    };
    template.add(
        id,
        Resource::new(Role {
            assume_role_policy_document: PolicyDocument::new(trust),
            policies,
            managed_policy_arns: managed,
        }),
    )
}
