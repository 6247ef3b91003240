//! How long an operation may take, by what CloudFormation remembers of earlier ones.

use std::collections::BTreeMap;
use std::time::Duration;

use annapurna_stack::plan::{ChangeSetAction, ChangeSetEntry, Replacement};
use chrono::{DateTime, Utc};

use super::{Engine, Event};
use crate::error::CommandError;

/// Pages of a hundred events that are read for an estimate.
const MOST_PAGES: usize = 20;
/// A new search domain, for which there is no earlier time. Source: OpenSearch Service Developer Guide, "Creating
/// and managing domains": 15 to 30 minutes.
const NEW_DOMAIN: Duration = Duration::from_secs(25 * 60);

impl Engine {
    /// About how long a change set takes; `None` when nothing is known of its resources.
    ///
    /// # Errors
    ///
    /// When the stack's events cannot be read.
    pub async fn estimate(
        &self,
        entries: &[ChangeSetEntry],
    ) -> Result<Option<Duration>, CommandError> {
        let mut events = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let (page, next) = self.event_page(token).await?;
            events.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(estimate(entries, &durations(&events)))
    }
}

/// What an entry will do with its resource, as the events' words begin.
const fn verb(entry: &ChangeSetEntry) -> &'static str {
    match (entry.action, entry.replacement) {
        (ChangeSetAction::Add, _) | (_, Replacement::Yes) => "CREATE",
        (ChangeSetAction::Remove, _) => "DELETE",
        (ChangeSetAction::Import, _) => "IMPORT",
        _ => "UPDATE",
    }
}

/// The longest of its resources: they are changed side by side, and those that wait for it are quick.
fn estimate(
    entries: &[ChangeSetEntry],
    known: &BTreeMap<(String, String), Duration>,
) -> Option<Duration> {
    let each = entries.iter().filter_map(|entry| {
        let verb = verb(entry);
        let earlier = known.get(&(entry.resource.clone(), verb.to_owned()));
        let is_new_domain = verb == "CREATE" && entry.type_name == "AWS::OpenSearchService::Domain";
        earlier.copied().or(is_new_domain.then_some(NEW_DOMAIN))
    });
    each.max()
}

/// How long each resource last took for each verb, from events with the newest first.
fn durations(newest_first: &[Event]) -> BTreeMap<(String, String), Duration> {
    let mut ended: BTreeMap<(&str, &str), DateTime<Utc>> = BTreeMap::new();
    let mut known = BTreeMap::new();
    let mut begun: BTreeMap<(&str, &str), DateTime<Utc>> = BTreeMap::new();
    for event in newest_first.iter().rev() {
        let (Some((verb, word)), Some(at)) = (event.status.split_once('_'), event.at) else {
            continue;
        };
        let key = (event.resource.as_str(), verb);
        match word {
            "IN_PROGRESS" => {
                // A resource says it twice: when it begins, and when its service has taken the request.
                let ended_since = ended.remove(&key).is_some();
                if ended_since || !begun.contains_key(&key) {
                    begun.insert(key, at);
                }
            }
            "COMPLETE" => {
                ended.insert(key, at);
                let took = begun.get(&key).map(|from| (at - *from).to_std());
                if let Some(Ok(took)) = took {
                    known.insert((key.0.to_owned(), key.1.to_owned()), took);
                }
            }
            // A failure's time says nothing of a success.
            _ => {
                begun.remove(&key);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64, resource: &str, status: &str) -> Event {
        let mut event = Event::example(resource, status, None);
        event.at = DateTime::from_timestamp(1_700_000_000 + secs, 0);
        event
    }

    fn entry(resource: &str, type_name: &str, action: ChangeSetAction) -> ChangeSetEntry {
        ChangeSetEntry {
            resource: resource.to_owned(),
            type_name: type_name.to_owned(),
            action,
            replacement: Replacement::No,
        }
    }

    #[test]
    fn a_change_takes_about_as_long_as_its_longest_resource_last_did() {
        let mut events = vec![
            at(0, "Queue", "CREATE_IN_PROGRESS"),
            at(2, "Queue", "CREATE_IN_PROGRESS"),
            at(9, "Queue", "CREATE_COMPLETE"),
            at(0, "Role", "UPDATE_IN_PROGRESS"),
            at(30, "Role", "UPDATE_COMPLETE"),
            at(100, "Role", "UPDATE_IN_PROGRESS"),
            at(120, "Role", "UPDATE_COMPLETE"),
            at(200, "Judge", "UPDATE_IN_PROGRESS"),
            at(900, "Judge", "UPDATE_FAILED"),
        ];
        events.reverse();
        let known = durations(&events);
        let secs = |entries: &[ChangeSetEntry]| estimate(entries, &known).map(|it| it.as_secs());
        let queue = entry("Queue", "AWS::SQS::Queue", ChangeSetAction::Add);
        let role = entry("Role", "AWS::IAM::Role", ChangeSetAction::Modify);
        let judge = entry("Judge", "AWS::Lambda::Function", ChangeSetAction::Modify);
        assert_eq!(secs(std::slice::from_ref(&queue)), Some(9));
        assert_eq!(secs(&[queue, role]), Some(20));
        assert_eq!(secs(&[judge]), None, "a failure's time is none");
        let removed = entry("Queue", "AWS::SQS::Queue", ChangeSetAction::Remove);
        assert_eq!(secs(&[removed]), None);
        let domain = entry(
            "Search",
            "AWS::OpenSearchService::Domain",
            ChangeSetAction::Add,
        );
        assert_eq!(secs(&[domain]), Some(1_500));
    }
}
