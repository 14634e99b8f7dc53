//! Parser for blocks: text, actions and block actions. Open blocks are kept on an explicit stack, so that nesting uses no call
//! stack.

use std::collections::{BTreeSet, HashSet};

use super::super::context::Cx;
use super::super::error::{Class, Failure, Located};
use super::super::functions::is_function;
use super::super::value::Bytes;
use super::ast::{Branch, Call, Node, Pipe, Range, Templates};
use super::expression::{Expressions, Parsed};
use super::number::unquote;
use super::token::{Kind, Lexer};

/// Parses `text`, which defines the template `name` and possibly others.
///
/// `cx` limits time, depth and memory, and records the use of functions that need the clock or random bytes.
pub(crate) fn parse(name: &str, text: &str, cx: &mut Cx) -> Parsed<Templates> {
    let mut parser = Parser {
        tokens: Expressions::new(text, cx),
        open: vec![Block::new(Opener::Define(name.to_owned()), 0, false)],
        done: Templates::new(),
        with_content: HashSet::new(),
    };
    parser.run()?;
    Ok(parser.done)
}

struct Parser<'t, 'c, 's> {
    tokens: Expressions<'t, 'c, 's>,
    open: Vec<Block>,
    done: Templates,
    /// Non-empty templates, which another definition must not replace.
    with_content: HashSet<String>,
}

/// An open block.
struct Block {
    opener: Opener,
    /// Number of variables in scope before it.
    mark: usize,
    arms: Vec<(Pipe, Vec<Node>)>,
    body: Vec<Node>,
    /// Pipe of the current arm; `None` in `else`.
    pipe: Option<Pipe>,
    in_else: bool,
    /// True if the block is in the body of a loop.
    is_in_loop: bool,
}

enum Opener {
    If,
    With,
    Range,
    Define(String),
    Block(Call),
}

impl Block {
    fn new(opener: Opener, mark: usize, is_in_loop: bool) -> Self {
        Self { opener, mark, arms: Vec::new(), body: Vec::new(), pipe: None, in_else: false, is_in_loop }
    }

    /// Returns true if the current body belongs to a loop.
    fn has_loop(&self) -> bool {
        self.is_in_loop || (matches!(self.opener, Opener::Range) && !self.in_else)
    }

    /// Ends the current body and starts the next one.
    fn close_arm(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.arms.push((pipe, std::mem::take(&mut self.body)));
        }
    }
}

