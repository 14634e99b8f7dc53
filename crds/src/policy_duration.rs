//! Durations of a SealingKeyPolicy: minutes, hours, days or weeks. Not Go's syntax.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Syntax of a duration in a policy. One number of at most eight digits, so that no sum of times overflows.
const PATTERN: &str = "^(0s?|[1-9][0-9]{0,7}(m|h|d|w))$";

/// Duration in a SealingKeyPolicy: one whole number and one unit of `m`, `h`, `d` (24 hours) or `w` (7 days), such as `30d`. `0`
/// and `0s` mean no duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyDuration {
    amount: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unit {
    #[default]
    Minute,
    Hour,
    Day,
    Week,
}

/// The text is not a [`PolicyDuration`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected 0, or a whole number of at most eight digits and one unit of m, h, d or w, such as 30d")]
pub struct ParsePolicyDurationError;

impl PolicyDuration {
    /// Returns the length in seconds, 0 for no duration.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        let minutes = match self.unit {
            Unit::Minute => 1,
            Unit::Hour => 60,
            Unit::Day => 24 * 60,
            Unit::Week => 7 * 24 * 60,
        };
        i64::from(self.amount) * minutes * 60
    }
}

impl FromStr for PolicyDuration {
    type Err = ParsePolicyDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "0" | "0s") {
            return Ok(Self::default());
        }
        let (number, unit) =
            text.split_at_checked(text.len().saturating_sub(1)).ok_or(ParsePolicyDurationError)?;
        let unit = match unit {
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            "d" => Unit::Day,
            "w" => Unit::Week,
            _ => return Err(ParsePolicyDurationError),
        };
        let well_formed = number.len() <= 8
            && !number.starts_with('0')
            && number.bytes().all(|character| character.is_ascii_digit());
        let amount = number.parse().ok().filter(|_| well_formed).ok_or(ParsePolicyDurationError)?;
        Ok(Self { amount, unit })
    }
}

impl fmt::Display for PolicyDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            _ if self.amount == 0 => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
            Unit::Day => "d",
            Unit::Week => "w",
        };
        write!(formatter, "{}{unit}", self.amount)
    }
}

impl Serialize for PolicyDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PolicyDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PolicyDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 9, "pattern": PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_and_one_unit_is_a_duration() {
        let seconds = |text: &str| text.parse::<PolicyDuration>().map(PolicyDuration::as_seconds);
        for (text, expected) in
            [("0", 0), ("0s", 0), ("1m", 60), ("1h", 3_600), ("30d", 2_592_000), ("2w", 1_209_600)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        assert_eq!(seconds("99999999w"), Ok(99_999_999 * 604_800));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "m",
            "30",
            "00",
            "0h",
            "01h",
            "1s",
            "1h30m",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1H",
            "100000000m",
            "1é",
        ] {
            assert_eq!(text.parse::<PolicyDuration>(), Err(ParsePolicyDurationError), "{text:?}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        for text in ["0s", "5m", "720h", "30d", "4w"] {
            assert_eq!(
                text.parse::<PolicyDuration>().map(|duration| duration.to_string()).as_deref(),
                Ok(text)
            );
        }
    }
}
