//! Arithmetic.

use super::conversion::{to_float, to_int};
use super::decimal::Decimal;
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{ListType, Value};

const DIVISION_BY_ZERO: Failure = Failure::function("division by zero");

/// Converts all arguments to integers.
fn ints(cx: &mut Cx, args: &Args) -> Outcome<Vec<i64>> {
    args.from(0).iter().map(|value| to_int(cx, value)).collect()
}

pub(super) fn add(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(ints(cx, args)?.into_iter().fold(0, i64::wrapping_add)))
}

pub(super) fn add1(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(to_int(cx, args.any(0))?.wrapping_add(1)))
}

pub(super) fn sub(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(to_int(cx, args.any(0))?.wrapping_sub(to_int(cx, args.any(1))?)))
}

pub(super) fn mul(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(ints(cx, args)?.into_iter().fold(1, i64::wrapping_mul)))
}

pub(super) fn div(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let divisor = to_int(cx, args.any(1))?;
    if divisor == 0 {
        return Err(DIVISION_BY_ZERO);
    }
    Ok(Value::int64(to_int(cx, args.any(0))?.wrapping_div(divisor)))
}

pub(super) fn modulo(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let divisor = to_int(cx, args.any(1))?;
    if divisor == 0 {
        return Err(DIVISION_BY_ZERO);
    }
    Ok(Value::int64(to_int(cx, args.any(0))?.wrapping_rem(divisor)))
}

pub(super) fn max(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(ints(cx, args)?.into_iter().max().unwrap_or(0)))
}

pub(super) fn min(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::int64(ints(cx, args)?.into_iter().min().unwrap_or(0)))
}

pub(super) fn maxf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    fold_floats(cx, args, greater)
}

pub(super) fn minf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    fold_floats(cx, args, smaller)
}

/// Go's `math.Max`: 0 is greater than -0.
fn greater(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() {
        return keep_infinity(left, right, f64::INFINITY);
    }
    if left.total_cmp(&right).is_ge() { left } else { right }
}

/// Go's `math.Min`: -0 is smaller than 0.
fn smaller(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() {
        return keep_infinity(left, right, f64::NEG_INFINITY);
    }
    if left.total_cmp(&right).is_le() { left } else { right }
}

/// Go's `math.Max` and `math.Min` prefer their infinity to NaN.
fn keep_infinity(left: f64, right: f64, infinity: f64) -> f64 {
    let is_infinity =
        |value: f64| value.is_infinite() && value.is_sign_positive() == infinity.is_sign_positive();
    if is_infinity(left) || is_infinity(right) { infinity } else { f64::NAN }
}

fn fold_floats(cx: &mut Cx, args: &Args, choose: fn(f64, f64) -> f64) -> Outcome<Value> {
    let floats: Outcome<Vec<f64>> = args.from(0).iter().map(|value| to_float(cx, value)).collect();
    Ok(Value::Float(floats?.into_iter().reduce(choose).unwrap_or(0.0)))
}

pub(super) fn add1f(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    decimals(cx, &[args.any(0).clone(), Value::int(1)], |left, right| Ok(left.add(right)))
}

pub(super) fn addf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let with_zero: Vec<_> = std::iter::once(Value::int(0)).chain(args.from(0).iter().cloned()).collect();
    decimals(cx, &with_zero, |left, right| Ok(left.add(right)))
}

pub(super) fn subf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    decimals(cx, args.from(0), |left, right| Ok(left.subtract(right)))
}

pub(super) fn mulf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    decimals(cx, args.from(0), |left, right| Ok(left.multiply(right)))
}

pub(super) fn divf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    decimals(cx, args.from(0), Decimal::divide)
}

fn decimals(
    cx: &mut Cx,
    values: &[Value],
    combine: fn(&Decimal, &Decimal) -> Outcome<Decimal>,
) -> Outcome<Value> {
    let mut result = None;
    for (count, value) in values.iter().enumerate() {
        // Products and quotients grow with every factor.
        cx.step(u64::try_from(count).unwrap_or(u64::MAX).saturating_add(10))?;
        let value = Decimal::new(to_float(cx, value)?)?;
        result = Some(match result {
            None => value,
            Some(result) => combine(&result, &value)?.within_limit()?,
        });
    }
    let result = result.map_or_else(|| Decimal::new(0.0), Ok)?;
    Ok(Value::Float(result.to_float()))
}

pub(super) fn ceil(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Float(to_float(cx, args.any(0))?.ceil()))
}

pub(super) fn floor(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Float(to_float(cx, args.any(0))?.floor()))
}

pub(super) fn round(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let threshold = if args.from(2).is_empty() { 0.5 } else { to_float(cx, args.any(2))? };
    let power = power_of_ten(args.int(1));
    let scaled = power * to_float(cx, args.any(0))?;
    let rounded = if scaled.fract() >= threshold { scaled.ceil() } else { scaled.floor() };
    Ok(Value::Float(rounded / power))
}

fn power_of_ten(exponent: i64) -> f64 {
    let exponent = exponent.clamp(-400, 400);
    format!("1e{exponent}").parse().unwrap_or(f64::INFINITY)
}

pub(super) fn until(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let count = args.int(0);
    let items = count_by(cx, 0, count, if count < 0 { -1 } else { 1 })?;
    cx.list(ListType::Int, items)
}

pub(super) fn until_step(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let items = count_by(cx, args.int(0), args.int(1), args.int(2))?;
    cx.list(ListType::Int, items)
}

fn count_by(cx: &mut Cx, start: i64, end: i64, step: i64) -> Outcome<Vec<Value>> {
    let distance = i128::from(end) - i128::from(start);
    if step == 0 || (distance < 0) != (step < 0) || distance == 0 {
        return Ok(Vec::new());
    }
    let count = (distance.unsigned_abs()).div_ceil(i128::from(step).unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    cx.pay_for_elements(count)?;
    let numbers = (0..count).scan(start, |next, _| {
        let value = *next;
        *next = next.wrapping_add(step);
        Some(Value::int(value))
    });
    Ok(numbers.collect())
}

pub(super) fn seq(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (start, step, end) = match args.from(0).len() {
        1 => (1, direction(1, args.int(0)), args.int(0)),
        2 => (args.int(0), direction(args.int(0), args.int(1)), args.int(1)),
        3 => (args.int(0), args.int(1), args.int(2)),
        _ => return cx.text(""),
    };
    if end < start && step > 0 {
        return cx.text("");
    }
    let numbers = count_by(cx, start, end.wrapping_add(direction(start, end)), step)?;
    let mut output = cx.buffer();
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            output.push(b" ")?;
        }
        output.push(to_int(cx, number)?.to_string().as_bytes())?;
    }
    cx.finish(output)
}

const fn direction(start: i64, end: i64) -> i64 {
    if end < start { -1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_have_a_sign_as_in_go() {
        for (left, right) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(smaller(left, right).is_sign_negative());
            assert!(greater(left, right).is_sign_positive());
        }
    }
}
