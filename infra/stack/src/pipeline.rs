//! The stack itself: read this file to know what exists in AWS.
//!
//! In: an environment's settings. Out: a template, the same bytes for the same settings. What differs
//! from one deployment to the next (keys of the code, ports of local services) are parameters, so
//! this function knows nothing of builds and calls nobody.

use std::collections::BTreeMap;

use annapurna_contract::events::TesterEvent;
use annapurna_contract::names::{ENGINE_VERSION, INDEX, INSTANCE_PURPOSE};
use annapurna_contract::scrape::SCRAPE_CONFERENCE;
use annapurna_contract::{
    AgentConfig, Bucket, Function, GeneratorConfig, Grant, JudgeConfig, Queue, ScraperConfig,
    Source, TesterConfig, keys,
};

use serde_json::json;

use crate::cloudformation::iam::Statement;
use crate::cloudformation::lambda::Code;
use crate::cloudformation::{DeletionPolicy, Expr, LogicalId, Resource, Template, ssm};
use crate::constructs::alarm;
use crate::constructs::bucket::{ObjectNotification, PrivateBucket, Versions, deny_deletion};
use crate::constructs::function::{FunctionHandle, FunctionSize, RustFunction};
use crate::constructs::limits::{
    BatchSize, FifoQueueName, FunctionTimeout, InvalidQueueName, MaxConcurrency, MaxReceives,
    VisibilityTimeout,
};
use crate::constructs::machine::{Machine, add_agent_role};
use crate::constructs::permissions::Targets;
use crate::constructs::queue::{QueueHandle, WorkQueue, visibility_for};
use crate::constructs::schedule::{self, Cadence};
use crate::constructs::search::SearchDomain;
use crate::constructs::state_machine::{self, Workflow};
use crate::environment::{Environment, SearchSettings};
use crate::outputs::Output;
use crate::parameters::{Parameter, function_packages};
use crate::scrape_machine;

/// Failures before a paper's message goes to the dead-letter queue: enough to outlast a throttled
/// model for some visibility timeouts.
const RECEIVES: MaxReceives = MaxReceives::new(5);
/// The dispatcher looks at `code-evaluation.fifo` once a minute, and each look is a receive.
const LOOKS: MaxReceives = MaxReceives::new(1000);
/// Messages of one call: small enough that a batch of model calls ends in the function's time.
const MODEL_BATCH: BatchSize = BatchSize::new(2);
/// Copies of a function that ask the model at once.
const MODEL_COPIES: MaxConcurrency = MaxConcurrency::new(5);
/// The agent gives the batch back whenever it stops or cannot write, and each time counts.
const BATCH_RECEIVES: MaxReceives = MaxReceives::new(100);
/// For a batch that nobody extends yet; the agent sets its own, shorter, and renews it while it works.
const AGENT_VISIBILITY: VisibilityTimeout = VisibilityTimeout::new(120);

/// Builds the whole stack of an environment.
///
/// # Errors
///
/// When the environment's prefix makes a queue's name that SQS refuses.
pub fn stack(environment: &Environment) -> Result<Template, InvalidQueueName> {
    let mut pipeline = Pipeline::new(environment)?;
    let scrapers: Vec<FunctionHandle> = Source::ALL
        .iter()
        .map(|source| pipeline.scraper(Function::Scraper(*source)))
        .collect();
    let any_scraper = pipeline.scraper(Function::AnyScraper);
    let judge = pipeline.judge();
    let generator = pipeline.generator();
    let instance = pipeline.agent();
    let tester = pipeline.tester(instance);
    let machine = pipeline.scrape_machine(&any_scraper);
    pipeline.schedules(&machine, &tester);
    let mut owners: Vec<&FunctionHandle> = scrapers.iter().collect();
    owners.extend([&any_scraper, &judge, &generator, &tester]);
    pipeline.buckets(&owners, &tester);
    pipeline.outputs();
    Ok(pipeline.template)
}

