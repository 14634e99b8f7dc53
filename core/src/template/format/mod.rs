//! Go's `fmt`: formatting of values, and `printf`.

mod directive;
mod flags;
mod float;
mod integer;
mod printer;
mod quote;

use super::context::Cx;
use super::error::Outcome;
use super::value::{Bytes, Value};
use super::zeroizing::Buffer;

pub(crate) use self::directive::sprintf;
pub(crate) use self::float::format_float;
pub(crate) use self::quote::quote;

use self::printer::Printer;

/// Formats the result of an action.
pub(crate) fn print_value(cx: &mut Cx, value: &Value) -> Outcome<Bytes> {
    match value {
        Value::Nil => Ok("<no value>".into()),
        Value::Text(text) => Ok(text.clone()),
        _ => Ok(sprint(cx, std::slice::from_ref(value))?.into_bytes().into()),
    }
}

/// `fmt.Sprint`: adds a space between two values if neither is a string.
pub(crate) fn sprint(cx: &mut Cx, values: &[Value]) -> Outcome<Buffer> {
    let mut printer = Printer::new(cx);
    let mut previous_is_text = true;
    for (position, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        printer.cx.step(1)?;
        if position > 0 && !is_text && !previous_is_text {
            printer.output.push(b" ")?;
        }
        printer.argument(value, 'v')?;
        previous_is_text = is_text;
    }
    Ok(printer.output)
}

/// `fmt.Sprintln`: adds a space between all values and a newline at the end.
pub(crate) fn sprintln(cx: &mut Cx, values: &[Value]) -> Outcome<Buffer> {
    let mut printer = Printer::new(cx);
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            printer.output.push(b" ")?;
        }
        printer.argument(value, 'v')?;
    }
    printer.output.push(b"\n")?;
    Ok(printer.output)
}
