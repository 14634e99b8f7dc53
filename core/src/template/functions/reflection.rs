//! Types, kinds, copies and deep equality.

use std::rc::Rc;

use crate::template::context::{Args, Cx, memory_of_entries};
use crate::template::error::{Failure, Outcome};
use crate::template::value::compare::deep_equal;
use crate::template::value::{Entries, Value};

pub(super) fn type_of(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.text(args.any(0).type_name())
}

pub(super) fn kind_of(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.text(args.any(0).kind_name())
}

pub(super) fn type_is(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(args.text(0) == args.any(1).type_name().as_bytes()))
}

pub(super) fn type_is_like(_: &mut Cx, args: &Args) -> Outcome<Value> {
    let (wanted, actual) = (args.text(0), args.any(1).type_name().as_bytes());
    Ok(Value::Bool(wanted == actual || actual.strip_prefix(b"*") == Some(wanted)))
}

pub(super) fn kind_is(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(args.text(0) == args.any(1).kind_name().as_bytes()))
}

pub(super) fn deep_equals(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    deep_equal(cx, args.any(0), args.any(1), 0).map(Value::Bool)
}

pub(super) fn deep_copy(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match args.any(0) {
        Value::Nil => Err(Failure::function("nil cannot be copied")),
        value => copy(cx, value, 0),
    }
}

fn copy(cx: &mut Cx, value: &Value, depth: usize) -> Outcome<Value> {
    cx.step(1)?;
    cx.meter.nesting(depth)?;
    match value {
        Value::List(list) if !list.is_nil => {
            cx.meter.affords(list.len().saturating_mul(size_of::<Value>()))?;
            let mut items = Vec::with_capacity(list.len());
            for item in list.items.borrow().iter() {
                items.push(copy(cx, item, depth + 1)?);
            }
            cx.list(list.of, items)
        }
        Value::Map(map) => {
            cx.meter.affords(memory_of_entries(map.entries.borrow().len()))?;
            let mut entries = Entries::new();
            for (key, value) in map.entries.borrow().iter() {
                entries.insert(key.clone(), copy(cx, value, depth + 1)?);
            }
            cx.map(map.of, entries)
        }
        // Go's copier ignores the private fields of a version.
        Value::Version(_, reference) => Ok(Value::Version(Rc::default(), *reference)),
        other => Ok(other.clone()),
    }
}
