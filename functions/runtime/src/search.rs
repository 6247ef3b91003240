//! The one client of the index, the same for a domain in AWS and an OpenSearch on this machine.
//!
//! In: records, parts of records and queries. Out: records with their ids. Every request is signed
//! for the service `es`; a server without authentication ignores the signature. The official
//! `opensearch` crate is deliberately absent: it brings a second HTTP stack (an older reqwest) and its
//! own way to credentials, for the six calls made here. Only the functions' stages write, and each
//! write is either an upsert of one stage's fields or a change of what was read, so that a repetition
//! changes nothing.

use std::time::{Duration, SystemTime};

use annapurna_cloud::Retry;
use annapurna_contract::{
    PaperId, PaperRecord,
    text::{chain, one_line},
};
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

/// While the index is busy or cannot be reached.
const RETRY: Retry = Retry {
    attempts: 5,
    first_wait: Duration::from_millis(250),
    total: Duration::from_secs(60),
};
/// How often a change is made again after someone else changed the record.
const CHANGE_ATTEMPTS: u32 = 8;

/// Why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The configured endpoint is not an address.
    #[error("OPENSEARCH_ENDPOINT must be a host or an http(s) address, got `{value}`")]
    Endpoint {
        /// What was configured.
        value: String,
    },
    /// The configured index name is not one.
    #[error(
        "OPENSEARCH_INDEX must be of lower-case letters, digits, `-`, `_` and `.`, got `{value}`"
    )]
    Index {
        /// What was configured.
        value: String,
    },
    /// There is nothing to sign with.
    #[error("no AWS credentials to sign a request to the index with: {reason}")]
    Credentials {
        /// What is missing.
        reason: String,
    },
    /// It cannot be reached, or stays busy.
    #[error("index `{index}` is not available after {} attempts: {reason}", RETRY.attempts)]
    Unavailable {
        /// The index.
        index: String,
        /// The last thing heard.
        reason: String,
    },
    /// It refuses the request: a field that is not mapped, a bad query, missing permission.
    #[error("index `{index}` refused with status {status}: {reason}")]
    Refused {
        /// The index.
        index: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// The record kept changing while it was being changed.
    #[error("paper `{id}` was changed by others {CHANGE_ATTEMPTS} times in a row")]
    Contended {
        /// The paper.
        id: PaperId,
    },
    /// Its answer is not what OpenSearch answers.
    #[error("index `{index}` gave an answer that cannot be read")]
    Answer {
        /// The index.
        index: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The index is busy or cannot be reached: this passes.
    #[error("{0}")]
    Busy(String),
    /// The request cannot be made.
    #[error(transparent)]
    Final(SearchError),
}

/// A record as read, with what a change of it must still find.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: PaperRecord,
    seq_no: i64,
    primary_term: i64,
}

