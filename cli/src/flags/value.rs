//! Validation of values, with Go's error messages.

use std::num::IntErrorKind;

use sealed_secrets_core::go::parse_bool;
use sealed_secrets_crds::Scope;

use super::Kind;

/// Splits a text into values, or returns the reason why the flag does not accept it.
pub(super) fn check(kind: Kind, text: &str) -> Result<Vec<String>, String> {
    let one = || vec![text.to_owned()];
    match kind {
        Kind::Text | Kind::Repeated => Ok(one()),
        Kind::List => list(text),
        Kind::Bool | Kind::LogBool if parse_bool(text).is_some() => Ok(one()),
        Kind::Bool => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
        Kind::Scope if text.parse::<Scope>().is_ok() => Ok(one()),
        Kind::Scope => Err("must be one of: strict, namespace-wide, cluster-wide".to_owned()),
        Kind::LogSize => size(text).map(|()| one()).map_err(str::to_owned),
        Kind::LogBool => Err("parse error".to_owned()),
        Kind::LogSeverity if is_severity(text) => Ok(one()),
        Kind::LogLevel | Kind::LogSeverity => {
            level(text).map(|()| one()).map_err(|why| format!("strconv.ParseInt: parsing {text:?}: {why}"))
        }
        Kind::LogModules if text.split(',').all(is_module) => Ok(one()),
        Kind::LogModules => Err("syntax error: expect comma-separated list of filename=N".to_owned()),
        Kind::LogPlace => place(text).map(|()| one()),
    }
}

/// Returns `true` for the spellings of true; `false` for anything else.
pub(super) fn is_true(text: &str) -> bool {
    parse_bool(text) == Some(true)
}

fn is_severity(text: &str) -> bool {
    ["INFO", "WARNING", "ERROR", "FATAL"].contains(&text.to_ascii_uppercase().as_str())
}

fn level(text: &str) -> Result<(), &'static str> {
    match text.parse::<i32>().map_err(|error| *error.kind()) {
        Ok(_) => Ok(()),
        Err(IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => Err("value out of range"),
        Err(_) => Err("invalid syntax"),
    }
}

/// Checks an unsigned integer of Go: decimal or with the prefix of another base, with underscores between digits.
fn size(text: &str) -> Result<(), &'static str> {
    let lower = text.to_ascii_lowercase().replace('_', "");
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)),
        [b'0', b'b', ..] => (2, lower.get(2..)),
        [b'0', b'o', ..] => (8, lower.get(2..)),
        [b'0', _, ..] => (8, lower.get(1..)),
        [b'+', ..] => return Err("parse error"),
        _ => (10, Some(lower.as_str())),
    };
    match u64::from_str_radix(digits.unwrap_or_default(), radix).map_err(|error| *error.kind()) {
        Ok(_) => Ok(()),
        Err(IntErrorKind::PosOverflow) => Err("value out of range"),
        Err(_) => Err("parse error"),
    }
}

fn is_module(pattern: &str) -> bool {
    pattern.is_empty()
        || pattern
            .split_once('=')
            .is_some_and(|(name, level)| !name.is_empty() && level.parse::<i32>().is_ok())
}

fn place(text: &str) -> Result<(), String> {
    let expected = || "syntax error: expect file.go:234".to_owned();
    if text.is_empty() {
        return Ok(());
    }
    let (file, line) = text.split_once(':').ok_or_else(expected)?;
    if !file.contains('.') {
        return Err(expected());
    }
    match line.parse::<i64>() {
        Ok(line) if line > 0 => Ok(()),
        Ok(_) => Err("negative or zero value for level".to_owned()),
        Err(_) => Err(expected()),
    }
}

/// Splits one line of comma-separated values (RFC 4180): a quoted field may hold commas and doubled quotes.
///
/// # Errors
/// When a quote is misplaced.
pub(crate) fn list(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)
                .map_err(|at| parse_error(start + 1 + at, "extraneous or missing \" in quoted-field"))?,
            None => plain_field(rest).map_err(|at| parse_error(start + at, "bare \" in non-quoted-field"))?,
        };
        fields.push(field);
        rest = after;
    }
    if text.ends_with(',') {
        fields.push(String::new());
    }
    Ok(fields)
}

fn parse_error(at: usize, what: &str) -> String {
    format!("parse error on line 1, column {}: {what}", at + 1)
}

/// Splits off an unquoted field; the error is the position of a stray quote.
fn plain_field(text: &str) -> Result<(String, &str), usize> {
    let (field, after) = text.split_once(',').unwrap_or((text, ""));
    field.find('"').map_or_else(|| Ok((field.to_owned(), after)), Err)
}

/// Splits off a quoted field, after its opening quote; the error is the position of the fault.
fn quoted_field(text: &str) -> Result<(String, &str), usize> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (piece, after) = rest.split_once('"').ok_or(text.len())?;
        field.push_str(piece);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None if after.is_empty() => return Ok((field, "")),
            None => {
                let quote = text.len() - after.len() - 1;
                return after.strip_prefix(',').map(|after| (field, after)).ok_or(quote);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_as_comma_separated_values() {
        assert_eq!(list("a,b").unwrap(), ["a", "b"]);
        assert_eq!(list("\"a,\"\"b\",c").unwrap(), ["a,\"b", "c"]);
        assert_eq!(list("a,").unwrap(), ["a", ""]);
        assert!(list("").unwrap().is_empty());
    }

    /// Seen in upstream.
    #[test]
    fn an_error_in_a_list_names_its_column() {
        let bare = |column: usize| Some(parse_error(column - 1, "bare \" in non-quoted-field"));
        let stray = |column: usize| Some(parse_error(column - 1, "extraneous or missing \" in quoted-field"));
        for (text, error) in [
            ("a\"b", bare(2)),
            ("é\"", bare(3)),
            ("a,b\"", bare(4)),
            ("\"a", stray(3)),
            ("x,\"a", stray(5)),
            ("\"", stray(2)),
            ("\"a\"b", stray(3)),
            ("x,\"a\"b", stray(5)),
            ("a,\"b\"\"", stray(7)),
        ] {
            assert_eq!(list(text).err(), error, "{text}");
        }
    }

    /// Seen in upstream.
    #[test]
    fn sizes_and_levels_are_read_as_go_reads_them() {
        for size in ["1800", "0x10", "0b11", "0o17", "017", "1_000"] {
            assert!(check(Kind::LogSize, size).is_ok(), "{size}");
        }
        for (size, why) in
            [("+5", "parse error"), ("1e3", "parse error"), ("18446744073709551616", "value out of range")]
        {
            assert_eq!(check(Kind::LogSize, size), Err(why.to_owned()));
        }
        let out_of_range = "strconv.ParseInt: parsing \"2147483648\": value out of range";
        assert_eq!(check(Kind::LogLevel, "2147483648"), Err(out_of_range.to_owned()));
    }
}
