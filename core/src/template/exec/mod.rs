//! Runs a parsed template. Blocks and template calls are kept on an explicit stack, so no template can exhaust the thread's
//! stack.

mod arguments;
mod expression;
mod fields;
mod variables;

use std::slice;

use super::context::Cx;
use super::error::{Failure, Located};
use super::format::print_value;
use super::syntax::ast::{Branch, Call, Node, Pipe, Range, Templates};
use super::value::{Bytes, IntType, List, UintType, Value};
use super::zeroizing::Buffer;
use variables::{Held, Variables};

pub(crate) type Evaluated<T> = Result<T, Located>;

/// Renders the template `name` over `dot`.
pub(crate) fn execute(cx: &mut Cx, templates: &Templates, name: &str, dot: &Value) -> Evaluated<Buffer> {
    let body = templates.get(name).map_or(&[][..], Vec::as_slice);
    let mut executor = Executor {
        output: Buffer::new(cx.meter.room()),
        cx,
        templates,
        frames: Vec::new(),
        charged: (0, 0),
        variables: Variables::new(dot.clone().into()),
        calls: 0,
    };
    executor.frames.push(Frame::Body { nodes: body.iter(), dot: dot.clone().into(), mark: 1 });
    executor.run()?;
    Ok(executor.output)
}

struct Executor<'t, 'c, 's> {
    cx: &'c mut Cx<'s>,
    templates: &'t Templates,
    output: Buffer,
    frames: Vec<Frame<'t>>,
    variables: Variables<'t>,
    calls: usize,
    /// Variables and frames that memory was charged for: the most so far.
    charged: (usize, usize),
}

