//! Why an instance that is needed does not start, as the tester leaves it for `infra status`.

use serde::{Deserialize, Serialize};

/// A start that EC2 refused at the last look, one entry of [`crate::keys::REFUSED_STARTS`]. It is tried again at every
/// look, and goes when the instance starts or is needed no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStart {
    /// Such as `i-0123456789abcdef0`.
    pub instance_id: String,
    /// EC2's code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// EC2's words, one line.
    pub reason: String,
    /// RFC 3339 UTC time of the first refusal of this row of them.
    pub since: String,
    /// RFC 3339 UTC time of the last one.
    pub last: String,
}

impl RefusedStart {
    /// This refusal with the beginning of the row that it goes on, if `before` has one of the same instance.
    #[must_use]
    pub fn following(mut self, before: &[Self]) -> Self {
        let same = before.iter().find(|it| it.instance_id == self.instance_id);
        if let Some(earlier) = same {
            self.since.clone_from(&earlier.since);
        }
        self
    }
}
