//! One address for all of AWS: the emulator, and canned answers for what it has not: Bedrock, Service Quotas, and
//! simulations of policies with conditions.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// The part of a signature that names the service, as in `AKIA…/20261130/us-east-1/bedrock/aws4_request`.
const CANNED: [&str; 2] = ["/bedrock/", "/servicequotas/"];

#[derive(Clone)]
struct Services {
    emulator: String,
    canned: String,
    http: reqwest::Client,
}

/// Begins to listen, until the test's runtime ends; the address.
pub(crate) async fn listen(emulator: &str, canned: &str) -> String {
    let services = Services {
        emulator: emulator.to_owned(),
        canned: canned.to_owned(),
        http: reqwest::Client::new(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = axum::extract::DefaultBodyLimit::disable();
    let router = Router::new().fallback(pass_on).layer(limit);
    let router = router.with_state(services);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn pass_on(
    State(services): State<Services>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signature = headers.get(header::AUTHORIZATION);
    let signature = signature.map_or("", |it| it.to_str().unwrap());
    let is_simulation = body.starts_with(b"Action=SimulatePrincipalPolicy&");
    let is_canned = is_simulation || CANNED.iter().any(|service| signature.contains(service));
    let to = match is_canned {
        true => &services.canned,
        false => &services.emulator,
    };
    // With the host that was signed for.
    let request = services.http.request(method, format!("{to}{uri}"));
    let answer = request.headers(headers).body(body).send().await;
    let Ok(answer) = answer else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    (status, headers, answer.bytes().await.unwrap()).into_response()
}