enum Frame<'t> {
    /// Nodes that remain to run; afterwards, variables beyond `mark` go out of scope.
    Body { nodes: slice::Iter<'t, Node>, dot: Held, mark: usize },
    /// A loop whose current iteration is above it on the stack.
    Loop { range: &'t Range, items: Items, mark: usize, inner_mark: usize },
    /// A called template; `base` is the caller's.
    Call { base: usize, mark: usize },
}

/// Elements that remain to iterate over.
enum Items {
    List { list: List, next: usize, length: usize },
    Map(std::vec::IntoIter<(Bytes, Value)>),
    Ints { next: i64, end: i64, of: IntType },
    Uints { next: u64, end: u64, of: UintType },
}

impl Items {
    fn next(&mut self) -> Option<(Value, Value)> {
        match self {
            Self::List { list, next, length } => {
                let item = list.get(*next).filter(|_| *next < *length)?;
                let index = i64::try_from(*next).ok()?;
                *next += 1;
                Some((Value::int(index), item))
            }
            Self::Map(entries) => entries.next().map(|(key, value)| (Value::Text(key), value)),
            Self::Ints { next, end, of } => {
                let value = Some(*next).filter(|next| *next < *end)?;
                *next += 1;
                Some((Value::Int(value, *of), Value::Int(value, *of)))
            }
            Self::Uints { next, end, of } => {
                let value = Some(*next).filter(|next| *next < *end)?;
                *next += 1;
                Some((Value::Uint(value, *of), Value::Uint(value, *of)))
            }
        }
    }
}

impl<'t> Executor<'t, '_, '_> {
    fn run(&mut self) -> Evaluated<()> {
        while let Some(frame) = self.frames.last_mut() {
            match frame {
                Frame::Body { nodes, dot, mark } => {
                    if let Some(node) = nodes.next() {
                        let dot = dot.clone();
                        self.node(node, &dot)?;
                        self.charge_stacks().map_err(|failure| Located::new(offset_of(node), failure))?;
                    } else {
                        self.variables.truncate(*mark);
                        self.frames.pop();
                    }
                }
                Frame::Loop { .. } => self.iterate()?,
                Frame::Call { base, mark } => {
                    let (base, mark) = (*base, *mark);
                    self.variables.leave_template(base, mark);
                    self.calls -= 1;
                    self.frames.pop();
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &'t Node, dot: &Held) -> Evaluated<()> {
        self.cx.step(1).map_err(|failure| Located::new(offset_of(node), failure))?;
        match node {
            Node::Text(text) => self.print(0, text),
            Node::Action(pipe) => self.action(pipe, dot),
            Node::If(branch) => self.branch(branch, dot, false),
            Node::With(branch) => self.branch(branch, dot, true),
            Node::Range(range) => self.range(range, dot),
            Node::Template(call) => self.call(call, dot),
            Node::Break => {
                self.leave_loop();
                Ok(())
            }
            Node::Continue => {
                self.next_iteration();
                Ok(())
            }
        }
    }

    /// Charges the memory of variables and frames beyond the most so far. Recursion holds those of all its calls.
    fn charge_stacks(&mut self) -> Result<(), Failure> {
        /// A vector that grows holds its former elements, and room for as many new ones.
        const GROWTH: usize = 3;
        let (variables, frames) = (self.variables.len(), self.frames.len());
        let more_variables = variables.saturating_sub(self.charged.0).saturating_mul(Variables::ENTRY);
        let more_frames = frames.saturating_sub(self.charged.1).saturating_mul(size_of::<Frame<'_>>());
        if more_variables + more_frames > 0 {
            self.cx.meter.allocate(GROWTH * (more_variables + more_frames))?;
            self.charged = (variables.max(self.charged.0), frames.max(self.charged.1));
        }
        Ok(())
    }

    fn print(&mut self, offset: usize, bytes: &[u8]) -> Evaluated<()> {
        let paid = self.cx.meter.print(bytes.len()).and_then(|()| self.cx.work(bytes.len()));
        let printed = paid.and_then(|()| self.output.push(bytes));
        printed.map_err(|failure| Located::new(offset, failure))
    }

    fn action(&mut self, pipe: &'t Pipe, dot: &Held) -> Evaluated<()> {
        let value = self.pipe(pipe, dot)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        let text = print_value(self.cx, &value).map_err(|failure| Located::new(pipe.offset, failure))?;
        self.print(pipe.offset, &text)
    }

    fn branch(&mut self, branch: &'t Branch, dot: &Held, is_with: bool) -> Evaluated<()> {
        let mark = self.variables.len();
        for (pipe, body) in &branch.arms {
            let value = self.pipe(pipe, dot)?;
            if value.is_true() {
                let dot = if is_with { value.into() } else { dot.clone() };
                self.frames.push(Frame::Body { nodes: body.iter(), dot, mark });
                return Ok(());
            }
        }
        self.frames.push(Frame::Body { nodes: branch.otherwise.iter(), dot: dot.clone(), mark });
        Ok(())
    }

    fn range(&mut self, range: &'t Range, dot: &Held) -> Evaluated<()> {
        let mark = self.variables.len();
        let value = self.pipe(&range.pipe, dot)?;
        let located = |failure| Located::new(range.pipe.offset, failure);
        if matches!(value, Value::Int(..) | Value::Uint(..)) && range.pipe.variables.len() > 1 {
            return Err(located(Failure::wrong_type("a number has no second loop variable")));
        }
        let items = self.items(value).map_err(located)?;
        if items.is_empty() {
            self.frames.push(Frame::Body { nodes: range.otherwise.iter(), dot: dot.clone(), mark });
        } else {
            let inner_mark = self.variables.len();
            self.frames.push(Frame::Loop { range, items, mark, inner_mark });
        }
        Ok(())
    }

    fn items(&mut self, value: Value) -> Result<Items, Failure> {
        match value {
            Value::Nil => Ok(Items::Ints { next: 0, end: 0, of: IntType::Int }),
            Value::List(list) => Ok(Items::List { length: list.len(), list, next: 0 }),
            Value::Map(map) => {
                let entries = map.entries.borrow();
                self.cx.pay_for_elements(entries.len())?;
                let copies: Vec<_> =
                    entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                Ok(Items::Map(copies.into_iter()))
            }
            Value::Int(end, of) => Ok(Items::Ints { next: 0, end, of }),
            Value::Uint(end, of) => Ok(Items::Uints { next: 0, end, of }),
            _ => Err(Failure::wrong_type("range cannot iterate over a value of this type")),
        }
    }

    fn iterate(&mut self) -> Evaluated<()> {
        let Some(Frame::Loop { range, items, inner_mark, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        let (range, inner_mark) = (*range, *inner_mark);
        let Some((index, item)) = items.next() else {
            self.leave_loop();
            return Ok(());
        };
        self.cx.step(1).map_err(|failure| Located::new(range.pipe.offset, failure))?;
        self.variables.truncate(inner_mark);
        let item = Held { value: item, is_item: true };
        self.set_loop_variables(range, index, &item)?;
        self.frames.push(Frame::Body { nodes: range.body.iter(), dot: item, mark: inner_mark });
        Ok(())
    }

    fn set_loop_variables(&mut self, range: &'t Range, index: Value, item: &Held) -> Evaluated<()> {
        let values = match range.pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![item.clone()],
            _ => vec![index.into(), item.clone()],
        };
        for (name, value) in range.pipe.variables.iter().zip(values) {
            self.assign(name, value).map_err(|failure| Located::new(range.pipe.offset, failure))?;
        }
        Ok(())
    }

    fn leave_loop(&mut self) {
        while let Some(frame) = self.frames.pop() {
            if let Frame::Loop { mark, .. } = frame {
                self.variables.truncate(mark);
                return;
            }
        }
    }

    fn next_iteration(&mut self) {
        while self.frames.last().is_some_and(|frame| !matches!(frame, Frame::Loop { .. })) {
            self.frames.pop();
        }
    }

    fn call(&mut self, call: &'t Call, dot: &Held) -> Evaluated<()> {
        let located = |failure| Located::new(call.offset, failure);
        self.cx.work(call.name.len()).map_err(located)?;
        let Some(body) = self.templates.get(&call.name) else {
            return Err(located(Failure::wrong_type("no template of this name is defined")));
        };
        self.calls += 1;
        self.cx.meter.recursion(self.calls).map_err(located)?;
        let argument = match &call.argument {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        let mark = self.variables.len();
        let base = self.variables.enter_template(argument.clone().into());
        self.frames.push(Frame::Call { base, mark });
        self.frames.push(Frame::Body {
            nodes: body.iter(),
            dot: argument.into(),
            mark: self.variables.len(),
        });
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Held) -> Result<(), Failure> {
        self.cx.work(name.len())?;
        let slot = self.variables.get_mut(name);
        *slot.ok_or(Failure::wrong_type("assignment to an undefined variable"))? = value;
        Ok(())
    }
}

impl Items {
    fn is_empty(&self) -> bool {
        match self {
            Self::List { length, .. } => *length == 0,
            Self::Map(entries) => entries.len() == 0,
            Self::Ints { end, .. } => *end <= 0,
            Self::Uints { end, .. } => *end == 0,
        }
    }
}

fn offset_of(node: &Node) -> usize {
    match node {
        Node::Action(pipe) => pipe.offset,
        Node::If(branch) | Node::With(branch) => branch.arms.first().map_or(0, |(pipe, _)| pipe.offset),
        Node::Range(range) => range.pipe.offset,
        Node::Template(call) => call.offset,
        Node::Text(_) | Node::Break | Node::Continue => 0,
    }
}
