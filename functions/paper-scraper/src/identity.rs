//! Which paper an entry of a list is: the id that it was first given, for good.
//!
//! In: an entry. Out: where its paper's record is. Two kinds of small objects lead there, the aliases
//! ([`keys::id_alias`], [`keys::title_alias`]), each written on a condition, so of two runs at the same
//! moment one gives the id and the other takes it:
//!
//! 1. the alias of the entry's own name;
//! 2. that of its OpenReview forum, if what both say agrees: a link in a list can be wrong;
//! 3. the alias of its title: all runs that see a title for the first time meet there, and the first one to
//!    write gives the id. Two papers with one title and different authors are two entries there.
//!
//! The title's alias is written before the name's, the name's before the record, so a run may end anywhere:
//! the next one finds the same id. A name that a site gives to another paper leads to that one from then on.

use std::time::Duration;

use annapurna_cloud::{Metadata, Object, Written};
use annapurna_contract::{
    PaperId, Source, SourceRecord, abstract_changed, keys, normalize_title, share_an_author,
};
use annapurna_paper_sources::paper::Paper;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::record::{Home, name_of};
use crate::store::{Store, StoreError};

/// How often a write is tried again that another run was faster with.
const MOST_TRIES: usize = 30;
/// The name of an alias's S3 metadata that hold where the paper is: `iclr/2025/{paper_id}`.
const PAPER: &str = "paper";

/// How an entry was found to be its paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By its own name.
    Name,
    /// By its OpenReview forum, or its title and authors: it is known under another name.
    Other,
    /// It is the first of its paper.
    First,
}

/// The papers that have, or had, one title.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TitleAlias {
    papers: Vec<Titled>,
}

/// A paper as it was when it got its title.
#[derive(Debug, Serialize, Deserialize)]
struct Titled {
    #[serde(flatten)]
    home: Home,
    authors: Vec<String>,
    #[serde(rename = "abstract")]
    abstract_text: Option<String>,
}

/// Whether two descriptions with one title are of one paper: authors in common, or, where one names none,
/// the same abstract.
pub(crate) fn are_one_paper(
    (authors, abstract_text): (&[String], Option<&str>),
    (other_authors, other_abstract): (&[String], Option<&str>),
) -> bool {
    if !authors.is_empty() && !other_authors.is_empty() {
        return share_an_author(authors, other_authors);
    }
    agree(abstract_text, other_abstract)
}

/// Whether two abstracts say the same; two papers without one say the same.
fn agree(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_some() == other.is_some() && !abstract_changed(one, other)
}

/// Where an alias leads that is known from its metadata.
pub(crate) fn home_of(metadata: &Metadata) -> Option<Home> {
    let mut parts = metadata.get(PAPER)?.split('/');
    let home = Home {
        source: Source::parse(parts.next()?)?,
        year: parts.next()?.parse().ok()?,
        paper_id: PaperId::try_from(parts.next()?.to_owned()).ok()?,
    };
    parts.next().is_none().then_some(home)
}

fn alias_to(home: &Home) -> Object {
    let place = format!("{}/{}/{}", home.source.key_part(), home.year, home.paper_id);
    Object {
        metadata: Metadata::from([(PAPER.to_owned(), place)]),
        ..Object::new(json!(home).to_string(), "application/json")
    }
}

/// Finds or makes the id of an entry's paper; `paper` is complete with its own page.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) async fn resolve(store: &Store, paper: &Paper) -> Result<(Home, By), StoreError> {
    let names = Names { store, paper };
    for _ in 0..MOST_TRIES {
        if let Some(found) = names.resolve().await? {
            return Ok(found);
        }
        pause().await;
    }
    let key = keys::title_alias(&paper.title);
    Err(StoreError::Contended { key })
}

/// Waits a moment that no other run waits as long.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..40))).await;
}

/// Sees to it that an entry's title leads to its paper, which may have had another one before.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) async fn add_title(store: &Store, home: &Home, paper: &Paper) -> Result<(), StoreError> {
    let names = Names { store, paper };
    for _ in 0..MOST_TRIES {
        let (mut alias, etag) = names.title().await?;
        if alias.papers.iter().any(|it| it.home == *home) {
            return Ok(());
        }
        if let Some(place) = names.titled(&alias) {
            let other = alias.papers.remove(place).home;
            if store.record(&other).await?.is_some() {
                // Each keeps its id: what was given is never taken back.
                tracing::warn!(paper_id = %home.paper_id, other = %other.paper_id, "two papers have one title now");
                return Ok(());
            }
            // Given by a run that then found the entry's name taken, and ended.
        }
        if names.append_title(alias, etag, home).await? {
            return Ok(());
        }
        pause().await;
    }
    let key = keys::title_alias(&paper.title);
    Err(StoreError::Contended { key })
}

