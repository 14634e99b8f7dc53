//! Dates and durations.

use super::conversion::parse_decimal;
use super::layout::format_time;
use super::layout_parser::parse_time;
use crate::template::context::{Args, Cx, short};
use crate::template::duration::{format_duration, parse_duration};
use crate::template::error::{Failure, Outcome};
use crate::template::value::time::{Time, Zone};
use crate::template::value::{IntType, Value};

/// Maximum length of a layout, a date or a duration, in bytes.
const MAX_LENGTH: usize = 16 << 10;

pub(super) fn now(cx: &mut Cx, _: &Args) -> Outcome<Value> {
    Ok(Value::Time(cx.now()))
}

/// Converts a value to a time: times, and seconds since 1970. Any other value gives the current time.
fn time_of(cx: &mut Cx, value: &Value) -> Time {
    match value {
        Value::Time(time) => time.clone(),
        Value::Int(seconds, IntType::Int | IntType::Int64) => Time::from_unix(*seconds, 0, cx.local_zone()),
        _ => cx.now(),
    }
}

/// Returns a layout after charging for it: each byte may stand for a part of the time.
fn layout_of(cx: &mut Cx, layout: &[u8]) -> Outcome<String> {
    let layout = short(layout, MAX_LENGTH)?;
    cx.step(u64::try_from(layout.len()).unwrap_or(u64::MAX))?;
    Ok(String::from_utf8_lossy(layout).into_owned())
}

fn formatted(cx: &mut Cx, layout: &[u8], date: &Value, zone: &[u8]) -> Outcome<Value> {
    let layout = layout_of(cx, layout)?;
    let zone = match str::from_utf8(zone) {
        Ok(name) => cx.zone(name)?.unwrap_or(Zone::Utc),
        Err(_) => Zone::Utc,
    };
    let time = time_of(cx, date).in_zone(zone);
    cx.text(format_time(&time, &layout))
}

pub(super) fn date(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    formatted(cx, args.text(0), args.any(1), b"Local")
}

pub(super) fn date_in_zone(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    formatted(cx, args.text(0), args.any(1), args.text(2))
}

pub(super) fn html_date(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    formatted(cx, b"2006-01-02", args.any(0), b"Local")
}

pub(super) fn html_date_in_zone(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    formatted(cx, b"2006-01-02", args.any(0), args.text(1))
}

/// Body of the `Format` method.
pub(super) fn format(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let layout = layout_of(cx, args.text(1))?;
    cx.text(format_time(&args.time(0), &layout))
}

fn duration_in(cx: &mut Cx, text: &[u8]) -> Outcome<Option<i64>> {
    let text = short(text, MAX_LENGTH)?;
    cx.scan(text.len())?;
    Ok(str::from_utf8(text).ok().and_then(parse_duration))
}

fn modified(cx: &mut Cx, args: &Args) -> Outcome<Option<Time>> {
    Ok(duration_in(cx, args.text(0))?.map(|duration| args.time(1).plus(duration)))
}

pub(super) fn date_modify(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Time(modified(cx, args)?.unwrap_or_else(|| args.time(1))))
}

pub(super) fn must_date_modify(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    modified(cx, args)?.map(Value::Time).ok_or(Failure::function("not a duration"))
}

fn parsed(cx: &mut Cx, args: &Args) -> Outcome<Option<Time>> {
    let length = short(args.text(0), MAX_LENGTH)?.len() + short(args.text(1), MAX_LENGTH)?.len();
    cx.step(u64::try_from(length).unwrap_or(u64::MAX))?;
    let local = cx.local_zone();
    let texts = str::from_utf8(args.text(0)).ok().zip(str::from_utf8(args.text(1)).ok());
    Ok(texts.and_then(|(layout, text)| parse_time(layout, text, &local)))
}

pub(super) fn to_date(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Time(parsed(cx, args)?.unwrap_or_default()))
}

pub(super) fn must_to_date(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    parsed(cx, args)?.map(Value::Time).ok_or(Failure::function("the text is not a date in this layout"))
}

pub(super) fn unix_epoch(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.text(args.time(0).unix().to_string())
}

pub(super) fn ago(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let time = time_of(cx, args.any(0));
    let elapsed = cx.now().since(&time);
    cx.text(format_duration(round_to(elapsed, 1_000_000_000)))
}

/// `Duration.Round`: rounds to the nearest multiple, halves away from zero.
pub(super) fn round_to(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanoseconds;
    }
    let rest = nanoseconds % unit;
    let towards_zero = nanoseconds - rest;
    if rest.unsigned_abs() * 2 < unit.unsigned_abs() {
        return towards_zero;
    }
    let rounded =
        if nanoseconds < 0 { towards_zero.checked_sub(unit) } else { towards_zero.checked_add(unit) };
    rounded.unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn duration(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let seconds = match args.any(0) {
        Value::Text(text) => {
            cx.work(text.len())?;
            parse_decimal(text).unwrap_or(0)
        }
        Value::Int(seconds, IntType::Int64) => *seconds,
        _ => 0,
    };
    cx.text(format_duration(seconds.wrapping_mul(1_000_000_000)))
}

pub(super) fn duration_round(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    const SECOND: u64 = 1_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400 * SECOND, "y"),
        (30 * 86_400 * SECOND, "mo"),
        (86_400 * SECOND, "d"),
        (3_600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    let duration = match args.any(0) {
        Value::Text(text) => duration_in(cx, text)?.unwrap_or(0),
        Value::Int(nanoseconds, IntType::Int64) => *nanoseconds,
        Value::Time(time) => cx.now().since(time),
        _ => 0,
    };
    let magnitude = duration.unsigned_abs();
    let unit = UNITS.iter().find(|(unit, _)| magnitude > *unit);
    cx.text(unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", magnitude / unit)))
}
