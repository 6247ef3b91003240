//! `[scraper.hosts]`: other hosts than the sources' own.

use serde::Deserialize;

use super::problems::Problems;

/// Base URLs that stand in for the sources' own: a mirror, a proxy, a recorded site. One that is absent
/// is the public host, and the paper site where the environment has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ScraperHosts {
    /// arXiv's API.
    pub arxiv_api: Option<String>,
    /// arXiv's PDFs.
    pub arxiv: Option<String>,
    /// OpenReview's pages and PDFs.
    pub openreview: Option<String>,
    /// OpenReview's API of the older conferences.
    pub openreview_api_v1: Option<String>,
    /// OpenReview's API of the newer conferences.
    pub openreview_api_v2: Option<String>,
    /// The conferences' virtual sites; `{conference}` stands for `iclr`.
    pub virtual_site: Option<String>,
    /// The conferences' proceedings; `{conference}` stands for `iclr`.
    pub proceedings: Option<String>,
    /// The proceedings of data sets' papers; `{conference}` stands for `neurips`.
    pub datasets_proceedings: Option<String>,
    /// PMLR's pages.
    pub pmlr: Option<String>,
    /// PMLR's newer PDFs.
    pub pmlr_files: Option<String>,
}

impl ScraperHosts {
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, url) in [
            ("arxiv-api", &self.arxiv_api),
            ("arxiv", &self.arxiv),
            ("openreview", &self.openreview),
            ("openreview-api-v1", &self.openreview_api_v1),
            ("openreview-api-v2", &self.openreview_api_v2),
            ("pmlr", &self.pmlr),
            ("pmlr-files", &self.pmlr_files),
        ] {
            problems.base_url(&format!("scraper.hosts.{key}"), url.as_deref());
        }
        for (key, url) in [
            ("virtual-site", &self.virtual_site),
            ("proceedings", &self.proceedings),
            ("datasets-proceedings", &self.datasets_proceedings),
        ] {
            let one = url.as_ref().map(|url| url.replace("{conference}", "iclr"));
            problems.base_url(&format!("scraper.hosts.{key}"), one.as_deref());
        }
    }
}
