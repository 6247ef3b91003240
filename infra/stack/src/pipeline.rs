//! The stack itself: read this file to know what exists in AWS.
//!
//! ```text
//! scrapers ──▶ judge ──▶ generator ──▶ tester ──▶ agent     functions, and the machines that run the programs
//!    │           │           │            │         │
//!    ▼           ▼           ▼            ▼         ▼
//!  papers      index        code        index    outputs    where each leaves what it made
//! ```
//!
//! Each arrow to the right is a queue; of what the agent left in its bucket, S3 tells the tester. CloudFormation makes
//! all of it from a *template*, a text that names *resources* (a bucket, a queue, a function), *parameters* (what
//! differs from one deployment to the next: keys of the code, ports of local services) and *outputs* (what a person
//! wants to know of what was made). A template that was made is a *stack*, and another template given to it says what
//! to change.
//!
//! In: an environment's settings. Out: its template, the same bytes for the same settings; nothing is built and
//! nobody called. [`stack`] adds everything in the order in which a paper meets it. Each thing is a construct: a
//! struct that says what we want, whose `add_to` adds the resources that CloudFormation makes of it and returns a
//! handle, with which other constructs refer to them. What a function may do stands in `annapurna_contract`, and
//! the construct turns it into a role. Sizes, schedules and outputs have files of their own in `pipeline/`.

use annapurna_contract::config::{ANY_SOURCE, NO_RESOURCE};
use annapurna_contract::names::{
    ENGINE_VERSION, FAILED_EVENTS, INDEX, INSTANCE_PURPOSE, STATUS_INDEX,
};
use annapurna_contract::scrape::SCRAPE_CONFERENCE;
use annapurna_contract::{
    AgentConfig, Bucket, Function, GeneratorConfig, JudgeConfig, PaperHost, PerHost, Principal,
    Queue, ScraperConfig, Source, TesterConfig, keys,
};

use self::parts::{roles, url_of};
use self::sizes::{
    EVALUATION_MAX_RECEIVES, PAPER_MAX_RECEIVES, TESTING_MAX_RECEIVES, TESTING_VISIBILITY,
};
use crate::cloudformation::{DeletionPolicy, Expr, LogicalId, Template, Url};
use crate::constructs::bucket::{Buckets, ObjectNotification, PrivateBucket, Versions};
use crate::constructs::function::FunctionHandle;
use crate::constructs::grants::{Instances, Models, Targets};
use crate::constructs::limits::{FifoQueueName, InvalidQueueName};
use crate::constructs::queue::{FailedEvents, QueueHandle, WorkQueue, visibility_for};
use crate::constructs::search::SearchDomain;
use crate::constructs::state_machine::{StateMachine, StateMachineHandle};
use crate::constructs::trainium_launch::{
    AgentBundle, AgentLogs, AgentProcess, TrainiumLaunch, TrainiumLaunchHandle,
};
use crate::environment::{
    Environment, IDLE_STOP_MINUTES, InstanceImage, SearchSettings, TrainiumSettings,
};
use crate::parameters::{self, Parameter, given};
use crate::scrape_machine;

mod alarms;
mod dashboard;
mod outputs;
mod parts;
#[cfg(test)]
mod permissions;
mod schedules;
mod sizes;
#[cfg(test)]
mod tests;

/// Why an environment has no stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The environment's prefix makes a queue's name that SQS refuses.
    #[error(transparent)]
    QueueName(#[from] InvalidQueueName),
    /// A schedule's event cannot be written as JSON.
    #[error("cannot write the event of a schedule")]
    Event(#[from] serde_json::Error),
}

/// Builds the whole stack of an environment.
///
/// # Errors
///
/// [`StackError`], of which only the name of a queue is the environment's doing.
pub fn stack(environment: &Environment) -> Result<Template, StackError> {
    let mut pipeline = Pipeline::new(environment);
    // What is kept, and what hands a paper from one stage to the next.
    pipeline.add_buckets();
    pipeline.add_queues()?;
    let index = pipeline.add_index();
    // The stages, in the order in which a paper passes them.
    for source in Source::ALL {
        pipeline.add_scraper(Function::Scraper(source));
    }
    pipeline.add_scraper(Function::ArxivAlias);
    let scraper = pipeline.add_scraper(Function::AnyScraper);
    let scrape_conference = pipeline.add_scrape_conference(&scraper);
    pipeline.add_judge(&index);
    let generator = pipeline.add_generator(&index);
    let tester = pipeline.add_tester(&index);
    let launch = pipeline.add_agent();
    // What starts them, what tells of a failure, and what a person or a command reads.
    pipeline.add_schedules(&scrape_conference, &generator, &tester)?;
    pipeline.add_alarms(&scrape_conference);
    pipeline.add_outputs(&index, &scrape_conference, launch.as_ref());
    Ok(pipeline.stack)
}

struct Pipeline<'a> {
    environment: &'a Environment,
    stack: Template,
    targets: Targets,
}

