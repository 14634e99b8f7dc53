//! Go's durations: their text, and parsing it.

use super::syntax::number::uint_to_float;

/// `Duration.String`: `1h2m3.5s`.
pub(crate) fn format_duration(nanoseconds: i64) -> String {
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if magnitude < 1_000_000_000 {
        let (unit, decimals) = match magnitude {
            0 => return "0s".to_owned(),
            1..1_000 => ("ns", 0),
            1_000..1_000_000 => ("µs", 3),
            _ => ("ms", 6),
        };
        return format!("{sign}{}{unit}", with_fraction(magnitude, decimals));
    }
    let (minutes, rest) = (magnitude / 60_000_000_000, magnitude % 60_000_000_000);
    let seconds = with_fraction(rest, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Formats `value` with its last `decimals` digits after the point, without trailing zeros.
fn with_fraction(value: u64, decimals: usize) -> String {
    let digits = format!("{value:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - decimals).unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Go's `time.ParseDuration`: parses a text such as `1.5s` or `-1h30m` to nanoseconds. `None` if invalid or too long.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    parse_in_units(text, unit)
}

/// [`parse_duration`] with the additional units `d` (24 hours) and `w` (7 days).
#[must_use]
pub fn parse_duration_with_days(text: &str) -> Option<i64> {
    const DAY: u64 = 24 * 3_600_000_000_000;
    parse_in_units(text, |name| match name {
        "d" => Some(DAY),
        "w" => Some(7 * DAY),
        _ => unit(name),
    })
}

/// Returns the nanoseconds of a unit of Go.
fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // Go accepts the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn parse_in_units(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (nanoseconds, after) = parse_duration_part(rest, &unit)?;
        total = total.checked_add(nanoseconds).filter(|total| *total <= 1 << 63)?;
        rest = after;
    }
    match (is_negative, i64::try_from(total)) {
        (true, _) => 0_i64.checked_sub_unsigned(total),
        (false, total) => total.ok(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is less than one unit, as in Go"
)]
fn parse_duration_part(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, after) = text.split_at_checked(digits(text))?;
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at_checked(digits(after))?,
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_length = after.find(|char: char| char == '.' || char.is_ascii_digit()).unwrap_or(after.len());
    let (name, after) = after.split_at_checked(unit_length)?;
    let unit = unit(name)?;
    let whole =
        if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().filter(|whole| *whole <= 1 << 63)? };
    let (mut numerator, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let Some(next) =
            numerator.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')))
        else {
            break;
        };
        if next > 1 << 63 {
            break;
        }
        numerator = next;
        scale *= 10.0;
    }
    let part = (uint_to_float(numerator) * (uint_to_float(unit) / scale)) as u64;
    let total = whole.checked_mul(unit)?.checked_add(part)?;
    Some((total, after))
}
