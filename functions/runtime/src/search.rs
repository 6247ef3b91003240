//! The one client of the index, the same for a domain in AWS and an OpenSearch on this machine.
//!
//! In: records, parts of records and queries. Out: records with their ids. Every request is signed
//! for the service `es`; a server without authentication ignores the signature. The official
//! `opensearch` crate is deliberately absent: it brings a second HTTP stack (an older reqwest) and its
//! own way to credentials, for the six calls made here. Only the functions' stages write, and each
//! write is either an upsert of one stage's fields or a change of what was read, so that a repetition
//! changes nothing.

mod error;
mod status;
#[cfg(test)]
mod tests;
mod transport;

use std::time::Duration;

use annapurna_contract::{PaperId, PaperRecord, names::status_index, text::one_line};
use aws_config::SdkConfig;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::Signer;

pub use error::SearchError;
pub use status::StatusIndex;

/// How often a change is made again after someone else changed the record.
const CHANGE_ATTEMPTS: u32 = 8;

/// A record as read, with what a change of it must still find.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<R = PaperRecord> {
    /// The document's fields, as the index has them.
    pub record: R,
    seq_no: i64,
    primary_term: i64,
}

/// A client of one index.
#[derive(Debug, Clone)]
pub struct Search {
    http: reqwest::Client,
    endpoint: Url,
    index: String,
    signer: Signer,
}

