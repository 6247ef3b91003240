//! Four calls of EC2 and Systems Manager, as signed requests.
//!
//! In: what [`crate::instances`] and [`crate::token`] ask. Out: of the answers what those need, or a [`Refusal`]. The SDK crates of
//! the two are absent: `aws-sdk-ec2` alone took 7.5 GB and minutes of each cold build for Lambda. XML is read by what the SDK reads it
//! with. The endpoint is the region's, or the one of the SDK's configuration.

use std::time::Duration;

use annapurna_cloud::Retry;
use annapurna_contract::text::{chain, one_line};
use annapurna_runtime::{SignatureError, Signer};
use aws_config::SdkConfig;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

/// Nothing asked here takes longer.
const LIMIT: Duration = Duration::from_secs(20);
/// As often as the SDK tries; the next look is a minute later.
const RETRY: Retry = Retry {
    attempts: 3,
    first_wait: Duration::from_millis(500),
    total: Duration::from_secs(20),
};
/// Source: EC2 API reference, "Making API requests".
const EC2_VERSION: &str = "2016-11-15";
/// What passes by itself, beside answers without a code. Source: EC2 API reference, "Error codes for the Amazon EC2 API";
/// Systems Manager API reference, "Common errors". A want of capacity passes, too, but not within seconds.
const PASSING: [&str; 7] = [
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "Unavailable",
];
/// Of a service's message, characters.
const EXCERPT: usize = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The service's own error.
    #[error("{code}: {message}")]
    Service {
        /// Such as `InsufficientInstanceCapacity`.
        code: String,
        /// In the service's words.
        message: String,
    },
    /// It did not answer, or with what cannot be read; the HTTP status or the connection's words.
    #[error("{0}")]
    Unanswered(String),
    /// Nothing was sent.
    #[error(transparent)]
    Unsent(#[from] SignatureError),
}

impl Refusal {
    /// The service's code; `None` where it was not the service that refused.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            Self::Unanswered(_) | Self::Unsent(_) => None,
        }
    }

    fn passes(&self) -> bool {
        match self {
            Self::Service { code, .. } => PASSING.contains(&code.as_str()),
            Self::Unanswered(_) => true,
            Self::Unsent(_) => false,
        }
    }
}

/// An instance as EC2 shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Such as `i-0abc…`.
    pub(crate) id: String,
    /// EC2's word, such as `running`; empty when EC2 does not say.
    pub(crate) state: String,
    /// When it was last started; `None` when EC2 does not say.
    pub(crate) launched: Option<DateTime<Utc>>,
}

/// EC2's instances.
#[derive(Debug, Clone)]
pub(crate) struct Ec2(Service);

impl Ec2 {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        Self(Service::new(sdk, "ec2"))
    }

    /// The one with this id, also one that was ended.
    pub(crate) async fn instance(&self, id: &str) -> Result<Vec<Instance>, Refusal> {
        self.describe(vec![("InstanceId.1".to_owned(), id.to_owned())])
            .await
    }

    /// Those that have one value of each filter.
    pub(crate) async fn instances(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<Instance>, Refusal> {
        let mut form = Vec::new();
        for (n, (name, values)) in (1..).zip(filters) {
            form.push((format!("Filter.{n}.Name"), name.clone()));
            let values = (1..).zip(values);
            form.extend(values.map(|(m, it)| (format!("Filter.{n}.Value.{m}"), it.clone())));
        }
        self.describe(form).await
    }

    async fn describe(&self, mut form: Vec<(String, String)>) -> Result<Vec<Instance>, Refusal> {
        let mut instances = Vec::new();
        loop {
            let answer = self.ask("DescribeInstances", &form).await?;
            let page = Page::of(&answer).map_err(|error| Refusal::Unanswered(chain(&error)))?;
            instances.extend(page.instances);
            let Some(next) = page.next_token else {
                return Ok(instances);
            };
            form.retain(|(name, _)| name != "NextToken");
            form.push(("NextToken".to_owned(), next));
        }
    }

    pub(crate) async fn start(&self, id: &str) -> Result<(), Refusal> {
        self.change("StartInstances", id).await
    }

    pub(crate) async fn stop(&self, id: &str) -> Result<(), Refusal> {
        self.change("StopInstances", id).await
    }

    /// Both changes may be asked for again: an instance that starts already is no error.
    async fn change(&self, action: &str, id: &str) -> Result<(), Refusal> {
        let id = ("InstanceId.1".to_owned(), id.to_owned());
        self.ask(action, &[id]).await.map(drop)
    }

    async fn ask(&self, action: &str, form: &[(String, String)]) -> Result<String, Refusal> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", EC2_VERSION)
            .extend_pairs(form)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.0.ask(&headers, body, error_in_xml).await
    }
}