/// A client of one index.
#[derive(Debug, Clone)]
pub struct Search {
    http: reqwest::Client,
    endpoint: Url,
    index: String,
    region: String,
    credentials: Option<SharedCredentialsProvider>,
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
            region: config
                .region()
                .map_or_else(|| "us-east-1".to_owned(), ToString::to_string),
            credentials: config.credentials_provider(),
        })
    }

    /// The paper's record; `None` when the index has none. Sees every acknowledged write.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn get(&self, id: &PaperId) -> Result<Option<Stored>, SearchError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "_source")]
            record: PaperRecord,
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
        let answer: Answer = self.accept(status, body)?;
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
        Ok(hits
            .into_iter()
            .map(|hit| (hit.id, 2.0 * hit.score.unwrap_or_default() - 1.0))
            .collect())
    }

    /// Creates the index with the mapping of [`PaperRecord`]; leaves one that is there as it is.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn create_index_if_absent(&self, replicas: u32) -> Result<(), SearchError> {
        let body = PaperRecord::index_body(replicas);
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

    /// Sends until the index has an answer: any status but 429 and 5xx.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), SearchError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let sent = RETRY.run(
            |failure| matches!(failure, Failure::Busy(_)),
            || self.send_once(&method, path, &body),
        );
        sent.await.map_err(|failure| match failure {
            Failure::Busy(reason) => SearchError::Unavailable {
                index: self.index.clone(),
                reason,
            },
            Failure::Final(error) => error,
        })
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let busy = |error: reqwest::Error| Failure::Busy(chain(&error.without_url()));
        // Signed anew each time: a signature is valid for minutes only.
        let request = self.signed(method.clone(), path, body.to_owned()).await;
        let request = request.map_err(Failure::Final)?;
        let response = self.http.execute(request).await.map_err(busy)?;
        let status = response.status();
        let text = response.text().await.map_err(busy)?;
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let reason = format!("status {status}: {}", one_line(&text, 300));
            return Err(Failure::Busy(reason));
        }
        // What is not JSON is a proxy's page; its text is the reason.
        let answer = serde_json::from_str(&text).unwrap_or_else(|_| json!(one_line(&text, 300)));
        Ok((status, answer))
    }

    async fn signed(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<reqwest::Request, SearchError> {
        let unsigned = |reason: String| SearchError::Credentials { reason };
        let address = format!("{}{}/{path}", self.endpoint, self.index);
        let address = address.trim_end_matches('/');
        let provider = self
            .credentials
            .as_ref()
            .ok_or_else(|| unsigned("none configured".to_owned()))?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| unsigned(chain(&error)))?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("es")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let headers = [("content-type", "application/json")];
        let signable = SignableRequest::new(
            method.as_str(),
            address,
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| unsigned(error.to_string()))?
            .into_parts();
        let mut request = self.http.request(method, address);
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        request.build().map_err(|_| SearchError::Endpoint {
            value: self.endpoint.to_string(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_scheme_means_https() {
        let given = [
            (
                "search-x.eu-west-1.es.amazonaws.com",
                "https://search-x.eu-west-1.es.amazonaws.com/",
            ),
            ("http://127.0.0.1:9200", "http://127.0.0.1:9200/"),
            ("https://search.example/", "https://search.example/"),
        ];
        for (endpoint, expected) in given {
            assert_eq!(address(endpoint).unwrap().as_str(), expected);
        }
        assert!(address("ftp://search").is_err());
        assert!(address("").is_err());
    }

    #[test]
    fn an_index_name_cannot_leave_its_place_in_the_path() {
        assert!(index_name("research-papers-v2").is_ok());
        for name in ["", "../_cluster", "a/b", "A", "_all", "*"] {
            assert!(index_name(name).is_err(), "{name}");
        }
    }

    async fn index(prefix: &str) -> Search {
        let url = annapurna_local_testing::search_url().await;
        let name = annapurna_local_testing::unique_index(prefix);
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region("us-east-1")
            .credentials_provider(aws_credential_types::Credentials::new(
                "test", "test", None, None, "test",
            ))
            .load()
            .await;
        let search = Search::new(&config, &url, &name).unwrap();
        search.create_index_if_absent(0).await.unwrap();
        search
    }

    fn id(title: &str) -> PaperId {
        PaperId::of(title, None)
    }

    /// A unit vector that points along two axes.
    fn vector(first: f32, second: f32) -> Vec<f32> {
        let mut vector = vec![0.0; annapurna_contract::model::EMBEDDING_DIMENSIONS];
        let length = first.hypot(second);
        vector[0] = first / length;
        vector[1] = second / length;
        vector
    }

    #[tokio::test]
    async fn stages_write_their_own_fields_of_one_document() {
        let search = index("stages").await;
        let adam = id("Adam");
        assert_eq!(search.get(&adam).await.unwrap(), None);
        search
            .upsert(&adam, &json!({"title": "Adam", "code_generated": false}))
            .await
            .unwrap();
        search
            .upsert(&adam, &json!({"code_generated": true}))
            .await
            .unwrap();
        let record = search.get(&adam).await.unwrap().unwrap().record;
        assert_eq!(record.judged.title.as_deref(), Some("Adam"));
        assert_eq!(record.generated.code_generated, Some(true));
    }

    #[tokio::test]
    async fn a_field_that_is_not_mapped_is_refused_by_name() {
        let search = index("strict").await;
        let error = search
            .upsert(&id("Adam"), &json!({"surprise": 1}))
            .await
            .unwrap_err();
        assert!(
            matches!(error, SearchError::Refused { status: 400, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("surprise"), "{error}");
    }

    #[tokio::test]
    async fn changes_at_the_same_time_all_count() {
        let search = index("change").await;
        let adam = id("Adam");
        assert_eq!(search.change(&adam, |_| true).await.unwrap(), None);
        search
            .upsert(&adam, &json!({"test_attempts": 0}))
            .await
            .unwrap();
        let add_one = |record: &mut PaperRecord| {
            record.tested.test_attempts = record.tested.test_attempts.map(|number| number + 1);
            true
        };
        let changes = [
            search.change(&adam, add_one),
            search.change(&adam, add_one),
            search.change(&adam, add_one),
        ];
        for change in futures::future::join_all(changes).await {
            change.unwrap();
        }
        let record = search.get(&adam).await.unwrap().unwrap().record;
        assert_eq!(record.tested.test_attempts, Some(3));
    }

    #[tokio::test]
    async fn the_nearest_paper_comes_first_with_its_cosine() {
        let search = index("nearest").await;
        assert_eq!(search.nearest(&vector(1.0, 0.0), 3).await.unwrap(), []);
        for (title, embedding) in [
            ("same", vector(1.0, 0.0)),
            ("half", vector(1.0, 3.0_f32.sqrt())),
        ] {
            let part = json!({"title": title, "abstract_embedding": embedding});
            search.upsert(&id(title), &part).await.unwrap();
        }
        search.refresh().await.unwrap();
        let found = search.nearest(&vector(2.0, 0.0), 3).await.unwrap();
        assert_eq!(found[0].0, id("same"));
        assert_eq!(found[1].0, id("half"));
        assert!((found[0].1 - 1.0).abs() < 1e-3, "{found:?}");
        assert!((found[1].1 - 0.5).abs() < 1e-3, "{found:?}");
    }

    #[tokio::test]
    async fn a_search_gives_records_without_vectors() {
        let search = index("search").await;
        let part = json!({"title": "Attention", "abstract_embedding": vector(1.0, 0.0)});
        search.upsert(&id("Attention"), &part).await.unwrap();
        search.refresh().await.unwrap();
        search.create_index_if_absent(0).await.unwrap();
        let query = json!({"query": {"match": {"title": "attention AND (\"unclosed"}}});
        let found = search.search(&query).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, id("Attention"));
        assert_eq!(found[0].1.judged.abstract_embedding, None);
    }

    #[tokio::test]
    async fn an_index_that_cannot_be_reached_is_not_available() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut search = index("gone").await;
        search.endpoint = Url::parse(&format!("http://{address}/")).unwrap();
        let error = search.get(&id("Adam")).await.unwrap_err();
        assert!(matches!(error, SearchError::Unavailable { .. }), "{error}");
    }
}