impl<'a> Pipeline<'a> {
    /// The stack with nothing in it but its parameters.
    fn new(environment: &'a Environment) -> Self {
        let mut stack = Template::new(format!(
            "Annapurna, environment {}: papers in, tested code out",
            environment.name
        ));
        for parameter in parameters::of(environment) {
            let name = LogicalId::new(&parameter.name());
            stack.parameter(name, parameter.description());
        }
        let instances = environment.trainium.as_ref();
        let targets = Targets {
            buckets: Buckets::named(|bucket| environment.bucket_name(bucket)),
            index: None,
            states: None,
            models: Models {
                judge: environment.judge.model.clone(),
                embedding: environment.judge.embedding_model.clone(),
                generator: environment.generator.model.clone(),
            },
            instances: instances.map(|it| instances_of(environment, it)),
            token_parameter: environment
                .testing
                .trainium_endpoint
                .token_parameter()
                .map(str::to_owned),
        };
        Self {
            environment,
            stack,
            targets,
        }
    }

    /// What is kept of papers and programs.
    fn add_buckets(&mut self) {
        let tester = self.handle(Function::Tester);
        for bucket in Bucket::ALL {
            let private = PrivateBucket {
                handle: self.targets.buckets.get(bucket).clone(),
                removal: self.removal(),
                versions: Versions::Month,
                encrypted_transport: self.environment.local().is_none(),
                undeletable_by: Vec::new(),
                notification: None,
                passing: None,
            };
            let private = match bucket {
                // Raw papers cannot be made again, not even by another run: they stay, with every version,
                // whatever the environment says, and no role of the pipeline can delete one.
                Bucket::Papers => PrivateBucket {
                    removal: DeletionPolicy::Retain,
                    versions: Versions::Forever,
                    undeletable_by: roles().collect(),
                    ..private
                },
                // The agent writes a program's result last, and the tester collects it.
                Bucket::Outputs => PrivateBucket {
                    notification: Some(ObjectNotification {
                        function: &tester,
                        suffix: keys::RESULT_SUFFIX,
                    }),
                    passing: Some(keys::TRIALS),
                    ..private
                },
                Bucket::Code | Bucket::Datasets => private,
            };
            private.add_to(&mut self.stack);
        }
    }

    /// What hands a paper from one stage to the next, each with a queue for what fails too often.
    fn add_queues(&mut self) -> Result<(), InvalidQueueName> {
        let environment = self.environment;
        for queue in Queue::ALL {
            let consumer = match queue {
                Queue::Research => environment.judge.size,
                Queue::CodeGeneration => environment.generator.size,
                Queue::CodeEvaluation | Queue::CodeTesting => environment.testing.size,
            };
            let consumed_in = visibility_for(consumer.timeout);
            let (visibility_timeout, max_receives) = match queue {
                Queue::Research | Queue::CodeGeneration => (consumed_in, PAPER_MAX_RECEIVES),
                Queue::CodeEvaluation => (consumed_in, EVALUATION_MAX_RECEIVES),
                Queue::CodeTesting => (TESTING_VISIBILITY, TESTING_MAX_RECEIVES),
            };
            let dead_letter_name = environment.named(&queue.dead_letter_name());
            let work_queue = WorkQueue {
                handle: QueueHandle::of(queue),
                name: FifoQueueName::checked(environment.named(&queue.name()))?,
                dead_letter_name: FifoQueueName::checked(dead_letter_name)?,
                visibility_timeout,
                max_receives,
                encrypted_transport: environment.local().is_none(),
            };
            work_queue.add_to(&mut self.stack);
        }
        let failed = FailedEvents {
            name: environment.named(FAILED_EVENTS),
            encrypted_transport: environment.local().is_none(),
        };
        failed.add_to(&mut self.stack);
        Ok(())
    }

    /// Where accepted papers are found: a domain of the stack, or an OpenSearch that is already there. Returns
    /// its address.
    fn add_index(&mut self) -> Url {
        Url::from_parts(match &self.environment.search {
            SearchSettings::Url(url) => Expr::from(url.as_str()),
            SearchSettings::Domain {
                instance_type,
                instance_count,
                volume_gib,
            } => {
                let is_local = self.environment.local().is_some();
                let days = self.environment.log_retention_days;
                let domain = SearchDomain {
                    name: self.environment.named("research-papers"),
                    engine_version: ENGINE_VERSION,
                    instance_type: instance_type.clone(),
                    instance_count: *instance_count,
                    volume_gib: *volume_gib,
                    removal: self.removal(),
                    log_retention_days: (!is_local).then_some(days),
                };
                let domain = domain.add_to(&mut self.stack);
                self.targets.index = Some(domain.arn.followed_by(format!("/{INDEX}")));
                self.targets.states = Some(domain.arn.followed_by(format!("/{STATUS_INDEX}")));
                // The local OpenSearch speaks plain HTTP on loopback; a domain in AWS is HTTPS only.
                let scheme = if is_local { "http://" } else { "https://" };
                Expr::concat([Expr::from(scheme), domain.host])
            }
        })
    }

