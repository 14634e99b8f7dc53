//! Parses text to templates.

pub(crate) mod ast;
mod expression;
pub(crate) mod number;
mod parser;
mod scope;
mod token;

pub(crate) use self::parser::{functions_named_in, parse};
