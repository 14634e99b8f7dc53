//! Built-in functions of text/template.

use super::urls::escape_query;
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::format::{sprint, sprintf, sprintln};
use crate::template::value::compare::{equal, less};
use crate::template::value::{Bytes, MapType, Value, is_graphic};

/// Body of `and` and `or`, which evaluate their own arguments and are never called.
pub(super) fn never_called(_: &mut Cx, _: &Args) -> Outcome<Value> {
    Ok(Value::Nil)
}

/// Fails: a Secret's template has no function values.
pub(super) fn call(_: &mut Cx, _: &Args) -> Outcome<Value> {
    Err(Failure::wrong_type("the value to call is not a function"))
}

pub(super) fn not(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(!args.any(0).is_true()))
}

pub(super) fn eq(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    if args.from(1).is_empty() {
        return Err(Failure::wrong_type("missing argument for comparison"));
    }
    for other in args.from(1) {
        if equal(cx, args.any(0), other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(!equal(cx, args.any(0), args.any(1))?))
}

pub(super) fn lt(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    less(cx, args.any(0), args.any(1)).map(Value::Bool)
}

pub(super) fn le(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (left, right) = (args.any(0), args.any(1));
    Ok(Value::Bool(less(cx, left, right)? || equal(cx, left, right)?))
}

pub(super) fn gt(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let le = le(cx, args)?;
    Ok(Value::Bool(!le.is_true()))
}

pub(super) fn ge(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(!less(cx, args.any(0), args.any(1))?))
}

pub(super) fn len(_: &mut Cx, args: &Args) -> Outcome<Value> {
    let length = match args.any(0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.entries.borrow().len(),
        _ => return Err(Failure::wrong_type("a value of this type has no length")),
    };
    Ok(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))
}

pub(super) fn index(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut item = args.any(0).clone();
    if matches!(item, Value::Nil) {
        return Err(Failure::wrong_type("nil has no elements"));
    }
    for index in args.from(1) {
        cx.step(1)?;
        item = element(cx, &item, index)?;
    }
    Ok(item)
}

fn element(cx: &mut Cx, item: &Value, index: &Value) -> Outcome<Value> {
    const OUT_OF_RANGE: Failure = Failure::wrong_type("index out of range");
    match item {
        Value::Text(text) => {
            let byte = text.get(position(index)?).ok_or(OUT_OF_RANGE)?;
            Ok(Value::Uint(u64::from(*byte), crate::template::value::UintType::Uint8))
        }
        Value::List(list) => list.get(position(index)?).ok_or(OUT_OF_RANGE),
        Value::Map(map) => match index {
            Value::Text(key) => Ok(cx.get(map, key)?.unwrap_or_else(|| absent(map.of))),
            _ => Err(Failure::wrong_type("the index of a map must be a string")),
        },
        _ => Err(Failure::wrong_type("a value of this type has no elements")),
    }
}

fn absent(of: MapType) -> Value {
    match of {
        MapType::Any => Value::Nil,
        MapType::Text => Value::text(""),
    }
}

fn position(index: &Value) -> Outcome<usize> {
    const NOT_A_POSITION: Failure = Failure::wrong_type("the index must be an integer within range");
    match index {
        Value::Int(index, _) => usize::try_from(*index).map_err(|_| NOT_A_POSITION),
        Value::Uint(index, _) => usize::try_from(*index).map_err(|_| NOT_A_POSITION),
        _ => Err(NOT_A_POSITION),
    }
}

pub(super) fn print(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let printed = sprint(cx, args.from(0))?;
    cx.finish(printed)
}

pub(super) fn println(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let printed = sprintln(cx, args.from(0))?;
    cx.finish(printed)
}

pub(super) fn printf(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let printed = sprintf(cx, args.text(0), args.from(1))?;
    cx.finish(printed)
}

/// Returns the input of the escaping functions: a string, or all values printed.
fn text_of(cx: &mut Cx, args: &Args) -> Outcome<Bytes> {
    if let [Value::Text(text)] = args.from(0) {
        cx.work(text.len())?;
        return Ok(text.clone());
    }
    let operands: Vec<Value> = args
        .from(0)
        .iter()
        .map(|value| match value {
            Value::Nil => Value::text("<no value>"),
            other => other.clone(),
        })
        .collect();
    Ok(sprint(cx, &operands)?.into_bytes().into())
}

pub(super) fn html(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = text_of(cx, args)?;
    let mut output = cx.buffer();
    cx.pieces(&text, |piece| {
        piece.iter().try_for_each(|byte| {
            output.push(match byte {
                b'"' => b"&#34;",
                b'\'' => b"&#39;",
                b'&' => b"&amp;",
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                0 => "\u{fffd}".as_bytes(),
                other => std::slice::from_ref(other),
            })
        })
    })?;
    cx.finish(output)
}

pub(super) fn js(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = text_of(cx, args)?;
    let mut output = cx.buffer();
    cx.characters(&text, |rune| {
        let original = text.get(rune.start..rune.start + rune.width).unwrap_or_default();
        match rune.char {
            '\\' => output.push(b"\\\\"),
            '\'' => output.push(b"\\'"),
            '"' => output.push(b"\\\""),
            '<' | '>' | '&' | '=' => output.push(format!("\\u{:04X}", u32::from(rune.char)).as_bytes()),
            char if char < ' ' || (!char.is_ascii() && !is_graphic(char)) => {
                output.push(format!("\\u{:04X}", u32::from(char)).as_bytes())
            }
            _ => output.push(original),
        }
    })?;
    cx.finish(output)
}

pub(super) fn urlquery(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = text_of(cx, args)?;
    cx.meter.allocate(text.len().saturating_mul(3))?;
    let escaped = escape_query(cx, &text)?;
    cx.text(escaped)
}
