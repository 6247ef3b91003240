//! Why a download failed, in a line, and what mends it.
//!
//! In: what pip or reqwest said. Out: [`LocalError::Download`] with the file, the reason, and the variable or
//! setting that helps this downloader. Both trust what the system trusts, or the PEM file that SSL_CERT_FILE
//! names; pip's own settings go before. The words of pip (requests and urllib3) are matched here; the whole of
//! its output stays in a log file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_contract::text::chain;
use tokio::process::Command;

use crate::opensearch::REPOSITORY_VARIABLE;
use crate::{LocalError, tool};

#[cfg(test)]
mod tests;

/// Who downloads, which decides about the settings that help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Downloader {
    /// pip, from the user's package index.
    Packages,
    /// Our own client, from a Maven repository.
    Maven,
    /// pip, from PyTorch's wheel index, which our own client asks before.
    Torch,
}

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle {
    /// The file of certificates that a variable names is not there.
    NoCertificates(String),
    Certificate(String),
    Proxy(String),
    UnknownName,
    Unreachable(String),
    CutOff,
    Digest,
    DiskFull,
    NotThere,
    /// It asks for a name and a password, or for other ones; the status.
    Refused(&'static str),
    /// None of the above: its last line.
    Other(String),
}

/// The error for a download that failed, from all that the downloader said. `file` is what it was about
/// to fetch, where the caller knows.
pub(crate) fn failed(
    downloader: Downloader,
    file: Option<&str>,
    said: &str,
    log: Option<PathBuf>,
) -> LocalError {
    let said = without_passwords(said);
    let obstacle = Obstacle::of(&said);
    let file = file.map_or_else(|| file_of_pip(&said), str::to_owned);
    LocalError::Download {
        why: obstacle.words(&host(&said)),
        mend: obstacle.mend(downloader),
        file,
        log,
    }
}

/// The error for a file that came and is not the one that was pinned.
pub(crate) fn wrong_digest(
    downloader: Downloader,
    file: &str,
    expected: &str,
    actual: &str,
) -> LocalError {
    LocalError::Download {
        file: file.to_owned(),
        why: format!("what came has SHA-256 {actual}, expected {expected}"),
        mend: Obstacle::Digest.mend(downloader),
        log: None,
    }
}

/// The variable of OpenSSL and rustls that names a PEM file to be trusted in place of the system's store.
const CERTIFICATES_VARIABLE: &str = "SSL_CERT_FILE";
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Without a byte for so long, a connection is given up.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The client of our own downloads of `file`: it trusts what the system trusts, and takes HTTPS_PROXY and
/// NO_PROXY.
pub(crate) fn client(downloader: Downloader, file: &str) -> Result<reqwest::Client, LocalError> {
    check_certificates(downloader, file)?;
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .build();
    client.map_err(|error| failed(downloader, Some(file), &chain(&error), None))
}

/// Has pip trust what our own client trusts, unless pip's settings name certificates.
pub(crate) async fn trust_the_system(
    pip: &mut Command,
    python: &Path,
    downloader: Downloader,
) -> Result<(), LocalError> {
    const PIPS_OWN: [&str; 3] = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    if PIPS_OWN.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut settings = Command::new(python);
    settings.args(["-I", "-m", "pip", "config", "list"]);
    let settings = tool::output("reading pip's settings", &mut settings, SILENCE_LIMIT).await?;
    if tool::text(&settings).contains(".cert=") {
        return Ok(());
    }
    check_certificates(downloader, "the packages")?;
    if let Some(file) = openssl_probe::probe().cert_file {
        pip.env("PIP_CERT", file);
    }
    Ok(())
}

/// A file that is named and not there would be passed over in silence.
fn check_certificates(downloader: Downloader, file: &str) -> Result<(), LocalError> {
    match std::env::var_os(CERTIFICATES_VARIABLE).map(PathBuf::from) {
        Some(path) if !path.is_file() => {
            let said = format!("{NO_CERTIFICATES}{}", path.display());
            Err(failed(downloader, Some(file), &said, None))
        }
        _ => Ok(()),
    }
}

/// What requests says before the path of a file of certificates that is not there.
const NO_CERTIFICATES: &str = "invalid path: ";
/// What is said where a name has no address, by urllib3, the C library and reqwest.
const UNKNOWN_NAME: [&str; 6] = [
    "NameResolutionError",
    "Name or service not known",
    "Temporary failure in name resolution",
    "nodename nor servname",
    "No address associated with hostname",
    "dns error",
];
/// What is said where a name or password is missing or wrong, by requests, pip and our own client.
const REFUSED: [(&str, &[&str]); 2] = [
    (
        "401",
        &[
            "401 Client Error",
            "401 Error",
            "HTTP error 401",
            "HTTP status 401",
        ],
    ),
    (
        "403",
        &["403 Client Error", "HTTP error 403", "HTTP status 403"],
    ),
];
/// What is said where an answer ends early, by urllib3, requests, OpenSSL and reqwest.
const CUT_OFF: [&str; 8] = [
    "IncompleteRead",
    "not enough bytes",
    "end of file before message length",
    "connection closed before message completed",
    "Connection aborted",
    "Connection reset",
    "unexpected EOF",
    "UNEXPECTED_EOF",
];

impl Obstacle {
    /// The last line that names one counts: earlier ones were overcome by trying again.
    fn of(said: &str) -> Self {
        if let Some(obstacle) = said.lines().rev().find_map(Self::of_line) {
            return obstacle;
        }
        if ["No matching distribution", "HTTP status 404"]
            .iter()
            .any(|words| said.contains(words))
        {
            return Self::NotThere;
        }
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        Self::Other(last.unwrap_or("it said nothing").trim().to_owned())
    }

    fn of_line(line: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if has(&["No space left on device", "Disk quota exceeded"]) {
            return Some(Self::DiskFull);
        }
        if let Some(path) = after(line, NO_CERTIFICATES) {
            return Some(Self::NoCertificates(path.to_owned()));
        }
        if has(&["DO NOT MATCH THE HASHES"]) {
            return Some(Self::Digest);
        }
        if has(&["CERTIFICATE_VERIFY_FAILED", "invalid peer certificate"]) {
            return Some(Self::Certificate(certificate_reason(line)));
        }
        if has(&["ProxyError", "Tunnel connection failed", "tunnel error"]) {
            return Some(Self::Proxy(proxy_reason(line)));
        }
        if has(&UNKNOWN_NAME) {
            return Some(Self::UnknownName);
        }
        if has(&CUT_OFF) {
            return Some(Self::CutOff);
        }
        let refused = REFUSED.iter().find(|(_, words)| has(words));
        if let Some((status, _)) = refused {
            return Some(Self::Refused(status));
        }
        for reason in [
            "Connection refused",
            "Network is unreachable",
            "No route to host",
            "timed out",
        ] {
            if line.contains(reason) {
                return Some(Self::Unreachable(reason.to_owned()));
            }
        }
        None
    }

    fn words(&self, host: &str) -> String {
        match self {
            Self::NoCertificates(path) => format!("there is no file of certificates {path}"),
            Self::Certificate(reason) => {
                format!("the certificate of {host} is not trusted ({reason})")
            }
            Self::Proxy(reason) => format!("the proxy does not let it through ({reason})"),
            Self::UnknownName => format!("the name of {host} is not known here"),
            Self::Unreachable(reason) => format!("{host} cannot be reached ({reason})"),
            Self::CutOff => format!("the answer of {host} ended early"),
            Self::Digest => "what came has another SHA-256 than the one expected".to_owned(),
            Self::DiskFull => "the disk is full".to_owned(),
            Self::NotThere => format!("{host} does not have it or does not give it out"),
            Self::Refused(status) => {
                format!("{host} lets nobody in without the right password ({status})")
            }
            Self::Other(line) => line.clone(),
        }
    }

    fn mend(&self, downloader: Downloader) -> String {
        let proxy = "HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT) and NO_PROXY";
        match self {
            Self::NoCertificates(_) => format!(
                "name a PEM file that is there in {CERTIFICATES_VARIABLE}{}",
                pips_own(downloader)
            ),
            Self::Certificate(_) => format!(
                "add your company's certificate to the system's store, or name a PEM file that has it in \
                 {CERTIFICATES_VARIABLE}{}",
                pips_own(downloader)
            ),
            Self::Proxy(_) => match downloader {
                Downloader::Maven => format!("set {proxy}"),
                Downloader::Packages | Downloader::Torch => {
                    format!("set {proxy}, and look at `pip config list`, whose proxy goes before")
                }
            },
            Self::UnknownName | Self::Unreachable(_) => {
                format!(
                    "without a direct way out set {proxy}; {}",
                    mirror(downloader)
                )
            }
            Self::NotThere => mirror(downloader),
            Self::Refused(_) => account(downloader),
            Self::Digest | Self::CutOff => format!(
                "something on the way changes or ends downloads: check {proxy}; {}",
                mirror(downloader)
            ),
            Self::DiskFull => crate::error::DISK_FULL.to_owned(),
            Self::Other(_) => format!("check the network, {proxy}; {}", mirror(downloader)),
        }
    }
}

/// Where a mirror's name and password stand.
fn account(downloader: Downloader) -> String {
    match downloader {
        Downloader::Packages => {
            "name both in PIP_INDEX_URL (https://USER:PASSWORD@HOST/simple), or in ~/.netrc"
                .to_owned()
        }
        Downloader::Maven => {
            format!("name both in {REPOSITORY_VARIABLE} (https://USER:PASSWORD@HOST/…)")
        }
        Downloader::Torch => mirror(downloader),
    }
}

/// The text with no user name and password in its addresses: it goes to the terminal.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let start = parts.next().unwrap_or(text).to_owned();
    parts.fold(start, |done, part| {
        // A password may have any sign but those that end the part of an address with the host.
        let ends = |sign: char| sign.is_whitespace() || "/?#'\"()<>".contains(sign);
        let (authority, rest) = part.split_at(part.find(ends).unwrap_or(part.len()));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        done + "://" + host + rest
    })
}

