//! A public name of a paper site stands in one place: the enum of the hosts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use annapurna_contract::{PaperHost, Source};

/// What a name ends with whoever writes it: `neurips.cc` of `proceedings.neurips.cc`.
fn domains() -> BTreeSet<String> {
    let names = PaperHost::ALL.into_iter().flat_map(|host| {
        let of = move |source| host.address_of(host.public_name(), source);
        Source::ALL.map(of)
    });
    let domain = |name: String| {
        let labels: Vec<&str> = name.rsplit('.').take(2).collect();
        format!("{}.{}", labels[1], labels[0])
    };
    let aliases = ["nips.cc".to_owned()];
    names.map(domain).chain(aliases).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// The lines of a file that name a site, its comments and its tests aside.
fn names_in(code: &str) -> Vec<&str> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let domains = domains();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        // The namespace of arXiv's XML is no address.
        .filter(|line| !line.contains("\"http://arxiv.org/schemas/atom\""))
        .filter(|line| domains.iter().any(|domain| line.contains(domain)))
        .collect()
}

#[test]
fn no_other_code_has_a_public_name() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&source) {
        let code = std::fs::read_to_string(&path).unwrap();
        assert_eq!(names_in(&code), Vec::<&str>::new(), "{}", path.display());
    }
    let found = names_in("let a = 1;\nlet b = \"papers.nips.cc\";\n// arxiv.org\n");
    assert_eq!(found, ["let b = \"papers.nips.cc\";"]);
}
