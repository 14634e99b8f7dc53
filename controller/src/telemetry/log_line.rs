//! Log lines in upstream's two formats, those of Go's slog: `time=… level=… msg=…`, and JSON with the same names.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLine {
    /// `time=2026-01-02T15:04:05.678Z level=INFO msg="two words" name=db`.
    Text,
    /// One JSON object.
    Json,
}

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = clock::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        writeln!(writer, "{}", self.line(&time, &event.metadata().level().to_string(), fields))
    }
}

impl LogLine {
    fn line(self, time: &str, level: &str, fields: Fields) -> String {
        let Fields { message, others } = fields;
        let beginning = [("time", time.into()), ("level", level.into()), ("msg", message.into())];
        let all =
            beginning.map(|(name, value): (&str, Value)| (name.to_owned(), value)).into_iter().chain(others);
        match self {
            Self::Text => {
                all.map(|(name, value)| format!("{name}={}", text(&value))).collect::<Vec<_>>().join(" ")
            }
            Self::Json => Value::Object(all.collect::<Map<_, _>>()).to_string(),
        }
    }
}

/// Formats a value, quoted if it would otherwise be ambiguous.
fn text(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = |character: char| {
        character.is_alphanumeric() || (character.is_ascii_graphic() && !"\"=\\".contains(character))
    };
    if !text.is_empty() && text.chars().all(plain) { text.clone() } else { value.to_string() }
}

/// The message and the fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn note(&mut self, field: &Field, value: Value) {
        self.others.push((field.name().to_owned(), value));
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        if field.name() == "message" { self.message = text } else { self.note(field, text.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let others = [("name", "db".into()), ("keys", 2.into()), ("why", "two \"words\"\n".into())];
        let others = others.map(|(name, value): (&str, Value)| (name.to_owned(), value)).into();
        Fields { message: "key ring changed".to_owned(), others }
    }

    #[test]
    fn a_text_line_is_one_that_slog_would_write() {
        let line = LogLine::Text.line("2026-01-02T15:04:05.678Z", "INFO", fields());
        let expected = r#"time=2026-01-02T15:04:05.678Z level=INFO msg="key ring changed" name=db keys=2 why="two \"words\"\n""#;
        assert_eq!(line, expected);
    }

    #[test]
    fn a_json_line_has_the_same_names() {
        let line: Value = serde_json::from_str(&LogLine::Json.line("t", "WARN", fields())).unwrap();
        let expected = serde_json::json!({
            "time": "t", "level": "WARN", "msg": "key ring changed", "name": "db", "keys": 2, "why": "two \"words\"\n"
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn ambiguous_values_are_quoted() {
        let quoted = ["", "a b", "a=b", "a\"b", "a\nb"].map(|value| text(&value.into()).starts_with('"'));
        assert_eq!(quoted, [true; 5]);
        assert_eq!(text(&"shop/db-1.x:2".into()), "shop/db-1.x:2");
    }
}