struct Pipeline<'a> {
    environment: &'a Environment,
    template: Template,
    targets: Targets,
    assets_bucket: Expr,
    code_keys: BTreeMap<&'static str, Expr>,
    search_endpoint: Expr,
    model_endpoint: Expr,
    paper_site: Option<Expr>,
}

impl<'a> Pipeline<'a> {
    fn new(environment: &'a Environment) -> Result<Self, InvalidQueueName> {
        let mut template = Template::new(format!(
            "Annapurna, environment {}: papers in, tested code out",
            environment.name
        ));
        let queues = add_queues(&mut template, environment)?;
        let assets_bucket = parameter(&mut template, Parameter::AssetsBucket);
        let code_keys = function_packages()
            .into_iter()
            .map(|package| {
                let key = parameter(&mut template, Parameter::CodeKey(package));
                (package, key)
            })
            .collect();
        let local = environment.local().is_some();
        let model_endpoint = if local {
            parameter(&mut template, Parameter::ModelUrl)
        } else {
            Expr::concat([
                Expr::from("https://bedrock-runtime."),
                Expr::region(),
                Expr::from("."),
                Expr::Ref("AWS::URLSuffix".to_owned()),
            ])
        };
        let paper_site = local.then(|| parameter(&mut template, Parameter::PaperSiteUrl));
        let (search_endpoint, domain_arn) = add_search(&mut template, environment);
        let buckets = Bucket::ALL.map(|bucket| (bucket, environment.bucket_name(bucket)));
        let targets = Targets {
            buckets: buckets.into(),
            queues,
            domain_arn,
            index: INDEX,
            models: BTreeMap::from([
                (Grant::InvokeJudgeModel, environment.judge.model.clone()),
                (
                    Grant::InvokeEmbeddingModel,
                    environment.judge.embedding_model.clone(),
                ),
                (
                    Grant::InvokeGeneratorModel,
                    environment.generator.model.clone(),
                ),
            ]),
            instance_purpose: environment
                .trainium
                .as_ref()
                .map(|_| environment.named(INSTANCE_PURPOSE)),
        };
        Ok(Self {
            environment,
            template,
            targets,
            assets_bucket,
            code_keys,
            search_endpoint,
            model_endpoint,
            paper_site,
        })
    }

    fn bucket(&self, bucket: Bucket) -> Expr {
        Expr::from(self.environment.bucket_name(bucket))
    }

    fn queue(&self, queue: Queue) -> QueueHandle {
        self.targets.queue(queue).clone()
    }

