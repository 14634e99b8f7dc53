//! Go's time layouts: text with `Mon Jan 2 15:04:05 MST 2006` in it, for formatting and parsing times.

use std::fmt;

use crate::template::value::time::{Civil, MONTHS, Time, WEEKDAYS};

/// A layout element that stands for a part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    Abbreviation,
    Offset(OffsetForm),
    /// Number of decimals, true if trailing zeros are dropped, and the separator.
    Fraction(usize, bool, char),
}

/// Format of an offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a part is written")]
pub(super) struct OffsetForm {
    /// True if UTC is written as `Z`.
    pub(super) has_z: bool,
    pub(super) has_colons: bool,
    pub(super) has_minutes: bool,
    pub(super) has_seconds: bool,
}

const FIXED: [(&str, Part); 19] = [
    ("01", Part::ZeroMonth),
    ("002", Part::ZeroYearDay),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::UnderYearDay),
    ("_2", Part::UnderDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperPm),
    ("pm", Part::LowerPm),
    ("MST", Part::Abbreviation),
];

const OFFSETS: [(&str, bool, bool, bool); 5] = [
    ("070000", false, true, true),
    ("07:00:00", true, true, true),
    ("0700", false, true, false),
    ("07:00", true, true, false),
    ("07", false, false, false),
];

/// Splits a layout at its first element: the text before it, the element, and the rest.
pub(super) fn next_part(layout: &str) -> (&str, Option<Part>, &str) {
    for (start, _) in layout.char_indices() {
        let rest = layout.get(start..).unwrap_or_default();
        if rest.starts_with("_2006") {
            let before = layout.get(..=start).unwrap_or_default();
            return (before, Some(Part::LongYear), rest.get(5..).unwrap_or_default());
        }
        if let Some((part, length)) = part_at(rest) {
            return (
                layout.get(..start).unwrap_or_default(),
                Some(part),
                rest.get(length..).unwrap_or_default(),
            );
        }
    }
    (layout, None, "")
}

fn part_at(rest: &str) -> Option<(Part, usize)> {
    let is_alone = |length: usize| {
        !rest.get(length..).is_some_and(|next| next.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    match rest.as_bytes().first()? {
        b'J' if rest.starts_with("January") => Some((Part::LongMonth, 7)),
        b'J' if rest.starts_with("Jan") && is_alone(3) => Some((Part::Month, 3)),
        b'M' if rest.starts_with("Monday") => Some((Part::LongWeekday, 6)),
        b'M' if rest.starts_with("Mon") && is_alone(3) => Some((Part::Weekday, 3)),
        sign @ (b'-' | b'Z') => offset_at(rest.get(1..)?, *sign == b'Z'),
        separator @ (b'.' | b',') => fraction_at(rest, char::from(*separator)),
        _ => FIXED.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, part)| (*part, text.len())),
    }
}

fn offset_at(rest: &str, has_z: bool) -> Option<(Part, usize)> {
    let found = OFFSETS.iter().find(|(text, ..)| rest.starts_with(text));
    found.map(|(text, has_colons, has_minutes, has_seconds)| {
        let form = OffsetForm {
            has_z,
            has_colons: *has_colons,
            has_minutes: *has_minutes,
            has_seconds: *has_seconds,
        };
        (Part::Offset(form), text.len() + 1)
    })
}

