//! A site that keeps a record of what it is asked, and a client for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annapurna_paper_sources::http::{Expect, Http, HttpError, HttpSettings};
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::Url;

use super::serve;

/// What clocks and threads may take off a distance between the client and the server.
pub const TOLERANCE: Duration = Duration::from_millis(5);

/// Requests as the server saw them.
#[derive(Clone, Default)]
pub struct Seen {
    pub arrivals: Arc<Mutex<Vec<(Instant, String)>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

/// Counts a request for as long as its handler lives, which a client's death ends.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seen {
    fn begin(&self, path: &str) -> UnderWay {
        let arrival = (Instant::now(), path.to_owned());
        self.arrivals.lock().unwrap().push(arrival);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        UnderWay(Arc::clone(&self.at_once))
    }

    pub fn count(&self, path: &str) -> usize {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.iter().filter(|(_, seen)| seen == path).count()
    }

    pub fn total(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The shortest time between two arrivals.
    pub fn shortest_distance(&self) -> Duration {
        let arrivals = self.arrivals.lock().unwrap();
        let distances = arrivals.windows(2).map(|pair| pair[1].0 - pair[0].0);
        distances.min().unwrap()
    }
}

/// A site that answers each path with what `answer` makes of it, after `pause`.
pub async fn site(
    pause: Duration,
    answer: impl Fn(&str, usize) -> Response + Clone + Send + Sync + 'static,
) -> (Url, Seen) {
    let seen = Seen::default();
    let record = seen.clone();
    let handler = move |request: Request| {
        let path = request.uri().path().to_owned();
        let n_before = record.count(&path);
        let under_way = record.begin(&path);
        let response = answer(&path, n_before);
        async move {
            tokio::time::sleep(pause).await;
            drop(under_way);
            response
        }
    };
    let address = serve(Router::new().fallback(get(handler))).await;
    (Url::parse(&address).unwrap(), seen)
}

pub fn json_page() -> Response {
    "{}".into_response()
}

pub fn client(settings: HttpSettings) -> Http {
    Http::new(settings).unwrap()
}

pub async fn json(http: &Http, site: &Url, path: &str) -> Result<Vec<u8>, HttpError> {
    let page = http.get(&site.join(path).unwrap(), Expect::Json).await?;
    Ok(page.body)
}
