//! Evaluates `.a.b.c`: keys of maps, fields of structs, and methods.

use super::super::context::Args;
use super::super::error::{Failure, Located};
use super::super::functions::method;
use super::super::syntax::ast::{Command, Term};
use super::super::value::Value;
use super::expression::check_count;
use super::variables::Held;
use super::{Evaluated, Executor};

impl Held {
    fn unless_nowhere(self) -> Option<Value> {
        (self.is_item || !matches!(self.value, Value::Nil)).then_some(self.value)
    }
}

impl<'t> Executor<'t, '_, '_> {
    /// Follows `names` from `receiver`. The last one may be a method that takes the command's arguments.
    pub(super) fn fields(
        &mut self,
        receiver: Held,
        names: &'t [String],
        command: &'t Command,
        dot: &Held,
        last: Option<Value>,
    ) -> Evaluated<Value> {
        let offset = command.head.offset;
        let Some((final_name, path)) = names.split_last() else {
            if last.is_some() || !command.arguments.is_empty() {
                return Err(Located::new(
                    offset,
                    Failure::wrong_type("arguments given to something that is not a function"),
                ));
            }
            return Ok(receiver.value);
        };
        let mut receiver = receiver.unless_nowhere();
        for name in path {
            receiver = self.field(receiver, name, offset, &[], dot, None)?;
        }
        Ok(self.field(receiver, final_name, offset, &command.arguments, dot, last)?.unwrap_or(Value::Nil))
    }

    pub(super) fn read_fields(
        &mut self,
        receiver: Held,
        names: &'t [String],
        offset: usize,
    ) -> Evaluated<Value> {
        let mut receiver = receiver.unless_nowhere();
        for name in names {
            receiver = self.field(receiver, name, offset, &[], &Value::Nil.into(), None)?;
        }
        Ok(receiver.unwrap_or(Value::Nil))
    }

    /// Returns `None` for an absent key, whose fields are all absent too. A nil that is present has no fields.
    fn field(
        &mut self,
        receiver: Option<Value>,
        name: &'t str,
        offset: usize,
        arguments: &'t [Term],
        dot: &Held,
        last: Option<Value>,
    ) -> Evaluated<Option<Value>> {
        let located = |reason| Located::new(offset, Failure::wrong_type(reason));
        self.cx.step(1).map_err(|failure| Located::new(offset, failure))?;
        let Some(receiver) = receiver else {
            return Ok(None);
        };
        if let Some(function) = method(&receiver, name) {
            let named = |failure| Located { offset, function: Some(name.to_owned()), failure };
            check_count(function, arguments.len() + usize::from(last.is_some())).map_err(named)?;
            let mut values = vec![receiver];
            values.extend(self.arguments(function, arguments, dot, last)?);
            self.cx.enter(function).map_err(named)?;
            return (function.run)(self.cx, &Args::new(values)).map(Some).map_err(named);
        }
        let has_arguments = last.is_some() || !arguments.is_empty();
        match &receiver {
            Value::Map(_) | Value::Certificate(_) if has_arguments => {
                Err(located("arguments given to something that is not a function"))
            }
            Value::Map(map) => {
                self.cx.get(map, name.as_bytes()).map_err(|failure| Located::new(offset, failure))
            }
            Value::Certificate(certificate) => match name {
                "Cert" => Ok(Some(Value::Text(certificate.certificate.clone()))),
                "Key" => Ok(Some(Value::Text(certificate.key.clone()))),
                _ => Err(located("no such field")),
            },
            Value::Nil => Err(located("a field of nil")),
            _ => Err(located("a value of this type has no such field")),
        }
    }
}
