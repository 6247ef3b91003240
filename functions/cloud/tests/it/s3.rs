//! The client against a server that answers as S3 does, and as it should not.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use annapurna_cloud::{Condition, Metadata, Object, ObjectError, ObjectStore, S3, Saved, Written};
use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode};
use tokio::net::TcpListener;

use crate::server::{Request, Seen, config, service};

/// A client of a server that answers each request so, and what it was asked.
async fn s3(answer: fn(&Request) -> Response<Body>) -> (S3, Seen) {
    let (config, seen) = service(answer).await;
    (S3::new(&config), seen)
}

fn found(body: &'static str) -> Response<Body> {
    let response = Response::builder()
        .header("etag", "\"v1\"")
        .header("x-amz-meta-state", "queued");
    response.body(Body::from(body)).unwrap()
}

fn refused(status: u16, code: &str) -> Response<Body> {
    let body =
        format!("<Error><Code>{code}</Code><Message>the server says {code}</Message></Error>");
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/xml");
    response.body(Body::from(body)).unwrap()
}

fn bare(status: StatusCode) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .unwrap()
}

fn text(body: &str) -> Object {
    Object::new(body, "text/plain")
}

#[tokio::test]
async fn an_object_is_read_with_its_tag_and_metadata() {
    let (s3, seen) = s3(|_| found("hello")).await;
    let object = s3.read("papers", "a/b.json", 5).await.unwrap().unwrap();
    assert_eq!(
        (object.body.as_slice(), object.etag.as_str()),
        (&b"hello"[..], "\"v1\"")
    );
    let head = s3.head("papers", "a/b.json").await.unwrap().unwrap();
    assert_eq!(head.metadata["state"], "queued");
    assert_eq!(head.etag, "\"v1\"");
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|request| request.path == "/papers/a/b.json"),
        "{seen:?}"
    );
    assert_eq!(seen[1].method, Method::HEAD);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_no_error() {
    let (s3, _) = s3(|request| match request.method {
        Method::HEAD => bare(StatusCode::NOT_FOUND),
        _ => refused(404, "NoSuchKey"),
    })
    .await;
    assert_eq!(s3.read("papers", "k", 9).await.unwrap(), None);
    assert_eq!(s3.get("papers", "k", 9).await.unwrap(), None);
    assert_eq!(s3.head("papers", "k").await.unwrap(), None);
    let file = Path::new("/nonexistent/file");
    assert_eq!(
        s3.save("papers", "k", None, file).await.unwrap(),
        Saved::Missing
    );
}

#[tokio::test]
async fn a_missing_bucket_is_an_error_and_no_missing_object() {
    let (s3, _) = s3(|_| refused(404, "NoSuchBucket")).await;
    let error = s3.read("papers", "k", 9).await.unwrap_err().to_string();
    assert!(
        error.starts_with("GetObject of `s3://papers/k` failed: "),
        "{error}"
    );
    assert!(error.contains("NoSuchBucket"), "{error}");
    let written = s3
        .write("papers", "k", text("x"), Condition::Unchanged("\"v1\""))
        .await;
    assert!(written.unwrap_err().to_string().starts_with("PutObject of"));
}