    /// Stores the papers of a source, or of the one that its event names, and sends them to the judge.
    fn add_scraper(&mut self, name: Function) -> FunctionHandle {
        let settings = &self.environment.scraper;
        let is_local = self.environment.local().is_some();
        let paper_site = is_local.then(|| given(Parameter::PaperSiteUrl));
        let address = |host: PaperHost| {
            let own = settings.hosts.get(&host);
            own.map(|own| Expr::from(own.as_str()))
                .or_else(|| paper_site.clone())
                .unwrap_or_else(|| Expr::from(host.public_address()))
        };
        let (conference, description) = match name {
            Function::Scraper(source) => (
                source.name(),
                format!("Stores papers of {} in S3", source.name()),
            ),
            Function::ArxivAlias => (
                Source::Arxiv.name(),
                "Does what PaperScraper_ArXiv does".to_owned(),
            ),
            _ => (
                ANY_SOURCE,
                "Stores papers of the source that the event names".to_owned(),
            ),
        };
        let config = ScraperConfig {
            conference: Expr::from(conference),
            conference_year: Expr::from(settings.conference_year.to_string()),
            max_papers: Expr::from(settings.max_papers.to_string()),
            bucket_name: self.targets.buckets.papers.name(),
            queue_url: url_of(Queue::Research),
            contact: Expr::from(self.environment.contact.as_str()),
            arxiv_query: Expr::from(settings.arxiv_query.as_str()),
            request_interval_ms: Expr::from(settings.request_interval_ms.to_string()),
            retake_after: Expr::from(settings.retake_after_secs.to_string()),
            hosts: PerHost::new(address),
        };

        self.add_function(name, &description, settings.size, config.into_variables())
    }

    /// Takes a whole list of papers. One function serves every source, so that what is taken at once is bounded
    /// in one place.
    fn add_scrape_conference(&mut self, scraper: &FunctionHandle) -> StateMachineHandle {
        let timeout = self.environment.scraper.size.timeout;
        let state_machine = StateMachine {
            id: SCRAPE_CONFERENCE,
            name: self.environment.named(SCRAPE_CONFERENCE),
            definition: scrape_machine::definition(&scraper.substitution(), timeout),
            functions: vec![scraper],
        };
        state_machine.add_to(&mut self.stack)
    }

    /// Decides which papers are relevant and new.
    fn add_judge(&mut self, index: &Url) {
        let settings = &self.environment.judge;
        let config = JudgeConfig {
            opensearch_endpoint: index.clone().into(),
            opensearch_index: Expr::from(INDEX),
            bucket_name: self.targets.buckets.papers.name(),
            queue_url: url_of(Queue::CodeGeneration),
            research_queue_url: url_of(Queue::Research),
            bedrock_model_id: Expr::from(settings.model.as_str()),
            embedding_model_id: Expr::from(settings.embedding_model.as_str()),
            bedrock_endpoint: self.model_endpoint(),
            topic: Expr::from(settings.topic.as_str()),
            duplicate_similarity: Expr::from(settings.duplicate_similarity.to_string()),
            code_bucket: self.targets.buckets.code.name(),
            budget_per_paper: Expr::from(self.environment.models.budget_per_paper_usd.to_string()),
            budget_per_day: Expr::from(self.environment.models.budget_per_day_usd.to_string()),
        };
        let description = "Keeps the relevant and novel papers in the index";
        let variables = config.into_variables();
        let judge = self.add_function(Function::Judge, description, settings.size, variables);
        self.add_consumer(&judge, Queue::Research);
    }

    /// Writes a program for each accepted paper.
    fn add_generator(&mut self, index: &Url) -> FunctionHandle {
        let settings = &self.environment.generator;
        let config = GeneratorConfig {
            opensearch_endpoint: index.clone().into(),
            opensearch_index: Expr::from(INDEX),
            bedrock_model_id: Expr::from(settings.model.as_str()),
            examiner_model_id: Expr::from(self.environment.judge.model.as_str()),
            bedrock_endpoint: self.model_endpoint(),
            device_backend: Expr::from(self.environment.backend().as_str()),
            bucket_name: self.targets.buckets.papers.name(),
            code_bucket: self.targets.buckets.code.name(),
            datasets_bucket: self.targets.buckets.datasets.name(),
            code_queue_url: url_of(Queue::CodeEvaluation),
            generation_queue_url: url_of(Queue::CodeGeneration),
            wait_for_text: Expr::from(settings.wait_for_text_secs.to_string()),
            budget_per_paper: Expr::from(self.environment.models.budget_per_paper_usd.to_string()),
            budget_per_day: Expr::from(self.environment.models.budget_per_day_usd.to_string()),
        };
        let description = "Writes a PyTorch program for each accepted paper";
        let size = settings.size;
        let variables = config.into_variables();
        let generator = self.add_function(Function::Generator, description, size, variables);
        self.add_consumer(&generator, Queue::CodeGeneration);
        generator
    }

