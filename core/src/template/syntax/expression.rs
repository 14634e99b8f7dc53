//! Parser for the content of actions: pipelines, commands and operands.

use super::super::context::Cx;
use super::super::error::{Failure, Located};
use super::super::functions::{is_volatile, lookup};
use super::super::value::Bytes;
use super::ast::{Command, Operand, Pipe, Term};
use super::number::{parse_char, parse_number, unquote};
use super::scope::Scope;
use super::token::{Kind, Lexer, Token};

pub(crate) type Parsed<T> = Result<T, Located>;

const KEYWORDS: [&str; 12] =
    ["block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with", "true"];

/// Token stream with look-ahead, and the variables in scope.
pub(crate) struct Expressions<'t, 'c, 's> {
    lexer: Lexer<'t>,
    ahead: Vec<Token<'t>>,
    offset: usize,
    variables: Scope<'t>,
    outer_variables: Option<Scope<'t>>,
    depth: usize,
    cx: &'c mut Cx<'s>,
}

impl<'t, 'c, 's> Expressions<'t, 'c, 's> {
    pub(crate) fn new(text: &'t str, cx: &'c mut Cx<'s>) -> Self {
        Self {
            lexer: Lexer::new(text),
            ahead: Vec::new(),
            offset: 0,
            variables: Scope::new(),
            outer_variables: None,
            depth: 0,
            cx,
        }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn syntax(&self, reason: &'static str) -> Located {
        Located::new(self.offset, Failure::syntax(reason))
    }

    /// Charges for a part of the parsed template.
    pub(crate) fn pay_for<T>(&mut self, text: usize) -> Parsed<()> {
        let paid = self.cx.meter.allocate(2 * size_of::<T>() + text + 64);
        paid.map_err(|failure| Located::new(self.offset, failure))
    }

    pub(crate) fn check_depth(&self, depth: usize) -> Parsed<()> {
        self.cx.meter.nesting(depth).map_err(|failure| Located::new(self.offset, failure))
    }

    pub(crate) fn mark(&self) -> usize {
        self.variables.len()
    }

    pub(crate) fn reset(&mut self, mark: usize) {
        self.variables.truncate(mark);
    }

    /// Starts a definition, which sees only `$`.
    pub(crate) fn enter_definition(&mut self) {
        if self.outer_variables.is_none() {
            self.outer_variables = Some(std::mem::replace(&mut self.variables, Scope::new()));
        }
    }

    pub(crate) fn leave_definition(&mut self) {
        if let Some(variables) = self.outer_variables.take() {
            self.variables = variables;
        }
    }

    pub(crate) fn next(&mut self) -> Parsed<Token<'t>> {
        let ahead = self.ahead.pop();
        let token = ahead.map_or_else(|| self.read(), Ok)?;
        self.offset = token.offset;
        Ok(token)
    }

