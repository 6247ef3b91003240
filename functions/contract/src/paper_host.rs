//! The hosts of the paper sites, a line each.
//!
//! A host is a key of `[scraper.hosts]` in an environment's file, a variable of the scrapers, and the
//! public names that both stand in for. `{conference}` in an address stands for `iclr`, `icml`,
//! `neurips` or `mlsys`, and `{conference}.cc` for the conference's own domain. No other file has a
//! public name of a paper site.

use std::ops::{Index, IndexMut};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::Source;

macro_rules! paper_hosts {
    ($(
        #[doc = $doc:literal]
        $host:ident = $key:literal, $variable:literal, $public:literal $(, $source:ident $other:literal)*;
    )*) => {
        /// A host of the paper sites.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum PaperHost { $(#[doc = $doc] $host,)* }

        impl PaperHost {
            /// Each once, in the order of `docs/settings.md`.
            pub const ALL: [Self; [$(Self::$host),*].len()] = [$(Self::$host),*];
            const KEYS: &'static [&'static str] = &[$($key),*];

            /// The key in `[scraper.hosts]`.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$host => $key,)* }
            }

            /// The environment variable of the scrapers that has the address: a base URL without a slash at
            /// its end.
            pub const fn variable(self) -> &'static str {
                match self { $(Self::$host => $variable,)* }
            }

            /// What is there, in a sentence.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$host => $doc.trim_ascii(),)* }
            }

            /// The address where the public finds it.
            pub const fn public_address(self) -> &'static str {
                match self { $(Self::$host => concat!("https://", $public),)* }
            }

            /// The name in [`Self::public_address`].
            pub const fn public_name(self) -> &'static str {
                match self { $(Self::$host => $public,)* }
            }

            /// Other names that links use for it, each with the conference whose it is.
            const fn also_known_as(self) -> &'static [(Source, &'static str)] {
                match self { $(Self::$host => &[$((Source::$source, $other)),*],)* }
            }
        }
    };
}

paper_hosts! {
    /// arXiv's API.
    ArxivApi = "arxiv-api", "ARXIV_API_URL", "export.arxiv.org";
    /// arXiv's PDFs.
    Arxiv = "arxiv", "ARXIV_URL", "arxiv.org";
    /// OpenReview's pages and PDFs.
    OpenReview = "openreview", "OPENREVIEW_URL", "openreview.net";
    /// OpenReview's API of the older conferences.
    OpenReviewApiV1 = "openreview-api-v1", "OPENREVIEW_API_V1_URL", "api.openreview.net";
    /// OpenReview's API of the newer conferences.
    OpenReviewApiV2 = "openreview-api-v2", "OPENREVIEW_API_V2_URL", "api2.openreview.net";
    /// The conferences' virtual sites.
    VirtualSite = "virtual-site", "VIRTUAL_SITE_URL", "{conference}.cc", Neurips "nips.cc";
    /// The conferences' proceedings.
    Proceedings = "proceedings", "PROCEEDINGS_URL", "proceedings.{conference}.cc",
        Neurips "papers.nips.cc", Neurips "papers.neurips.cc", Neurips "proceedings.nips.cc";
    /// NeurIPS 2021 kept its data sets' papers apart.
    DatasetsProceedings = "datasets-proceedings", "DATASETS_PROCEEDINGS_URL", "datasets-benchmarks-proceedings.{conference}.cc";
    /// The proceedings of ICML.
    Pmlr = "pmlr", "PMLR_URL", "proceedings.mlr.press";
    /// Where PMLR keeps the PDFs of its newer volumes.
    PmlrFiles = "pmlr-files", "PMLR_FILES_URL", "raw.githubusercontent.com";
}

impl PaperHost {
    /// Whether its address may have `{conference}` in it: each conference has a host of its own.
    pub fn is_of_a_conference(self) -> bool {
        self.public_name().contains("{conference}")
    }

