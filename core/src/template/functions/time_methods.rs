//! Methods of times, zones, durations, months and weekdays.

use super::dates::{format, round_to};
use crate::template::context::{Args, Cx, Function, Ty, method_of};
use crate::template::duration::format_duration;
use crate::template::error::{Failure, Outcome};
use crate::template::syntax::number::int_to_float;
use crate::template::value::time::{Time, Zone};
use crate::template::value::{IntType, Value};

pub(super) static OF_TIME: &[Function] = &[
    method_of("Add", &[Ty::Duration], |_, args| time(args.time(0).plus(args.int(1)))),
    method_of("AddDate", &[Ty::Int, Ty::Int, Ty::Int], add_date),
    method_of("After", &[Ty::Time], |_, args| truth(args.time(0).instant() > args.time(1).instant())),
    method_of("Before", &[Ty::Time], |_, args| truth(args.time(0).instant() < args.time(1).instant())),
    method_of("Compare", &[Ty::Time], compare),
    method_of("Day", &[], |_, args| int(args.time(0).civil().day)),
    method_of("Equal", &[Ty::Time], |_, args| truth(args.time(0).instant() == args.time(1).instant())),
    method_of("Format", &[Ty::Text], format),
    method_of("GoString", &[], |cx, args| cx.text(args.time(0).go_string())),
    method_of("Hour", &[], |_, args| int(args.time(0).civil().hour)),
    method_of("In", &[Ty::Zone], in_zone),
    method_of("IsZero", &[], |_, args| truth(args.time(0).is_zero())),
    method_of("Local", &[], local),
    method_of("Location", &[], |_, args| Ok(Value::Zone(args.time(0).zone))),
    method_of("Minute", &[], |_, args| int(args.time(0).civil().minute)),
    method_of("Month", &[], |_, args| Ok(Value::Int(args.time(0).civil().month, IntType::Month))),
    method_of("Nanosecond", &[], |_, args| int(i64::from(args.time(0).nanoseconds))),
    method_of("Second", &[], |_, args| int(args.time(0).civil().second)),
    method_of("String", &[], |cx, args| cx.text(args.time(0).to_string())),
    method_of("Sub", &[Ty::Time], |_, args| duration(args.time(0).since(&args.time(1)))),
    method_of("UTC", &[], |_, args| time(args.time(0).in_zone(Zone::Utc))),
    method_of("Unix", &[], |_, args| Ok(Value::int64(args.time(0).unix()))),
    method_of("UnixMicro", &[], |_, args| Ok(Value::int64(unix_in(&args.time(0), 1_000_000)))),
    method_of("UnixMilli", &[], |_, args| Ok(Value::int64(unix_in(&args.time(0), 1_000)))),
    method_of("UnixNano", &[], |_, args| Ok(Value::int64(unix_in(&args.time(0), 1_000_000_000)))),
    method_of("Weekday", &[], |_, args| Ok(Value::Int(args.time(0).civil().weekday, IntType::Weekday))),
    method_of("Year", &[], |_, args| int(args.time(0).civil().year)),
    method_of("YearDay", &[], |_, args| int(args.time(0).civil().day_of_year)),
];

pub(super) static OF_ZONE: &[Function] = &[method_of("String", &[], zone_name)];

pub(super) static OF_NAMED_NUMBER: &[Function] = &[method_of("String", &[], named_number)];

pub(super) static OF_DURATION: &[Function] = &[
    method_of("Abs", &[], |_, args| duration(args.int(0).checked_abs().unwrap_or(i64::MAX))),
    method_of("Hours", &[], |_, args| Ok(Value::Float(in_unit(args.int(0), 3_600_000_000_000)))),
    method_of("Microseconds", &[], |_, args| Ok(Value::int64(args.int(0) / 1_000))),
    method_of("Milliseconds", &[], |_, args| Ok(Value::int64(args.int(0) / 1_000_000))),
    method_of("Minutes", &[], |_, args| Ok(Value::Float(in_unit(args.int(0), 60_000_000_000)))),
    method_of("Nanoseconds", &[], |_, args| Ok(Value::int64(args.int(0)))),
    method_of("Round", &[Ty::Duration], |_, args| duration(round_to(args.int(0), args.int(1)))),
    method_of("Seconds", &[], |_, args| Ok(Value::Float(in_unit(args.int(0), 1_000_000_000)))),
    method_of("String", &[], |cx, args| cx.text(format_duration(args.int(0)))),
    method_of("Truncate", &[Ty::Duration], |_, args| duration(truncate(args.int(0), args.int(1)))),
];

fn time(time: Time) -> Outcome<Value> {
    Ok(Value::Time(time))
}

fn int(value: i64) -> Outcome<Value> {
    Ok(Value::int(value))
}

fn truth(value: bool) -> Outcome<Value> {
    Ok(Value::Bool(value))
}

fn duration(nanoseconds: i64) -> Outcome<Value> {
    Ok(Value::Int(nanoseconds, IntType::Duration))
}

fn add_date(_: &mut Cx, args: &Args) -> Outcome<Value> {
    let original = args.time(0);
    let civil = original.civil();
    let date = (
        civil.year.wrapping_add(args.int(1)),
        civil.month.wrapping_add(args.int(2)),
        civil.day.wrapping_add(args.int(3)),
    );
    let limit = 1_i64 << 40;
    if [date.0, date.1, date.2].iter().any(|part| part.abs() > limit) {
        return Err(Failure::function("out of range"));
    }
    let moved = Time::from_civil(date, (civil.hour, civil.minute, civil.second), original.nanoseconds);
    time(moved.reinterpreted_in(original.zone))
}

fn compare(_: &mut Cx, args: &Args) -> Outcome<Value> {
    int(args.time(0).instant().cmp(&args.time(1).instant()) as i64)
}

fn in_zone(_: &mut Cx, args: &Args) -> Outcome<Value> {
    match args.any(1) {
        Value::Zone(zone) => time(args.time(0).in_zone(zone.clone())),
        _ => Err(Failure::function("the zone is nil")),
    }
}

fn local(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let zone = cx.local_zone();
    time(args.time(0).in_zone(zone))
}

fn zone_name(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match args.any(0) {
        Value::Zone(zone) => cx.text(zone.name()),
        _ => Err(Failure::wrong_type("expected a time zone")),
    }
}

fn named_number(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match args.any(0) {
        Value::Int(month, IntType::Month) => cx.text(Time::month_name(*month)),
        _ => cx.text(Time::weekday_name(args.int(0))),
    }
}

fn unix_in(time: &Time, units_per_second: i64) -> i64 {
    let nanoseconds = i64::from(time.nanoseconds);
    time.unix().wrapping_mul(units_per_second).wrapping_add(nanoseconds / (1_000_000_000 / units_per_second))
}

fn in_unit(nanoseconds: i64, unit: i64) -> f64 {
    int_to_float(nanoseconds / unit) + int_to_float(nanoseconds % unit) / int_to_float(unit)
}

const fn truncate(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 { nanoseconds } else { nanoseconds - nanoseconds % unit }
}
