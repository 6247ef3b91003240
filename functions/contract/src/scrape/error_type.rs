//! What a failed call of a scraper is called.

/// The `errorType` of a failed call: the state machine decides by it whether the call is worth repeating,
/// and it stands beside the metric of failed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeErrorType {
    /// The event asks for something that is not there.
    InvalidRequest,
    /// A variable of the function is wrong.
    InvalidSettings,
    /// A step of the state machine that fits no list.
    InvalidStep,
    /// The source has no such list, or will not give it.
    SourceRefused,
    /// The source holds the function off for a while.
    SourceBlocked,
    /// The source does not answer as it should.
    SourceUnavailable,
    /// The time of the call ended before anything was done.
    OutOfTime,
    /// S3 or SQS did not do what was asked.
    StoreUnavailable,
}

impl ScrapeErrorType {
    /// Each once: what the state machine tells apart.
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::InvalidSettings,
        Self::InvalidStep,
        Self::SourceRefused,
        Self::SourceBlocked,
        Self::SourceUnavailable,
        Self::OutOfTime,
        Self::StoreUnavailable,
    ];

    /// As Lambda and Step Functions have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => crate::events::INVALID_REQUEST,
            Self::InvalidSettings => "InvalidSettings",
            Self::InvalidStep => "InvalidStep",
            Self::SourceRefused => "SourceRefused",
            Self::SourceBlocked => "SourceBlocked",
            Self::SourceUnavailable => "SourceUnavailable",
            Self::OutOfTime => "OutOfTime",
            Self::StoreUnavailable => "StoreUnavailable",
        }
    }

    /// Whether the same call meets it again: what the request, the settings or the source itself would
    /// have to say otherwise. A source that is away or holds the function off is none of them.
    pub const fn is_final(self) -> bool {
        match self {
            Self::InvalidRequest
            | Self::InvalidSettings
            | Self::InvalidStep
            | Self::SourceRefused => true,
            Self::SourceBlocked
            | Self::SourceUnavailable
            | Self::OutOfTime
            | Self::StoreUnavailable => false,
        }
    }
}
