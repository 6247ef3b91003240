//! The one way to the sites: paced, ruled, retried, limited, and never fooled by a block.
//!
//! In: an address and the kind of document expected there. Out: a [`Page`] of that kind, or an
//! [`HttpError`] with the evidence. Pace and connections are kept per host; arXiv's terms of use
//! (one request per three seconds, one connection, over all runs) hold whatever the settings say. A
//! host's robots rules are read before its first page, and a host that has blocked twice in a row is
//! left alone for a while, as is one that asks for a long pause. Nothing here knows what a paper is.

mod answer;
mod client;
mod encoding;
mod error;
mod hosts;
mod lease;
mod redirects;
mod robots;
mod settings;
mod verdict;

pub use client::Http;
pub use error::{Evidence, HttpError};
pub use hosts::CONNECTIONS_PER_HOST;
pub use lease::{Grant, LeaseError, Leases, now_ms};
pub use settings::{ExclusiveHost, HttpSettings};

/// The kind of document an address should answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// An Atom feed; also with status 400, where arXiv puts its error feed.
    Atom,
    /// A JSON object or array.
    Json,
    /// A PDF, complete.
    Pdf,
    /// A page for people that is not a challenge.
    Html,
    /// Robots rules. What is longer than the limit is cut there.
    Robots,
    /// Plain text: a bibliography.
    Text,
}

impl Expect {
    /// Bytes of a body, after decompression, above which it is refused.
    const fn limit_bytes(self) -> usize {
        match self {
            Self::Atom | Self::Html | Self::Text => 32 << 20,
            // RFC 9309, 2.5: a parsing limit of at least 500 KiB.
            Self::Robots => robotxt::BYTE_LIMIT,
            Self::Json | Self::Pdf => 96 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Atom => "an Atom feed",
            Self::Json => "JSON",
            Self::Pdf => "a PDF",
            Self::Html => "a page",
            Self::Robots => "robots rules",
            Self::Text => "plain text",
        }
    }
}

/// A document of the expected kind.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTTP status; 200 but for arXiv's error feeds.
    pub status: u16,
    /// As the server named it; empty when it did not.
    pub content_type: String,
    /// The whole body, decompressed; of a document that is text, in UTF-8 without a byte order mark.
    pub body: Vec<u8>,
}