#[tokio::test]
async fn an_error_names_operation_object_and_cause_in_one_harmless_line() {
    let (s3, _) = s3(|request| match request.method {
        Method::HEAD => bare(StatusCode::FORBIDDEN),
        _ => refused(403, "Access\u{202e}Denied"),
    })
    .await;
    let key = "a\n\u{1b}[2J";
    let error = s3
        .put("papers", key, text("x"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("PutObject of `s3://papers/a\\n\\u{1b}[2J` failed: "),
        "{error}"
    );
    assert!(
        error.ends_with("failed: Access Denied: the server says Access Denied"),
        "{error}"
    );
    assert!(
        !error.contains(annapurna_contract::text::is_hidden),
        "{error}"
    );
    let error = s3.head("papers", "k").await.unwrap_err().to_string();
    assert!(
        error.starts_with("HeadObject of `s3://papers/k` failed: "),
        "{error}"
    );
    assert!(error.ends_with("(HTTP status 403)"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = S3::new(&config(&address.to_string()).await)
        .get("papers", "k", 9)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.to_lowercase().contains("connection refused"),
        "{error}"
    );
    assert!(!error.contains("dispatch failure"), "{error}");
}

#[tokio::test]
async fn a_larger_object_is_refused_however_it_comes() {
    let (said, _) = s3(|_| found("123456")).await;
    let (streamed, _) = s3(|_| {
        let chunks = ["123", "456"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let body = Body::from_stream(futures::stream::iter(chunks));
        Response::builder()
            .header("etag", "\"v1\"")
            .body(body)
            .unwrap()
    })
    .await;
    for s3 in [said, streamed] {
        assert!(s3.get("papers", "k", 6).await.unwrap().is_some());
        let error = s3.get("papers", "k", 5).await.unwrap_err();
        assert!(
            matches!(error, ObjectError::TooLarge { limit: 5, .. }),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            "`s3://papers/k` has more than the 5 bytes that are read"
        );
    }
}

#[tokio::test]
async fn an_answer_without_its_tag_or_its_end_is_no_object() {
    let (untagged, _) = s3(|_| Response::new(Body::from("x"))).await;
    let error = untagged
        .get("papers", "k", 9)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("the answer has no ETag"), "{error}");
    let (broken, _) = s3(|_| {
        let chunks = [Ok(Bytes::from("12")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures::stream::iter(chunks));
        Response::builder()
            .header("etag", "\"v1\"")
            .body(body)
            .unwrap()
    })
    .await;
    let error = broken.get("papers", "k", 9).await.unwrap_err();
    assert!(
        matches!(
            error,
            ObjectError::Failed {
                operation: "GetObject",
                ..
            }
        ),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(
        broken
            .save("papers", "k", None, &folder.path().join("f"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_write_carries_its_checksum_and_condition() {
    let (s3, seen) = s3(|_| found("")).await;
    let mut object = text("hello");
    object.metadata = Metadata::from([("state".to_owned(), "waiting".to_owned())]);
    s3.put("papers", "k", object).await.unwrap();
    for condition in [Condition::Absent, Condition::Unchanged("\"v1\"")] {
        let written = s3
            .write("papers", "k", text("hello"), condition)
            .await
            .unwrap();
        assert_eq!(written, Written::Done);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].body, "hello");
    assert_eq!(seen[0].header("content-type"), Some("text/plain"));
    assert_eq!(seen[0].header("x-amz-meta-state"), Some("waiting"));
    assert_eq!(
        (seen[0].header("if-match"), seen[0].header("if-none-match")),
        (None, None)
    );
    // printf hello | openssl dgst -sha256 -binary | base64
    let sha256 = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    assert_eq!(seen[0].header("x-amz-checksum-sha256"), Some(sha256));
    assert_eq!(seen[1].header("if-none-match"), Some("*"));
    assert_eq!(seen[2].header("if-match"), Some("\"v1\""));
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_no_error() {
    let (s3, _) = s3(|_| refused(412, "PreconditionFailed")).await;
    for condition in [Condition::Absent, Condition::Unchanged("\"v1\"")] {
        let written = s3.write("papers", "k", text("x"), condition).await.unwrap();
        assert_eq!(written, Written::Refused);
    }
    assert!(s3.put("papers", "k", text("x")).await.is_err());
    let (gone, _) = self::s3(|_| refused(404, "NoSuchKey")).await;
    let written = gone
        .write("papers", "k", text("x"), Condition::Unchanged("\"v1\""))
        .await;
    assert_eq!(written.unwrap(), Written::Refused);
    assert!(
        gone.write("papers", "k", text("x"), Condition::Absent)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn of_two_writes_at_the_same_moment_one_is_refused_once_the_other_is_there() {
    let conflict = "ConditionalRequestConflict";
    let (won, _) = s3(|request| match request.method {
        Method::HEAD => found(""),
        _ => refused(409, "ConditionalRequestConflict"),
    })
    .await;
    let written = won
        .write("papers", "k", text("x"), Condition::Absent)
        .await
        .unwrap();
    assert_eq!(written, Written::Refused);
    let (lost, _) = s3(|request| match request.method {
        Method::HEAD => bare(StatusCode::NOT_FOUND),
        _ => refused(409, "ConditionalRequestConflict"),
    })
    .await;
    let error = lost
        .write("papers", "k", text("x"), Condition::Absent)
        .await
        .unwrap_err();
    assert!(error.to_string().contains(conflict), "{error}");
    let written = lost
        .write("papers", "k", text("x"), Condition::Unchanged("\"v1\""))
        .await
        .unwrap();
    assert_eq!(written, Written::Refused);
}

#[tokio::test]
async fn a_file_is_fetched_unless_the_caller_has_it() {
    let (s3, seen) = s3(|request| match request.header("if-none-match") {
        Some("\"v1\"") => bare(StatusCode::NOT_MODIFIED),
        _ => found("data"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mnist.pt");
    let saved = s3
        .save("datasets", "mnist.pt", Some("\"v0\""), &file)
        .await
        .unwrap();
    assert_eq!(saved, Saved::Done("\"v1\"".to_owned()));
    assert_eq!(std::fs::read(&file).unwrap(), b"data");
    let saved = s3
        .save("datasets", "mnist.pt", Some("\"v1\""), &file)
        .await
        .unwrap();
    assert_eq!(saved, Saved::Unchanged);
    assert_eq!(
        seen.lock().unwrap()[0].header("if-none-match"),
        Some("\"v0\"")
    );
    let nowhere = folder.path().join("no/such/folder");
    let error = s3
        .save("datasets", "mnist.pt", None, &nowhere)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no/such/folder"), "{error}");
}

#[tokio::test]
async fn the_folders_of_a_bucket_are_those_of_every_page() {
    let n_asked = AtomicUsize::new(0);
    let (config, seen) = service(move |_| {
        let (more, folder) = match n_asked.fetch_add(1, Ordering::SeqCst) {
            0 => (
                "<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>",
                "a",
            ),
            _ => ("<IsTruncated>false</IsTruncated>", "b"),
        };
        let prefix = format!("<CommonPrefixes><Prefix>{folder}/</Prefix></CommonPrefixes>");
        let body = format!("<ListBucketResult>{more}{prefix}</ListBucketResult>");
        let response = Response::builder().header("content-type", "application/xml");
        response.body(Body::from(body)).unwrap()
    })
    .await;
    let folders = S3::new(&config).folders("sets").await.unwrap();
    assert_eq!(folders, ["a", "b"]);
    assert_eq!(seen.lock().unwrap().len(), 2);
    let (s3, _) = s3(|_| refused(403, "AccessDenied")).await;
    let error = s3.folders("sets").await.unwrap_err().to_string();
    assert!(
        error.starts_with("ListObjectsV2 of `s3://sets/` failed: "),
        "{error}"
    );
}