impl Search {
    /// A client with a function's credentials. A host without a scheme means https.
    ///
    /// # Errors
    ///
    /// [`SearchError::Endpoint`], [`SearchError::Index`].
    pub fn new(config: &SdkConfig, endpoint: &str, index: &str) -> Result<Self, SearchError> {
        let timeouts = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30));
        Ok(Self {
            http: timeouts.build().map_err(|_| SearchError::Endpoint {
                value: endpoint.to_owned(),
            })?,
            endpoint: address(endpoint)?,
            index: index_name(index)?,
            signer: Signer::new(config, "es"),
        })
    }

    /// The index of states that belongs to this one.
    pub fn states(&self) -> StatusIndex {
        let index = status_index(&self.index);
        StatusIndex::new(Self {
            index,
            ..self.clone()
        })
    }

    /// The paper's record; `None` when the index has none. Sees every acknowledged write.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn get(&self, id: &PaperId) -> Result<Option<Stored>, SearchError> {
        self.document(id).await
    }

    async fn document<R: DeserializeOwned>(
        &self,
        id: &PaperId,
    ) -> Result<Option<Stored<R>>, SearchError> {
        #[derive(Deserialize)]
        struct Answer<R> {
            #[serde(rename = "_source")]
            record: R,
            #[serde(rename = "_seq_no")]
            seq_no: i64,
            #[serde(rename = "_primary_term")]
            primary_term: i64,
        }
        let path = format!("_doc/{id}");
        let (status, body) = self.send(Method::GET, &path, None).await?;
        if status == StatusCode::NOT_FOUND && body.get("found").is_some() {
            return Ok(None);
        }
        let answer: Answer<R> = self.accept(status, body)?;
        Ok(Some(Stored {
            record: answer.record,
            seq_no: answer.seq_no,
            primary_term: answer.primary_term,
        }))
    }

    /// Sets the fields that `part` has, on a new record or on the one that is there.
    ///
    /// # Errors
    ///
    /// See [`SearchError`]; a field that is not mapped is [`SearchError::Refused`].
    pub async fn upsert<P: Serialize + Sync>(
        &self,
        id: &PaperId,
        part: &P,
    ) -> Result<(), SearchError> {
        let body = json!({"doc": self.json(part)?, "doc_as_upsert": true});
        let path = format!("_update/{id}?retry_on_conflict=5");
        let (status, answer) = self.send(Method::POST, &path, Some(body)).await?;
        self.accept::<Value>(status, answer).map(|_| ())
    }

    /// Changes a record that is there, and answers with it as it is now; `None` when there is none.
    ///
    /// `change` says whether it changed anything. It may run several times, because someone else may
    /// have written in between, so it must depend on nothing but the record it gets.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn change(
        &self,
        id: &PaperId,
        mut change: impl FnMut(&mut PaperRecord) -> bool + Send,
    ) -> Result<Option<PaperRecord>, SearchError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let Some(mut stored) = self.get(id).await? else {
                return Ok(None);
            };
            if !change(&mut stored.record) || self.replace(id, &stored).await? {
                return Ok(Some(stored.record));
            }
        }
        Err(SearchError::Contended { id: id.clone() })
    }

    /// Writes a whole record in place of the version that was read. Says whether that still stood.
    async fn replace(&self, id: &PaperId, stored: &Stored) -> Result<bool, SearchError> {
        let path = format!(
            "_doc/{id}?if_seq_no={}&if_primary_term={}",
            stored.seq_no, stored.primary_term
        );
        let body = self.json(&stored.record)?;
        let (status, answer) = self.send(Method::PUT, &path, Some(body)).await?;
        if status == StatusCode::CONFLICT {
            return Ok(false);
        }
        self.accept::<Value>(status, answer).map(|_| true)
    }

    /// The records that match a search body, best first, without their vectors.
    ///
    /// Sees a write about a second after it was acknowledged.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn search(&self, query: &Value) -> Result<Vec<(PaperId, PaperRecord)>, SearchError> {
        let mut body = query.clone();
        if let Value::Object(fields) = &mut body {
            fields.insert(
                "_source".to_owned(),
                json!({"excludes": ["abstract_embedding"]}),
            );
        }
        let hits = self.hits(body).await?;
        hits.into_iter()
            .map(|hit| {
                let source = hit.source.unwrap_or_else(|| json!({}));
                self.read(source).map(|record| (hit.id, record))
            })
            .collect()
    }

    /// The `k` papers whose vectors are nearest, with their cosine similarity (-1 to 1), nearest first.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn nearest(
        &self,
        embedding: &[f32],
        k: usize,
    ) -> Result<Vec<(PaperId, f64)>, SearchError> {
        let body = json!({
            "size": k,
            "_source": false,
            "query": {"knn": {"abstract_embedding": {"vector": embedding, "k": k}}},
        });
        let hits = self.hits(body).await?;
        // The index scores a cosine c as (1 + c) / 2. Source: OpenSearch documentation, "Spaces".
        hits.into_iter()
            .map(|hit| match hit.score {
                Some(score) => Ok((hit.id, 2.0 * score - 1.0)),
                None => Err(SearchError::NoScore { id: hit.id }),
            })
            .collect()
    }

    /// Creates the index with the mapping of [`PaperRecord`]; leaves one that is there as it is.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn create_index_if_absent(&self, replicas: u32) -> Result<(), SearchError> {
        self.create(PaperRecord::index_body(replicas)).await
    }

    async fn create(&self, body: Value) -> Result<(), SearchError> {
        let (status, answer) = self.send(Method::PUT, "", Some(body)).await?;
        if answer["error"]["type"] == "resource_already_exists_exception" {
            return Ok(());
        }
        self.accept::<Value>(status, answer).map(|_| ())
    }

    /// The properties of the index's mapping, by field; `None` when there is no such index.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn mapping(&self) -> Result<Option<Map<String, Value>>, SearchError> {
        let (status, mut answer) = self.send(Method::GET, "_mapping", None).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // The answer is by the index's own name, which differs from ours when ours is an alias.
        let name = answer
            .as_object()
            .and_then(|by_name| by_name.keys().next().cloned());
        if let Some(name) = name.filter(|_| status.is_success()) {
            answer = answer[name]["mappings"]["properties"].take();
        }
        self.accept(status, answer).map(Some)
    }

    /// Adds fields to the index's mapping.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn add_fields(&self, properties: Map<String, Value>) -> Result<(), SearchError> {
        let body = json!({ "properties": properties });
        let (status, answer) = self.send(Method::PUT, "_mapping", Some(body)).await?;
        self.accept::<Value>(status, answer).map(|_| ())
    }

    /// Makes every acknowledged write visible to searches.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn refresh(&self) -> Result<(), SearchError> {
        let (status, answer) = self.send(Method::POST, "_refresh", None).await?;
        self.accept::<Value>(status, answer).map(|_| ())
    }

    async fn hits(&self, body: Value) -> Result<Vec<Hit>, SearchError> {
        let (status, answer) = self.send(Method::POST, "_search", Some(body)).await?;
        let found: Found = self.accept(status, answer)?;
        Ok(found.hits.hits)
    }

    /// The answer's content when the request succeeded.
    fn accept<T: for<'de> Deserialize<'de>>(
        &self,
        status: StatusCode,
        body: Value,
    ) -> Result<T, SearchError> {
        if status.is_success() {
            return self.read(body);
        }
        let error = &body["error"];
        // The cause of a refused field is one level below its type.
        let reason = [&error["caused_by"]["reason"], &error["reason"]]
            .into_iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; ");
        let reason = if reason.is_empty() {
            body.to_string()
        } else {
            reason
        };
        Err(SearchError::Refused {
            index: self.index.clone(),
            status: status.as_u16(),
            reason: one_line(&reason, 500),
        })
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, value: Value) -> Result<T, SearchError> {
        serde_json::from_value(value).map_err(|source| self.unreadable(source))
    }

    fn json<T: Serialize>(&self, value: &T) -> Result<Value, SearchError> {
        serde_json::to_value(value).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: serde_json::Error) -> SearchError {
        SearchError::Answer {
            index: self.index.clone(),
            source,
        }
    }
}

#[derive(Deserialize)]
struct Found {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: PaperId,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_source")]
    source: Option<Value>,
}

/// The endpoint with a trailing slash.
fn address(endpoint: &str) -> Result<Url, SearchError> {
    let endpoint = endpoint.trim().trim_end_matches('/');
    let refused = || SearchError::Endpoint {
        value: endpoint.to_owned(),
    };
    let with_scheme = if endpoint.contains("://") {
        format!("{endpoint}/")
    } else {
        format!("https://{endpoint}/")
    };
    let url = Url::parse(&with_scheme).map_err(|_| refused())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if usable { Ok(url) } else { Err(refused()) }
}

/// A name that cannot change a request's path.
fn index_name(index: &str) -> Result<String, SearchError> {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let starts_well = index.starts_with(|first: char| first.is_ascii_alphanumeric());
    if starts_well && index.bytes().all(fits) {
        Ok(index.to_owned())
    } else {
        Err(SearchError::Index {
            value: index.to_owned(),
        })
    }
}