/// The aliases of one entry.
struct Names<'a> {
    store: &'a Store,
    paper: &'a Paper,
}

impl Names<'_> {
    /// One try; `None` when another run wrote meanwhile.
    async fn resolve(&self) -> Result<Option<(Home, By)>, StoreError> {
        let own_key = self.key(&self.paper.source_id);
        let own = self.alias(&own_key).await?;
        if let Some((home, _)) = &own {
            match self.store.record(home).await? {
                None => {
                    add_title(self.store, home, self.paper).await?;
                    self.add_forum(home).await?;
                    return Ok(Some((home.clone(), By::First)));
                }
                Some((record, _))
                    if self.may_have_become(&record) && !self.is_another(home, &record).await? =>
                {
                    self.add_forum(home).await?;
                    return Ok(Some((home.clone(), By::Name)));
                }
                // The site gave the name to another paper.
                Some(_) => {}
            }
        }
        let (home, by) = match self.by_forum().await? {
            Some(home) => (home, By::Other),
            None => match self.by_title().await? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        // Where another run led it meanwhile is where it leads.
        if !self.lead(&own_key, own, &home).await? {
            return Ok(None);
        }
        self.add_forum(&home).await?;
        Ok(Some((home, by)))
    }

    /// The paper that the title leads to, or a new one that it leads to now; `None` when another run wrote
    /// meanwhile.
    async fn by_title(&self) -> Result<Option<(Home, By)>, StoreError> {
        let (alias, etag) = self.title().await?;
        if let Some(place) = self.titled(&alias) {
            let home = alias.papers[place].home.clone();
            let by = match self.store.record(&home).await? {
                Some(_) => By::Other,
                None => By::First,
            };
            return Ok(Some((home, by)));
        }
        let home = self.new_home(&alias).await?;
        let is_ours = self.append_title(alias, etag, &home).await?;
        Ok(is_ours.then_some((home, By::First)))
    }

    fn key(&self, name: &str) -> String {
        keys::id_alias(self.paper.source, self.paper.year, name)
    }

    fn said(&self) -> (&[String], Option<&str>) {
        (&self.paper.authors, self.paper.abstract_text.as_deref())
    }

    /// Where an alias leads, and its tag.
    async fn alias(&self, key: &str) -> Result<Option<(Home, String)>, StoreError> {
        let Some(found) = self.store.read(key).await? else {
            return Ok(None);
        };
        Ok(Some((Store::parsed(key, &found.body)?, found.etag)))
    }

    /// Makes an alias of a name lead to the paper; `false` when another run wrote it meanwhile.
    async fn lead(
        &self,
        key: &str,
        there: Option<(Home, String)>,
        home: &Home,
    ) -> Result<bool, StoreError> {
        let written = match there {
            Some((known, _)) if known == *home => return Ok(true),
            Some((_, etag)) => self.store.replace_if(key, alias_to(home), &etag).await?,
            None => self.store.create(key, alias_to(home)).await?,
        };
        Ok(written == Written::Done)
    }

    /// Lets the paper's forum lead to it, too, unless it leads to a paper that has a record.
    async fn add_forum(&self, home: &Home) -> Result<(), StoreError> {
        let Some(forum) = self.other_name() else {
            return Ok(());
        };
        let key = self.key(forum);
        let there = self.alias(&key).await?;
        if let Some((known, _)) = &there
            && (known == home || self.store.record(known).await?.is_some())
        {
            return Ok(());
        }
        // A run that was faster has led it somewhere, which is as good.
        let _ = self.lead(&key, there, home).await?;
        Ok(())
    }

    fn other_name(&self) -> Option<&str> {
        let forum = self.paper.forum.as_deref();
        forum.filter(|forum| *forum != self.paper.source_id)
    }

    /// The paper that the forum leads to, if it is this one.
    async fn by_forum(&self) -> Result<Option<Home>, StoreError> {
        let Some(forum) = self.other_name() else {
            return Ok(None);
        };
        let Some((home, _)) = self.alias(&self.key(forum)).await? else {
            return Ok(None);
        };
        let record = self.store.record(&home).await?;
        let is_it = record.is_some_and(|(record, _)| self.says_the_same(&record));
        Ok(is_it.then_some(home))
    }

    fn has_title_of(&self, record: &SourceRecord) -> bool {
        normalize_title(&record.description.title) == normalize_title(&self.paper.title)
    }

    /// Whether an entry that shares no more than an author with the record of its name is another paper: a list
    /// that is numbered anew gives one paper's number to another of the same author.
    async fn is_another(&self, home: &Home, record: &SourceRecord) -> Result<bool, StoreError> {
        if self.paper.source == Source::Arxiv || self.says_the_same(record) {
            return Ok(false);
        }
        if let Some(forum) = self.other_name() {
            // Whatever is edited, the forum stays.
            let there = self.alias(&self.key(forum)).await?;
            return Ok(there.is_none_or(|(known, _)| known != *home));
        }
        let (alias, _) = self.title().await?;
        Ok(match self.titled(&alias) {
            Some(place) => alias.papers[place].home != *home,
            // Better a paper twice than a paper lost.
            None => {
                record.description.abstract_text.is_some() && self.paper.abstract_text.is_some()
            }
        })
    }

    /// Whether the record has the entry's title or its abstract.
    fn says_the_same(&self, record: &SourceRecord) -> bool {
        let (_, abstract_text) = self.said();
        let known = record.description.abstract_text.as_deref();
        self.has_title_of(record) || (known.is_some() && agree(known, abstract_text))
    }

    /// Whether the record's paper may be what is named like this now. arXiv never gives an id again; a
    /// site that counts its entries may do it after each change of its list.
    fn may_have_become(&self, record: &SourceRecord) -> bool {
        let (authors, _) = self.said();
        self.paper.source == Source::Arxiv
            || self.says_the_same(record)
            || authors.is_empty()
            || record.description.authors.is_empty()
            || share_an_author(authors, &record.description.authors)
    }

    /// The papers with this title, and the tag of the list of them.
    async fn title(&self) -> Result<(TitleAlias, Option<String>), StoreError> {
        let key = keys::title_alias(&self.paper.title);
        let Some(found) = self.store.read(&key).await? else {
            return Ok((TitleAlias::default(), None));
        };
        Ok((Store::parsed(&key, &found.body)?, Some(found.etag)))
    }

    /// The place of this paper among those with its title.
    fn titled(&self, alias: &TitleAlias) -> Option<usize> {
        let is_it =
            |it: &Titled| are_one_paper((&it.authors, it.abstract_text.as_deref()), self.said());
        alias.papers.iter().position(is_it)
    }

    /// Adds the paper to those with this title; `false` when another run wrote meanwhile.
    async fn append_title(
        &self,
        mut alias: TitleAlias,
        etag: Option<String>,
        home: &Home,
    ) -> Result<bool, StoreError> {
        let key = keys::title_alias(&self.paper.title);
        alias.papers.push(Titled {
            home: home.clone(),
            authors: self.paper.authors.clone(),
            abstract_text: self.paper.abstract_text.clone(),
        });
        let object = Object::new(json!(alias).to_string(), "application/json");
        let written = match etag {
            Some(etag) => self.store.replace_if(&key, object, &etag).await?,
            None => self.store.create(&key, object).await?,
        };
        Ok(written == Written::Done)
    }

    /// A place for a paper that is seen for the first time, or one whose record is older than the aliases.
    async fn new_home(&self, alias: &TitleAlias) -> Result<Home, StoreError> {
        let Paper {
            source,
            year,
            title,
            abstract_text,
            ..
        } = self.paper;
        let abstract_text = abstract_text.as_deref();
        let home = |paper_id| Home {
            paper_id,
            source: *source,
            year: *year,
        };
        let first = home(PaperId::of(title, abstract_text));
        let has_id = |it: &Titled| it.home.paper_id == first.paper_id;
        let mut is_taken = alias.papers.iter().any(has_id);
        if let Some((record, _)) = self.store.record(&first).await? {
            let known = (
                record.description.authors.as_slice(),
                record.description.abstract_text.as_deref(),
            );
            is_taken |= !are_one_paper(known, self.said());
        }
        if !is_taken {
            return Ok(first);
        }
        let name = name_of(*source, *year, &self.paper.source_id);
        Ok(home(PaperId::of_namesake(title, abstract_text, &name)))
    }
}
