//! The paper record: a document of the index, grouped by the stage that writes it, flat on the wire.
//!
//! The index's mapping is made from the same fields, with `dynamic: strict`, so a field that is not
//! here is refused by OpenSearch. Every field is optional because each stage writes its own group as
//! a partial update.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::EMBEDDING_DIMENSIONS;
use crate::{Decision, ErrorType, ExecutedOn, Question, YesOrNo};

/// What takes longer is told in the domain's slow logs.
const SLOW: &str = "5s";

/// Analysed text that is also sortable and countable by its exact form.
pub(crate) fn text() -> Value {
    json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 512}}})
}

/// A value that is found, sorted and counted as a whole.
pub(crate) fn keyword() -> Value {
    json!({"type": "keyword", "ignore_above": 8191})
}

/// `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or RFC 3339.
pub(crate) fn date() -> Value {
    json!({"type": "date", "format": "strict_date_optional_time||yyyy||yyyy-MM"})
}

pub(crate) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(crate) fn long() -> Value {
    json!({"type": "long"})
}

pub(crate) fn double() -> Value {
    json!({"type": "double"})
}

/// Any JSON object; searchable by path without a field per key.
fn flat_object() -> Value {
    json!({"type": "flat_object"})
}

/// A unit vector for nearest-neighbour search by cosine.
fn vector() -> Value {
    json!({
        "type": "knn_vector",
        "dimension": EMBEDDING_DIMENSIONS,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    })
}

macro_rules! field_group {
    ($(#[$struct_doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $wire:literal: $value:ty => $mapping:ident,)* }) => {
        $(#[$struct_doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(rename = $wire, default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$value>,
            )*
        }

        impl $name {
            pub(crate) fn add_mappings(properties: &mut Map<String, Value>) {
                $(properties.insert($wire.to_owned(), $mapping());)*
            }
        }
    };
}

pub(crate) use field_group;

field_group! {
    /// What the judge writes.
    Judged {
        /// Title as the source gives it.
        title = "title": String => text,
        /// [`crate::normalize_title`] of it, by which a paper is found under another spelling.
        title_normalized = "title_normalized": String => keyword,
        /// Authors in the source's order.
        authors = "authors": Vec<String> => text,
        /// Abstract as the source gives it; absent when it gives none.
        abstract_text = "abstract": String => text,
        /// Date of publication; of arXiv's first version.
        date = "date": String => date,
        /// Bucket of the PDF.
        s3_bucket = "s3_bucket": String => keyword,
        /// Key of the PDF; absent while only metadata could be had.
        s3_key = "s3_key": String => keyword,
        /// The PDF is only held back for now; without `s3_key`, the generator waits for it a bounded time.
        text_expected = "text_expected": bool => boolean,
        /// [`crate::paper_id::sha_abstract`] of the abstract, which tells whether it was edited.
        sha_abstract = "sha_abstract": String => keyword,
        /// What became of it.
        decision = "decision": Decision => keyword,
        /// Why, in a sentence or two.
        reason = "reason": String => text,
        /// Whether it belongs to the topic; absent when that was not asked.
        relevance = "relevance": YesOrNo => keyword,
        /// Whether the index did not have it.
        novelty = "novelty": YesOrNo => keyword,
        /// When the judge stored it.
        ingested_at = "ingested_at": String => date,
        /// Vector of title and abstract.
        abstract_embedding = "abstract_embedding": Vec<f32> => vector,
        /// The question it failed.
        rejected_by = "rejected_by": Question => keyword,
    }
}

field_group! {
    /// What the generator writes.
    Generated {
        /// The generator has stored a program; absent until then.
        code_generated = "code_generated": bool => boolean,
        /// Bucket of the program.
        code_s3_bucket = "code_s3_bucket": String => keyword,
        /// Key of the program: `{paper_id}/code.py`.
        code_s3_key = "code_s3_key": String => keyword,
        /// When it was written.
        code_generated_at = "code_generated_at": String => date,
        /// Key of its metadata.
        code_metadata_s3_key = "code_metadata_s3_key": String => keyword,
        /// The data set it loads.
        dataset_name = "dataset_name": String => keyword,
        /// Lines of the program.
        lines_of_code = "lines_of_code": i64 => long,
        /// It calls an optimiser's step.
        has_training_loop = "has_training_loop": bool => boolean,
        /// It evaluates without gradients.
        has_evaluation = "has_evaluation": bool => boolean,
        /// It uses torch.distributed, so one process is not how it is meant to run.
        uses_distributed_training = "uses_distributed_training": bool => boolean,
    }
}

