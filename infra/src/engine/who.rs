//! Who is at work on a stack: what an operation of ours calls itself, and reading it from the stack's events.

use aws_sdk_cloudformation::types::StackStatus;
use chrono::{DateTime, Utc};

use super::words::StackState;
use super::{Engine, status_of};
use crate::error::CommandError;
use crate::ui::safe;

/// Begins the token of every operation of this program.
const OURS: &str = "by-";
/// Longest name in a token, characters; the whole takes 128. Source: CloudFormation API reference,
/// `ClientRequestToken`.
const LONGEST_NAME: usize = 64;

impl Engine {
    /// What the next operation calls itself: who begins it, and when. CloudFormation keeps it with every event,
    /// and takes a request that is repeated with it for the same one.
    ///
    /// # Errors
    ///
    /// When STS cannot be asked whose the credentials are.
    pub(crate) async fn token(&self) -> Result<String, CommandError> {
        let identity = self.sts.get_caller_identity().send().await;
        let identity = identity.map_err(CommandError::aws("learn whose the credentials are"))?;
        let arn = identity.arn();
        let arn =
            arn.ok_or_else(|| CommandError::lacks("learn whose the credentials are", "ARN"))?;
        Ok(token(arn, Utc::now()))
    }

    /// Who began what is under way, and when, as far as the stack's events say it.
    ///
    /// # Errors
    ///
    /// When CloudFormation cannot be asked.
    pub(super) async fn who(&self) -> Result<String, CommandError> {
        let (events, _) = self.event_page(None).await?;
        // Every event of an operation has its token; the first of a long one is on a later page.
        let newest = events.first().and_then(|it| it.token.as_deref());
        let begin = events.iter().find(|event| event.begins(&self.stack));
        Ok(who(newest, begin.and_then(|it| it.at)))
    }

    /// The error of one who comes second: who changes the stack, or has changed it. Where that cannot be learned, or
    /// nothing is under way and `is_ended` does not say that an execution ended what we had, it is `else_error`.
    pub(super) async fn busy_or(&self, is_ended: bool, else_error: CommandError) -> CommandError {
        let busy = async {
            let description = self.describe().await?;
            let status = description.as_ref().map(status_of).transpose()?;
            let theirs = |it: &StackStatus| is_ended || StackState::of(it) == StackState::UnderWay;
            match status.filter(theirs) {
                None => Ok(None),
                Some(status) => Ok(Some(CommandError::Busy {
                    stack: self.stack.clone(),
                    status: status.as_str().to_owned(),
                    who: self.who().await?,
                })),
            }
        };
        let busy: Result<Option<CommandError>, CommandError> = busy.await;
        busy.ok().flatten().unwrap_or(else_error)
    }
}

/// The token of an operation that the owner of `arn` begins: letters, digits and hyphens.
fn token(arn: &str, now: DateTime<Utc>) -> String {
    let name = arn.rsplit(['/', ':']).next().unwrap_or(arn);
    let name: String = name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .take(LONGEST_NAME)
        .collect();
    format!("{OURS}{name}-{}", now.format("%Y%m%dT%H%M%S%3f"))
}

/// Who began an operation that calls itself this.
pub(crate) fn by_whom(token: &str) -> String {
    who(Some(token), None)
}

/// Who began an operation that calls itself this, and when.
fn who(token: Option<&str>, at: Option<DateTime<Utc>>) -> String {
    let ours = |token: &str| {
        let (name, _) = token.strip_prefix(OURS)?.rsplit_once('-')?;
        Some(format!("by {name}"))
    };
    let by = match token {
        None => "by somebody".to_owned(),
        Some(token) => ours(token).unwrap_or_else(|| format!("by another tool ({})", safe(token))),
    };
    match at {
        Some(at) => format!("{by} at {} UTC", at.format("%H:%M")),
        None => by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(token: Option<&str>) -> String {
        who(token, DateTime::from_timestamp(1_700_000_000, 0))
    }

    #[test]
    fn an_operation_says_who_began_it() {
        let now = Utc::now();
        for (arn, name) in [
            (
                "arn:aws:sts::1:assumed-role/Admin/alice@example.org",
                "alice-example-org",
            ),
            ("arn:aws:iam::1:user/team/bob", "bob"),
            ("arn:aws:iam::1:root", "root"),
        ] {
            let token = token(arn, now);
            let allowed = |it: char| it.is_ascii_alphanumeric() || it == '-';
            assert!(token.chars().all(allowed), "{token}");
            assert_eq!(told(Some(&token)), format!("by {name} at 22:13 UTC"));
        }
        assert!(token(&"x".repeat(1_000), now).len() <= 128);
        assert_eq!(told(None), "by somebody at 22:13 UTC");
        assert_eq!(by_whom("by-bob-1"), "by bob");
        let other = told(Some("Console-UpdateStack-1"));
        assert_eq!(
            other,
            "by another tool (Console-UpdateStack-1) at 22:13 UTC"
        );
    }
}
