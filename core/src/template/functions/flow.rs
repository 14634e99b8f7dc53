//! Defaults, conditions and failures.

use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;

pub(super) fn default(_: &mut Cx, args: &Args) -> Outcome<Value> {
    let given = args.from(1).first().filter(|given| given.is_true());
    Ok(given.unwrap_or(args.any(0)).clone())
}

pub(super) fn empty(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(!args.any(0).is_true()))
}

pub(super) fn coalesce(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(args.from(0).iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nil))
}

pub(super) fn all(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(args.from(0).iter().all(Value::is_true)))
}

pub(super) fn any(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(args.from(0).iter().any(Value::is_true)))
}

pub(super) fn ternary(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(args.any(usize::from(!args.bool(2))).clone())
}

pub(super) fn fail(_: &mut Cx, _: &Args) -> Outcome<Value> {
    Err(Failure::function("the template gave up by calling fail"))
}
