//! A parsed template.

use std::collections::BTreeMap;

use super::super::value::Bytes;

/// All templates that one data key defines, by name. The key's own template has the key as its name.
pub(crate) type Templates = BTreeMap<String, Vec<Node>>;

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(Bytes),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Range),
    Template(Call),
    Break,
    Continue,
}

/// `if` or `with`: the arms are tested in order, then `otherwise` runs.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) arms: Vec<(Pipe, Vec<Node>)>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// `{{template "name" pipe}}`
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) offset: usize,
    pub(crate) name: String,
    pub(crate) argument: Option<Pipe>,
}

/// Commands joined by `|`, and the variables that receive the result.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) offset: usize,
    pub(crate) variables: Vec<String>,
    /// True for `=`, false for `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand or function with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) head: Term,
    pub(crate) arguments: Vec<Term>,
}

#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub(crate) offset: usize,
    pub(crate) operand: Operand,
}

#[derive(Debug, Clone)]
pub(crate) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Bytes),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>),
    Chain(Box<Term>, Vec<String>),
}

/// A constant, whose type depends on its use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) imaginary: Option<f64>,
    /// True if written like a float, which it is if no type is expected.
    pub(crate) looks_like_float: bool,
}