field_group! {
    /// What the tester writes, mostly from the agent's result.
    Tested {
        /// A run has ended, however it ended.
        tested = "tested": bool => boolean,
        /// When the last run ended.
        tested_at = "tested_at": String => date,
        /// Return code 0 within every limit.
        test_success = "test_success": bool => boolean,
        /// A batch with it is with the agent.
        test_in_progress = "test_in_progress": bool => boolean,
        /// Wall-clock seconds of the program alone, without waiting for its turn.
        execution_time = "execution_time": f64 => double,
        /// The program's exit code.
        return_code = "return_code": i64 => long,
        /// The wall-clock limit ended it.
        timeout = "timeout": bool => boolean,
        /// `trainium` on a Neuron device, `cpu` elsewhere.
        executed_on = "executed_on": ExecutedOn => keyword,
        /// EC2 instance type, or `local`.
        instance_type = "instance_type": String => keyword,
        /// Highest resident memory, MiB.
        peak_memory_mb = "peak_memory_mb": f64 => double,
        /// Mean utilisation of its NeuronCore, percent; absent off Trainium.
        neuron_core_utilization = "neuron_core_utilization": f64 => double,
        /// As the program reports it.
        throughput_samples_per_sec = "throughput_samples_per_sec": f64 => double,
        /// As the program reports it.
        training_loss = "training_loss": f64 => double,
        /// As the program reports it.
        validation_accuracy = "validation_accuracy": f64 => double,
        /// Bucket of the outputs.
        outputs_s3_bucket = "outputs_s3_bucket": String => keyword,
        /// Key of standard output.
        stdout_s3_key = "stdout_s3_key": String => keyword,
        /// Key of standard error.
        stderr_s3_key = "stderr_s3_key": String => keyword,
        /// Where all its outputs are: `{paper_id}/outputs/`.
        artifacts_s3_prefix = "artifacts_s3_prefix": String => keyword,
        /// Keys of the images that it wrote.
        plots_s3_keys = "plots_s3_keys": Vec<String> => keyword,
        /// Key of `metrics.json`: everything it printed as `METRICS:` and what was measured.
        logs_s3_key = "logs_s3_key": String => keyword,
        /// Size of the data set, MB.
        dataset_size_mb = "dataset_size_mb": f64 => double,
        /// Its key in the data sets' bucket.
        dataset_s3_key = "dataset_s3_key": String => keyword,
        /// Seconds to get it.
        dataset_download_time = "dataset_download_time": f64 => double,
        /// `torch.__version__` of the interpreter that ran it.
        pytorch_version = "pytorch_version": String => keyword,
        /// Hours of the instance.
        trainium_hours = "trainium_hours": f64 => double,
        /// US dollars, at the configured hourly price.
        estimated_compute_cost = "estimated_compute_cost": f64 => double,
        /// Runs begun so far; one that is marked again after a crash counts once.
        test_attempts = "test_attempts": i64 => long,
        /// When the last began.
        last_test_attempt = "last_test_attempt": String => date,
        /// Whether the last run failed: the opposite of `test_success`.
        has_errors = "has_errors": bool => boolean,
        /// What a person can act on.
        error_message = "error_message": String => text,
        /// Why the last run failed; absent when it did not.
        error_type = "error_type": ErrorType => keyword,
        /// It ran on a Neuron device.
        executed_on_trn = "executed_on_trn": bool => boolean,
        /// When that was written.
        executed_on_trn_updated_at = "executed_on_trn_updated_at": String => date,
        /// Thread of the message about it.
        slack_thread_ts = "slack_thread_ts": String => keyword,
        /// `s3://bucket/key` of `result.json`, from which these fields were made.
        results_s3_location = "results_s3_location": String => keyword,
        /// Every metric the program reported.
        execution_metrics = "execution_metrics": Map<String, Value> => flat_object,
        /// The Neuron profiler ran.
        profiler_enabled = "profiler_enabled": bool => boolean,
        /// Folder on the instance to which the profiler wrote.
        profiler_output_dir = "profiler_output_dir": String => keyword,
        /// Names of the files that the profiler wrote there.
        profiler_files = "profiler_files": Vec<String> => keyword,
        /// Where that is in S3.
        profiler_s3_location = "profiler_s3_location": String => keyword,
        /// The Perfetto trace among it.
        profiler_perfetto_file = "profiler_perfetto_file": String => keyword,
    }
}

