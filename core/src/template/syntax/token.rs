//! Lexer: splits template text into tokens.

use super::super::error::{Failure, Located};
use super::super::value::is_alphanumeric;
use crate::text::prefix;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text outside of actions, trimmed as the adjacent delimiters require.
    Text,
    LeftDelimiter,
    RightDelimiter,
    Space,
    Dot,
    Field,
    Variable,
    Identifier,
    Number,
    Char,
    QuotedText,
    RawText,
    LeftParenthesis,
    RightParenthesis,
    Pipe,
    Comma,
    Declare,
    Assign,
    Other,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    pub(crate) text: &'t str,
}

pub(crate) struct Lexer<'t> {
    text: &'t str,
    position: usize,
    in_action: bool,
    parentheses: usize,
    /// True if the last right delimiter trims the text after it.
    trims: bool,
}

type Lexed<T> = Result<T, Located>;

/// Maximum length of a name or number, in bytes. Each character is looked up in tables.
const MAX_NAME_LENGTH: usize = 4096;

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, position: 0, in_action: false, parentheses: 0, trims: false }
    }

    pub(crate) fn next(&mut self) -> Lexed<Token<'t>> {
        if self.in_action { self.inside() } else { self.outside() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn failure(&self, reason: &'static str) -> Located {
        Located::new(self.position, Failure::syntax(reason))
    }

    fn take(&mut self, kind: Kind, length: usize) -> Token<'t> {
        let offset = self.position;
        self.position += length;
        Token { kind, offset, text: self.text.get(offset..self.position).unwrap_or_default() }
    }

    fn outside(&mut self) -> Lexed<Token<'t>> {
        let rest = self.rest();
        if let Some(action) = rest.strip_prefix("{{") {
            return self.open(action);
        }
        if rest.is_empty() {
            return Ok(self.take(Kind::End, 0));
        }
        let length = rest.find("{{").unwrap_or(rest.len());
        let next_trims = rest.get(length..).and_then(|next| next.strip_prefix("{{")).is_some_and(trims_left);
        let mut token = self.take(Kind::Text, length);
        if self.trims {
            token.text = token.text.trim_start_matches(SPACES);
        }
        if next_trims {
            token.text = token.text.trim_end_matches(SPACES);
        }
        self.trims = false;
        Ok(token)
    }

    fn open(&mut self, action: &'t str) -> Lexed<Token<'t>> {
        let marker = if trims_left(action) { 2 } else { 0 };
        let inner = action.get(marker..).unwrap_or_default();
        self.trims = false;
        if let Some(inner) = inner.strip_prefix("/*") {
            self.position += "{{/*".len() + marker;
            return self.comment(inner);
        }
        self.in_action = true;
        self.parentheses = 0;
        Ok(self.take(Kind::LeftDelimiter, 2 + marker))
    }

    fn comment(&mut self, inner: &'t str) -> Lexed<Token<'t>> {
        let Some((comment, after)) = inner.split_once("*/") else {
            return Err(self.failure("unclosed comment"));
        };
        let closing = closes(after).ok_or_else(|| self.failure("comment ends before closing delimiter"))?;
        self.position += comment.len() + "*/".len() + closing;
        self.trims = closing > 2;
        Ok(self.take(Kind::Text, 0))
    }

    fn inside(&mut self) -> Lexed<Token<'t>> {
        let rest = self.rest();
        if let Some(length) = closes(rest) {
            if self.parentheses > 0 {
                return Err(self.failure("unclosed left parenthesis"));
            }
            self.in_action = false;
            self.trims = length > 2;
            return Ok(self.take(Kind::RightDelimiter, length));
        }
        let Some(first) = rest.chars().next() else {
            return Err(self.failure("unclosed action"));
        };
        match first {
            ' ' | '\t' | '\r' | '\n' => Ok(self.space(rest)),
            '=' => Ok(self.take(Kind::Assign, 1)),
            ':' if rest.starts_with(":=") => Ok(self.take(Kind::Declare, 2)),
            ':' => Err(self.failure("expected :=")),
            '|' => Ok(self.take(Kind::Pipe, 1)),
            ',' => Ok(self.take(Kind::Comma, 1)),
            '(' | ')' => self.parenthesis(first),
            '"' => self.quoted(rest, '"', Kind::QuotedText, "unterminated quoted string"),
            '\'' => self.quoted(rest, '\'', Kind::Char, "unterminated character constant"),
            '`' => self.raw(rest),
            '.' | '$' => self.name_after_mark(rest, first),
            '+' | '-' | '0'..='9' => self.number(rest),
            _ if is_alphanumeric(first) => self.identifier(rest),
            _ if first == ' ' || first.is_ascii_graphic() => Ok(self.take(Kind::Other, first.len_utf8())),
            _ => Err(self.failure("unrecognized character in action")),
        }
    }

    fn space(&mut self, rest: &str) -> Token<'t> {
        let all = rest.len() - rest.trim_start_matches(SPACES).len();
        // The last space of " -}}" belongs to the delimiter.
        let belongs_to_delimiter = rest
            .get(all - 1..)
            .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n']) && closes(rest).is_some());
        self.take(Kind::Space, if belongs_to_delimiter { all - 1 } else { all })
    }

    fn parenthesis(&mut self, which: char) -> Lexed<Token<'t>> {
        if which == '(' {
            self.parentheses += 1;
            return Ok(self.take(Kind::LeftParenthesis, 1));
        }
        self.parentheses =
            self.parentheses.checked_sub(1).ok_or_else(|| self.failure("unexpected right parenthesis"))?;
        Ok(self.take(Kind::RightParenthesis, 1))
    }

    fn quoted(
        &mut self,
        rest: &str,
        quote: char,
        kind: Kind,
        unterminated: &'static str,
    ) -> Lexed<Token<'t>> {
        let mut characters = rest.char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '\\' if characters.next().is_some_and(|(_, escaped)| escaped != '\n') => {}
                '\\' | '\n' => break,
                _ if character == quote => return Ok(self.take(kind, offset + 1)),
                _ => {}
            }
        }
        Err(self.failure(unterminated))
    }

    fn raw(&mut self, rest: &str) -> Lexed<Token<'t>> {
        let closing = rest.get(1..).and_then(|rest| rest.find('`'));
        let length = closing.ok_or_else(|| self.failure("unterminated raw quoted string"))?;
        Ok(self.take(Kind::RawText, length + 2))
    }

    /// Reads `.name`, `$name`, or the sigil alone. A dot before a digit begins a number.
    fn name_after_mark(&mut self, rest: &str, mark: char) -> Lexed<Token<'t>> {
        let after = rest.get(1..).unwrap_or_default();
        if mark == '.' && after.starts_with(|next: char| next.is_ascii_digit()) {
            return self.number(rest);
        }
        let length = name_length(after);
        self.check_length(length)?;
        let kind = match mark {
            '.' if length == 0 => Kind::Dot,
            '.' => Kind::Field,
            _ => Kind::Variable,
        };
        if kind != Kind::Dot {
            self.check_terminator(after.get(length..).unwrap_or_default())?;
        }
        Ok(self.take(kind, length + 1))
    }

    fn identifier(&mut self, rest: &str) -> Lexed<Token<'t>> {
        let length = name_length(rest);
        self.check_length(length)?;
        self.check_terminator(rest.get(length..).unwrap_or_default())?;
        Ok(self.take(Kind::Identifier, length))
    }

    fn check_length(&self, length: usize) -> Lexed<()> {
        if length > MAX_NAME_LENGTH {
            return Err(Located::new(self.position, Failure::budget("a name or number is too long")));
        }
        Ok(())
    }

    /// Checks that a name is followed by a character that cannot be part of one.
    fn check_terminator(&self, after: &str) -> Lexed<()> {
        let ends = after.is_empty()
            || closes(after).is_some()
            || after.starts_with([' ', '\t', '\r', '\n', '.', ',', '|', ':', ')', '(']);
        if ends { Ok(()) } else { Err(self.failure("bad character after a name")) }
    }

    fn number(&mut self, rest: &str) -> Lexed<Token<'t>> {
        let mut length = number_length(rest);
        self.check_length(length)?;
        let after = rest.get(length..).unwrap_or_default();
        if after.starts_with(['+', '-']) {
            length += number_length(after);
            self.check_length(length)?;
            if !rest.get(..length).unwrap_or_default().ends_with('i') {
                return Err(self.failure("bad number syntax"));
            }
        }
        if rest.get(length..).unwrap_or_default().starts_with(is_alphanumeric) {
            return Err(self.failure("bad number syntax"));
        }
        Ok(self.take(Kind::Number, length))
    }
}