    fn function(
        &mut self,
        name: Function,
        description: &str,
        size: FunctionSize,
        variables: Vec<(&'static str, Expr)>,
    ) -> FunctionHandle {
        let function = RustFunction {
            name,
            deployed_name: self.environment.named(name.name()),
            description: description.to_owned(),
            size,
            architecture: self.environment.architecture().name(),
            variables,
            code: Code {
                s3_bucket: self.assets_bucket.clone(),
                s3_key: self.code_keys[name.package()].clone(),
            },
            retention_days: self.environment.log_retention_days,
        };
        function.add_to(&mut self.template, &self.targets)
    }

    fn scraper(&mut self, name: Function) -> FunctionHandle {
        let settings = &self.environment.scraper;
        let hosts = &settings.hosts;
        let host = |own: &Option<String>, public: &str| {
            let own = own.as_deref().map(Expr::from);
            own.or_else(|| self.paper_site.clone())
                .unwrap_or_else(|| Expr::from(public))
        };
        let (conference, description) = match name {
            Function::Scraper(source) => (
                source.name(),
                format!("Stores papers of {} in S3", source.name()),
            ),
            _ => (
                "ANY",
                "Stores papers of the source that the event names".to_owned(),
            ),
        };
        let config = ScraperConfig {
            conference: Expr::from(conference),
            conference_year: Expr::from(settings.conference_year.to_string()),
            max_papers: Expr::from(settings.max_papers.to_string()),
            bucket_name: self.bucket(Bucket::Papers),
            queue_url: self.queue(Queue::Research).url,
            contact: Expr::from(self.environment.contact.as_str()),
            arxiv_api_url: host(&hosts.arxiv_api, "https://export.arxiv.org"),
            arxiv_url: host(&hosts.arxiv, "https://arxiv.org"),
            arxiv_query: Expr::from(settings.arxiv_query.as_str()),
            openreview_url: host(&hosts.openreview, "https://openreview.net"),
            openreview_api_v1_url: host(&hosts.openreview_api_v1, "https://api.openreview.net"),
            openreview_api_v2_url: host(&hosts.openreview_api_v2, "https://api2.openreview.net"),
            virtual_site_url: host(&hosts.virtual_site, "https://{conference}.cc"),
            proceedings_url: host(&hosts.proceedings, "https://proceedings.{conference}.cc"),
            datasets_proceedings_url: host(
                &hosts.datasets_proceedings,
                "https://datasets-benchmarks-proceedings.{conference}.cc",
            ),
            pmlr_url: host(&hosts.pmlr, "https://proceedings.mlr.press"),
            pmlr_files_url: host(&hosts.pmlr_files, "https://raw.githubusercontent.com"),
            request_interval_ms: Expr::from(settings.request_interval_ms.to_string()),
            retake_after: Expr::from(settings.retake_after_secs.to_string()),
        };
        self.function(name, &description, settings.size, config.into_variables())
    }

    fn judge(&mut self) -> FunctionHandle {
        let settings = &self.environment.judge;
        let config = JudgeConfig {
            opensearch_endpoint: self.search_endpoint.clone(),
            opensearch_index: Expr::from(INDEX),
            bucket_name: self.bucket(Bucket::Papers),
            queue_url: self.queue(Queue::CodeGeneration).url,
            bedrock_model_id: Expr::from(settings.model.as_str()),
            embedding_model_id: Expr::from(settings.embedding_model.as_str()),
            bedrock_endpoint: self.model_endpoint.clone(),
            topic: Expr::from(settings.topic.as_str()),
            duplicate_similarity: Expr::from(settings.duplicate_similarity.to_string()),
        };
        let description = "Keeps the relevant and novel papers in the index";
        let judge = self.function(
            Function::Judge,
            description,
            settings.size,
            config.into_variables(),
        );
        let queue = self.queue(Queue::Research);
        judge.consume(&mut self.template, &queue, MODEL_BATCH, MODEL_COPIES);
        judge
    }

    fn generator(&mut self) -> FunctionHandle {
        let settings = &self.environment.generator;
        let config = GeneratorConfig {
            opensearch_endpoint: self.search_endpoint.clone(),
            opensearch_index: Expr::from(INDEX),
            bedrock_model_id: Expr::from(settings.model.as_str()),
            bedrock_endpoint: self.model_endpoint.clone(),
            bucket_name: self.bucket(Bucket::Papers),
            code_bucket: self.bucket(Bucket::Code),
            code_queue_url: self.queue(Queue::CodeEvaluation).url,
        };
        let description = "Writes a PyTorch program for each accepted paper";
        let generator = self.function(
            Function::Generator,
            description,
            settings.size,
            config.into_variables(),
        );
        let queue = self.queue(Queue::CodeGeneration);
        generator.consume(&mut self.template, &queue, MODEL_BATCH, MODEL_COPIES);
        generator
    }

    fn tester(&mut self, instance: Option<Expr>) -> FunctionHandle {
        let settings = &self.environment.testing;
        let price = self
            .environment
            .trainium
            .as_ref()
            .map(|it| it.hourly_price_usd.as_str());
        let config = TesterConfig {
            opensearch_endpoint: self.search_endpoint.clone(),
            opensearch_index: Expr::from(INDEX),
            code_bucket: self.bucket(Bucket::Code),
            outputs_bucket: self.bucket(Bucket::Outputs),
            evaluation_queue_url: self.queue(Queue::CodeEvaluation).url,
            testing_queue_url: self.queue(Queue::CodeTesting).url,
            trainium_endpoint: Expr::from("queue"),
            trainium_instance_id: instance.unwrap_or_else(|| Expr::from("none")),
            batch_size: Expr::from(settings.batch_size.to_string()),
            max_wait: Expr::from(settings.max_wait_secs.to_string()),
            trainium_timeout: Expr::from(settings.program_timeout_secs.to_string()),
            hourly_price_usd: Expr::from(price.unwrap_or("0")),
        };
        let description = "Dispatches batches to the agent and collects what it found";
        self.function(
            Function::Tester,
            description,
            settings.size,
            config.into_variables(),
        )
    }

    /// The machine that runs the programs: an instance in AWS, a process of this machine locally. Both
    /// have the same role; who may assume it differs.
    fn agent(&mut self) -> Option<Expr> {
        let Some(settings) = self.environment.trainium.clone() else {
            let account = Statement::trust("AWS", Expr::account_root());
            let role = add_agent_role(
                &mut self.template,
                &self.targets,
                account,
                Vec::new(),
                Vec::new(),
            );
            let arn = Expr::attribute(&role, "Arn");
            self.output(Output::TrainiumAgentRoleArn, arn);
            return None;
        };
        let key = parameter(&mut self.template, Parameter::AgentKey);
        let parameter_name = format!("/annapurna/{}/trainium-agent", self.environment.name);
        let bundle = [
            Expr::from("s3://"),
            self.assets_bucket.clone(),
            Expr::from("/"),
            key.clone(),
        ];
        self.template.add(
            LogicalId::new("TrainiumAgentBundle"),
            Resource::new(ssm::Parameter {
                name: parameter_name.clone(),
                type_name: "String",
                description: "The agent's bundle, fetched whenever the agent starts".to_owned(),
                value: Expr::concat(bundle),
            }),
        );
        let bundles = Expr::concat([
            Expr::global_arn("s3", self.assets_bucket.clone()),
            Expr::from("/trainium-agent/*"),
        ]);
        let own = vec![
            Statement::allow("ReadOwnBundles", &["s3:GetObject"], vec![bundles]),
            Statement::allow(
                "ReadOwnBundleName",
                &["ssm:GetParameter"],
                vec![Expr::arn("ssm", format!("parameter{parameter_name}"))],
            ),
            // The managed policy of Systems Manager allows every parameter of the account.
            Statement::deny_all_but(
                "NoOtherParameter",
                &[
                    "ssm:GetParameter",
                    "ssm:GetParameters",
                    "ssm:GetParametersByPath",
                    "ssm:GetParameterHistory",
                ],
                vec![Expr::arn("ssm", format!("parameter{parameter_name}"))],
            ),
        ];
        let machine = Machine {
            user_data: self.first_boot(&parameter_name),
            instance_type: settings.instance_type,
            image_parameter: settings.image_parameter,
            volume_gib: settings.volume_gib,
            network: settings.vpc_id.zip(settings.subnet_id),
            own,
            name_prefix: self.environment.name_prefix.clone(),
        };
        let instance = machine.add_to(&mut self.template, &self.targets);
        self.output(Output::TrainiumInstanceId, instance.clone());
        Some(instance)
    }

    /// The first-boot script with the agent's variables before it.
    fn first_boot(&self, bundle_parameter: &str) -> Expr {
        let config = AgentConfig {
            testing_queue_url: self.queue(Queue::CodeTesting).url,
            code_bucket: self.bucket(Bucket::Code),
            outputs_bucket: self.bucket(Bucket::Outputs),
            datasets_bucket: self.bucket(Bucket::Datasets),
        };
        let mut parts = vec![Expr::from(concat!(
            "#!/bin/bash\ninstall -d -m 755 /etc/annapurna\n",
            "cat > /etc/annapurna/agent.env <<'VARIABLES'\n"
        ))];
        let instance_type = self
            .environment
            .trainium
            .as_ref()
            .map(|it| it.instance_type.as_str());
        let mut variables = config.into_variables();
        variables.extend([
            ("AWS_REGION", Expr::region()),
            (
                "AGENT_INSTANCE_TYPE",
                Expr::from(instance_type.unwrap_or("local")),
            ),
            ("AGENT_BUNDLE_PARAMETER", Expr::from(bundle_parameter)),
        ]);
        for (name, value) in variables {
            parts.extend([Expr::Literal(format!("{name}=")), value, Expr::from("\n")]);
        }
        // User data runs once, and what it needs may be out of reach just then: the script becomes a unit
        // that is tried until it succeeds.
        parts.push(Expr::from(
            "VARIABLES\ncat > /usr/local/sbin/annapurna-first-boot <<'FIRST_BOOT'\n",
        ));
        parts.push(Expr::from(include_str!(
            "../../../trainium/host/first-boot.sh"
        )));
        parts.push(Expr::from(
            "FIRST_BOOT\nchmod 755 /usr/local/sbin/annapurna-first-boot\n",
        ));
        parts.push(Expr::from(
            "cat > /etc/systemd/system/annapurna-first-boot.service <<'UNIT'\n",
        ));
        parts.push(Expr::from(include_str!(
            "../../../trainium/host/annapurna-first-boot.service"
        )));
        parts.push(Expr::from("UNIT\nsystemctl daemon-reload\n"));
        parts.push(Expr::from(
            "systemctl enable --now --no-block annapurna-first-boot.service\n",
        ));
        Expr::concat(parts)
    }

    /// The machine that takes a whole list of papers. One function serves every source, so that what is
    /// taken at once is bounded in one place.
    fn scrape_machine(&mut self, scraper: &FunctionHandle) -> Expr {
        let timeout = self.environment.scraper.size.timeout;
        let machine = Workflow {
            id: SCRAPE_CONFERENCE,
            name: self.environment.named(SCRAPE_CONFERENCE),
            definition: scrape_machine::definition(&state_machine::resource(scraper), timeout),
            functions: vec![scraper],
        };
        let arn = machine.add_to(&mut self.template);
        self.output(Output::ScrapeConferenceArn, arn.clone());
        if self.environment.scraper.scheduled {
            alarm::on_failed_executions(
                &mut self.template,
                SCRAPE_CONFERENCE,
                self.environment.named("ScrapeConferenceFailed"),
                &arn,
            );
        }
        arn
    }

    fn schedules(&mut self, machine: &Expr, tester: &FunctionHandle) {
        let role = schedule::add_role(&mut self.template, tester, machine);
        let event = serde_json::to_string(&TesterEvent::Dispatch { force: false });
        Cadence {
            id: "DispatchEveryMinute".to_owned(),
            description: "Looks whether a batch of programs is due".to_owned(),
            expression: "rate(1 minute)".to_owned(),
            window_minutes: 0,
            event: event.unwrap_or_default(),
            enabled: true,
        }
        .add_to(&mut self.template, &tester.arn, &role);
        for source in Source::ALL {
            let event = scrape_event(source);
            Cadence {
                id: format!("Scrape{}", source.name()),
                description: format!("Takes the new papers of {}", source.name()),
                expression: scrape_cadence(source).to_owned(),
                window_minutes: 60,
                event: event.to_string(),
                enabled: self.environment.scraper.scheduled,
            }
            .add_to(&mut self.template, machine, &role);
        }
    }

    fn buckets(&mut self, owners: &[&FunctionHandle], tester: &FunctionHandle) {
        let removal = if self.environment.retain_data {
            DeletionPolicy::Retain
        } else {
            DeletionPolicy::Delete
        };
        let outputs = self.environment.bucket_name(Bucket::Outputs);
        let permission = tester.allow_bucket(&mut self.template, &outputs);
        let tester_arn = Expr::arn(
            "lambda",
            format!(
                "function:{}",
                self.environment.named(Function::Tester.name())
            ),
        );
        let mut roles: Vec<Expr> = owners
            .iter()
            .map(|function| function.role_arn.clone())
            .collect();
        roles.push(Expr::attribute(&LogicalId::new("TrainiumAgentRole"), "Arn"));
        let papers = self.environment.bucket_name(Bucket::Papers);
        let protection = deny_deletion(&papers, roles);
        // Raw papers stay whatever the environment says: they are the one thing that cannot be made again.
        self.private_bucket(
            "PapersBucket",
            papers,
            DeletionPolicy::Retain,
            None,
            Some(protection),
        );
        let code = self.environment.bucket_name(Bucket::Code);
        self.private_bucket("CodeBucket", code, removal, None, None);
        let notify = ObjectNotification {
            function: tester_arn,
            suffix: keys::RESULT_SUFFIX,
            permission,
        };
        self.private_bucket("OutputsBucket", outputs, removal, Some(notify), None);
        let datasets = self.environment.bucket_name(Bucket::Datasets);
        self.private_bucket("DatasetsBucket", datasets, removal, None, None);
    }

    fn private_bucket(
        &mut self,
        id: &'static str,
        name: String,
        removal: DeletionPolicy,
        notify: Option<ObjectNotification>,
        protection: Option<Statement>,
    ) {
        // The raw papers cannot be made again, not even by another run.
        let versions = if protection.is_some() {
            Versions::Forever
        } else {
            Versions::Month
        };
        let bucket = PrivateBucket {
            id,
            name,
            removal,
            versions,
            encrypted_transport: self.environment.local().is_none(),
            notify,
        };
        bucket.add_to(&mut self.template, protection);
    }

    fn outputs(&mut self) {
        let endpoint = self.search_endpoint.clone();
        self.output(Output::SearchEndpoint, endpoint);
        for queue in Queue::ALL {
            let url = self.queue(queue).url;
            self.output(Output::QueueUrl(queue), url);
        }
        for bucket in Bucket::ALL {
            let name = self.bucket(bucket);
            self.output(Output::BucketName(bucket), name);
        }
    }

    fn output(&mut self, output: Output, value: Expr) {
        self.template
            .output(output.name(), output.description(), value);
    }
}

fn parameter(template: &mut Template, parameter: Parameter) -> Expr {
    template.parameter(LogicalId::new(&parameter.name()), parameter.description())
}

fn queue_id(queue: Queue) -> &'static str {
    match queue {
        Queue::Research => "ResearchQueue",
        Queue::CodeGeneration => "CodeGenerationQueue",
        Queue::CodeEvaluation => "CodeEvaluationQueue",
        Queue::CodeTesting => "CodeTestingQueue",
    }
}