fn fraction_at(rest: &str, separator: char) -> Option<(Part, usize)> {
    let digits = rest.as_bytes().get(1..)?;
    let first = *digits.first().filter(|digit| matches!(digit, b'0' | b'9'))?;
    let count = digits.iter().take_while(|digit| **digit == first).count();
    let ends = !digits.get(count).is_some_and(u8::is_ascii_digit);
    ends.then_some((Part::Fraction(count, first == b'9', separator), count + 1))
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&format_time(self, "2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

impl Time {
    /// Formats the time for JSON; `None` for years without exactly four digits.
    pub(crate) fn to_rfc3339(&self) -> Option<String> {
        let has_four_digits = (0..=9999).contains(&self.civil().year);
        has_four_digits.then(|| format_time(self, "2006-01-02T15:04:05.999999999Z07:00"))
    }
}

/// `Time.Format`
pub(super) fn format_time(time: &Time, layout: &str) -> String {
    let civil = time.civil();
    let mut output = String::with_capacity(layout.len() + 16);
    let mut rest = layout;
    loop {
        let (before, part, after) = next_part(rest);
        output.push_str(before);
        let Some(part) = part else {
            return output;
        };
        output.push_str(&written(&civil, time.nanoseconds, part));
        rest = after;
    }
}

fn written(civil: &Civil, nanoseconds: u32, part: Part) -> String {
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    match part {
        Part::LongYear if civil.year < 0 => format!("-{:04}", civil.year.unsigned_abs()),
        Part::LongYear => format!("{:04}", civil.year),
        Part::Year => format!("{:02}", civil.year.max(0) % 100),
        Part::LongMonth => Time::month_name(civil.month),
        Part::Month => Time::month_name(civil.month).chars().take(3).collect(),
        Part::NumMonth => civil.month.to_string(),
        Part::ZeroMonth => format!("{:02}", civil.month),
        Part::LongWeekday => Time::weekday_name(civil.weekday),
        Part::Weekday => Time::weekday_name(civil.weekday).chars().take(3).collect(),
        Part::Day => civil.day.to_string(),
        Part::UnderDay => format!("{:2}", civil.day),
        Part::ZeroDay => format!("{:02}", civil.day),
        Part::UnderYearDay => format!("{:3}", civil.day_of_year),
        Part::ZeroYearDay => format!("{:03}", civil.day_of_year),
        Part::Hour => format!("{:02}", civil.hour),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => civil.minute.to_string(),
        Part::ZeroMinute => format!("{:02}", civil.minute),
        Part::Second => civil.second.to_string(),
        Part::ZeroSecond => format!("{:02}", civil.second),
        Part::UpperPm => if civil.hour >= 12 { "PM" } else { "AM" }.to_owned(),
        Part::LowerPm => if civil.hour >= 12 { "pm" } else { "am" }.to_owned(),
        Part::Abbreviation if !civil.abbreviation.is_empty() => civil.abbreviation.clone(),
        Part::Abbreviation => written_offset(
            civil.offset,
            OffsetForm { has_z: false, has_colons: false, has_minutes: true, has_seconds: false },
        ),
        Part::Offset(form) => written_offset(civil.offset, form),
        Part::Fraction(digits, trims, separator) => written_fraction(nanoseconds, digits, trims, separator),
    }
}

fn written_offset(offset: i64, form: OffsetForm) -> String {
    if form.has_z && offset == 0 {
        return "Z".to_owned();
    }
    let minutes = (offset / 60).abs();
    let sign = if offset / 60 < 0 { '-' } else { '+' };
    let colon = if form.has_colons { ":" } else { "" };
    let hours = format!("{sign}{:02}", minutes / 60);
    let minute = if form.has_minutes { format!("{colon}{:02}", minutes % 60) } else { String::new() };
    let second = if form.has_seconds { format!("{colon}{:02}", offset.abs() % 60) } else { String::new() };
    [hours, minute, second].concat()
}

fn written_fraction(nanoseconds: u32, digits: usize, trims: bool, separator: char) -> String {
    let all = format!("{nanoseconds:09}");
    let digits: String = all.chars().chain(std::iter::repeat('0')).take(digits.min(9)).collect();
    if !trims {
        return format!("{separator}{digits}");
    }
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { String::new() } else { format!("{separator}{digits}") }
}

/// Returns the number of the month or weekday whose name starts `text`, and the length of the name.
pub(super) fn named(text: &str, part: Part) -> Option<(i64, usize)> {
    let names: &[&str] = if matches!(part, Part::LongMonth | Part::Month) { &MONTHS } else { &WEEKDAYS };
    let is_long = matches!(part, Part::LongMonth | Part::LongWeekday);
    names.iter().zip(0..).find_map(|(name, number)| {
        let name = if is_long { name } else { name.get(..3)? };
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then_some((number, name.len()))
    })
}