/// One document of the index. Its `_id` is the [`crate::PaperId`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PaperRecord {
    /// Written by the judge.
    #[serde(flatten)]
    pub judged: Judged,
    /// Written by the generator.
    #[serde(flatten)]
    pub generated: Generated,
    /// Written by the tester.
    #[serde(flatten)]
    pub tested: Tested,
}

impl PaperRecord {
    /// The mapping's `properties`: one entry a field.
    pub fn mapping_properties() -> Map<String, Value> {
        let mut properties = Map::new();
        Judged::add_mappings(&mut properties);
        Generated::add_mappings(&mut properties);
        Tested::add_mappings(&mut properties);
        properties
    }

    /// The body that creates the index: settings and strict mapping.
    ///
    /// `replicas`: 0 on a single node, else yellow for ever.
    pub fn index_body(replicas: u32) -> Value {
        json!({
            "settings": {"index": {
                "knn": true, "number_of_shards": 1, "number_of_replicas": replicas,
                // Without a threshold a slow log stays empty.
                "search.slowlog.threshold.query.warn": SLOW,
                "indexing.slowlog.threshold.index.warn": SLOW,
            }},
            "mappings": {"dynamic": "strict", "properties": Self::mapping_properties()},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "title title_normalized authors abstract date s3_bucket s3_key text_expected \
        sha_abstract decision reason relevance novelty ingested_at code_generated code_s3_bucket code_s3_key \
        code_generated_at code_metadata_s3_key tested tested_at test_success test_in_progress \
        execution_time return_code timeout executed_on instance_type peak_memory_mb \
        neuron_core_utilization throughput_samples_per_sec training_loss validation_accuracy \
        outputs_s3_bucket stdout_s3_key stderr_s3_key artifacts_s3_prefix plots_s3_keys logs_s3_key \
        dataset_name dataset_size_mb dataset_s3_key dataset_download_time lines_of_code \
        has_training_loop has_evaluation uses_distributed_training pytorch_version trainium_hours \
        estimated_compute_cost test_attempts last_test_attempt has_errors error_message error_type \
        abstract_embedding rejected_by executed_on_trn executed_on_trn_updated_at slack_thread_ts \
        results_s3_location execution_metrics profiler_enabled profiler_output_dir profiler_files \
        profiler_s3_location profiler_perfetto_file";

    /// A document with a value in every field, made from the mapping itself.
    fn full_document() -> Map<String, Value> {
        let sample = |mapping: &Value| match mapping["type"].as_str() {
            Some("boolean") => json!(true),
            Some("long") => json!(7),
            Some("double") => json!(0.5),
            Some("date") => json!("2026-01-02T03:04:05Z"),
            Some("flat_object") => json!({"loss": 0.1}),
            Some("knn_vector") => json!([0.5, -0.25]),
            _ => json!("text"),
        };
        let lists = ["authors", "plots_s3_keys", "profiler_files"];
        PaperRecord::mapping_properties()
            .iter()
            .map(|(name, mapping)| {
                let value = sample(mapping);
                let value = if lists.contains(&name.as_str()) {
                    json!([value])
                } else {
                    value
                };
                (name.clone(), value)
            })
            .collect()
    }

    #[test]
    fn the_index_has_exactly_these_67_fields() {
        let properties = PaperRecord::mapping_properties();
        let mut mapped: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut expected: Vec<&str> = FIELDS.split_whitespace().collect();
        mapped.sort_unstable();
        expected.sort_unstable();
        assert_eq!(mapped.len(), 67);
        assert_eq!(mapped, expected);
    }

    #[test]
    fn a_full_record_survives_the_wire() {
        let document = full_document();
        assert_eq!(document.len(), 67);
        let record: PaperRecord = serde_json::from_value(Value::Object(document.clone())).unwrap();
        let Value::Object(back) = serde_json::to_value(&record).unwrap() else {
            panic!("a record is an object");
        };
        assert_eq!(back.len(), 67);
        for (name, value) in document {
            assert_eq!(back[&name], value, "{name}");
        }
    }

    #[test]
    fn a_group_serialises_only_what_it_knows() {
        let update = Generated {
            code_generated: Some(true),
            ..Generated::default()
        };
        assert_eq!(
            serde_json::to_value(update).unwrap(),
            json!({"code_generated": true})
        );
    }

    #[test]
    fn unknown_fields_are_refused_by_the_index() {
        assert_eq!(PaperRecord::index_body(0)["mappings"]["dynamic"], "strict");
    }
}