    /// An address of this host, a setting's or the public one, for a conference.
    pub fn address_of(self, template: &str, source: Source) -> String {
        if !self.is_of_a_conference() {
            return template.to_owned();
        }
        let name = source.key_part();
        let domain = match source {
            Source::Mlsys => "mlsys.org".to_owned(),
            _ => format!("{name}.cc"),
        };
        template
            .replace("{conference}.cc", &domain)
            .replace("{conference}", name)
    }

    /// Whether the public finds it under a host's name, for a conference.
    pub fn is_called(self, name: &str, source: Source) -> bool {
        let is_alias = |(of, alias): &(Source, &str)| *of == source && *alias == name;
        self.address_of(self.public_name(), source) == name
            || self.also_known_as().iter().any(is_alias)
    }
}

/// A host is read by its key.
impl<'de> Deserialize<'de> for PaperHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let mut all = Self::ALL.into_iter();
        all.find(|host| host.key() == key)
            .ok_or_else(|| D::Error::unknown_field(&key, Self::KEYS))
    }
}

/// A value for every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerHost<V>(Vec<V>);

impl<V> PerHost<V> {
    /// Makes each host's value.
    pub fn new(value: impl FnMut(PaperHost) -> V) -> Self {
        Self(PaperHost::ALL.into_iter().map(value).collect())
    }

    /// Makes each host's value, or ends at the first that cannot be made.
    ///
    /// # Errors
    ///
    /// What `value` says.
    pub fn try_new<E>(value: impl FnMut(PaperHost) -> Result<V, E>) -> Result<Self, E> {
        let values: Result<_, _> = PaperHost::ALL.into_iter().map(value).collect();
        values.map(Self)
    }

    /// Each host with its value.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = (PaperHost, V)> {
        PaperHost::ALL.into_iter().zip(self.0)
    }
}

impl<V> PerHost<Option<V>> {
    /// The values, if none is absent.
    pub(crate) fn complete(self) -> Option<PerHost<V>> {
        let values: Option<_> = self.0.into_iter().collect();
        values.map(PerHost)
    }
}

/// There is a value for every host, in the order of [`PaperHost::ALL`], which is that of the enum.
impl<V> Index<PaperHost> for PerHost<V> {
    type Output = V;

    fn index(&self, host: PaperHost) -> &V {
        &self.0[host as usize]
    }
}

impl<V> IndexMut<PaperHost> for PerHost<V> {
    fn index_mut(&mut self, host: PaperHost) -> &mut V {
        &mut self.0[host as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_by_the_names_of_the_conference() {
        let called = |host: PaperHost, source| {
            let names = [
                "nips.cc",
                "mlsys.org",
                "iclr.cc",
                "proceedings.mlsys.org",
                "arxiv.org",
            ];
            let is_it = |name: &&str| host.is_called(name, source);
            names.into_iter().filter(is_it).collect::<Vec<_>>()
        };
        assert_eq!(called(PaperHost::VirtualSite, Source::Neurips), ["nips.cc"]);
        assert_eq!(called(PaperHost::VirtualSite, Source::Mlsys), ["mlsys.org"]);
        assert_eq!(called(PaperHost::VirtualSite, Source::Iclr), ["iclr.cc"]);
        let of_proceedings = called(PaperHost::Proceedings, Source::Mlsys);
        assert_eq!(of_proceedings, ["proceedings.mlsys.org"]);
        assert_eq!(called(PaperHost::Arxiv, Source::Arxiv), ["arxiv.org"]);
    }

    #[test]
    fn each_host_has_a_key_and_a_variable_of_its_own_and_finds_its_value() {
        let hosts = PerHost::new(PaperHost::key);
        for host in PaperHost::ALL {
            assert_eq!(hosts[host], host.key());
            let variable = host.key().to_uppercase().replace('-', "_");
            assert_eq!(host.variable(), format!("{variable}_URL"));
            assert!(!host.public_address().ends_with('/'));
            let json = format!("\"{}\"", host.key());
            assert_eq!(serde_json::from_str::<PaperHost>(&json).unwrap(), host);
        }
        let error = serde_json::from_str::<PaperHost>("\"openreview-api\"").unwrap_err();
        assert!(
            error.to_string().contains("expected one of `arxiv-api`"),
            "{error}"
        );
    }
}
