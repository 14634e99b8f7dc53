//! Arguments take the type of their parameter: constants are converted, other values must have it.

use super::super::context::Ty;
use super::super::error::{Failure, Outcome};
use super::super::syntax::ast::{Number, Operand};
use super::super::value::{IntType, ListType, MapType, Reference, Value};

/// Returns the value of a number without an expected type: an int, or a float if it is written like one.
pub(super) fn constant(number: &Number) -> Outcome<Value> {
    if let Some(imaginary) = number.imaginary {
        return Ok(Value::Complex(number.float.unwrap_or(0.0), imaginary));
    }
    match (number.looks_like_float, number.float, number.int) {
        (true, Some(float), _) => Ok(Value::Float(float)),
        (false, _, Some(int)) => Ok(Value::int(int)),
        _ => Err(Failure::wrong_type("constant overflows int")),
    }
}

/// Converts a constant to a parameter's type. `None` if `operand` is not a constant or the parameter accepts any type.
pub(super) fn literal(operand: &Operand, parameter: Ty) -> Option<Outcome<Value>> {
    let wrong = |expected| Some(Err(Failure::wrong_type(expected)));
    match (operand, parameter) {
        (Operand::Nil, Ty::Any | Ty::Map | Ty::List | Ty::Version | Ty::Zone) => Some(Ok(Value::Nil)),
        (Operand::Nil, _) => wrong("nil given where a value is needed"),
        (Operand::Bool(_) | Operand::Number(_) | Operand::Text(_), Ty::Any)
        | (Operand::Bool(_), Ty::Bool)
        | (Operand::Text(_), Ty::Text) => None,
        (Operand::Number(number), Ty::Int | Ty::Duration) => {
            let of = parameter.int_type();
            Some(number.int.map(|int| Value::Int(int, of)).ok_or(Failure::wrong_type("expected an integer")))
        }
        (Operand::Number(number), Ty::Uint32) => {
            let fits = number
                .uint
                .filter(|uint| u32::try_from(*uint).is_ok())
                .and_then(|uint| i64::try_from(uint).ok());
            Some(fits.map(Value::int64).ok_or(Failure::wrong_type("expected an unsigned integer")))
        }
        (Operand::Number(number), Ty::Float) => {
            Some(number.float.map(Value::Float).ok_or(Failure::wrong_type("expected a float")))
        }
        (Operand::Bool(_) | Operand::Number(_) | Operand::Text(_), _) => {
            wrong("a constant of the wrong type")
        }
        _ => None,
    }
}

/// Checks that a value has exactly the type of a parameter.
pub(crate) fn validate(value: Value, parameter: Ty) -> Outcome<Value> {
    let fits = match (&value, parameter) {
        (_, Ty::Any)
        | (Value::Text(_), Ty::Text)
        | (Value::Bool(_), Ty::Bool)
        | (Value::Float(_), Ty::Float)
        | (Value::Time(_), Ty::Time)
        | (Value::Zone(_), Ty::Zone)
        | (Value::Certificate(_), Ty::Certificate)
        | (Value::Version(_, Reference::Pointer), Ty::Version)
        | (Value::Nil, Ty::Map | Ty::List | Ty::Version | Ty::Zone) => true,
        (Value::Int(_, of), Ty::Int | Ty::Duration) => *of == parameter.int_type(),
        (Value::Map(map), Ty::Map) => map.of == MapType::Any,
        (Value::List(list), Ty::List) => list.of == ListType::Any,
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    Err(Failure::wrong_type(parameter.expectation()))
}

impl Ty {
    fn int_type(self) -> IntType {
        if self == Self::Duration { IntType::Duration } else { IntType::Int }
    }

    fn expectation(self) -> &'static str {
        match self {
            Self::Any => "expected a value",
            Self::Int => "expected a value of type int",
            Self::Uint32 => "expected a value of type uint32",
            Self::Float => "expected a value of type float64",
            Self::Bool => "expected a value of type bool",
            Self::Text => "expected a value of type string",
            Self::Map => "expected a value of type map[string]interface {}",
            Self::List => "expected a value of type []interface {}",
            Self::Time => "expected a value of type time.Time",
            Self::Zone => "expected a value of type *time.Location",
            Self::Duration => "expected a value of type time.Duration",
            Self::Version => "expected a value of type *semver.Version",
            Self::Certificate => "expected a certificate made by one of the gen functions",
        }
    }
}