/// Systems Manager's parameters.
#[derive(Debug, Clone)]
pub(crate) struct Parameters(Service);

impl Parameters {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        Self(Service::new(sdk, "ssm"))
    }

    /// The value of a parameter, decrypted; empty where the answer has none.
    pub(crate) async fn read(&self, name: &str) -> Result<String, Refusal> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonSSM.GetParameter"),
        ];
        let body = json!({"Name": name, "WithDecryption": true}).to_string();
        let answer = self.0.ask(&headers, body, error_in_json).await?;
        // The parser's error would show a part of what it read.
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|_| Refusal::Unanswered("the answer cannot be read".to_owned()))?;
        let value = answer["Parameter"]["Value"].as_str();
        Ok(value.unwrap_or_default().to_owned())
    }
}

/// Code and message of an error's body; `None` where it has no code.
type ErrorOf = fn(&str) -> Option<(String, String)>;

#[derive(Debug, Clone)]
struct Service {
    http: reqwest::Client,
    signer: Signer,
    endpoint: String,
}

impl Service {
    /// By the first part of its host, which is also its name in signatures.
    fn new(sdk: &SdkConfig, name: &'static str) -> Self {
        let signer = Signer::new(sdk, name);
        let endpoint = match sdk.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{name}.{}.amazonaws.com", signer.region()),
        };
        Self {
            http: reqwest::Client::new(),
            signer,
            endpoint,
        }
    }

    async fn ask(
        &self,
        headers: &[(&str, &str)],
        body: String,
        error_of: ErrorOf,
    ) -> Result<String, Refusal> {
        let once = || self.ask_once(headers, body.clone(), error_of);
        RETRY.run(Refusal::passes, once).await
    }

    async fn ask_once(
        &self,
        headers: &[(&str, &str)],
        body: String,
        error_of: ErrorOf,
    ) -> Result<String, Refusal> {
        let address = format!("{}/", self.endpoint);
        let signed = self
            .signer
            .request(&self.http, Method::POST, &address, headers, body);
        let mut request = signed.await?;
        *request.timeout_mut() = Some(LIMIT);
        let unanswered = |error: reqwest::Error| Refusal::Unanswered(chain(&error.without_url()));
        let response = self.http.execute(request).await.map_err(unanswered)?;
        let status = response.status();
        let text = response.text().await.map_err(unanswered)?;
        if status.is_success() {
            return Ok(text);
        }
        Err(match error_of(&text) {
            Some((code, message)) => Refusal::Service {
                code: one_line(&code, EXCERPT),
                message: one_line(&message, EXCERPT),
            },
            None => Refusal::Unanswered(format!("HTTP status {}", status.as_u16())),
        })
    }
}

/// Code and message of `{"__type": "com.amazon.coral.service#Code", "message": …}`.
fn error_in_json(body: &str) -> Option<(String, String)> {
    let body: Value = serde_json::from_str(body).ok()?;
    let code = body["__type"].as_str()?.rsplit('#').next()?;
    let message = body["message"].as_str().or(body["Message"].as_str());
    Some((code.to_owned(), message.unwrap_or_default().to_owned()))
}

/// Those of `<Response><Errors><Error><Code>…`.
fn error_in_xml(body: &str) -> Option<(String, String)> {
    let mut document = Document::new(body);
    let mut root = document.root_element().ok()?;
    let (mut code, mut message) = (None, String::new());
    each(&mut root, "Errors", &mut |errors| {
        each(errors, "Error", &mut |error| {
            while let Some(mut tag) = error.next_tag() {
                match tag.start_el().local() {
                    "Code" => code = Some(try_data(&mut tag)?.into_owned()),
                    "Message" => message = try_data(&mut tag)?.into_owned(),
                    _ => {}
                }
            }
            Ok(())
        })
    })
    .ok()?;
    Some((code?, message))
}

/// One answer of `DescribeInstances`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    instances: Vec<Instance>,
    next_token: Option<String>,
}

