//! `strconv.FormatFloat`.

use super::super::error::{Failure, Outcome};

/// Maximum number of significant decimal digits of a double.
const MAX_DIGITS: usize = 1100;

/// Decimal digits without trailing zeros, and the position of the point: the value is 0.DIGITS times ten to the power of `point`.
struct Decimal {
    digits: String,
    point: i32,
}

/// Formats `value` in the styles e, E, f, g, G, b, x, X. Without a precision, uses as few digits as identify the value.
pub(crate) fn format_float(
    value: f64,
    style: char,
    precision: Option<usize>,
    room: usize,
) -> Outcome<String> {
    if value.is_nan() {
        return Ok("NaN".to_owned());
    }
    if value.is_infinite() {
        return Ok(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned());
    }
    if precision.is_some_and(|precision| precision > room) {
        return Err(Failure::budget("a value is too large"));
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let magnitude = value.abs();
    let digits = match style {
        'b' => binary(magnitude),
        'x' | 'X' => hexadecimal(magnitude, precision, style == 'X'),
        'f' => fixed(magnitude, precision),
        'e' | 'E' => exponential(magnitude, precision, style),
        _ => general(magnitude, precision, style),
    };
    Ok(format!("{sign}{digits}"))
}

fn decimal(value: f64, significant: Option<usize>) -> Decimal {
    let text = match significant {
        Some(count) => format!("{value:.*e}", count.saturating_sub(1).min(MAX_DIGITS)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "").trim_end_matches('0').to_owned();
    let point = if digits.is_empty() { 0 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
    Decimal { digits, point }
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    match precision {
        None => format!("{value}"),
        Some(precision) => {
            let exact = precision.min(MAX_DIGITS);
            let mut text = format!("{value:.exact$}");
            text.push_str(&"0".repeat(precision - exact));
            text
        }
    }
}

fn exponential(value: f64, precision: Option<usize>, style: char) -> String {
    let decimal = decimal(value, precision.map(|precision| precision.saturating_add(1)));
    let precision = precision.unwrap_or(decimal.digits.len().saturating_sub(1));
    scientific(&decimal, precision, style)
}

fn scientific(decimal: &Decimal, precision: usize, style: char) -> String {
    let (first, rest) = decimal.digits.split_at_checked(1).unwrap_or(("0", ""));
    let mut text = first.to_owned();
    if precision > 0 {
        let digits = rest.get(..precision.min(rest.len())).unwrap_or_default();
        text.push('.');
        text.push_str(digits);
        text.push_str(&"0".repeat(precision.saturating_sub(digits.len())));
    }
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{text}{style}{sign}{:02}", exponent.abs())
}

fn general(value: f64, precision: Option<usize>, style: char) -> String {
    let significant = precision.map(|precision| precision.max(1));
    let decimal = decimal(value, significant);
    let count = decimal.digits.len();
    let after_point = usize::try_from(decimal.point).unwrap_or(0);
    let threshold = match significant {
        None => 6,
        Some(significant) if significant > count && count >= after_point && decimal.point >= 0 => count,
        Some(significant) => significant,
    };
    let exponent = decimal.point - 1;
    if exponent < -4 || usize::try_from(exponent).is_ok_and(|exponent| exponent >= threshold) {
        let exponential = if style == 'G' { 'E' } else { 'e' };
        return scientific(&decimal, count.max(1) - 1, exponential);
    }
    plain(&decimal)
}

/// Formats without an exponent.
fn plain(decimal: &Decimal) -> String {
    let digits = &decimal.digits;
    let Ok(whole) = usize::try_from(decimal.point) else {
        let zeros = usize::try_from(-decimal.point).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    match digits.split_at_checked(whole) {
        Some(("", "")) => "0".to_owned(),
        Some((whole, "")) => whole.to_owned(),
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits}{}", "0".repeat(whole - digits.len())),
    }
}

/// Returns the mantissa with its leading bit, and the exponent of its last bit.
fn mantissa_and_exponent(value: f64) -> (u64, i64) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    if exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), exponent - 1075) }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = mantissa_and_exponent(value);
    format!("{mantissa}p{exponent:+}")
}

fn hexadecimal(value: f64, precision: Option<usize>, upper: bool) -> String {
    let (mut mantissa, mut exponent) = mantissa_and_exponent(value);
    exponent += 52;
    if mantissa == 0 {
        exponent = 0;
    } else {
        let shift = mantissa.leading_zeros() - 11;
        mantissa <<= shift;
        exponent -= i64::from(shift);
    }
    // Sixty bits after the point.
    let mut mantissa = u128::from(mantissa) << 8;
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let shift = u32::try_from(precision * 4).map_or(0, |bits| 60 - bits);
        let (half, rest) = (1_u128 << (shift - 1), mantissa & ((1 << shift) - 1));
        mantissa >>= shift;
        if rest > half || (rest == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= shift;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(precision) if precision <= 15 => fraction.get(..precision).unwrap_or_default().to_owned(),
        Some(precision) => format!("{fraction}{}", "0".repeat(precision - 15)),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 60, exponent.abs());
    if upper { text.to_uppercase() } else { text }
}