/// What of pip's own goes before the variable that helps every downloader.
fn pips_own(downloader: Downloader) -> &'static str {
    match downloader {
        Downloader::Maven => "",
        Downloader::Packages | Downloader::Torch => {
            "; PIP_CERT, REQUESTS_CA_BUNDLE and `cert` in `pip config list` go before it"
        }
    }
}

/// Where to get the same files from instead.
fn mirror(downloader: Downloader) -> String {
    match downloader {
        Downloader::Packages => "PIP_INDEX_URL names a mirror of the package index".to_owned(),
        Downloader::Maven => format!("{REPOSITORY_VARIABLE} names a mirror of Maven Central"),
        Downloader::Torch => {
            "`python` under `[local]` in the environment file names an interpreter that has torch already"
                .to_owned()
        }
    }
}

/// `certificate verify failed: self-signed certificate (_ssl.c:1006)`, or rustls' words.
fn certificate_reason(line: &str) -> String {
    let reason = after(line, "certificate verify failed: ")
        .or_else(|| after(line, "invalid peer certificate: "))
        .unwrap_or("it cannot be verified");
    up_to(reason, &[" (_ssl", "'", "\"", ")"]).to_owned()
}

fn proxy_reason(line: &str) -> String {
    for reason in ["Tunnel connection failed: ", "[Errno ", "tunnel error: "] {
        if let Some(rest) = after(line, reason) {
            let rest = rest.split_once("] ").map_or(rest, |(_, words)| words);
            return up_to(rest, &["'", "\"", ")"]).to_owned();
        }
    }
    "it does not answer as one".to_owned()
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(_, rest)| rest.trim())
}

