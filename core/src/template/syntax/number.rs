//! Constants: Go's integer, float, imaginary and character literals, and quoted strings.

use super::super::error::{Failure, Outcome};
use super::super::value::push_rune;
use super::ast::Number;

const ILLEGAL: Failure = Failure::syntax("illegal number syntax");

/// Parses a number literal.
pub(crate) fn parse_number(text: &str) -> Outcome<Number> {
    if let Some(imaginary) = text.strip_suffix('i') {
        return parse_imaginary(imaginary);
    }
    let mut number = Number {
        int: parse_int(text),
        uint: parse_uint(text),
        float: None,
        imaginary: None,
        looks_like_float: false,
    };
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int_to_float(int));
    } else if let Some(uint) = number.uint {
        number.float = Some(uint_to_float(uint));
    } else {
        let float = parse_float(text).ok_or(ILLEGAL)?;
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(Failure::syntax("integer overflow"));
        }
        number.float = Some(float);
        number.int = number.int.or(float_to_int(float));
        number.uint = number.uint.or(float_to_uint(float));
    }
    let is_hex = text.len() > 2
        && text.starts_with(['0'])
        && text.get(1..2).is_some_and(|mark| mark == "x" || mark == "X");
    let is_hex_int = is_hex && !text.contains(['p', 'P']);
    number.looks_like_float = !is_hex_int && text.contains(['.', 'e', 'E', 'p', 'P']);
    if number.int.is_none() && number.uint.is_none() && number.float.is_none() {
        return Err(ILLEGAL);
    }
    Ok(number)
}

fn parse_imaginary(text: &str) -> Outcome<Number> {
    let split = text.char_indices().skip(1).filter(|(_, sign)| matches!(sign, '+' | '-')).map(|(at, _)| at);
    let at = split.filter(|at| !text.get(..*at).unwrap_or_default().ends_with(['e', 'E', 'p', 'P'])).last();
    let (real, imaginary) = match at {
        Some(at) => (parse_float(text.get(..at).unwrap_or_default()), text.get(at..).unwrap_or_default()),
        None => (Some(0.0), text),
    };
    let (real, imaginary) = real.zip(parse_float(imaginary)).ok_or(ILLEGAL)?;
    Ok(Number {
        int: float_to_int(real).filter(|_| imaginary == 0.0),
        uint: float_to_uint(real).filter(|_| imaginary == 0.0),
        float: Some(real).filter(|_| imaginary == 0.0 || at.is_some()),
        imaginary: Some(imaginary),
        looks_like_float: false,
    })
}

/// `strconv.ParseInt` with base 0.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = i128::from(parse_uint(magnitude)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `strconv.ParseUint` with base 0.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, base) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.get(1..)?, 8)
    } else {
        (lower.as_str(), 10)
    };
    if !underscores_ok(&lower) || digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), base).ok()
}

/// Returns true if all underscores are between digits, or between a base prefix and a digit.
fn underscores_ok(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    let has_prefix =
        unsigned.starts_with('0') && unsigned.get(1..2).is_some_and(|mark| "xXbBoO".contains(mark));
    let digits = if has_prefix { unsigned.get(2..).unwrap_or_default() } else { unsigned };
    let is_hex = has_prefix && unsigned.get(1..2).is_some_and(|mark| mark.eq_ignore_ascii_case("x"));
    let mut previous = if has_prefix { '0' } else { '!' };
    for next in digits.chars() {
        let is_digit = next.is_ascii_digit() || (is_hex && next.is_ascii_hexdigit());
        let kind = if is_digit { '0' } else { next };
        if (kind == '_' && previous != '0') || (kind != '0' && previous == '_') {
            return false;
        }
        previous = kind;
    }
    previous != '_'
}

