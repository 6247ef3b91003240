//! What the parts of the pipeline agree on, and nothing else.
//!
//! The functions read these types from their environment, their queues and the index; `infra` builds
//! the stack from the same types. A variable nobody sets, a permission nobody grants and a field
//! nobody mapped therefore do not compile or do not pass `infra synth`. There is deliberately no AWS
//! SDK and no I/O in this crate.

pub mod agent_call;
pub mod answers;
mod backend;
pub mod config;
pub mod dataset;
pub mod events;
mod grants;
mod identity;
pub mod keys;
mod messages;
pub mod model;
pub mod models;
pub mod names;
mod nearest;
mod outcome;
mod paper;
mod paper_host;
pub mod paper_id;
pub mod plan;
mod refused_start;
mod results;
pub mod rubric;
pub mod scrape;
mod source_record;
pub mod spent;
mod stage;
pub mod status;
pub mod text;
mod verdict;
mod words;

pub use backend::{Backend, NotABackend};
pub use config::{
    AgentConfig, ConfigError, GeneratorConfig, JudgeConfig, ScraperConfig, TesterConfig,
};
pub use grants::{Grant, Principal};
pub use identity::{abstract_changed, share_an_author};
pub use messages::{
    CodeEvaluationMessage, CodeGenerationMessage, CodeTestingMessage, LivePart, PAPER_MAX_RECEIVES,
    ProgramToTest, QueueMessage, Repair, RepairFrom, ResearchMessage,
};
pub use names::{Bucket, Function, Queue, Source};
pub use nearest::{nearest, nearest_known};
pub use outcome::{Evaluation, LEAST_STEPS, Measured, NotTrained, Outcome, Training};
pub use paper::{Generated, Judged, PaperRecord, Tested};
pub use paper_host::{PaperHost, PerHost};
pub use paper_id::{PaperId, normalize_title};
pub use refused_start::RefusedStart;
pub use results::{
    AgentHealth, AgentRefusal, BatchReport, BatchResults, DryRun, NoResult, OutputKeys,
    RecentFault, SHOWN_OUTPUT, TestResult,
};
pub use source_record::{
    Description, OtherEntry, RecordState, RecordedPdf, Revision, SourceRecord, UnderWay,
};
pub use spent::Spent;
pub use stage::Stage;
pub use status::StatusRecord;
pub use verdict::{Assessed, JudgedFrom, Judgement, Order, ShownPaper, Verdict, Wish};
pub use words::{
    AgentFault, BatchState, Decision, ErrorType, ExecutedOn, HealthStatus, Isolation, Question,
    TestStatus, YesOrNo,
};
