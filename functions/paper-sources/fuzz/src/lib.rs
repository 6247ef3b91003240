//! What the targets share: hosts, and a page for an address to be relative to.

use annapurna_contract::{PaperHost, PerHost, Source};
use annapurna_paper_sources::sites::Sites;
use annapurna_paper_sources::sources::hosts::Hosts;
use annapurna_paper_sources::sources::listed::{Edition, Listed, ListedPaper};
use url::Url;

/// An address that is one.
pub fn url(address: &str) -> Url {
    Url::parse(address).unwrap()
}

/// Every host apart from the others, so that a mix-up shows.
pub fn hosts() -> Hosts {
    let hosts = PerHost::new(|host| match host {
        PaperHost::PmlrFiles => "https://files.example/mirror/".to_owned(),
        host => host.public_address().to_owned(),
    });
    Hosts::of(EDITION.source, &Sites::new(hosts).unwrap()).unwrap()
}

/// A conference of the newer kind.
pub const EDITION: Edition = Edition {
    source: Source::Iclr,
    year: 2025,
};

/// What holds for every paper, whatever the bytes were.
pub fn check(paper: &ListedPaper, hosts: &Hosts) {
    assert!(!paper.title.trim().is_empty());
    let addresses = paper.pdf_urls.iter().chain(&paper.details_url);
    for address in addresses {
        check_address(address, hosts);
    }
}

/// What holds for a whole list.
pub fn check_list(listed: &Listed, hosts: &Hosts) {
    for paper in &listed.papers {
        check(paper, hosts);
    }
    let mut places = listed.papers.windows(2);
    assert!(places.all(|pair| pair[0].place <= pair[1].place));
}

/// Text of a page never leads to a host that is not configured.
pub fn check_address(address: &Url, hosts: &Hosts) {
    let is_ours = PaperHost::ALL
        .into_iter()
        .any(|host| hosts[host].origin() == address.origin());
    assert!(is_ours, "{address}");
}