/// `strconv.ParseFloat`. `None` for invalid and out-of-range numbers.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if !underscores_ok(unsigned) {
        return None;
    }
    let plain = lower.replace('_', "");
    let value = match plain.strip_prefix("0x") {
        Some(hex) => parse_hex_float(hex)?,
        None if plain.chars().all(|next| next.is_ascii_digit() || ".e+-".contains(next)) => {
            plain.parse().ok()?
        }
        None => return None,
    };
    value.is_finite().then_some(sign * value)
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once('p')?;
    let mut exponent = exponent.parse::<i32>().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa = 0_u64;
    for (position, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        let is_whole = position < whole.len();
        if mantissa >> 58 == 0 {
            mantissa = mantissa * 16 + digit;
            exponent = if is_whole { exponent } else { exponent.checked_sub(4)? };
        } else {
            mantissa |= u64::from(digit != 0);
            exponent = if is_whole { exponent.checked_add(4)? } else { exponent };
        }
    }
    Some(scale(uint_to_float(mantissa), exponent))
}

fn scale(mantissa: f64, exponent: i32) -> f64 {
    let half = exponent.clamp(-2200, 2200) / 2;
    mantissa * 2.0_f64.powi(half) * 2.0_f64.powi(exponent.clamp(-2200, 2200) - half)
}

#[expect(clippy::cast_precision_loss, reason = "Go's conversion rounds as well")]
pub(crate) const fn int_to_float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Go's conversion rounds as well")]
pub(crate) const fn uint_to_float(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "the result is compared with the original"
)]
fn float_to_int(value: f64) -> Option<i64> {
    let int = value as i64;
    (int_to_float(int) == value && int != i64::MAX).then_some(int)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "the result is compared with the original"
)]
fn float_to_uint(value: f64) -> Option<u64> {
    let uint = value as u64;
    (uint_to_float(uint) == value && uint != u64::MAX).then_some(uint)
}

/// Parses a character constant, quotes included.
pub(crate) fn parse_char(text: &str) -> Outcome<Number> {
    const MALFORMED: Failure = Failure::syntax("malformed character constant");
    let inner = text.get(1..text.len().saturating_sub(1)).ok_or(MALFORMED)?;
    let mut rest = inner;
    let unquoted = next_unquoted(&mut rest, '\'').ok_or(MALFORMED)?;
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    let code = match unquoted {
        Unquoted::Char(char) => u32::from(char),
        Unquoted::Byte(byte) => u32::from(byte),
    };
    Ok(Number {
        int: Some(i64::from(code)),
        uint: Some(u64::from(code)),
        float: Some(f64::from(code)),
        imaginary: None,
        looks_like_float: false,
    })
}

/// Parses a double-quoted string, quotes included.
pub(crate) fn unquote(text: &str) -> Outcome<Vec<u8>> {
    let mut rest = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let mut output = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        match next_unquoted(&mut rest, '"').ok_or(Failure::syntax("invalid escape in a quoted string"))? {
            Unquoted::Char(char) => push_rune(&mut output, char),
            Unquoted::Byte(byte) => output.push(byte),
        }
    }
    Ok(output)
}

enum Unquoted {
    Char(char),
    Byte(u8),
}

fn next_unquoted(rest: &mut &str, quote: char) -> Option<Unquoted> {
    let mut characters = rest.chars();
    let first = characters.next()?;
    if first == quote {
        return None;
    }
    if first != '\\' {
        *rest = characters.as_str();
        return Some(Unquoted::Char(first));
    }
    let escape = characters.next()?;
    *rest = characters.as_str();
    let simple = |char| Some(Unquoted::Char(char));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == quote => simple(escape),
        'x' => take_digits(rest, 2, 16).and_then(|code| u8::try_from(code).ok()).map(Unquoted::Byte),
        'u' => take_digits(rest, 4, 16).and_then(char::from_u32).map(Unquoted::Char),
        'U' => take_digits(rest, 8, 16).and_then(char::from_u32).map(Unquoted::Char),
        '0'..='7' => {
            let high = escape.to_digit(8)?;
            let low = take_digits(rest, 2, 8)?;
            u8::try_from(high * 64 + low).ok().map(Unquoted::Byte)
        }
        _ => None,
    }
}

fn take_digits(rest: &mut &str, count: usize, base: u32) -> Option<u32> {
    let digits = rest.get(..count)?;
    if !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    *rest = rest.get(count..)?;
    u32::from_str_radix(digits, base).ok()
}
