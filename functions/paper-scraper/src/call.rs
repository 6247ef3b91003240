//! One call of the function, read once.

use annapurna_contract::events::{self, ScraperEvent};
use annapurna_contract::scrape::ScrapeStep;
use annapurna_contract::text::excerpt;
use serde_json::Value;

use crate::error::RunError;
use crate::request::RequestError;

/// What a call asks for.
#[derive(Debug)]
pub enum Invocation {
    /// A step of the state machine `ScrapeConference`.
    Step(Box<ScrapeStep>),
    /// What a user or a schedule asks for.
    Scrape(ScraperEvent),
}

/// A call as it arrived: read, or why it cannot be.
#[derive(Debug)]
pub struct Call {
    /// The source it names, as it is written there; for the metrics, also of a call that cannot be read.
    pub(crate) source: Option<String>,
    pub(crate) invocation: Result<Invocation, RunError>,
    /// The request's id, which Lambda gives and every retry of an asynchronous call keeps.
    pub(crate) request_id: String,
}

impl Call {
    /// Reads the payload of the invocation with this request id.
    pub fn read(payload: Value, request_id: impl Into<String>) -> Self {
        Self {
            request_id: request_id.into(),
            source: source_named_in(&payload),
            invocation: invocation(payload),
        }
    }

    /// Characters of an error that its caller is told. A conference's topics fit; a window's is kept by
    /// the state machine together with those of all others.
    pub fn error_characters(&self) -> usize {
        match &self.invocation {
            Ok(Invocation::Step(step)) if matches!(**step, ScrapeStep::Window { .. }) => 400,
            _ => 4000,
        }
    }
}

fn source_named_in(payload: &Value) -> Option<String> {
    let places = ["/CONFERENCE", "/request/CONFERENCE", "/window/source"];
    let named = places
        .iter()
        .find_map(|place| payload.pointer(place)?.as_str());
    named.map(str::to_owned)
}

fn invocation(payload: Value) -> Result<Invocation, RunError> {
    let shape = |what: String| RunError::Request(RequestError::Shape(what));
    match &payload {
        // An invocation without a payload arrives as null.
        Value::Null => Ok(Invocation::Scrape(ScraperEvent::default())),
        Value::Object(fields) if fields.contains_key("step") => events::read(payload)
            .map(|step| Invocation::Step(Box::new(step)))
            .map_err(|error| RunError::Step(excerpt(error.to_string().as_bytes(), 400))),
        Value::Object(_) => events::read(payload)
            .map(Invocation::Scrape)
            .map_err(|error| shape(excerpt(error.to_string().as_bytes(), 400))),
        other => {
            let got = excerpt(other.to_string().as_bytes(), 60);
            Err(shape(format!("expected an object, got `{got}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(payload: Value) -> String {
        Call::read(payload, "r").invocation.unwrap_err().to_string()
    }

    #[test]
    fn no_payload_is_an_event_that_says_nothing() {
        let call = Call::read(Value::Null, "r");
        assert_eq!(call.source, None);
        let Ok(Invocation::Scrape(event)) = call.invocation else {
            panic!("{call:?}");
        };
        assert_eq!(event, ScraperEvent::default());
    }

    #[test]
    fn a_payload_of_another_shape_is_told_as_it_is() {
        let shape = "the event is not one of a scraper: ";
        assert_eq!(
            error(json!([1])),
            format!("{shape}expected an object, got `[1]`")
        );
        assert!(error(json!({"MAX_PAPERS": "many"})).contains("got `many`"));
        assert!(error(json!({"step": "dance"})).contains("unknown variant `dance`"));
        let misspelt = json!({"CONFERENCE": "ICML", "MAX_PAPER": 5});
        let nearest = "; the nearest is `MAX_PAPERS`";
        assert!(error(misspelt.clone()).ends_with(nearest));
        assert!(error(json!({"step": "list", "request": misspelt})).ends_with(nearest));
        assert!(error(json!({"m".repeat(9000): 5})).len() < 2000);
    }

    #[test]
    fn a_call_that_cannot_be_read_still_counts_for_its_source() {
        let call = Call::read(json!({"CONFERENCE": "ICML", "MAX_PAPERS": "many"}), "r");
        assert!(call.invocation.is_err());
        assert_eq!(call.source.as_deref(), Some("ICML"));
        let step = json!({"step": "list", "request": {"CONFERENCE": "MLSYS"}});
        assert_eq!(Call::read(step, "r").source.as_deref(), Some("MLSYS"));
    }
}