fn up_to<'a>(text: &'a str, ends: &[&str]) -> &'a str {
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    text[..end.unwrap_or(text.len())].trim()
}

/// Who was asked: urllib3 names the host, reqwest the address, pip the index when it is not the usual one.
fn host(said: &str) -> String {
    let host_of = |url: &str| Some(url::Url::parse(url).ok()?.host_str()?.to_owned());
    let of_urllib = said
        .lines()
        .rev()
        .find_map(|line| after(line, "Pool(host='"));
    let of_reqwest = || {
        let url = said
            .lines()
            .rev()
            .find_map(|line| after(line, "for url ("))?;
        host_of(up_to(url, &[")"]))
    };
    let of_pip = || {
        let index = said
            .lines()
            .find_map(|line| after(line, "Looking in indexes: "))?;
        host_of(up_to(index, &[","]))
    };
    of_urllib
        .map(|rest| up_to(rest, &["'"]).to_owned())
        .or_else(of_reqwest)
        .or_else(of_pip)
        .unwrap_or_else(|| "the server".to_owned())
}

/// The requirement that pip was at.
fn file_of_pip(said: &str) -> String {
    let wrong_digest = said
        .lines()
        .skip_while(|line| !line.contains("DO NOT MATCH THE HASHES"))
        .nth(1);
    let missing = || {
        said.lines()
            .find_map(|line| after(line, "No matching distribution found for "))
    };
    let collecting = || {
        let mut lines = said.lines().rev();
        lines.find_map(|line| line.strip_prefix("Collecting "))
    };
    wrong_digest
        .or_else(missing)
        .or_else(collecting)
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or("the packages")
        .to_owned()
}
