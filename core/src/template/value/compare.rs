//! Equality and order: `eq` and `lt` of text/template, and `reflect.DeepEqual`.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::context::Cx;
use super::super::error::{Class, Failure, Outcome};
use super::certificate::Certificate;
use super::{List, Map, Reference, Value};

const INCOMPATIBLE: Failure = Failure::wrong_type("incompatible types for comparison");
const NOT_COMPARABLE: Failure = Failure::wrong_type("values of this type cannot be compared");

/// `eq` of two values.
pub(crate) fn equal(cx: &mut Cx, left: &Value, right: &Value) -> Outcome<bool> {
    pay_to_compare(cx, left, right)?;
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Int(left, _), Value::Int(right, _)) => Ok(left == right),
        (Value::Uint(left, _), Value::Uint(right, _)) => Ok(left == right),
        (Value::Int(signed, _), Value::Uint(unsigned, _))
        | (Value::Uint(unsigned, _), Value::Int(signed, _)) => {
            Ok(u64::try_from(*signed).is_ok_and(|signed| signed == *unsigned))
        }
        (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right) == Some(Ordering::Equal)),
        (Value::Complex(..), Value::Complex(..)) => Ok(same_complex(left, right)),
        (Value::Text(left), Value::Text(right)) => Ok(left == right),
        (Value::Nil, other) | (other, Value::Nil) => Ok(other.is_nil()),
        _ => equal_compound(left, right),
    }
}

/// Charges for the bytes that a comparison of two values reads.
fn pay_to_compare(cx: &mut Cx, left: &Value, right: &Value) -> Outcome<()> {
    let bytes = match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.len().min(right.len()),
        (Value::Certificate(left), Value::Certificate(right)) => {
            let size = |of: &Certificate| of.certificate.len().saturating_add(of.key.len());
            size(left).min(size(right))
        }
        _ => 0,
    };
    cx.work(bytes)
}

fn same_complex(left: &Value, right: &Value) -> bool {
    let (Value::Complex(left_real, left_imaginary), Value::Complex(right_real, right_imaginary)) =
        (left, right)
    else {
        return false;
    };
    left_real.partial_cmp(right_real) == Some(Ordering::Equal)
        && left_imaginary.partial_cmp(right_imaginary) == Some(Ordering::Equal)
}

fn equal_compound(left: &Value, right: &Value) -> Outcome<bool> {
    if is_basic(left) || is_basic(right) {
        return Err(INCOMPATIBLE);
    }
    match (left, right) {
        (Value::List(left), Value::List(right)) if left.is_nil || right.is_nil => {
            Ok(left.is_nil == right.is_nil)
        }
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Zone(left), Value::Zone(right)) => Ok(left == right),
        (Value::Certificate(left), Value::Certificate(right)) => Ok(left == right),
        (Value::Version(left, Reference::Pointer), Value::Version(right, Reference::Pointer)) => {
            Ok(Rc::ptr_eq(left, right))
        }
        (Value::Version(left, Reference::Direct), Value::Version(right, Reference::Direct)) => {
            Ok(left == right)
        }
        _ if left.kind_name() == right.kind_name() && !matches!(left, Value::List(_) | Value::Map(_)) => {
            Ok(false)
        }
        _ => Err(NOT_COMPARABLE),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(..)
            | Value::Uint(..)
            | Value::Float(_)
            | Value::Complex(..)
            | Value::Text(_)
    )
}

/// `lt` of two values.
pub(crate) fn less(cx: &mut Cx, left: &Value, right: &Value) -> Outcome<bool> {
    pay_to_compare(cx, left, right)?;
    match (left, right) {
        (Value::Int(left, _), Value::Int(right, _)) => Ok(left < right),
        (Value::Uint(left, _), Value::Uint(right, _)) => Ok(left < right),
        (Value::Int(left, _), Value::Uint(right, _)) => Ok(i128::from(*left) < i128::from(*right)),
        (Value::Uint(left, _), Value::Int(right, _)) => Ok(i128::from(*left) < i128::from(*right)),
        (Value::Float(left), Value::Float(right)) => Ok(left < right),
        (Value::Text(left), Value::Text(right)) => Ok(left < right),
        _ => Err(INCOMPATIBLE),
    }
}

/// `reflect.DeepEqual`: types must agree, nil and empty lists differ, NaN differs from itself.
pub(crate) fn deep_equal(cx: &mut Cx, left: &Value, right: &Value, depth: usize) -> Outcome<bool> {
    cx.step(1)?;
    cx.meter.nesting(depth)?;
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::List(left), Value::List(right)) => lists_equal(cx, left, right, depth),
        (Value::Map(left), Value::Map(right)) => maps_equal(cx, left, right, depth),
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Version(left, left_reference), Value::Version(right, right_reference)) => {
            Ok(left_reference == right_reference && left == right)
        }
        (Value::Int(..) | Value::Uint(..), Value::Int(..) | Value::Uint(..))
            if left.type_name() != right.type_name() =>
        {
            Ok(false)
        }
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        _ => match equal(cx, left, right) {
            Err(failure) if failure.class == Class::Type => Ok(false),
            outcome => outcome,
        },
    }
}

fn lists_equal(cx: &mut Cx, left: &List, right: &List, depth: usize) -> Outcome<bool> {
    if left.of != right.of || left.is_nil != right.is_nil || left.len() != right.len() {
        return Ok(false);
    }
    if Rc::ptr_eq(&left.items, &right.items) {
        return Ok(true);
    }
    let (left, right) = (left.items.borrow(), right.items.borrow());
    for (left, right) in left.iter().zip(right.iter()) {
        if !deep_equal(cx, left, right, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_equal(cx: &mut Cx, left: &Map, right: &Map, depth: usize) -> Outcome<bool> {
    if left.of != right.of {
        return Ok(false);
    }
    if Rc::ptr_eq(&left.entries, &right.entries) {
        return Ok(true);
    }
    let (left, right) = (left.entries.borrow(), right.entries.borrow());
    if left.len() != right.len() {
        return Ok(false);
    }
    for ((left_key, left), (right_key, right)) in left.iter().zip(right.iter()) {
        cx.work(left_key.len().min(right_key.len()))?;
        if left_key != right_key || !deep_equal(cx, left, right, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