fn trims_left(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

/// Returns the length of a right delimiter at the start of `text`, trim marker included.
fn closes(text: &str) -> Option<usize> {
    if text.starts_with("}}") {
        return Some(2);
    }
    let marked = text.starts_with(SPACES) && text.get(1..).is_some_and(|rest| rest.starts_with("-}}"));
    marked.then_some(4)
}

/// Returns the length of the name at the start of `text`, or a value above the maximum length.
fn name_length(text: &str) -> usize {
    let end = text.char_indices().find(|(at, next)| *at > MAX_NAME_LENGTH || !is_alphanumeric(*next));
    end.map_or(text.len(), |(at, _)| at)
}

fn number_length(text: &str) -> usize {
    let text = prefix(text, 2 * MAX_NAME_LENGTH);
    let mut scan = Scan { rest: text };
    scan.accept("+-");
    let mut digits = "0123456789_";
    let mut is_decimal = true;
    if scan.accept("0") {
        let prefixes = [("xX", "0123456789abcdefABCDEF_"), ("oO", "01234567_"), ("bB", "01_")];
        if let Some((_, of_base)) = prefixes.iter().find(|(marks, _)| scan.accept(marks)) {
            digits = of_base;
            is_decimal = false;
        }
    }
    scan.accept_run(digits);
    if scan.accept(".") {
        scan.accept_run(digits);
    }
    let exponent = if is_decimal { "eE" } else { "pP" };
    if (is_decimal || digits.len() > 20) && scan.accept(exponent) {
        scan.accept("+-");
        scan.accept_run("0123456789_");
    }
    scan.accept("i");
    text.len() - scan.rest.len()
}

struct Scan<'t> {
    rest: &'t str,
}

impl Scan<'_> {
    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.rest.chars().next().filter(|next| valid.contains(*next));
        if let Some(next) = accepted {
            self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        }
        accepted.is_some()
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}
