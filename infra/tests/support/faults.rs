//! A proxy before the emulator that does to chosen requests what networks, clouds and tokens do.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a failed step fails the test; each test uses its part"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The account sends too many.
    Throttled,
    /// The service fails.
    Internal,
    /// The session is over.
    ExpiredToken,
    /// The connection is cut before the service hears of it.
    CutBefore,
    /// The service does it, and the connection is cut before it says so.
    CutAfter,
    /// This answer, with this status, in the place of the service's.
    Canned(u16, String),
    /// Nothing is answered for as long as the test lives.
    Silence,
}

impl Fault {
    /// An answer of CloudFormation's query protocol to `action`, in the place of the service's.
    pub fn xml(action: &str, result: &str) -> Self {
        let result = format!("<{action}Result>{result}</{action}Result>");
        Self::Canned(
            200,
            format!("<{action}Response>{result}</{action}Response>"),
        )
    }

    /// A stack that stands so, in the place of what `DescribeStacks` would show.
    pub fn stack(name: &str, id: &str, status: &str) -> Self {
        let stack = format!(
            "<Stacks><member><StackId>{id}</StackId><StackName>{name}</StackName>\
             <StackStatus>{status}</StackStatus></member></Stacks>"
        );
        Self::xml("DescribeStacks", &stack)
    }

    /// One event of a stack, in the place of its own.
    pub fn event(resource: &str, status: &str, reason: &str) -> Self {
        let event = format!(
            "<StackEvents><member><EventId>9</EventId><LogicalResourceId>{resource}</LogicalResourceId>\
             <ResourceStatus>{status}</ResourceStatus>\
             <ResourceStatusReason>{reason}</ResourceStatusReason></member></StackEvents>"
        );
        Self::xml("DescribeStackEvents", &event)
    }

    /// The credentials may not do it, as EC2 says that.
    pub fn denied_by_ec2() -> Self {
        let error = "<Code>UnauthorizedOperation</Code><Message>You are not authorized</Message>";
        let errors = format!("<Errors><Error>{error}</Error></Errors>");
        Self::Canned(
            403,
            format!("<Response>{errors}<RequestID>1</RequestID></Response>"),
        )
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `DescribeStacks`, or method and path where there is no such name.
    pub action: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// The value of a field of a form, as it came.
    pub fn field(&self, name: &str) -> Option<String> {
        form_field(&self.body, name)
    }
}

struct Planned {
    action: String,
    after: usize,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct Plan {
    faults: Vec<Planned>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Forwarding {
    target: String,
    client: reqwest::Client,
    plan: Arc<Mutex<Plan>>,
}

/// The proxy, for as long as the test's runtime lives.
pub struct Faults {
    pub url: String,
    plan: Arc<Mutex<Plan>>,
}

impl Faults {
    /// Stands before `target`, an address without a path.
    pub async fn before(target: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(Plan::default()));
        let forwarding = Forwarding {
            target: target.to_owned(),
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            plan: Arc::clone(&plan),
        };
        let router = Router::new().fallback(pass).with_state(forwarding);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, plan }
    }

    /// The next `times` requests of this action meet this fault. A later plan of one action follows the earlier.
    /// `DescribeStacks NAME` is meant for one stack; a part of its id, as a form writes it, is a name too.
    pub fn next(&self, action: &str, times: usize, fault: Fault) {
        self.after(action, 0, times, fault);
    }

    /// As [`Self::next`], when `after` requests of this action have passed.
    pub fn after(&self, action: &str, after: usize, times: usize, fault: Fault) {
        self.plan.lock().unwrap().faults.push(Planned {
            action: action.to_owned(),
            after,
            times,
            fault,
        });
    }

    /// What was planned is no longer.
    pub fn clear(&self) {
        self.plan.lock().unwrap().faults.clear();
    }

    /// Everything that came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.plan.lock().unwrap().seen.clone()
    }

    /// Those of one action.
    pub fn seen_of(&self, action: &str) -> Vec<Seen> {
        let seen = self.seen();
        seen.into_iter().filter(|it| it.action == action).collect()
    }

    /// Waits until one of this action has come.
    pub async fn seen_once(&self, action: &str) {
        let begin = Instant::now();
        while self.count(action) == 0 {
            let limit = Duration::from_secs(300);
            assert!(begin.elapsed() < limit, "{action} does not come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often a stack was asked for by its name.
    pub fn n_looks(&self, stack: &str) -> usize {
        let asked = self.seen_of("DescribeStacks").into_iter();
        let named = asked.filter(|it| it.field("StackName").as_deref() == Some(stack));
        named.count()
    }

    /// How many of one action came.
    pub fn count(&self, action: &str) -> usize {
        self.seen_of(action).len()
    }
}

impl Plan {
    fn fault_for(&mut self, action: &str, stack: Option<&str>) -> Option<Fault> {
        let mine = |it: &&mut Planned| {
            let is_meant = match (it.action.split_once(' '), stack) {
                (Some((named, of)), Some(stack)) if named == action => {
                    stack == of || (of.contains('%') && stack.contains(of))
                }
                _ => it.action == action,
            };
            is_meant && it.times > 0
        };
        let planned = self.faults.iter_mut().find(mine)?;
        if planned.after > 0 {
            planned.after -= 1;
            return None;
        }
        planned.times -= 1;
        Some(planned.fault.clone())
    }
}

async fn pass(State(proxy): State<Forwarding>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let action = action_of(&head.method, &head.uri, &head.headers, &body);
    let fault = {
        let mut plan = proxy.plan.lock().unwrap();
        plan.seen.push(Seen {
            action: action.clone(),
            headers: head.headers.clone(),
            body: body.clone(),
        });
        plan.fault_for(&action, form_field(&body, "StackName").as_deref())
    };
    // The service goes on with what it has heard when the client is gone.
    let forward = async || {
        let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
        let forwarded = forward(proxy.clone(), method, uri, headers, body.clone());
        tokio::spawn(forwarded).await.unwrap()
    };
    match fault {
        None => forward().await,
        Some(Fault::Throttled) => refused(400, "Throttling", "Rate exceeded"),
        Some(Fault::Internal) => refused(500, "InternalFailure", "it failed"),
        Some(Fault::ExpiredToken) => refused(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
        Some(Fault::CutBefore) => cut(),
        Some(Fault::CutAfter) => {
            forward().await;
            cut()
        }
        Some(Fault::Canned(status, text)) => answer(status, text),
        Some(Fault::Silence) => std::future::pending().await,
    }
}

async fn forward(
    proxy: Forwarding,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = proxy
        .client
        .request(method, format!("{}{uri}", proxy.target))
        .headers(headers)
        .body(body);
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    for (name, value) in &headers {
        // How the bytes travel is between each two.
        if !["transfer-encoding", "connection"].contains(&name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Half an answer, and no more.
fn cut() -> Response {
    let end = std::io::Error::other("cut");
    let parts = [Ok(Bytes::from_static(b"<")), Err(end)];
    Body::from_stream(futures::stream::iter(parts)).into_response()
}

/// An error as services with XML say it.
fn refused(status: u16, code: &str, message: &str) -> Response {
    answer(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        ),
    )
}

fn answer(status: u16, text: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "text/xml")], text).into_response()
}

fn action_of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> String {
    if let Some(target) = headers.get("x-amz-target") {
        let target = target.to_str().unwrap();
        return target.rsplit('.').next().unwrap().to_owned();
    }
    form_field(body, "Action").unwrap_or_else(|| format!("{method} {}", uri.path()))
}

fn form_field(body: &Bytes, name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut fields = text.split('&').filter_map(|it| it.split_once('='));
    fields.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
}
