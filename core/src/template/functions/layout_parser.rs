//! Parses times by a layout, after Go's `time.ParseInLocation`.

use super::layout::{OffsetForm, Part, named, next_part};
use crate::template::value::time::{Time, Zone, days_to};

/// Parts of the time that were parsed so far.
#[derive(Default)]
struct Found {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    clock: (i64, i64, i64),
    nanoseconds: u32,
    is_pm: Option<bool>,
    is_utc: bool,
    offset: Option<i32>,
    zone_name: String,
}

/// Parses a time. `None` if the text does not match the layout or is not a valid date.
pub(super) fn parse_time(layout: &str, text: &str, local: &Zone) -> Option<Time> {
    let mut found = Found::default();
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, part, after) = next_part(layout);
        text = skip(text, before)?;
        let Some(part) = part else {
            return if text.is_empty() { found.into_time(local) } else { None };
        };
        text = found.read(part, text, after)?;
        layout = after;
    }
}

/// Skips literal text. The number of spaces may differ.
fn skip<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let (mut text, mut literal) = (text, literal);
    while let Some(first) = literal.chars().next() {
        if first == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(first)?;
            literal = literal.get(first.len_utf8()..)?;
        }
    }
    Some(text)
}

fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

/// Parses one or two digits; exactly two if `fixed`.
fn number(text: &str, fixed: bool) -> Option<(i64, &str)> {
    match digits(text, 2) {
        Some(found) => Some(found),
        None if fixed => None,
        None => digits(text, 1),
    }
}

fn within(value: i64, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    range.contains(&value).then_some(value)
}

