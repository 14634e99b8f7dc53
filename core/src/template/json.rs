//! JSON, after Go's `encoding/json`.

use super::context::Cx;
use super::error::{Failure, Outcome};
use super::format::format_float;
use super::value::{Bytes, Entries, ListType, MapType, Rune, Value};
use super::zeroizing::Buffer;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// `json.Marshal`
    Compact,
    /// `json.MarshalIndent` with two spaces.
    Pretty,
    /// JSON without escapes for HTML.
    Raw,
}

/// Writes a value as JSON.
pub(crate) fn encode(cx: &mut Cx, value: &Value, style: Style) -> Outcome<Buffer> {
    let output = cx.buffer();
    let mut encoder = Encoder { cx, output, style, depth: 0 };
    encoder.value(value)?;
    Ok(encoder.output)
}

struct Encoder<'c, 's> {
    cx: &'c mut Cx<'s>,
    output: Buffer,
    style: Style,
    depth: usize,
}

impl Encoder<'_, '_> {
    fn value(&mut self, value: &Value) -> Outcome<()> {
        self.cx.step(1)?;
        match value {
            Value::Nil => self.output.push(b"null"),
            Value::Bool(true) => self.output.push(b"true"),
            Value::Bool(false) => self.output.push(b"false"),
            Value::Int(int, _) => self.output.push(int.to_string().as_bytes()),
            Value::Uint(uint, _) => self.output.push(uint.to_string().as_bytes()),
            Value::Float(float) => self.float(*float),
            Value::Text(text) => self.text(text),
            Value::Time(time) => match time.to_rfc3339() {
                Some(text) => self.text(text.as_bytes()),
                None => Err(Failure::function("the year of a time is outside of JSON's range")),
            },
            Value::Version(version, _) => self.text(version.to_string().as_bytes()),
            Value::Zone(_) => self.output.push(b"{}"),
            Value::Complex(..) => Err(Failure::function("complex numbers have no JSON")),
            Value::List(list) if list.is_nil => self.output.push(b"null"),
            Value::List(list) => {
                let items = list.items.borrow();
                self.group(b"[", b"]", items.iter(), Self::value)
            }
            Value::Map(map) => {
                let entries = map.entries.borrow();
                self.group(b"{", b"}", entries.iter(), |encoder, (key, value)| encoder.member(key, value))
            }
            Value::Certificate(certificate) => {
                let members = [("Cert", &certificate.certificate), ("Key", &certificate.key)];
                let members = members.map(|(name, text)| (Bytes::from(name), Value::Text(text.clone())));
                self.group(b"{", b"}", members.iter(), |encoder, (key, value)| encoder.member(key, value))
            }
        }
    }

    fn group<I: ExactSizeIterator>(
        &mut self,
        opening: &[u8],
        closing: &[u8],
        items: I,
        each: impl Fn(&mut Self, I::Item) -> Outcome<()>,
    ) -> Outcome<()> {
        let is_empty = items.len() == 0;
        self.depth += 1;
        self.cx.meter.nesting(self.depth)?;
        self.output.push(opening)?;
        for (position, item) in items.enumerate() {
            if position > 0 {
                self.output.push(b",")?;
            }
            self.new_line()?;
            each(self, item)?;
        }
        self.depth -= 1;
        if !is_empty {
            self.new_line()?;
        }
        self.output.push(closing)
    }

    fn new_line(&mut self) -> Outcome<()> {
        if self.style != Style::Pretty {
            return Ok(());
        }
        self.output.push(b"\n")?;
        self.output.push_repeated(b"  ", self.depth)
    }

    fn member(&mut self, key: &[u8], value: &Value) -> Outcome<()> {
        self.text(key)?;
        self.output.push(if self.style == Style::Pretty { b": " } else { b":" })?;
        self.value(value)
    }

    fn float(&mut self, value: f64) -> Outcome<()> {
        if !value.is_finite() {
            return Err(Failure::function("a number that is not finite has no JSON"));
        }
        let magnitude = value.abs();
        let is_plain = magnitude == 0.0 || (1e-6..1e21).contains(&magnitude);
        let text = format_float(value, if is_plain { 'f' } else { 'e' }, None, self.cx.meter.room())?;
        self.output.push(text.replace("e-0", "e-").as_bytes())
    }

    fn text(&mut self, text: &[u8]) -> Outcome<()> {
        let Self { cx, output, style, .. } = self;
        output.push(b"\"")?;
        cx.characters(text, |rune| character(output, *style, rune))?;
        output.push(b"\"")
    }
}

fn character(output: &mut Buffer, style: Style, rune: Rune) -> Outcome<()> {
    let escape = |output: &mut Buffer| output.push(format!("\\u{:04x}", u32::from(rune.char)).as_bytes());
    match rune.char {
        '"' => output.push(b"\\\""),
        '\\' => output.push(b"\\\\"),
        '\n' => output.push(b"\\n"),
        '\r' => output.push(b"\\r"),
        '\t' => output.push(b"\\t"),
        '\x08' => output.push(b"\\b"),
        '\x0c' => output.push(b"\\f"),
        '<' | '>' | '&' if style != Style::Raw => escape(output),
        '\u{2028}' | '\u{2029}' => escape(output),
        char if char < ' ' || rune.is_invalid() => escape(output),
        char => output.push_char(char),
    }
}

