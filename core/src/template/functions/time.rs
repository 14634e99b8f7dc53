//! Instants with a time zone, and durations, after Go's `time`.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::layout::format_time;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds from the year 1 to 1970.
const UNIX_EPOCH: i64 = 62_135_596_800;

/// Go's `*time.Location`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Zone {
    Utc,
    /// The controller's own zone.
    Local(TimeZone),
    Named(TimeZone),
    /// Seconds east of UTC, as read from text.
    Fixed(i32, String),
}

impl Zone {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Local(_) => "Local".to_owned(),
            Self::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
            Self::Fixed(_, name) => name.clone(),
        }
    }

    /// Seconds east of UTC at an instant, and the abbreviation used then.
    fn at(&self, unix_seconds: i64) -> (i32, String) {
        match self {
            Self::Utc => (0, "UTC".to_owned()),
            Self::Fixed(offset, name) => (*offset, name.clone()),
            Self::Local(zone) | Self::Named(zone) => {
                let range = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
                let within = unix_seconds.clamp(*range.start(), *range.end());
                let info = zone.to_offset_info(Timestamp::from_second(within).unwrap_or_default());
                (info.offset().seconds(), info.abbreviation().to_owned())
            }
        }
    }
}

/// Go's `time.Time`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    /// Seconds since the beginning of the year 1, UTC.
    seconds: i64,
    pub(super) nanoseconds: u32,
    pub(super) zone: Zone,
}

impl Default for Time {
    fn default() -> Self {
        Self { seconds: 0, nanoseconds: 0, zone: Zone::Utc }
    }
}

/// A time as its zone's clocks and calendars show it.
#[derive(Debug, Clone)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    pub(super) day: i64,
    /// From 1.
    pub(super) day_of_year: i64,
    /// From Sunday, 0.
    pub(super) weekday: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) offset: i64,
    pub(super) abbreviation: String,
}

/// Days from the beginning of the year 1 to a date in the Gregorian calendar.
pub(super) fn days_to(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last one.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 306
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days.wrapping_add(306);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl Time {
    pub(super) fn from_unix(seconds: i64, nanoseconds: u32, zone: Zone) -> Self {
        Self { seconds: seconds.wrapping_add(UNIX_EPOCH), nanoseconds, zone }
    }

    pub(super) fn from_timestamp(timestamp: Timestamp, zone: Zone) -> Self {
        let nanoseconds = timestamp.as_nanosecond();
        let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
        Self::from_unix(i64::try_from(seconds).unwrap_or(0), u32::try_from(rest).unwrap_or(0), zone)
    }

    /// `time.Date` in UTC; parts outside of their range carry over.
    pub(super) fn from_civil(date: (i64, i64, i64), clock: (i64, i64, i64), nanoseconds: u32) -> Self {
        let (year, month, day) = date;
        let year = year.wrapping_add((month - 1).div_euclid(12));
        let days = days_to(year.clamp(-290_000_000_000, 290_000_000_000), (month - 1).rem_euclid(12) + 1, 1)
            .wrapping_add(day - 1);
        let (hour, minute, second) = clock;
        let seconds = days.wrapping_mul(SECONDS_PER_DAY).wrapping_add(hour * 3600 + minute * 60 + second);
        Self { seconds, nanoseconds, zone: Zone::Utc }
    }

    /// Reads this time's clock as if it stood in `zone`.
    pub(super) fn reinterpreted_in(self, zone: Zone) -> Self {
        let wall = self.unix();
        let (guess, _) = zone.at(wall);
        let earlier = wall.wrapping_sub(i64::from(guess));
        let (offset, _) = zone.at(earlier);
        let unix = wall.wrapping_sub(i64::from(offset));
        let (check, _) = zone.at(unix);
        let unix = if check == offset { unix } else { earlier };
        Self::from_unix(unix, self.nanoseconds, zone)
    }

    pub(super) fn in_zone(&self, zone: Zone) -> Self {
        Self { zone, ..self.clone() }
    }

    pub(super) fn unix(&self) -> i64 {
        self.seconds.wrapping_sub(UNIX_EPOCH)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.seconds == 0 && self.nanoseconds == 0
    }

    pub(super) fn shifted_by_seconds(&self, seconds: i64) -> Self {
        Self { seconds: self.seconds.wrapping_add(seconds), ..self.clone() }
    }

    pub(super) fn plus(&self, nanoseconds: i64) -> Self {
        let total = i64::from(self.nanoseconds) + nanoseconds % 1_000_000_000;
        Self {
            seconds: self
                .seconds
                .wrapping_add(nanoseconds / 1_000_000_000)
                .wrapping_add(total.div_euclid(1_000_000_000)),
            nanoseconds: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
            zone: self.zone.clone(),
        }
    }

    /// Nanoseconds from `other` to this time, as far as they can be counted.
    pub(super) fn since(&self, other: &Self) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(other.seconds);
        let difference =
            seconds * 1_000_000_000 + i128::from(self.nanoseconds) - i128::from(other.nanoseconds);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    pub(super) fn instant(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }

    pub(super) fn civil(&self) -> Civil {
        let (offset, abbreviation) = self.zone.at(self.unix());
        let local = self.seconds.wrapping_add(i64::from(offset));
        let days = local.div_euclid(SECONDS_PER_DAY);
        let clock = local.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            day_of_year: days - days_to(year, 1, 1) + 1,
            weekday: (days + 1).rem_euclid(7),
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            offset: i64::from(offset),
            abbreviation,
        }
    }

    /// What JSON holds; none for years that do not have four digits.
    pub(crate) fn to_rfc3339(&self) -> Option<String> {
        let has_four_digits = (0..=9999).contains(&self.civil().year);
        has_four_digits.then(|| format_time(self, "2006-01-02T15:04:05.999999999Z07:00"))
    }

    /// What `%#v` prints.
    pub(crate) fn go_string(&self) -> String {
        let civil = self.civil();
        let month = Self::month_name(civil.month);
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local(_) => "time.Local".to_owned(),
            other => format!("time.Location({:?})", other.name()),
        };
        format!(
            "time.Date({}, time.{month}, {}, {}, {}, {}, {}, {zone})",
            civil.year, civil.day, civil.hour, civil.minute, civil.second, self.nanoseconds
        )
    }

    pub(crate) fn month_name(month: i64) -> String {
        let name = month
            .checked_sub(1)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| MONTHS.get(index));
        name.map_or_else(|| format!("%!Month({month})"), |name| (*name).to_owned())
    }

    pub(crate) fn weekday_name(day: i64) -> String {
        let name = usize::try_from(day).ok().and_then(|index| WEEKDAYS.get(index));
        name.map_or_else(|| format!("%!Weekday({day})"), |name| (*name).to_owned())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&format_time(self, "2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

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

/// `value` with its last digits after the point, without zeros at the end.
fn with_fraction(value: u64, decimals: usize) -> String {
    let digits = format!("{value:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - decimals).unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Go's `time.ParseDuration`: nanoseconds of a text such as `1.5s` or `-1h30m`; `None` where it is none, or too long.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
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
        let (nanoseconds, after) = parse_duration_part(rest)?;
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
fn parse_duration_part(text: &str) -> Option<(u64, &str)> {
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
    let (unit, after) = after.split_at_checked(unit_length)?;
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
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
    let part = (crate::template::syntax::number::uint_to_float(numerator)
        * (crate::template::syntax::number::uint_to_float(unit) / scale)) as u64;
    let total = whole.checked_mul(unit)?.checked_add(part)?;
    Some((total, after))
}