fn add_queues(
    template: &mut Template,
    environment: &Environment,
) -> Result<BTreeMap<Queue, QueueHandle>, InvalidQueueName> {
    Queue::ALL
        .into_iter()
        .map(|queue| {
            let (visibility_timeout, max_receives) = match queue {
                Queue::Research => (visibility_for(environment.judge.size.timeout), RECEIVES),
                Queue::CodeGeneration => {
                    (visibility_for(environment.generator.size.timeout), RECEIVES)
                }
                Queue::CodeEvaluation => (visibility_for(environment.testing.size.timeout), LOOKS),
                Queue::CodeTesting => (AGENT_VISIBILITY, BATCH_RECEIVES),
            };
            let work_queue = WorkQueue {
                id: queue_id(queue).to_owned(),
                name: FifoQueueName::checked(environment.named(&queue.name()))?,
                dead_letter_name: FifoQueueName::checked(
                    environment.named(&queue.dead_letter_name()),
                )?,
                visibility_timeout,
                max_receives,
            };
            Ok((queue, work_queue.add_to(template)))
        })
        .collect()
}

/// The index's endpoint, and the ARN of the domain when the stack has one.
fn add_search(template: &mut Template, environment: &Environment) -> (Expr, Option<Expr>) {
    match &environment.search {
        SearchSettings::Url(url) => (Expr::from(url.as_str()), None),
        SearchSettings::Domain {
            instance_type,
            instance_count,
            volume_gib,
        } => {
            let domain = SearchDomain {
                name: environment.named("research-papers"),
                engine_version: ENGINE_VERSION,
                instance_type: instance_type.clone(),
                instance_count: *instance_count,
                volume_gib: *volume_gib,
                removal: if environment.retain_data {
                    DeletionPolicy::Retain
                } else {
                    DeletionPolicy::Delete
                },
            };
            let arn = domain.arn();
            let host = domain.add_to(template);
            // The local OpenSearch speaks plain HTTP on loopback; a domain in AWS is HTTPS only.
            let scheme = if environment.local().is_some() {
                "http://"
            } else {
                "https://"
            };
            (Expr::concat([Expr::from(scheme), host]), Some(arn))
        }
    }
}

