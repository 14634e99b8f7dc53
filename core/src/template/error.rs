//! Template errors. They never contain values.

use std::fmt;

/// Error of a rendering. Its text never holds a value, rendered or secret, only what the manifest shows openly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template.data.{key}, line {line}, column {column}: {class}{}: {reason}", At(function.as_deref()))]
pub struct TemplateError {
    /// The key under `spec.template.data`.
    pub key: String,
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The function that was being called, if any.
    pub function: Option<String>,
    /// The kind of the failure.
    pub class: Class,
    /// A fixed text that describes the error.
    pub reason: &'static str,
}

struct At<'a>(Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(function) => write!(formatter, " in function {function}"),
            None => Ok(()),
        }
    }
}

/// Kinds of template failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The text is not a template.
    Syntax,
    /// It names a function that does not exist or is not allowed.
    UnknownFunction,
    /// A value has the wrong type for the operation.
    Type,
    /// A function refused its arguments, or `fail` was called.
    FunctionFailed,
    /// A limit of [`super::Budget`] was reached.
    Budget,
    /// The rendering used up its own processor time, and would again.
    Expired,
    /// The rendering waited too long for the processor, and may not the next time.
    Interrupted,
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Syntax => "syntax error",
            Self::UnknownFunction => "unknown function",
            Self::Type => "type error",
            Self::FunctionFailed => "failed",
            Self::Budget => "template budget exceeded",
            Self::Expired => "out of time",
            Self::Interrupted => "interrupted",
        })
    }
}

/// A failure before its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) reason: &'static str,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) const fn syntax(reason: &'static str) -> Self {
        Self { class: Class::Syntax, reason }
    }
    pub(crate) const fn wrong_type(reason: &'static str) -> Self {
        Self { class: Class::Type, reason }
    }
    pub(crate) const fn function(reason: &'static str) -> Self {
        Self { class: Class::FunctionFailed, reason }
    }
    pub(crate) const fn budget(reason: &'static str) -> Self {
        Self { class: Class::Budget, reason }
    }
    pub(crate) const fn expired() -> Self {
        Self {
            class: Class::Expired,
            reason: "rendering took too much processor time; it is not retried before the template changes",
        }
    }
    pub(crate) const fn interrupted() -> Self {
        Self {
            class: Class::Interrupted,
            reason: "the machine was too busy to finish rendering in time; nothing is wrong with the template, try again later",
        }
    }
}

/// A failure with its place: an offset in the template's text and the function being called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) offset: usize,
    pub(crate) function: Option<String>,
    pub(crate) failure: Failure,
}

impl Located {
    pub(crate) fn new(offset: usize, failure: Failure) -> Self {
        Self { offset, function: None, failure }
    }

    /// Turns the offset into line and column of `text`.
    pub(crate) fn in_text(self, key: &str, text: &str) -> TemplateError {
        let before = text.get(..self.offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TemplateError {
            key: key.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            function: self.function,
            class: self.failure.class,
            reason: self.failure.reason,
        }
    }
}
