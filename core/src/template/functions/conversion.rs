//! Conversions between types, after Go's `spf13/cast` and `strconv`.

use crate::template::context::{Args, Cx, short};
use crate::template::error::Outcome;
use crate::template::format::sprint;
use crate::template::syntax::number::{int_to_float, parse_float, parse_int, uint_to_float};
use crate::template::value::{Bytes, IntType, ListType, Value};

/// Formats a value with `%v`.
pub(crate) fn to_text(cx: &mut Cx, value: &Value) -> Outcome<Bytes> {
    if let Value::Text(text) = value {
        cx.step(1)?;
        return Ok(text.clone());
    }
    let printed = sprint(cx, std::slice::from_ref(value))?;
    cx.bytes(printed.into_bytes())
}

/// `cast.ToInt64`: values that cannot be converted become 0.
pub(super) fn to_int(cx: &mut Cx, value: &Value) -> Outcome<i64> {
    pay_to_parse(cx, value)?;
    Ok(match value {
        Value::Int(value, of) if *of != IntType::Duration => *value,
        Value::Uint(value, _) => i64::from_ne_bytes(value.to_ne_bytes()),
        Value::Float(value) => truncate(*value),
        Value::Text(text) => {
            str::from_utf8(text).ok().and_then(|text| parse_int(without_zero_decimals(text))).unwrap_or(0)
        }
        Value::Bool(value) => i64::from(*value),
        _ => 0,
    })
}

/// Charges for parsing a number that may be a string.
fn pay_to_parse(cx: &mut Cx, value: &Value) -> Outcome<()> {
    // Longer texts are numbers padded with zeros or underscores.
    const MAX_LENGTH: usize = 64 << 10;
    match value {
        Value::Text(text) => {
            let length = short(text, MAX_LENGTH)?.len();
            cx.scan(length)
        }
        _ => cx.step(1),
    }
}

/// `cast.ToFloat64`
pub(super) fn to_float(cx: &mut Cx, value: &Value) -> Outcome<f64> {
    pay_to_parse(cx, value)?;
    Ok(match value {
        Value::Int(value, of) if *of != IntType::Duration => int_to_float(*value),
        Value::Uint(value, _) => uint_to_float(*value),
        Value::Float(value) => *value,
        Value::Text(text) => str::from_utf8(text).ok().and_then(parse_float).unwrap_or(0.0),
        Value::Bool(value) => f64::from(u8::from(*value)),
        _ => 0.0,
    })
}

/// Converts as Go does on amd64: values out of range become the smallest integer.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn truncate(value: f64) -> i64 {
    let limit = 9_223_372_036_854_775_808.0;
    if (-limit..limit).contains(&value) { value as i64 } else { i64::MIN }
}

/// Removes zero decimals, as `cast` does: `12.00` becomes `12`.
fn without_zero_decimals(text: &str) -> &str {
    let trimmed = text.trim_end_matches('0');
    if trimmed.len() < text.len() { trimmed.strip_suffix('.').unwrap_or(text) } else { text }
}

pub(super) fn int(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int(to_int(cx, args.any(0))?))
}

pub(super) fn int64(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(to_int(cx, args.any(0))?))
}

pub(super) fn float64(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Float(to_float(cx, args.any(0))?))
}

pub(super) fn atoi(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    Ok(Value::int(parse_decimal(args.text(0)).unwrap_or(0)))
}

/// Parses an integer in base 10 without underscores. As in Go, one that is too large becomes the maximum.
pub(super) fn parse_decimal(text: &[u8]) -> Option<i64> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match str::from_utf8(text).ok()?.parse::<i64>() {
        Ok(value) => Some(value),
        Err(error) if *error.kind() == PosOverflow => Some(i64::MAX),
        Err(error) if *error.kind() == NegOverflow => Some(i64::MIN),
        Err(_) => None,
    }
}

pub(super) fn to_decimal(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = to_text(cx, args.any(0))?;
    cx.work(text.len())?;
    let octal = str::from_utf8(&text).ok().and_then(|text| i64::from_str_radix(text, 8).ok());
    Ok(Value::int64(octal.unwrap_or(0)))
}

pub(super) fn to_string(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    to_text(cx, args.any(0)).map(Value::Text)
}

pub(super) fn to_strings(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match args.any(0) {
        Value::List(list) if list.of == ListType::Text => Ok(Value::List(list.clone())),
        value => {
            let texts = texts_of(cx, value)?;
            cx.list(ListType::Text, texts.into_iter().map(Value::Text).collect())
        }
    }
}

/// Sprig's `strslice`: the non-nil elements of a list as strings. Any other value becomes a list of itself.
pub(super) fn texts_of(cx: &mut Cx, value: &Value) -> Outcome<Vec<Bytes>> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) => {
            cx.pay_for_elements(list.len())?;
            let items = list.to_vec();
            items.iter().filter(|item| !matches!(item, Value::Nil)).map(|item| to_text(cx, item)).collect()
        }
        _ => Ok(vec![to_text(cx, value)?]),
    }
}
