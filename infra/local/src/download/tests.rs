//! What pip and reqwest really said, tried against servers that fail so; `testing/tests/download.rs`
//! lets them fail anew.

use super::*;

fn shown(downloader: Downloader, file: Option<&str>, said: &str) -> (String, String) {
    let error = failed(downloader, file, said, None);
    (error.to_string(), error.hint().unwrap())
}

#[test]
fn a_companys_certificate_names_the_variable_of_each_downloader() {
    let pip = "Looking in indexes: https://index.example/simple\n\
        WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)'))': /simple/six/\n\
        Could not fetch URL https://index.example/simple/six/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='index.example', port=443): Max retries exceeded with url: /simple/six/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)'))) - skipping\n\
        ERROR: Could not find a version that satisfies the requirement six==1.17.0 (from versions: none)\n\
        ERROR: No matching distribution found for six==1.17.0\n";
    let (text, hint) = shown(Downloader::Packages, None, pip);
    assert_eq!(
        text,
        "cannot download six==1.17.0: the certificate of index.example is not trusted (self-signed certificate)"
    );
    assert!(hint.contains("SSL_CERT_FILE; PIP_CERT"), "{hint}");
    let reqwest = "error sending request for url (https://maven.example/a.jar): client error (Connect): invalid peer certificate: UnknownIssuer";
    let (text, hint) = shown(Downloader::Maven, Some("a:a:1:jar"), reqwest);
    assert_eq!(
        text,
        "cannot download a:a:1:jar: the certificate of maven.example is not trusted (UnknownIssuer)"
    );
    assert!(
        hint.contains("SSL_CERT_FILE") && !hint.contains("PIP_CERT"),
        "{hint}"
    );
    let reqwest =
        "error sending request: client error (Connect): invalid peer certificate: UnknownIssuer";
    let (text, hint) = shown(Downloader::Torch, Some("torch"), reqwest);
    assert!(text.ends_with("(UnknownIssuer)"), "{text}");
    assert!(hint.contains("SSL_CERT_FILE"), "{hint}");
}

#[test]
fn a_proxy_that_refuses_is_told_from_a_server_that_does() {
    let denied = "WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/six/\n\
        ERROR: No matching distribution found for six==1.17.0\n";
    let (text, hint) = shown(Downloader::Packages, None, denied);
    assert_eq!(
        text,
        "cannot download six==1.17.0: the proxy does not let it through (407 Proxy Authentication Required)"
    );
    assert!(hint.contains("HTTPS_PROXY"), "{hint}");
    let server = "error sending request for url (https://maven.example/a.jar): client error (Connect): tcp connect error: Connection refused (os error 111)";
    let (text, hint) = shown(Downloader::Maven, Some("a"), server);
    assert_eq!(
        text,
        "cannot download a: maven.example cannot be reached (Connection refused)"
    );
    assert!(hint.contains("ANNAPURNA_MAVEN_URL"), "{hint}");
    let missing = "HTTP status 404 Not Found for url (https://maven.example/a.jar)";
    let (text, _) = shown(Downloader::Maven, Some("a"), missing);
    assert_eq!(
        text,
        "cannot download a: maven.example does not have it or does not give it out"
    );
}

#[test]
fn a_full_disk_and_a_missing_file_of_certificates_are_said_as_such() {
    let full = "Collecting torch==2.9.1\n  Downloading torch.whl (104 MB)\n\
        ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n";
    let (text, hint) = shown(Downloader::Torch, None, full);
    assert_eq!(text, "cannot download torch==2.9.1: the disk is full");
    assert!(hint.contains("disk space"), "{hint}");
    let bundle =
        "OSError: Could not find a suitable TLS CA certificate bundle, invalid path: /none.pem";
    let (text, hint) = shown(Downloader::Packages, Some("a"), bundle);
    assert!(
        text.ends_with("no file of certificates /none.pem"),
        "{text}"
    );
    assert!(hint.contains("SSL_CERT_FILE; PIP_CERT"), "{hint}");
}

#[test]
fn what_was_overcome_is_not_the_reason() {
    let said = "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError(\"Read timed out.\")': /simple/six/\n\
        Collecting six==1.17.0\n\
        ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have\n    \
            six==1.17.0 from http://index.example/six.whl:\n        Expected sha256 47\n             Got        91\n";
    let (text, _) = shown(Downloader::Packages, None, said);
    assert_eq!(
        text,
        "cannot download six==1.17.0: what came has another SHA-256 than the one expected"
    );
}

#[test]
fn what_nobody_foresaw_is_its_last_line() {
    let (text, hint) = shown(Downloader::Maven, Some("a"), "one\ntwo\n\n");
    assert_eq!(text, "cannot download a: two");
    assert!(hint.contains("HTTPS_PROXY"), "{hint}");
    let (text, _) = shown(Downloader::Maven, Some("a"), "");
    assert_eq!(text, "cannot download a: it said nothing");
}

#[test]
fn a_mirrors_password_is_shown_to_nobody_and_the_place_for_it_is() {
    let refused =
        "HTTP status 401 Unauthorized for url (https://user:pa$s@w:rd@maven.example/a.jar)";
    let (text, hint) = shown(Downloader::Maven, Some("a"), refused);
    assert_eq!(
        text,
        "cannot download a: maven.example lets nobody in without the right password (401)"
    );
    assert!(hint.contains("ANNAPURNA_MAVEN_URL"), "{hint}");
    assert!(hint.contains("(https://USER:PASSWORD@HOST"), "{hint}");
    let pip = "Looking in indexes: https://user:secret@index.example/simple\n\
        WARNING: 401 Error, Credentials not correct for https://index.example/simple/six/\n\
        ERROR: No matching distribution found for six==1.17.0\n";
    let (text, hint) = shown(Downloader::Packages, None, pip);
    assert!(text.contains("index.example lets nobody in"), "{text}");
    assert!(hint.contains("PIP_INDEX_URL"), "{hint}");
    // Words that nobody knows are shown as they are.
    let unknown =
        "error 7 at 'https://user:secret@maven.example/a?b=c' (see https://other@maven.example)";
    let (text, hint) = shown(Downloader::Maven, Some("a"), unknown);
    assert_eq!(
        text,
        "cannot download a: error 7 at 'https://maven.example/a?b=c' (see https://maven.example)"
    );
    assert!(!hint.contains("secret"), "{hint}");
}