/// When each source is taken, UTC, none at another's hour. A conference is taken when its year's papers
/// are out and, within the same year, once more for PDFs that came late; arXiv's announcements of a
/// weekday, Monday to Friday, reach its API in the night after, so each is there at the next day's hour.
const fn scrape_cadence(source: Source) -> &'static str {
    match source {
        Source::Arxiv => "cron(17 4 ? * TUE-SAT *)",
        Source::Iclr => "cron(23 5 2 6,9 ? *)",
        Source::Mlsys => "cron(37 8 5 7,10 ? *)",
        Source::Icml => "cron(29 6 3 8,11 ? *)",
        Source::Neurips => "cron(31 7 6,20 12 ? *)",
    }
}

/// How far back a day's scrape of arXiv looks. Papers are listed by the day they were submitted and
/// appear later: one handed in on Friday evening is taken on Wednesday morning, four and a half days on.
/// A week also takes what a lost day or two left, and what is known costs one question each.
const ARXIV_SINCE: &str = "7d";

/// The event of a source's schedule. Scheduler puts its time in place of the keyword, and a conference's
/// year is that of the time. Source: EventBridge Scheduler user guide, "Adding context attributes".
fn scrape_event(source: Source) -> serde_json::Value {
    match source {
        Source::Arxiv => json!({"CONFERENCE": source, "since": ARXIV_SINCE}),
        conference => {
            json!({"CONFERENCE": conference, "CONFERENCE_YEAR": "<aws.scheduler.scheduled-time>"})
        }
    }
}

