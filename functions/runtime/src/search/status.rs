//! The index of states: what became of every paper at each stage.
//!
//! Each stage puts its own part into the one document of a paper, and the word of its stage is made from all parts. A
//! write stands only over the version that was read, so two stages at the same moment lose nothing, and the same part
//! twice writes nothing. The index is there before anything is written: a deploy makes it.

use std::collections::BTreeMap;

use annapurna_contract::status::GeneratedStatus;
use annapurna_contract::{PaperId, StatusRecord, TestResult, Verdict};
use chrono::{SecondsFormat, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{CHANGE_ATTEMPTS, Search, SearchError, Stored};

/// Documents of one question; OpenSearch answers with 10,000 at most.
const DOCUMENTS_AT_ONCE: usize = 500;

/// A client of the index of states.
#[derive(Debug, Clone)]
pub struct StatusIndex {
    search: Search,
}

impl StatusIndex {
    pub(super) fn new(search: Search) -> Self {
        Self { search }
    }

    /// Puts the judge's part in.
    ///
    /// # Errors
    ///
    /// See [`SearchError`]; also where the index is not there.
    pub async fn judged(&self, verdict: &Verdict) -> Result<(), SearchError> {
        let change = |record: &mut StatusRecord| record.judge(verdict);
        self.change(&verdict.paper_id, change).await.map(drop)
    }

    /// Puts the generator's part in.
    ///
    /// # Errors
    ///
    /// As [`StatusIndex::judged`].
    pub async fn generated(
        &self,
        paper: &PaperId,
        part: &GeneratedStatus,
    ) -> Result<(), SearchError> {
        self.change(paper, |record| record.generate(part))
            .await
            .map(drop)
    }

    /// Puts the collector's part in.
    ///
    /// # Errors
    ///
    /// As [`StatusIndex::judged`].
    pub async fn tested(&self, paper: &PaperId, result: &TestResult) -> Result<(), SearchError> {
        self.change(paper, |record| record.test(result))
            .await
            .map(drop)
    }

    /// Changes a paper's document, which may be new, and says whether it did. `change` says whether it changed anything;
    /// it may run several times.
    ///
    /// # Errors
    ///
    /// As [`StatusIndex::judged`].
    pub async fn change(
        &self,
        id: &PaperId,
        change: impl Fn(&mut StatusRecord) -> bool + Send,
    ) -> Result<bool, SearchError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let stored: Option<Stored<StatusRecord>> = self.search.document(id).await?;
            let condition = match &stored {
                None => "op_type=create".to_owned(),
                Some(it) => format!(
                    "if_seq_no={}&if_primary_term={}",
                    it.seq_no, it.primary_term
                ),
            };
            let mut record = stored.map_or_else(StatusRecord::default, |it| it.record);
            if !change(&mut record) {
                return Ok(false);
            }
            record.heading.stage = Some(record.stage().as_str().to_owned());
            let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
            record.heading.updated_at = Some(now);
            let body = Some(self.search.json(&record)?);
            let path = format!("_doc/{id}?{condition}");
            let (status, answer) = self.search.send(Method::PUT, &path, body).await?;
            if status != StatusCode::CONFLICT {
                return self.search.accept::<Value>(status, answer).map(|_| true);
            }
        }
        Err(SearchError::Contended { id: id.clone() })
    }

    /// The paper's document; `None` when there is none. Sees every acknowledged write.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn get(&self, id: &PaperId) -> Result<Option<StatusRecord>, SearchError> {
        let stored: Option<Stored<StatusRecord>> = self.search.document(id).await?;
        Ok(stored.map(|it| it.record))
    }

    /// The documents of these papers, as far as there are any.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn of(
        &self,
        papers: &[PaperId],
    ) -> Result<BTreeMap<PaperId, StatusRecord>, SearchError> {
        let mut found = BTreeMap::new();
        for some in papers.chunks(DOCUMENTS_AT_ONCE) {
            let query = json!({"size": some.len(), "query": {"ids": {"values": some}}});
            found.extend(self.search(query).await?);
        }
        Ok(found)
    }

    /// The papers whose documents changed last, at most `limit` of them, the last first.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn newest(&self, limit: u32) -> Result<Vec<(PaperId, StatusRecord)>, SearchError> {
        let order = json!([{"updated_at": {"order": "desc", "unmapped_type": "date"}}]);
        self.search(json!({"size": limit, "sort": order})).await
    }

    async fn search(&self, query: Value) -> Result<Vec<(PaperId, StatusRecord)>, SearchError> {
        let hits = self.search.hits(query).await?;
        let read = hits.into_iter().map(|hit| {
            let source = hit.source.unwrap_or_else(|| json!({}));
            self.search.read(source).map(|record| (hit.id, record))
        });
        read.collect()
    }

    /// Creates the index with the mapping of [`StatusRecord`]; leaves one that is there as it is.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn create_index_if_absent(&self, replicas: u32) -> Result<(), SearchError> {
        self.search.create(StatusRecord::index_body(replicas)).await
    }

    /// The properties of the index's mapping, by field; `None` when there is no such index.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn mapping(&self) -> Result<Option<Map<String, Value>>, SearchError> {
        self.search.mapping().await
    }

    /// Adds fields to the index's mapping.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn add_fields(&self, properties: Map<String, Value>) -> Result<(), SearchError> {
        self.search.add_fields(properties).await
    }

    /// Makes every acknowledged write visible to searches.
    ///
    /// # Errors
    ///
    /// See [`SearchError`].
    pub async fn refresh(&self) -> Result<(), SearchError> {
        self.search.refresh().await
    }
}