impl Parser<'_, '_, '_> {
    fn run(&mut self) -> Parsed<()> {
        loop {
            let token = self.tokens.next()?;
            match token.kind {
                Kind::Text if token.text.is_empty() => {}
                Kind::Text => {
                    self.tokens.pay_for::<Node>(token.text.len())?;
                    self.push(Node::Text(Bytes::from(token.text)));
                }
                Kind::LeftDelimiter => self.action()?,
                _ => return self.finish(),
            }
        }
    }

    fn finish(&mut self) -> Parsed<()> {
        match (self.open.pop(), self.open.is_empty()) {
            (Some(Block { opener: Opener::Define(name), body, .. }), true) => self.define(name, body),
            _ => Err(self.syntax("unexpected end of the template: a block is not closed with {{end}}")),
        }
    }

    fn syntax(&self, reason: &'static str) -> Located {
        self.tokens.syntax(reason)
    }

    fn push(&mut self, node: Node) {
        if let Some(block) = self.open.last_mut() {
            block.body.push(node);
        }
    }

    fn action(&mut self) -> Parsed<()> {
        self.tokens.pay_for::<Node>(0)?;
        let word = self.tokens.peek_word()?;
        match word {
            "if" => self.branch(Opener::If),
            "with" => self.branch(Opener::With),
            "range" => self.range(),
            "else" => self.otherwise(),
            "end" => self.end(),
            "template" => self.template(),
            "define" => self.define_block(),
            "block" => self.block(),
            "break" => self.jump(Node::Break),
            "continue" => self.jump(Node::Continue),
            _ => {
                let pipe = self.tokens.pipeline(1)?;
                self.tokens.expect_close()?;
                self.push(Node::Action(pipe));
                Ok(())
            }
        }
    }

    fn is_in_loop(&self) -> bool {
        self.open.last().is_some_and(Block::has_loop)
    }

    fn enter(&mut self, block: Block) -> Parsed<()> {
        self.tokens.check_depth(self.open.len())?;
        self.open.push(block);
        Ok(())
    }

    fn branch(&mut self, opener: Opener) -> Parsed<()> {
        self.tokens.next_word()?;
        let mut block = Block::new(opener, self.tokens.mark(), self.is_in_loop());
        block.pipe = Some(self.control_pipe(1)?);
        self.enter(block)
    }

    fn range(&mut self) -> Parsed<()> {
        self.tokens.next_word()?;
        let mut block = Block::new(Opener::Range, self.tokens.mark(), self.is_in_loop());
        block.pipe = Some(self.control_pipe(2)?);
        self.enter(block)
    }

    fn control_pipe(&mut self, variables: usize) -> Parsed<Pipe> {
        let pipe = self.tokens.pipeline(variables)?;
        self.tokens.expect_close()?;
        Ok(pipe)
    }

    fn otherwise(&mut self) -> Parsed<()> {
        self.tokens.next_word()?;
        let next = self.tokens.peek_word()?;
        let Some(block) = self.open.last_mut() else {
            return Err(self.tokens.syntax("unexpected {{else}}"));
        };
        if block.in_else || matches!(block.opener, Opener::Define(_) | Opener::Block(_)) {
            return Err(self.tokens.syntax("unexpected {{else}}"));
        }
        block.close_arm();
        match (&block.opener, next) {
            (Opener::If, "if") | (Opener::With, "with") => {
                self.tokens.next_word()?;
                let pipe = self.control_pipe(1)?;
                if let Some(block) = self.open.last_mut() {
                    block.pipe = Some(pipe);
                }
                Ok(())
            }
            _ => {
                block.in_else = true;
                self.tokens.expect_close()
            }
        }
    }

    fn end(&mut self) -> Parsed<()> {
        self.tokens.next_word()?;
        self.tokens.expect_close()?;
        if self.open.len() < 2 {
            return Err(self.syntax("unexpected {{end}}"));
        }
        let Some(mut block) = self.open.pop() else {
            return Ok(());
        };
        block.close_arm();
        self.tokens.reset(block.mark);
        self.close(block)
    }

    fn close(&mut self, block: Block) -> Parsed<()> {
        let Block { opener, mut arms, body, .. } = block;
        match opener {
            Opener::If => self.push(Node::If(Branch { arms, otherwise: body })),
            Opener::With => self.push(Node::With(Branch { arms, otherwise: body })),
            Opener::Range => {
                if let Some((pipe, iteration)) = arms.pop() {
                    self.push(Node::Range(Range { pipe, body: iteration, otherwise: body }));
                }
            }
            Opener::Define(name) => {
                self.tokens.leave_definition();
                self.define(name, body)?;
            }
            Opener::Block(call) => {
                self.tokens.leave_definition();
                self.define(call.name.clone(), body)?;
                self.push(Node::Template(call));
            }
        }
        Ok(())
    }

    /// Adds a definition. An empty one is replaced by another of the same name.
    fn define(&mut self, name: String, body: Vec<Node>) -> Parsed<()> {
        let is_empty = is_empty(&body);
        if self.with_content.contains(&name) {
            return if is_empty { Ok(()) } else { Err(self.syntax("multiple definition of a template")) };
        }
        if !is_empty {
            self.with_content.insert(name.clone());
        }
        self.done.insert(name, body);
        Ok(())
    }

    fn define_block(&mut self) -> Parsed<()> {
        if self.open.len() > 1 {
            return Err(self.syntax("unexpected {{define}} inside a block"));
        }
        self.tokens.next_word()?;
        let name = self.template_name()?;
        self.tokens.expect_close()?;
        self.tokens.enter_definition();
        self.enter(Block::new(Opener::Define(name), self.tokens.mark(), false))
    }

    fn template(&mut self) -> Parsed<()> {
        self.tokens.next_word()?;
        let offset = self.tokens.offset();
        let name = self.template_name()?;
        let argument = if self.tokens.at_close()? { None } else { Some(self.tokens.pipeline(1)?) };
        self.tokens.expect_close()?;
        self.push(Node::Template(Call { offset, name, argument }));
        Ok(())
    }

    fn block(&mut self) -> Parsed<()> {
        self.tokens.next_word()?;
        let offset = self.tokens.offset();
        let name = self.template_name()?;
        let argument = Some(self.control_pipe(1)?);
        self.tokens.enter_definition();
        self.enter(Block::new(Opener::Block(Call { offset, name, argument }), self.tokens.mark(), false))
    }

    fn template_name(&mut self) -> Parsed<String> {
        let token = self.tokens.next_non_space()?;
        let bytes = match token.kind {
            Kind::QuotedText => unquote(token.text).map_err(|failure| Located::new(token.offset, failure))?,
            Kind::RawText => token.text.trim_matches('`').as_bytes().to_vec(),
            _ => return Err(self.syntax("expected the name of a template in quotes")),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn jump(&mut self, node: Node) -> Parsed<()> {
        self.tokens.next_word()?;
        self.tokens.expect_close()?;
        if !self.is_in_loop() {
            return Err(self.syntax("{{break}} or {{continue}} outside {{range}}"));
        }
        self.push(node);
        Ok(())
    }
}

fn is_empty(body: &[Node]) -> bool {
    body.iter().all(|node| match node {
        Node::Text(text) => text.trim_ascii().is_empty(),
        _ => false,
    })
}

/// Returns all functions used in `text`, in any of its templates. Empty if the text is not a template.
pub(crate) fn functions_named_in(text: &str) -> BTreeSet<String> {
    let mut tokens = Lexer::new(text);
    let mut names = BTreeSet::new();
    while let Ok(token) = tokens.next() {
        match token.kind {
            Kind::Identifier if is_function(token.text) => drop(names.insert(token.text.to_owned())),
            Kind::End => break,
            _ => {}
        }
    }
    names
}

impl Located {
    pub(crate) fn unknown_function(offset: usize, name: &str) -> Self {
        let failure =
            Failure { class: Class::UnknownFunction, reason: "no such function, or it is not allowed" };
        Self { offset, function: Some(name.chars().take(64).collect()), failure }
    }
}