    fn read(&mut self) -> Parsed<Token<'t>> {
        let token = self.lexer.next()?;
        self.cx.work(token.text.len()).map_err(|failure| Located::new(token.offset, failure))?;
        Ok(token)
    }

    fn peek(&mut self) -> Parsed<Token<'t>> {
        let token = self.next()?;
        self.ahead.push(token);
        Ok(token)
    }

    pub(crate) fn next_non_space(&mut self) -> Parsed<Token<'t>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_non_space(&mut self) -> Parsed<Token<'t>> {
        let token = self.next_non_space()?;
        self.ahead.push(token);
        Ok(token)
    }

    /// Returns the first word of the action, or an empty text.
    pub(crate) fn peek_word(&mut self) -> Parsed<&'t str> {
        let token = self.peek_non_space()?;
        Ok(if token.kind == Kind::Identifier { token.text } else { "" })
    }

    pub(crate) fn next_word(&mut self) -> Parsed<()> {
        self.next_non_space().map(drop)
    }

    pub(crate) fn at_close(&mut self) -> Parsed<bool> {
        Ok(self.peek_non_space()?.kind == Kind::RightDelimiter)
    }

    pub(crate) fn expect_close(&mut self) -> Parsed<()> {
        match self.next_non_space()?.kind {
            Kind::RightDelimiter => Ok(()),
            _ => Err(self.syntax("unexpected text before the closing delimiter")),
        }
    }

    /// Parses declarations and commands up to the closing delimiter or parenthesis, which is left to the caller.
    pub(crate) fn pipeline(&mut self, most_variables: usize) -> Parsed<Pipe> {
        let offset = self.peek_non_space()?.offset;
        self.pay_for::<Pipe>(0)?;
        let (variables, assigns) = self.declarations(most_variables)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.peek_non_space()?;
            match token.kind {
                Kind::RightDelimiter | Kind::RightParenthesis => break,
                _ => commands.push(self.command(commands.is_empty())?),
            }
        }
        if commands.is_empty() {
            return Err(self.syntax("missing value"));
        }
        Ok(Pipe { offset, variables, assigns, commands })
    }

    fn declarations(&mut self, most: usize) -> Parsed<(Vec<String>, bool)> {
        let mut names: Vec<&'t str> = Vec::new();
        loop {
            let variable = self.peek_non_space()?;
            if variable.kind != Kind::Variable {
                break;
            }
            self.next()?;
            // "$x foo" must keep its space: without it, the text would be a syntax error.
            let after = self.next()?;
            let next = if after.kind == Kind::Space { self.peek_non_space()? } else { after };
            match next.kind {
                Kind::Declare | Kind::Assign => {
                    self.consume(after)?;
                    names.push(variable.text);
                    let assigns = next.kind == Kind::Assign;
                    if !assigns {
                        for name in &names {
                            self.variables.declare(name);
                        }
                    }
                    return Ok((names.into_iter().map(str::to_owned).collect(), assigns));
                }
                Kind::Comma => {
                    self.consume(after)?;
                    names.push(variable.text);
                    if names.len() >= most {
                        return Err(self.syntax("too many declarations"));
                    }
                    self.expect_variable()?;
                }
                _ => {
                    self.ahead.push(after);
                    self.ahead.push(variable);
                    break;
                }
            }
        }
        if names.is_empty() {
            Ok((Vec::new(), false))
        } else {
            Err(self.syntax("expected := or = after a variable"))
        }
    }

    /// Consumes the token after `after` if that was a space.
    fn consume(&mut self, after: Token<'t>) -> Parsed<()> {
        if after.kind == Kind::Space { self.next_non_space().map(drop) } else { Ok(()) }
    }

    fn expect_variable(&mut self) -> Parsed<()> {
        match self.peek_non_space()?.kind {
            Kind::Variable => Ok(()),
            _ => Err(self.syntax("range can only initialize variables")),
        }
    }

    fn command(&mut self, is_first: bool) -> Parsed<Command> {
        let mut terms: Vec<Term> = Vec::new();
        loop {
            self.skip_space()?;
            if let Some(term) = self.operand()? {
                terms.push(term);
            }
            let token = self.next()?;
            match token.kind {
                Kind::Space => {}
                Kind::Pipe => break,
                Kind::RightDelimiter | Kind::RightParenthesis => {
                    self.ahead.push(token);
                    break;
                }
                _ => return Err(self.syntax("unexpected token in operand")),
            }
        }
        self.finished_command(terms, is_first)
    }

    fn finished_command(&mut self, terms: Vec<Term>, is_first: bool) -> Parsed<Command> {
        self.pay_for::<Command>(0)?;
        let mut terms = terms.into_iter();
        let head = terms.next().ok_or_else(|| self.syntax("empty command"))?;
        if !is_first && is_constant(&head.operand) {
            return Err(self.syntax("non executable command in pipeline"));
        }
        Ok(Command { head, arguments: terms.collect() })
    }

    fn skip_space(&mut self) -> Parsed<()> {
        while self.peek()?.kind == Kind::Space {
            self.next()?;
        }
        Ok(())
    }

    fn operand(&mut self) -> Parsed<Option<Term>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        self.with_fields(term).map(Some)
    }

    fn with_fields(&mut self, term: Term) -> Parsed<Term> {
        if self.peek()?.kind != Kind::Field {
            return Ok(term);
        }
        let mut fields = Vec::new();
        while self.peek()?.kind == Kind::Field {
            fields.push(field_name(self.next()?));
        }
        let offset = term.offset;
        let operand = match term.operand {
            Operand::Field(mut names) => {
                names.append(&mut fields);
                Operand::Field(names)
            }
            Operand::Variable(name, mut names) => {
                names.append(&mut fields);
                Operand::Variable(name, names)
            }
            Operand::Bool(_) | Operand::Text(_) | Operand::Number(_) | Operand::Nil | Operand::Dot => {
                return Err(self.syntax("unexpected . after a constant"));
            }
            operand => Operand::Chain(Box::new(Term { offset, operand }), fields),
        };
        Ok(Term { offset, operand })
    }

    /// Parses a term. Parentheses are separate from simple terms: they recurse, and simple terms need a large stack frame.
    fn term(&mut self) -> Parsed<Option<Term>> {
        if self.peek()?.kind == Kind::LeftParenthesis {
            let offset = self.next()?.offset;
            return self.parenthesis().map(|pipe| Some(Term { offset, operand: Operand::Pipe(pipe) }));
        }
        self.simple_term()
    }

    fn simple_term(&mut self) -> Parsed<Option<Term>> {
        let token = self.next()?;
        self.pay_for::<Term>(token.text.len())?;
        let located = |failure| Located::new(token.offset, failure);
        let operand = match token.kind {
            Kind::Identifier => self.word(token)?,
            Kind::Dot => Operand::Dot,
            Kind::Variable => self.variable(token)?,
            Kind::Field => Operand::Field(vec![field_name(token)]),
            Kind::Char => Operand::Number(parse_char(token.text).map_err(located)?),
            Kind::Number => Operand::Number(parse_number(token.text).map_err(located)?),
            Kind::QuotedText => Operand::Text(unquote(token.text).map_err(located)?.into()),
            Kind::RawText => Operand::Text(Bytes::from(token.text.trim_matches('`').replace('\r', ""))),
            _ => {
                self.ahead.push(token);
                return Ok(None);
            }
        };
        Ok(Some(Term { offset: token.offset, operand }))
    }

    fn word(&mut self, token: Token<'t>) -> Parsed<Operand> {
        match token.text {
            "true" => Ok(Operand::Bool(true)),
            "false" => Ok(Operand::Bool(false)),
            "nil" => Ok(Operand::Nil),
            word if KEYWORDS.contains(&word) => Err(self.syntax("unexpected keyword")),
            word if lookup(word).is_some() => {
                // Set even if the function is never called.
                self.cx.used_volatile |= is_volatile(word);
                Ok(Operand::Function(word.to_owned()))
            }
            word => Err(Located::unknown_function(token.offset, word)),
        }
    }

    fn variable(&self, token: Token<'t>) -> Parsed<Operand> {
        if self.variables.has(token.text) {
            return Ok(Operand::Variable(token.text.to_owned(), Vec::new()));
        }
        Err(self.syntax("undefined variable"))
    }

    fn parenthesis(&mut self) -> Parsed<Box<Pipe>> {
        self.depth += 1;
        self.check_depth(self.depth)?;
        let pipe = self.pipeline(1)?;
        match self.next_non_space()?.kind {
            Kind::RightParenthesis => {}
            _ => return Err(self.syntax("unclosed left parenthesis")),
        }
        self.depth -= 1;
        Ok(Box::new(pipe))
    }
}

fn field_name(token: Token<'_>) -> String {
    token.text.trim_start_matches('.').to_owned()
}

fn is_constant(operand: &Operand) -> bool {
    matches!(operand, Operand::Bool(_) | Operand::Dot | Operand::Nil | Operand::Number(_) | Operand::Text(_))
}
