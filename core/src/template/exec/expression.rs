//! Evaluates pipelines, commands and operands.

use super::super::context::{Args, Function, Ty};
use super::super::error::{Failure, Located};
use super::super::functions::lookup;
use super::super::syntax::ast::{Command, Operand, Pipe, Term};
use super::super::value::Value;
use super::arguments::{constant, literal, validate};
use super::variables::Held;
use super::{Evaluated, Executor};

const NOT_A_FUNCTION: Failure = Failure::wrong_type("arguments given to something that is not a function");

impl<'t> Executor<'t, '_, '_> {
    pub(super) fn pipe(&mut self, pipe: &'t Pipe, dot: &Held) -> Evaluated<Value> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone().into())
                    .map_err(|failure| Located::new(pipe.offset, failure))?;
            } else {
                self.variables.push(name, value.clone().into());
            }
        }
        Ok(value)
    }

    /// Evaluates a command. `last` is the result of the command before the `|`, which becomes the last argument.
    fn command(&mut self, command: &'t Command, dot: &Held, last: Option<Value>) -> Evaluated<Value> {
        let located = |failure| Located::new(command.head.offset, failure);
        self.cx.step(1).map_err(located)?;
        match &command.head.operand {
            Operand::Function(name) => {
                self.function(name, command.head.offset, &command.arguments, dot, last)
            }
            Operand::Field(names) => self.fields(dot.clone(), names, command, dot, last),
            Operand::Variable(name, names) => {
                let receiver = self.held_by(name, command.head.offset)?;
                self.fields(receiver, names, command, dot, last)
            }
            Operand::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?.into();
                self.fields(receiver, names, command, dot, last)
            }
            _ if last.is_some() || !command.arguments.is_empty() => Err(located(NOT_A_FUNCTION)),
            Operand::Nil => Err(located(Failure::wrong_type("nil is not a command"))),
            _ => self.operand(&command.head, dot),
        }
    }

    fn held_by(&mut self, name: &str, offset: usize) -> Evaluated<Held> {
        self.cx.work(name.len()).map_err(|failure| Located::new(offset, failure))?;
        let value = self.variables.get(name).cloned();
        value.ok_or_else(|| Located::new(offset, Failure::wrong_type("undefined variable")))
    }

    /// Returns the value of an operand without an expected type.
    pub(super) fn operand(&mut self, term: &'t Term, dot: &Held) -> Evaluated<Value> {
        match &term.operand {
            Operand::Dot => Ok(dot.value.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Number(number) => constant(number).map_err(|failure| Located::new(term.offset, failure)),
            Operand::Function(name) => self.function(name, term.offset, &[], dot, None),
            Operand::Pipe(pipe) => self.pipe(pipe, dot),
            Operand::Field(names) => self.read_fields(dot.clone(), names, term.offset),
            Operand::Variable(name, names) => {
                let receiver = self.held_by(name, term.offset)?;
                self.read_fields(receiver, names, term.offset)
            }
            Operand::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?.into();
                self.read_fields(receiver, names, term.offset)
            }
        }
    }

    fn function(
        &mut self,
        name: &'t str,
        offset: usize,
        arguments: &'t [Term],
        dot: &Held,
        last: Option<Value>,
    ) -> Evaluated<Value> {
        let Some(function) = lookup(name) else {
            return Err(Located::unknown_function(offset, name));
        };
        let named = |failure| Located { offset, function: Some(name.to_owned()), failure };
        check_count(function, arguments.len() + usize::from(last.is_some())).map_err(named)?;
        if let "and" | "or" = name {
            return self.short_circuit(name == "or", arguments, dot, last);
        }
        let values = self.arguments(function, arguments, dot, last)?;
        self.cx.enter(function).map_err(named)?;
        (function.run)(self.cx, &Args::new(values)).map_err(named)
    }

    /// Evaluates only as many arguments of `and` and `or` as needed.
    fn short_circuit(
        &mut self,
        is_or: bool,
        arguments: &'t [Term],
        dot: &Held,
        last: Option<Value>,
    ) -> Evaluated<Value> {
        let mut value = Value::Nil;
        for term in arguments {
            self.cx.step(1).map_err(|failure| Located::new(term.offset, failure))?;
            value = self.operand(term, dot)?;
            if value.is_true() == is_or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, term: &'t Term, parameter: Ty, dot: &Held) -> Evaluated<Value> {
        let located = |failure| Located::new(term.offset, failure);
        self.cx.step(1).map_err(located)?;
        if let Some(converted) = literal(&term.operand, parameter) {
            return converted.map_err(located);
        }
        let value = self.operand(term, dot)?;
        validate(value, parameter).map_err(located)
    }

    pub(super) fn arguments(
        &mut self,
        function: &Function,
        terms: &'t [Term],
        dot: &Held,
        last: Option<Value>,
    ) -> Evaluated<Vec<Value>> {
        let mut values = Vec::with_capacity(terms.len() + 1);
        for (position, term) in terms.iter().enumerate() {
            values.push(self.argument(term, function.parameter(position), dot)?);
        }
        if let Some(last) = last {
            let offset = terms.first().map_or(0, |term| term.offset);
            let checked = validate(last, function.parameter(values.len()));
            values.push(checked.map_err(|failure| Located {
                offset,
                function: Some(function.name.to_owned()),
                failure,
            })?);
        }
        Ok(values)
    }
}

pub(super) fn check_count(function: &Function, given: usize) -> Result<(), Failure> {
    let fixed = function.parameters.len();
    if given < fixed || (given > fixed && function.variadic.is_none()) {
        return Err(Failure::wrong_type("wrong number of arguments"));
    }
    Ok(())
}
