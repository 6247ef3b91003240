//! Users of the programs where the agent is root: numbers that nobody else has, one a slot.
//!
//! The kernel counts processes by user and lets a user signal and debug its own, so a program shares its user
//! with nothing: no other slot, agent, service or person. How a number is claimed is in `annapurna_users`.

use std::fmt;

use annapurna_users::{ClaimError, ClaimedUser, Claims, UserRange};
use nix::unistd::{Gid, Uid};

/// A user that programs of one slot run as, and the group of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramUser(pub(crate) u32);

impl ProgramUser {
    pub(crate) fn uid(self) -> Uid {
        Uid::from_raw(self.0)
    }

    pub(crate) fn gid(self) -> Gid {
        Gid::from_raw(self.0)
    }
}

/// Why the programs have no users of their own.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("{0}, and every slot needs its own: set AGENT_RUN_AS to a larger range")]
    Exhausted(ClaimError),
    #[error(transparent)]
    Locks(ClaimError),
}

impl From<ClaimError> for UsersError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Exhausted { .. } => Self::Exhausted(error),
            ClaimError::Locks { .. } => Self::Locks(error),
        }
    }
}

/// The users of an agent's slots, held until this is dropped or the agent ends in any way.
#[derive(Debug, Default)]
pub struct ProgramUsers {
    claimed: Vec<ClaimedUser>,
}

impl ProgramUsers {
    /// `count` users for as many slots; none where the agent is not root and could not become them.
    ///
    /// # Errors
    ///
    /// [`UsersError`].
    pub fn claim(range: UserRange, count: usize) -> Result<Self, UsersError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::default());
        }
        Self::claim_of(&Claims::of_this_machine(), range, count)
    }

    fn claim_of(claims: &Claims, range: UserRange, count: usize) -> Result<Self, UsersError> {
        // From anywhere in the range, so that a program does not soon get the number of another that has left
        // something behind.
        let claimed = claims.claim(range, count, fastrand::u32(..))?;
        Ok(Self { claimed })
    }

    /// The user of a slot; `None` where programs run as the agent's own.
    pub(crate) fn of_slot(&self, slot: usize) -> Option<ProgramUser> {
        let claimed = self.claimed.get(slot);
        claimed.map(|user| ProgramUser(user.number()))
    }

    /// Whether programs have users of their own.
    pub(crate) fn are_claimed(&self) -> bool {
        !self.claimed.is_empty()
    }
}

impl fmt::Display for ProgramUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.are_claimed() {
            return f.write_str("the agent's own");
        }
        let numbers: Vec<String> = self
            .claimed
            .iter()
            .map(|user| user.number().to_string())
            .collect();
        f.write_str(&numbers.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_finds_none_free_says_which_setting_to_change() {
        let locks = tempfile::tempdir().unwrap();
        let claims = Claims::below(locks.path());
        let range = UserRange::new(60_010, 60_013);
        let claim = |count| ProgramUsers::claim_of(&claims, range, count);
        let one = claim(2).unwrap();
        let other = claim(2).unwrap();
        assert_ne!(one.of_slot(0), other.of_slot(0));
        let error = claim(1).unwrap_err().to_string();
        assert!(
            error.contains("60010-60013") && error.contains("AGENT_RUN_AS"),
            "{error}"
        );
    }
}