impl Found {
    fn read<'t>(&mut self, part: Part, text: &'t str, layout_after: &str) -> Option<&'t str> {
        match part {
            Part::LongYear | Part::Year => self.read_year(part, text),
            Part::LongMonth | Part::Month => {
                let (month, length) = named(text, part)?;
                self.month = Some(month + 1);
                text.get(length..)
            }
            Part::LongWeekday | Part::Weekday => named(text, part).and_then(|(_, length)| text.get(length..)),
            Part::NumMonth | Part::ZeroMonth => {
                let (month, rest) = number(text, part == Part::ZeroMonth)?;
                self.month = Some(within(month, 1..=12)?);
                Some(rest)
            }
            Part::Day | Part::UnderDay | Part::ZeroDay => {
                let text = if part == Part::UnderDay { text.strip_prefix(' ').unwrap_or(text) } else { text };
                let (day, rest) = number(text, part == Part::ZeroDay)?;
                self.day = Some(day);
                Some(rest)
            }
            Part::UnderYearDay | Part::ZeroYearDay => self.read_day_of_year(part, text),
            Part::Hour | Part::Hour12 | Part::ZeroHour12 => {
                let (hour, rest) = number(text, part == Part::ZeroHour12)?;
                self.clock.0 = within(hour, if part == Part::Hour { 0..=23 } else { 0..=12 })?;
                Some(rest)
            }
            Part::Minute | Part::ZeroMinute => {
                let (minute, rest) = number(text, part == Part::ZeroMinute)?;
                self.clock.1 = within(minute, 0..=59)?;
                Some(rest)
            }
            Part::Second | Part::ZeroSecond => self.read_second(part, text, layout_after),
            Part::UpperPm => self.read_half(text, "AM", "PM"),
            Part::LowerPm => self.read_half(text, "am", "pm"),
            Part::Abbreviation => self.read_abbreviation(text),
            Part::Offset(form) => self.read_offset(form, text),
            Part::Fraction(count, false, _) => {
                let rest = text.strip_prefix(['.', ','])?;
                self.read_fraction(rest, count)
            }
            Part::Fraction(_, true, _) => Some(self.read_optional_fraction(text)),
        }
    }

    fn read_year<'t>(&mut self, part: Part, text: &'t str) -> Option<&'t str> {
        if part == Part::LongYear {
            let (year, rest) = digits(text, 4)?;
            self.year = year;
            return Some(rest);
        }
        let (year, rest) = digits(text, 2)?;
        self.year = if year >= 69 { year + 1900 } else { year + 2000 };
        Some(rest)
    }

    fn read_day_of_year<'t>(&mut self, part: Part, text: &'t str) -> Option<&'t str> {
        let mut text = text;
        for _ in 0..2 {
            if part == Part::UnderYearDay {
                text = text.strip_prefix(' ').unwrap_or(text);
            }
        }
        let (day, rest) = match digits(text, 3) {
            Some(found) => found,
            None if part == Part::ZeroYearDay => return None,
            None => number(text, false)?,
        };
        self.day_of_year = Some(day);
        Some(rest)
    }

    /// Accepts a fraction after the seconds even if the layout has none.
    fn read_second<'t>(&mut self, part: Part, text: &'t str, layout_after: &str) -> Option<&'t str> {
        let (second, rest) = number(text, part == Part::ZeroSecond)?;
        self.clock.2 = within(second, 0..=59)?;
        let fraction_expected = matches!(next_part(layout_after).1, Some(Part::Fraction(..)));
        if fraction_expected { Some(rest) } else { Some(self.read_optional_fraction(rest)) }
    }

    fn read_optional_fraction<'t>(&mut self, text: &'t str) -> &'t str {
        let after = text.strip_prefix(['.', ',']);
        let Some(after) = after.filter(|after| after.starts_with(|next: char| next.is_ascii_digit())) else {
            return text;
        };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        self.read_fraction(after, count).unwrap_or(text)
    }

    fn read_fraction<'t>(&mut self, text: &'t str, count: usize) -> Option<&'t str> {
        let (fraction, rest) = text.split_at_checked(count)?;
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanoseconds = nine.parse().ok()?;
        Some(rest)
    }

    fn read_half<'t>(&mut self, text: &'t str, am: &str, pm: &str) -> Option<&'t str> {
        let is_pm = text.starts_with(pm);
        if !is_pm && !text.starts_with(am) {
            return None;
        }
        self.is_pm = Some(is_pm);
        text.get(2..)
    }

    fn read_abbreviation<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("UTC") {
            self.is_utc = true;
            return Some(rest);
        }
        let length = abbreviation_length(text)?;
        let (name, rest) = text.split_at_checked(length)?;
        name.clone_into(&mut self.zone_name);
        Some(rest)
    }

    fn read_offset<'t>(&mut self, form: OffsetForm, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix('Z').filter(|_| form.has_z) {
            self.is_utc = true;
            return Some(rest);
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = digits(text.get(1..)?, 2)?;
        let (mut minutes, mut seconds) = (0, 0);
        let separator = if form.has_colons { ":" } else { "" };
        if form.has_minutes {
            (minutes, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        }
        if form.has_seconds {
            (seconds, rest) = digits(rest.strip_prefix(separator)?, 2)?;
        }
        within(hours, 0..=24).and(within(minutes, 0..=60)).and(within(seconds, 0..=60))?;
        self.offset = i32::try_from(sign * ((hours * 60 + minutes) * 60 + seconds)).ok();
        Some(rest)
    }

    fn into_time(self, local: &Zone) -> Option<Time> {
        let (hour, minute, second) = self.clock;
        let hour = match self.is_pm {
            Some(true) if hour < 12 => hour + 12,
            Some(false) if hour == 12 => 0,
            _ => hour,
        };
        let (month, day) = self.month_and_day()?;
        let time = Time::from_civil((self.year, month, day), (hour, minute, second), self.nanoseconds);
        if self.is_utc {
            return Some(time);
        }
        if let Some(offset) = self.offset {
            let shifted = time.shifted_by_seconds(-i64::from(offset)).in_zone(local.clone());
            let at = shifted.civil();
            let is_local = at.offset == i64::from(offset)
                && (self.zone_name.is_empty() || self.zone_name == at.abbreviation);
            return Some(if is_local {
                shifted
            } else {
                shifted.in_zone(Zone::Fixed(offset, self.zone_name))
            });
        }
        if self.zone_name.is_empty() {
            return Some(time.reinterpreted_in(local.clone()));
        }
        Some(in_zone_named(&time, self.zone_name, local))
    }

    fn month_and_day(&self) -> Option<(i64, i64)> {
        let length = |month: i64| {
            if month == 12 { 31 } else { days_to(self.year, month + 1, 1) - days_to(self.year, month, 1) }
        };
        let Some(mut rest) = self.day_of_year else {
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            return within(day, 1..=length(month)).map(|day| (month, day));
        };
        if rest < 1 {
            return None;
        }
        for month in 1..=12 {
            if rest <= length(month) {
                let agrees = self.month.is_none_or(|given| given == month)
                    && self.day.is_none_or(|given| given == rest);
                return agrees.then_some((month, rest));
            }
            rest -= length(month);
        }
        None
    }
}

/// Applies a zone abbreviation: the local zone's own, or one with an unknown offset.
fn in_zone_named(time: &Time, name: String, local: &Zone) -> Time {
    let as_local = time.clone().reinterpreted_in(local.clone());
    if as_local.civil().abbreviation == name {
        return as_local;
    }
    let hours = name.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok()).unwrap_or(0);
    // Go records the offset but does not move the clock time by it.
    time.in_zone(Zone::Fixed(hours * 3600, name))
}

/// Returns the length of a zone abbreviation at the start of `text`: three or four capital letters and some special cases.
fn abbreviation_length(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(after) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours_length(after));
    }
    if text.starts_with(['+', '-']) {
        let length = signed_hours_length(text);
        return (length > 0).then_some(length);
    }
    let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    match capitals {
        5 if text.as_bytes().get(4) == Some(&b'T') => Some(5),
        4 if text.as_bytes().get(3) == Some(&b'T') || text.starts_with("WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

fn signed_hours_length(text: &str) -> usize {
    let Some(hours) = text.strip_prefix(['+', '-']) else {
        return 0;
    };
    let digits = hours.bytes().take_while(u8::is_ascii_digit).count();
    let value = hours.get(..digits).and_then(|hours| hours.parse::<u32>().ok());
    if value.is_some_and(|value| value <= 23) { digits + 1 } else { 0 }
}