/// Every size of the stack is inside the range of the types it is made of.
const _: () = {
    FifoQueueName::assert("code-evaluation-dlq.fifo");
    assert!(AGENT_VISIBILITY.get() > FunctionTimeout::new(60).get());
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use annapurna_contract::events::ScraperEvent;

    use super::*;

    fn environment(name: &str) -> Environment {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
        Environment::load(&folder, name).unwrap()
    }

    #[test]
    fn each_environment_has_this_template() {
        for name in ["local", "dev", "prod"] {
            let template = stack(&environment(name)).unwrap().to_json().unwrap();
            insta::assert_json_snapshot!(format!("template_{name}"), template);
        }
    }

    #[test]
    fn the_same_settings_give_the_same_bytes() {
        let render =
            || serde_json::to_string(&stack(&environment("prod")).unwrap().to_json().unwrap());
        assert_eq!(render().unwrap(), render().unwrap());
    }

    #[test]
    fn no_role_has_a_star_action_or_deletes_objects() {
        let json = stack(&environment("prod")).unwrap().to_json().unwrap();
        for (id, resource) in json["Resources"].as_object().unwrap() {
            let properties = &resource["Properties"];
            let managed = properties.get("ManagedPolicyArns").map(ToString::to_string);
            assert!(
                managed.is_none_or(|arns| arns.matches("policy/").count() == 1
                    && arns.contains("policy/AmazonSSMManagedInstanceCore")),
                "{id}"
            );
            for policy in properties["Policies"].as_array().into_iter().flatten() {
                for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                    let actions = statement["Action"].to_string();
                    assert!(!actions.contains('*'), "{id}: {actions}");
                    assert!(!actions.contains("s3:Delete"), "{id}: {actions}");
                    let resources = statement["Resource"].as_array();
                    let alone = resources.is_some_and(|it| it.contains(&"*".into()));
                    assert!(
                        !alone || actions == r#"["ec2:DescribeInstances"]"#,
                        "{id}: {actions}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_source_has_a_schedule_of_its_own_hour_that_starts_the_machine() {
        let json = stack(&environment("prod")).unwrap().to_json().unwrap();
        let mut hours = BTreeSet::new();
        for source in Source::ALL {
            let schedule = &json["Resources"][format!("Scrape{}", source.name())]["Properties"];
            let target = &schedule["Target"];
            assert_eq!(target["Arn"]["Ref"], SCRAPE_CONFERENCE);
            // As Scheduler fills it in.
            let input = target["Input"].as_str().unwrap();
            let input = input.replace("<aws.scheduler.scheduled-time>", "2027-06-02T05:23:00Z");
            let event: ScraperEvent = serde_json::from_str(&input).unwrap();
            assert_eq!(event.conference.as_deref(), Some(source.name()));
            // A year would narrow arXiv; a conference has that of the schedule's time.
            let year = (source != Source::Arxiv).then_some(2027);
            assert_eq!(event.conference_year, year);
            let cron = schedule["ScheduleExpression"].as_str().unwrap();
            hours.insert(cron.split(' ').nth(1).unwrap().to_owned());
            let days = cron
                .split(' ')
                .skip(2)
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
            let is_twice = days.matches(',').count() == 1;
            assert!(is_twice || source == Source::Arxiv, "{cron}");
        }
        assert_eq!(hours.len(), Source::ALL.len());
    }

    #[test]
    fn a_scrape_that_failed_is_seen_where_nobody_starts_it_by_hand() {
        for (name, has_alarm) in [("local", false), ("dev", false), ("prod", true)] {
            let template = stack(&environment(name)).unwrap();
            let alarm = template.resource("ScrapeConferenceFailed");
            assert_eq!(alarm.is_some(), has_alarm, "{name}");
        }
    }

    #[test]
    fn raw_papers_stay_in_every_environment() {
        for name in ["local", "dev", "prod"] {
            let template = stack(&environment(name)).unwrap();
            let bucket = template.resource("PapersBucket").unwrap();
            assert!(bucket.is_retained(), "{name}");
        }
    }

    #[test]
    fn the_raw_papers_refuse_deletion_by_every_role_of_the_pipeline() {
        let json = stack(&environment("prod")).unwrap().to_json().unwrap();
        let statements =
            &json["Resources"]["PapersBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"];
        let denied = statements
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["Sid"] == "PapersAreNeverDeleted");
        let denied = denied.unwrap();
        assert_eq!(denied["Effect"], "Deny");
        assert!(
            denied["Action"]
                .as_array()
                .unwrap()
                .contains(&"s3:DeleteObjectVersion".into())
        );
        let principals = denied["Principal"]["AWS"].to_string();
        for function in Function::ALL {
            let role = LogicalId::new(function.name()).part("Role");
            assert!(principals.contains(role.as_str()), "{role}");
        }
        assert!(principals.contains("TrainiumAgentRole"));
    }

    #[test]
    fn the_first_boot_script_fits_into_user_data() {
        let json = stack(&environment("prod")).unwrap().to_json().unwrap();
        let launch = &json["Resources"]["TrainiumLaunch"]["Properties"]["LaunchTemplateData"];
        // 16 KB before encoding; references become somewhat longer. Source: EC2 user guide, "user data".
        assert!(launch["UserData"].to_string().len() < 15_000);
    }

    #[test]
    fn every_output_is_given_out_in_aws_or_on_this_machine_and_no_other() {
        for (name, elsewhere) in [
            ("local", Output::TrainiumInstanceId),
            ("prod", Output::TrainiumAgentRoleArn),
        ] {
            let json = stack(&environment(name)).unwrap().to_json().unwrap();
            let given = json["Outputs"].as_object().unwrap();
            let given: BTreeSet<&str> = given.keys().map(String::as_str).collect();
            let known = Output::ALL.into_iter().filter(|it| *it != elsewhere);
            assert_eq!(given, known.map(Output::name).collect(), "{name}");
        }
    }
}