/// Reads one JSON value.
pub(crate) fn decode(cx: &mut Cx, text: &[u8]) -> Outcome<Value> {
    cx.work(text.len())?;
    let mut decoder = Decoder { cx, rest: text, depth: 0 };
    let value = decoder.value()?;
    decoder.skip_space();
    if decoder.rest.is_empty() { Ok(value) } else { Err(INVALID) }
}

const INVALID: Failure = Failure::function("not valid JSON");

struct Decoder<'a, 'c, 's> {
    cx: &'c mut Cx<'s>,
    rest: &'a [u8],
    depth: usize,
}

impl Decoder<'_, '_, '_> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, literal: &[u8]) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Outcome<Value> {
        self.cx.step(1)?;
        self.skip_space();
        match self.rest.first() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take(b"null") => Ok(Value::Nil),
            _ if self.take(b"true") => Ok(Value::Bool(true)),
            _ if self.take(b"false") => Ok(Value::Bool(false)),
            _ => Err(INVALID),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Outcome<Value>) -> Outcome<Value> {
        self.depth += 1;
        self.cx.meter.nesting(self.depth)?;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Returns true if another element follows, false at the end of the group.
    fn continues(&mut self, is_first: bool, closing: &[u8]) -> Outcome<bool> {
        self.skip_space();
        if self.take(closing) {
            return Ok(false);
        }
        if is_first || self.take(b",") { Ok(true) } else { Err(INVALID) }
    }

    fn array(&mut self) -> Outcome<Value> {
        self.take(b"[");
        let mut items = Vec::new();
        while self.continues(items.is_empty(), b"]")? {
            self.cx.pay_for_elements(1)?;
            items.push(self.value()?);
        }
        self.cx.list(ListType::Any, items)
    }

    fn object(&mut self) -> Outcome<Value> {
        self.take(b"{");
        let mut entries = Entries::new();
        let mut is_first = true;
        while self.continues(is_first, b"}")? {
            is_first = false;
            self.cx.pay_for_entry(entries.len())?;
            self.skip_space();
            let key = self.text()?;
            self.skip_space();
            if !self.take(b":") {
                return Err(INVALID);
            }
            let value = self.value()?;
            self.cx.search(&key, entries.len())?;
            entries.insert(key, value);
        }
        self.cx.map(MapType::Any, entries)
    }

    fn number(&mut self) -> Outcome<Value> {
        let length = number_length(self.rest).ok_or(INVALID)?;
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let value: f64 = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(INVALID)?;
        if value.is_finite() { Ok(Value::Float(value)) } else { Err(INVALID) }
    }

    fn text(&mut self) -> Outcome<Bytes> {
        if !self.take(b"\"") {
            return Err(INVALID);
        }
        let mut output = self.cx.buffer();
        loop {
            let plain =
                self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).ok_or(INVALID)?;
            let (text, rest) = self.rest.split_at(plain);
            self.cx.step(1)?;
            self.cx.characters(text, |rune| output.push_char(rune.char))?;
            self.rest = rest;
            if self.take(b"\"") {
                return self.cx.bytes(output.into_bytes());
            }
            if !self.take(b"\\") {
                return Err(INVALID);
            }
            let escaped = self.escape()?;
            output.push_char(escaped)?;
        }
    }

    fn escape(&mut self) -> Outcome<char> {
        let (first, rest) = self.rest.split_first().ok_or(INVALID)?;
        self.rest = rest;
        match first {
            b'"' | b'\\' | b'/' => Ok(char::from(*first)),
            b'b' => Ok('\x08'),
            b'f' => Ok('\x0c'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => self.unicode(),
            _ => Err(INVALID),
        }
    }

    /// Decodes a `\u` escape. Two halves of a surrogate pair make one character; a lone half becomes U+FFFD.
    fn unicode(&mut self) -> Outcome<char> {
        let high = self.hex()?;
        if let Some(char) = char::from_u32(high) {
            return Ok(char);
        }
        let after_high = self.rest;
        if high < 0xDC00 && self.take(b"\\u") {
            let low = self.hex()?;
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.rest = after_high;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Outcome<u32> {
        let (digits, rest) = self.rest.split_at_checked(4).ok_or(INVALID)?;
        self.rest = rest;
        digits.iter().try_fold(0, |code, digit| {
            char::from(*digit).to_digit(16).map(|digit| code * 16 + digit).ok_or(INVALID)
        })
    }
}

/// Returns the length of the JSON number at the start of `text`, if there is a valid one.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits_at = |from: usize| {
        text.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits_at(sign);
    if whole == 0 || (whole > 1 && text.get(sign) == Some(&b'0')) {
        return None;
    }
    let mut end = sign + whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits_at(end + 1);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_at(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
    }
    Some(end)
}