    /// Hands programs to the agent in batches, and keeps what came out in the index.
    fn add_tester(&mut self, index: &Url) -> FunctionHandle {
        let settings = &self.environment.testing;
        let trainium = self.environment.trainium.as_ref();
        // The instances are not there yet: the tester finds them by their tags.
        let (purpose, environment, instance_id) = match &self.targets.instances {
            None => (NO_RESOURCE, NO_RESOURCE, NO_RESOURCE),
            Some(Instances::Own(id)) => (NO_RESOURCE, NO_RESOURCE, id.as_str()),
            Some(Instances::Tagged {
                purpose,
                environment,
            }) => (purpose.as_str(), environment.as_str(), NO_RESOURCE),
        };
        let config = TesterConfig {
            opensearch_endpoint: index.clone().into(),
            opensearch_index: Expr::from(INDEX),
            code_bucket: self.targets.buckets.code.name(),
            outputs_bucket: self.targets.buckets.outputs.name(),
            evaluation_queue_url: url_of(Queue::CodeEvaluation),
            testing_queue_url: url_of(Queue::CodeTesting),
            generation_queue_url: url_of(Queue::CodeGeneration),
            trainium_endpoint: Expr::from(settings.trainium_endpoint.as_str()),
            trainium_token_parameter: Expr::from(
                settings
                    .trainium_endpoint
                    .token_parameter()
                    .unwrap_or(NO_RESOURCE),
            ),
            trainium_purpose: Expr::from(purpose),
            trainium_environment: Expr::from(environment),
            trainium_instance_id: Expr::from(instance_id),
            batch_size: Expr::from(settings.batch_size.to_string()),
            max_wait: Expr::from(settings.max_wait_secs.to_string()),
            trainium_timeout: Expr::from(settings.program_timeout_secs.to_string()),
            idle_stop_minutes: Expr::from(
                trainium
                    .map_or(IDLE_STOP_MINUTES, |it| it.idle_stop_minutes)
                    .to_string(),
            ),
            hourly_price_usd: Expr::from(trainium.map_or("0", |it| it.hourly_price_usd.as_str())),
        };
        let description = "Dispatches batches to the agent and collects what it found";
        let variables = config.into_variables();
        self.add_function(Function::Tester, description, settings.size, variables)
    }

    /// What the agent runs as: on instances in AWS, which are launched as this says and are a stack of their own; in a
    /// process of this machine locally. Both have the same role; who may assume it differs.
    fn add_agent(&mut self) -> Option<TrainiumLaunchHandle> {
        let grants = self.targets.granted(Principal::Agent);
        let Some(settings) = self.environment.trainium.clone() else {
            AgentProcess { grants }.add_to(&mut self.stack);
            return None;
        };
        let launch = TrainiumLaunch {
            config: AgentConfig {
                testing_queue_url: url_of(Queue::CodeTesting),
                code_bucket: self.targets.buckets.code.name(),
                outputs_bucket: self.targets.buckets.outputs.name(),
                datasets_bucket: self.targets.buckets.datasets.name(),
            },
            bundle: AgentBundle {
                bucket: given(Parameter::AssetsBucket),
                key: given(Parameter::AgentKey),
                parameter_name: format!("/annapurna/{}/trainium-agent", self.environment.name),
            },
            image: match settings.image(&self.environment.region) {
                InstanceImage::Pinned(id) => id.to_owned(),
                InstanceImage::Parameter(name) => format!("resolve:ssm:{name}"),
            },
            backend: settings.backend(),
            instance_type: settings.instance_type,
            volume_gib: settings.volume_gib,
            logs: AgentLogs {
                group: self.environment.agent_log_group(),
                retention_days: self.environment.log_retention_days,
            },
            idle_stop_minutes: settings.idle_stop_minutes,
            tags: crate::instances::tags(self.environment),
            grants,
        };
        Some(launch.add_to(&mut self.stack))
    }
}

/// Which instances the tester starts and stops.
fn instances_of(environment: &Environment, settings: &TrainiumSettings) -> Instances {
    match &settings.instance_id {
        Some(id) => Instances::Own(id.clone()),
        None => Instances::Tagged {
            purpose: environment.named(INSTANCE_PURPOSE),
            environment: environment.name.clone(),
        },
    }
}
