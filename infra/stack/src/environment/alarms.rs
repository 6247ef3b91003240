//! `[alarms]`: who is told when something of the environment fails.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::{Host, Url};

use super::problems::Problems;

/// Longest e-mail address, bytes. Source: RFC 5321, "Size limits and minimums": a path of 256 with its brackets.
const LONGEST_EMAIL: usize = 254;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AlarmsFile {
    /// Who is told of an alarm and of its end: e-mail addresses and `https://` URLs. Each is asked once to confirm,
    /// and is told nothing before it has.
    subscribers: Vec<String>,
    /// US dollars that the whole account may cost in a month: the same are told when four fifths are spent, when all
    /// is, and when AWS reckons that all will be. Absent: there is no budget.
    #[cfg_attr(test, schemars(range(min = 1, max = 1_000_000)))]
    monthly_budget_usd: Option<u32>,
}

/// The checked table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alarms {
    /// Sorted, so that their order in the file changes nothing.
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) monthly_budget_usd: Option<u32>,
}

/// Who is told of an alarm. [`Subscriber::parse`] is the only way to get one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subscriber {
    /// An e-mail address.
    Email(String),
    /// An address that answers SNS's requests.
    Https(String),
}

impl Subscriber {
    fn parse(text: &str) -> Option<Self> {
        let is_plain =
            |letter: char| letter.is_ascii_graphic() && !r#"<>()[],;:"\"#.contains(letter);
        if let Some((name, domain)) = text.rsplit_once('@')
            && !text.contains('/')
        {
            let is_name = !name.is_empty() && !name.contains('@') && name.chars().all(is_plain);
            let is_domain = domain.contains('.')
                && !domain.starts_with('.')
                && matches!(Host::parse(domain), Ok(Host::Domain(_)));
            let is_address = is_name && is_domain && text.len() <= LONGEST_EMAIL;
            return is_address.then(|| Self::Email(text.to_owned()));
        }
        let url = Url::parse(text).ok()?;
        let has_secret = !url.username().is_empty() || url.password().is_some();
        let is_address = url.scheme() == "https" && url.has_host() && !has_secret;
        is_address.then(|| Self::Https(text.to_owned()))
    }

    /// The address alone.
    pub(crate) fn endpoint(&self) -> &str {
        match self {
            Self::Email(endpoint) | Self::Https(endpoint) => endpoint,
        }
    }
}

impl AlarmsFile {
    /// `has_alarms` says whether anything of the environment has an alarm.
    pub(super) fn check(self, has_alarms: bool, problems: &mut Problems) -> Alarms {
        let mut found = BTreeSet::new();
        for text in &self.subscribers {
            match Subscriber::parse(text) {
                Some(subscriber) => problems.require(
                    found.insert(subscriber),
                    format!("alarms.subscribers names `{text}` twice"),
                ),
                None => problems.0.push(format!(
                    "alarms.subscribers must be e-mail addresses such as `ops@example.org`, or https:// URLs without \
                     a password, got `{text}`"
                )),
            }
        }
        problems.require(
            has_alarms || found.is_empty(),
            "alarms.subscribers would never be told: there is an alarm only with scraper.scheduled = true",
        );
        if let Some(budget) = self.monthly_budget_usd {
            problems.require(
                (1..=1_000_000).contains(&budget),
                format!("alarms.monthly-budget-usd must be 1 to 1000000 US dollars, got {budget}"),
            );
            problems.require(
                has_alarms,
                "alarms.monthly-budget-usd would tell nobody: there is a topic only with scraper.scheduled = true",
            );
        }
        Alarms {
            subscribers: found.into_iter().collect(),
            monthly_budget_usd: self.monthly_budget_usd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(subscribers: &[&str], has_alarms: bool) -> Result<Vec<Subscriber>, Vec<String>> {
        let mut problems = Problems::default();
        let subscribers = subscribers.iter().map(|&it| it.to_owned()).collect();
        let file = AlarmsFile {
            subscribers,
            monthly_budget_usd: None,
        };
        let found = file.check(has_alarms, &mut problems);
        match problems.0.is_empty() {
            true => Ok(found.subscribers),
            false => Err(problems.0),
        }
    }

    #[test]
    fn mail_addresses_and_https_urls_are_told() {
        let https = "https://pager.example.org:8443/hook?team=papers&to=a@b";
        let found = checked(&["on-call+papers@mail.example.org", https], true).unwrap();
        let email = "on-call+papers@mail.example.org".to_owned();
        assert_eq!(
            found,
            [
                Subscriber::Email(email),
                Subscriber::Https(https.to_owned())
            ]
        );
    }

    #[test]
    fn what_is_neither_is_named_with_what_is_allowed() {
        let long = format!("{}@example.org", "a".repeat(LONGEST_EMAIL));
        for bad in [
            "",
            "ops",
            "@example.org",
            "ops@",
            "ops@example",
            "ops@.org",
            "ops@127.0.0.1",
            "a@b@example.org",
            "Ops <ops@example.org>",
            "a@example.org, b@example.org",
            "mailto:ops@example.org",
            "http://pager.example.org/hook",
            "https://",
            "https://user:secret@pager.example.org/hook",
            "+4930123456",
            "arn:aws:sqs:us-east-1:123456789012:queue",
            long.as_str(),
        ] {
            let problems = checked(&[bad, "ops@example.org"], true).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(
                problems[0].starts_with("alarms.subscribers must be e-mail addresses")
                    && problems[0].ends_with(&format!("got `{bad}`")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn twice_the_same_and_nothing_to_be_told_of_are_refused() {
        let ops = "ops@example.org";
        let problems = checked(&[ops, ops], true).unwrap_err();
        assert_eq!(
            problems,
            ["alarms.subscribers names `ops@example.org` twice"]
        );
        let problems = checked(&[ops], false).unwrap_err();
        assert!(
            problems[0].contains("scraper.scheduled = true"),
            "{problems:?}"
        );
        assert_eq!(checked(&[], false), Ok(Vec::new()));
    }
}
