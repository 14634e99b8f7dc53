//! Instants with a time zone, after Go's `time`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) const MONTHS: [&str; 12] = [
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
pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds from year 1 to 1970.
const UNIX_EPOCH: i64 = 62_135_596_800;

/// Go's `*time.Location`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Zone {
    Utc,
    /// The controller's local zone.
    Local(TimeZone),
    Named(TimeZone),
    /// Seconds east of UTC, as parsed from text.
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

    /// Returns seconds east of UTC and the abbreviation in use at an instant.
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
    /// Seconds since the start of year 1, UTC.
    seconds: i64,
    pub(crate) nanoseconds: u32,
    pub(crate) zone: Zone,
}

impl Default for Time {
    fn default() -> Self {
        Self { seconds: 0, nanoseconds: 0, zone: Zone::Utc }
    }
}

/// Clock and calendar time in a zone.
#[derive(Debug, Clone)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    pub(crate) day: i64,
    /// From 1.
    pub(crate) day_of_year: i64,
    /// From Sunday, 0.
    pub(crate) weekday: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) offset: i64,
    pub(crate) abbreviation: String,
}

/// Returns the days from the start of year 1 to a date in the Gregorian calendar.
pub(crate) fn days_to(year: i64, month: i64, day: i64) -> i64 {
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
    pub(crate) fn from_unix(seconds: i64, nanoseconds: u32, zone: Zone) -> Self {
        Self { seconds: seconds.wrapping_add(UNIX_EPOCH), nanoseconds, zone }
    }

    pub(crate) fn from_timestamp(timestamp: Timestamp, zone: Zone) -> Self {
        let nanoseconds = timestamp.as_nanosecond();
        let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
        Self::from_unix(i64::try_from(seconds).unwrap_or(0), u32::try_from(rest).unwrap_or(0), zone)
    }

    /// `time.Date` in UTC; out-of-range parts carry over.
    pub(crate) fn from_civil(date: (i64, i64, i64), clock: (i64, i64, i64), nanoseconds: u32) -> Self {
        let (year, month, day) = date;
        let year = year.wrapping_add((month - 1).div_euclid(12));
        let days = days_to(year.clamp(-290_000_000_000, 290_000_000_000), (month - 1).rem_euclid(12) + 1, 1)
            .wrapping_add(day - 1);
        let (hour, minute, second) = clock;
        let seconds = days.wrapping_mul(SECONDS_PER_DAY).wrapping_add(hour * 3600 + minute * 60 + second);
        Self { seconds, nanoseconds, zone: Zone::Utc }
    }

    /// Keeps the clock time and changes the zone to `zone`.
    pub(crate) fn reinterpreted_in(self, zone: Zone) -> Self {
        let wall = self.unix();
        let (guess, _) = zone.at(wall);
        let earlier = wall.wrapping_sub(i64::from(guess));
        let (offset, _) = zone.at(earlier);
        let unix = wall.wrapping_sub(i64::from(offset));
        let (check, _) = zone.at(unix);
        let unix = if check == offset { unix } else { earlier };
        Self::from_unix(unix, self.nanoseconds, zone)
    }

    pub(crate) fn in_zone(&self, zone: Zone) -> Self {
        Self { zone, ..self.clone() }
    }

    pub(crate) fn unix(&self) -> i64 {
        self.seconds.wrapping_sub(UNIX_EPOCH)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.seconds == 0 && self.nanoseconds == 0
    }

    pub(crate) fn shifted_by_seconds(&self, seconds: i64) -> Self {
        Self { seconds: self.seconds.wrapping_add(seconds), ..self.clone() }
    }

    pub(crate) fn plus(&self, nanoseconds: i64) -> Self {
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

    /// Returns the nanoseconds from `other` to this time, saturating.
    pub(crate) fn since(&self, other: &Self) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(other.seconds);
        let difference =
            seconds * 1_000_000_000 + i128::from(self.nanoseconds) - i128::from(other.nanoseconds);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    pub(crate) fn instant(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }

    pub(crate) fn civil(&self) -> Civil {
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

    /// Formats the time for `%#v`.
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
