//! `[scraper.hosts]`: other hosts than the sources' own.

use std::collections::BTreeMap;

use annapurna_contract::PaperHost;

use super::problems::Problems;

/// Base URLs that stand in for the sources' own: a mirror, a proxy, a recorded site. One that is absent
/// is the public host, and the paper site where the environment has one.
pub(crate) type ScraperHosts = BTreeMap<PaperHost, String>;

pub(super) fn check(hosts: &ScraperHosts, problems: &mut Problems) {
    for (host, address) in hosts {
        let example = match host.is_of_a_conference() {
            true => &address.replace("{conference}", "iclr"),
            false => address,
        };
        problems.base_url(&format!("scraper.hosts.{}", host.key()), Some(example));
    }
}

/// A key for each host, for the reference of settings.
#[cfg(test)]
pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut keys = serde_json::Map::new();
    for host in PaperHost::ALL {
        let mut description = host.description().trim_end_matches('.').to_owned();
        if host.is_of_a_conference() {
            description += "; `{conference}` stands for `iclr`";
        }
        let key = serde_json::json!({"type": "string", "description": description + "."});
        keys.insert(host.key().to_owned(), key);
    }
    schemars::json_schema!({"type": "object", "properties": keys})
}