impl Page {
    fn of(xml: &str) -> Result<Self, XmlDecodeError> {
        let mut page = Self::default();
        let mut document = Document::new(xml);
        let mut root = document.root_element()?;
        while let Some(mut tag) = root.next_tag() {
            match tag.start_el().local() {
                "reservationSet" => each(&mut tag, "item", &mut |reservation| {
                    each(reservation, "instancesSet", &mut |set| {
                        each(set, "item", &mut |item| {
                            page.instances.extend(instance(item)?);
                            Ok(())
                        })
                    })
                })?,
                "nextToken" => page.next_token = Some(try_data(&mut tag)?.into_owned()),
                _ => {}
            }
        }
        page.next_token = page.next_token.filter(|it| !it.is_empty());
        Ok(page)
    }
}

/// `None` where EC2 gives no id, without which nothing can be done.
fn instance(item: &mut ScopedDecoder<'_, '_>) -> Result<Option<Instance>, XmlDecodeError> {
    let (mut id, mut state, mut launched) = (None, String::new(), None);
    while let Some(mut tag) = item.next_tag() {
        match tag.start_el().local() {
            "instanceId" => id = Some(try_data(&mut tag)?.into_owned()),
            "instanceState" => each(&mut tag, "name", &mut |name| {
                state = try_data(name)?.into_owned();
                Ok(())
            })?,
            "launchTime" => launched = DateTime::parse_from_rfc3339(&try_data(&mut tag)?).ok(),
            _ => {}
        }
    }
    Ok(id.map(|id| Instance {
        id,
        state,
        launched: launched.map(Into::into),
    }))
}

/// Has `read` look into each element of this name that is directly in `parent`.
fn each<'inp>(
    parent: &mut ScopedDecoder<'inp, '_>,
    name: &str,
    read: &mut dyn FnMut(&mut ScopedDecoder<'inp, '_>) -> Result<(), XmlDecodeError>,
) -> Result<(), XmlDecodeError> {
    while let Some(mut tag) = parent.next_tag() {
        if tag.start_el().matches(name) {
            read(&mut tag)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_instances_whatever_else_it_says() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
              <requestId>1</requestId>
              <reservationSet>
                <item>
                  <reservationId>r-1</reservationId>
                  <instancesSet>
                    <item>
                      <instanceId>i-1</instanceId>
                      <instanceState><code>16</code><name>running</name></instanceState>
                      <placement><name>of a group</name></placement>
                      <networkInterfaceSet><item><instanceId>i-9</instanceId></item></networkInterfaceSet>
                      <launchTime>2026-11-30T08:05:20.000Z</launchTime>
                    </item>
                    <item><instanceState><name>running</name></instanceState></item>
                  </instancesSet>
                </item>
                <item><instancesSet><item><instanceId>i-2</instanceId></item></instancesSet></item>
              </reservationSet>
              <nextToken>a&amp;b</nextToken>
            </DescribeInstancesResponse>"#;
        let page = Page::of(xml).unwrap();
        let launched = DateTime::parse_from_rfc3339("2026-11-30T08:05:20Z").unwrap();
        let instance = |id: &str, state: &str, launched| Instance {
            id: id.to_owned(),
            state: state.to_owned(),
            launched,
        };
        let instances = [
            instance("i-1", "running", Some(launched.into())),
            instance("i-2", "", None),
        ];
        assert_eq!(page.instances, instances);
        assert_eq!(page.next_token.as_deref(), Some("a&b"));
        let last = Page::of("<R><reservationSet/><nextToken/></R>").unwrap();
        assert_eq!(last, Page::default());
        assert!(Page::of("no XML").is_err());
    }

    #[test]
    fn an_error_is_the_services_only_with_a_code() {
        let pair = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        let xml = "<Response><Errors><Error><Code>A</Code><Message>b &lt; c</Message></Error></Errors></Response>";
        assert_eq!(error_in_xml(xml), pair("A", "b < c"));
        for none in [
            "",
            "<html><body>502</body></html>",
            "{}",
            "<Response><Errors>",
        ] {
            assert_eq!(error_in_xml(none), None, "{none}");
        }
        let json = r#"{"__type": "com.amazonaws.ssm#ParameterNotFound", "message": "why"}"#;
        assert_eq!(error_in_json(json), pair("ParameterNotFound", "why"));
        assert_eq!(error_in_json(r#"{"message": "why"}"#), None);
    }

    #[test]
    fn a_want_of_capacity_is_not_asked_for_again_within_seconds() {
        let service = |code: &str| Refusal::Service {
            code: code.to_owned(),
            message: String::new(),
        };
        assert!(service("RequestLimitExceeded").passes());
        assert!(Refusal::Unanswered("HTTP status 502".to_owned()).passes());
        for code in ["InsufficientInstanceCapacity", "UnauthorizedOperation"] {
            assert!(!service(code).passes(), "{code}");
        }
    }
}
