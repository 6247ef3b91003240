//! From when on arXiv's papers are asked for.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// From when on papers were first submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    text: String,
    moment: DateTime<Utc>,
}

impl Since {
    /// Reads a day, `2026-11-20`, or a span before `now`: `2d`, `36h`. `None` for anything else, and
    /// for a moment that is not before `now`.
    pub fn parse(text: &str, now: DateTime<Utc>) -> Option<Self> {
        let text = text.trim();
        let moment = match text.parse::<NaiveDate>() {
            Ok(day) => day.and_hms_opt(0, 0, 0)?.and_utc(),
            Err(_) => {
                let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
                let number: u32 = number.parse().ok()?;
                let span = match unit {
                    "d" => TimeDelta::try_days(i64::from(number))?,
                    "h" => TimeDelta::try_hours(i64::from(number))?,
                    _ => return None,
                };
                now.checked_sub_signed(span)?
            }
        };
        (moment < now).then(|| Self {
            text: text.to_owned(),
            moment,
        })
    }

    /// As the event has it: the same at every hour, where a span's moment is another each time.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The moment, UTC; before the `now` it was read at.
    pub fn moment(&self) -> DateTime<Utc> {
        self.moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_day_or_a_span_before_now() {
        let now = "2026-11-23T04:00:00Z".parse().unwrap();
        let moment = |text| Since::parse(text, now).map(|since| since.moment().to_rfc3339());
        assert_eq!(moment("2026-11-20").unwrap(), "2026-11-20T00:00:00+00:00");
        assert_eq!(moment("2d").unwrap(), "2026-11-21T04:00:00+00:00");
        assert_eq!(moment(" 36h").unwrap(), "2026-11-21T16:00:00+00:00");
        for bad in [
            "",
            "d",
            "0d",
            "2w",
            "-1d",
            "tomorrow",
            "2026-11-24",
            "0h",
            "9999999999d",
            "２d",
            "2é",
            "2026-13-01",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
