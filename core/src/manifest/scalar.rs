//! Type resolution of scalars in YAML 1.1 readers, mainly Go's: kubectl, upstream's kubeseal, Argo CD and Flux.

/// Type to which Go's reader resolves an unquoted scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved {
    /// A string.
    Text,
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
}

/// Resolves an unquoted scalar as Go's reader does.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Resolved::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => number(text),
    }
}

fn number(text: &str) -> Resolved {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Resolved::Text;
    }
    let digits = text.replace('_', "");
    if let Some(whole) = whole_number(&digits) {
        return Resolved::Int(whole);
    }
    match digits.parse::<f64>() {
        Ok(value) if is_decimal(&digits) && value.is_finite() => Resolved::Float(value),
        _ => Resolved::Text,
    }
}

/// Parses integers like Go's `ParseInt` with base 0: prefixes 0x, 0o, 0b, and a leading 0 for octal. 64 bits, the highest only
/// without a sign.
fn whole_number(digits: &str) -> Option<i128> {
    let (negative, unsigned) = match digits.strip_prefix(['+', '-']) {
        Some(rest) => (digits.starts_with('-'), rest),
        None => (false, digits),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let size = i128::from_str_radix(body, radix).ok()?;
    let value = if negative { -size } else { size };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// Returns true for YAML floats: sign, digits with at most one point, exponent. Excludes Rust's `inf`.
fn is_decimal(digits: &str) -> bool {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let some = !whole.is_empty() || !fraction.is_empty();
    some && !exponent.is_empty() && all_digits(whole) && all_digits(fraction) && all_digits(exponent)
}

/// Returns the text that Go's reader stores in a field of type string for this unquoted scalar.
pub(super) fn go_text(text: &str) -> String {
    match resolve(text) {
        Resolved::Text => text.to_owned(),
        Resolved::Null => String::new(),
        Resolved::Bool(value) => value.to_string(),
        Resolved::Int(value) => value.to_string(),
        Resolved::Float(value) => go_float(value),
    }
}

/// Formats a float as Go stores it in a string field: the shortest form for 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "Go's reader rounds to 32 bits here")]
fn go_float(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Returns true if some YAML 1.1 reader takes this text, unquoted, for another type, as a value or as a key.
pub(super) fn wants_quotes(text: &str) -> bool {
    resolve(text) != Resolved::Text || matches!(text, "=" | "<<") || is_sexagesimal(text) || is_date(text)
}

/// `12:30:45`, a base-60 number in YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
    };
    unsigned.contains(':')
        && unsigned.starts_with(|first: char| first.is_ascii_digit())
        && unsigned.split(':').all(digits)
}

/// `2024-01-01`, with or without a time: a timestamp in YAML 1.1.
fn is_date(text: &str) -> bool {
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let number = |part: &&str, lengths: &[usize]| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    matches!(parts.as_slice(), [year, month, day]
        if number(year, &[4]) && number(month, &[1, 2]) && number(day, &[1, 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed by upstream v0.40.0 as unquoted scalars in `stringData`, and decrypted again.
    const SEEN_IN_UPSTREAM: [(&str, &str); 58] = [
        ("5432", "5432"),
        ("y", "true"),
        ("Y", "true"),
        ("yes", "true"),
        ("012", "10"),
        ("1e3", "1000"),
        ("0x1f", "31"),
        ("1_000", "1000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("~", ""),
        ("null", ""),
        (".5", "0.5"),
        ("=", "="),
        ("True", "true"),
        ("08", "8"),
        ("0o17", "15"),
        ("1.0", "1"),
        ("1.5", "1.5"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744e+19"),
        ("-0", "0"),
        ("+1", "1"),
        (".inf", "+Inf"),
        (".nan", "NaN"),
        ("1e400", "1e400"),
        ("1.", "1"),
        ("-9223372036854775809", "-9.223372e+18"),
        ("12345678.9", "1.2345679e+07"),
        ("1e21", "1e+21"),
        ("0b11", "3"),
        ("12e03", "12000"),
        ("-.5", "-0.5"),
        ("1e-7", "1e-07"),
        ("0777", "511"),
        ("-012", "-10"),
        ("1__0", "10"),
        ("0x", "0x"),
        ("_1", "_1"),
        (".", "."),
        ("+", "+"),
        ("1e", "1e"),
        ("3.141592653589793", "3.1415927"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-0b11", "-3"),
        ("0b", "0b"),
        ("tRUE", "tRUE"),
        ("0.10", "0.1"),
        ("00", "0"),
        ("+.5", "0.5"),
        ("0x_1f", "31"),
        ("1E3", "1000"),
        (".1e1", "1"),
        ("-.inf", "-Inf"),
        ("<<", "<<"),
        ("0X1F", "31"),
        ("123456.789e3", "1.2345679e+08"),
    ];

    #[test]
    fn scalars_read_as_upstream_reads_them() {
        for (written, seen) in SEEN_IN_UPSTREAM {
            assert_eq!(go_text(written), seen, "{written}");
        }
    }

    #[test]
    fn words_that_yaml_1_1_resolves_need_quotes() {
        for word in [
            "y",
            "on",
            "No",
            "012",
            "1e3",
            "0x1f",
            "1_000",
            "12:30:45",
            "2024-01-01",
            "~",
            "null",
            ".5",
            "=",
            "<<",
            "",
        ] {
            assert!(wants_quotes(word), "{word}");
        }
        for word in ["db", "a:b", "1a", "x-y", "v1", "::", "10.0.0.1", "2024-01"] {
            assert!(!wants_quotes(word), "{word}");
        }
    }
}
