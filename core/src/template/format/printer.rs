//! Formats one value with one verb.

use super::super::context::Cx;
use super::super::duration::format_duration;
use super::super::error::Outcome;
use super::super::value::time::Time;
use super::super::value::version::Version;
use super::super::value::{Entries, IntType, List, Map, Reference, UintType, Value};
use super::super::zeroizing::Buffer;
use super::flags::Flags;
use super::float::format_float;
use super::integer::{hex_of_bytes, integer};
use super::quote::{can_backquote, quote, quote_ascii};

pub(super) struct Printer<'c, 's> {
    pub(super) cx: &'c mut Cx<'s>,
    pub(super) output: Buffer,
    pub(super) flags: Flags,
    /// True while a value is formatted inside the error text about its verb.
    complaining: bool,
    depth: usize,
}

impl<'c, 's> Printer<'c, 's> {
    pub(super) fn new(cx: &'c mut Cx<'s>) -> Self {
        let output = cx.buffer();
        Self { cx, output, flags: Flags::default(), complaining: false, depth: 0 }
    }

    /// Formats an argument of `printf`, at the top level.
    pub(super) fn argument(&mut self, value: &Value, verb: char) -> Outcome<()> {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (_, 'T') => self.text(value.type_name().as_bytes()),
            (Value::Nil, _) | (_, 'p') => self.bad_verb(value, verb),
            _ => self.value(value, verb),
        }
    }

    fn value(&mut self, value: &Value, verb: char) -> Outcome<()> {
        self.cx.step(1)?;
        if let Some(text) = self.as_stringer(value, verb) {
            return self.string(value, text.as_bytes(), verb);
        }
        match value {
            Value::Nil => self.output.push(if self.flags.sharp_v { b"interface {}(nil)" } else { b"<nil>" }),
            Value::Bool(bool) if matches!(verb, 't' | 'v') => {
                self.pad(if *bool { b"true" } else { b"false" })
            }
            Value::Int(int, _) => match integer(&self.flags, int.unsigned_abs(), Some(*int < 0), verb) {
                Some(text) => self.write_integer(&text?),
                None => self.bad_verb(value, verb),
            },
            Value::Uint(uint, _) => match integer(&self.flags, *uint, None, verb) {
                Some(text) => self.write_integer(&text?),
                None => self.bad_verb(value, verb),
            },
            Value::Float(float) if is_float_verb(verb) => self.float(*float, verb),
            Value::Complex(real, imaginary) if is_float_verb(verb) => self.complex(*real, *imaginary, verb),
            Value::Text(text) => self.string(value, text, verb),
            Value::List(list) => self.list(list, verb),
            Value::Map(map) => self.map(map, verb),
            Value::Version(_, Reference::Pointer) if self.depth > 0 && !self.complaining => {
                self.bad_verb(value, verb)
            }
            Value::Version(version, reference) => self.version(version, *reference, verb),
            Value::Certificate(certificate) => {
                let fields = [("Cert", &certificate.certificate), ("Key", &certificate.key)];
                self.structure(
                    "sprig.certificate",
                    &fields.map(|(name, text)| (name, Value::Text(text.clone()))),
                    verb,
                )
            }
            Value::Bool(_) | Value::Float(_) | Value::Complex(..) | Value::Time(_) | Value::Zone(_) => {
                self.bad_verb(value, verb)
            }
        }
    }

    /// Returns the text of values with a `String` method.
    fn as_stringer(&self, value: &Value, verb: char) -> Option<String> {
        if self.complaining && !matches!(value, Value::Time(_) | Value::Zone(_)) {
            return None;
        }
        if self.flags.sharp_v {
            return if let Value::Time(time) = value { Some(time.go_string()) } else { None };
        }
        if !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return None;
        }
        match value {
            Value::Time(time) => Some(time.to_string()),
            Value::Zone(zone) => Some(zone.name()),
            Value::Version(version, _) => Some(version.to_string()),
            Value::Int(nanoseconds, IntType::Duration) => Some(format_duration(*nanoseconds)),
            Value::Int(month, IntType::Month) => Some(Time::month_name(*month)),
            Value::Int(day, IntType::Weekday) => Some(Time::weekday_name(*day)),
            _ => None,
        }
    }

    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) -> Outcome<()> {
        self.output.push(format!("%!{verb}(").as_bytes())?;
        if matches!(value, Value::Nil) {
            self.output.push(b"<nil>")?;
        } else {
            self.output.push(value.type_name().as_bytes())?;
            self.output.push(b"=")?;
            let outer = std::mem::replace(&mut self.complaining, true);
            self.value(value, 'v')?;
            self.complaining = outer;
        }
        self.output.push(b")")
    }

    fn string(&mut self, value: &Value, text: &[u8], verb: char) -> Outcome<()> {
        self.cx.work(text.len())?;
        match verb {
            'v' if self.flags.sharp_v && matches!(value, Value::Text(_)) => self.quoted(text),
            'v' | 's' => self.text(text),
            'q' => self.quoted(text),
            'x' | 'X' => {
                let hex = hex_of_bytes(self.cx, &self.flags, text, verb == 'X')?;
                self.output.push(hex.as_slice())
            }
            _ => self.bad_verb(value, verb),
        }
    }

    fn text(&mut self, text: &[u8]) -> Outcome<()> {
        let text = self.truncated(text)?;
        self.pad(text)
    }

    fn truncated<'t>(&mut self, text: &'t [u8]) -> Outcome<&'t [u8]> {
        let Some(precision) = self.flags.precision.filter(|precision| *precision < text.len()) else {
            return Ok(text);
        };
        let (mut count, mut end) = (0, text.len());
        // A character takes four bytes at most.
        let enough = text.get(..precision.saturating_add(1).saturating_mul(4)).unwrap_or(text);
        self.cx.characters(enough, |rune| {
            if count == precision {
                end = rune.start;
            }
            count += 1;
            Ok(())
        })?;
        Ok(text.get(..end).unwrap_or(text))
    }

    fn quoted(&mut self, text: &[u8]) -> Outcome<()> {
        let text = self.truncated(text)?;
        if self.flags.sharp && can_backquote(self.cx, text)? {
            let mut quoted = self.cx.buffer();
            quoted.push(b"`")?;
            quoted.push(text)?;
            quoted.push(b"`")?;
            return self.pad(quoted.as_slice());
        }
        let quoted = if self.flags.plus { quote_ascii(self.cx, text)? } else { quote(self.cx, text)? };
        self.pad(quoted.as_slice())
    }

    fn write_integer(&mut self, text: &[u8]) -> Outcome<()> {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        let written = self.pad(text);
        self.flags.zero = zero;
        written
    }

    /// Writes `text` padded to the width.
    pub(super) fn pad(&mut self, text: &[u8]) -> Outcome<()> {
        let missing = self.missing(text)?;
        self.cx.work(missing.saturating_add(text.len()))?;
        if self.flags.minus {
            self.output.push(text)?;
            return self.output.push_repeated(b" ", missing);
        }
        self.output.push_repeated(if self.flags.zero { b"0" } else { b" " }, missing)?;
        self.output.push(text)
    }

    /// Returns the number of characters that `text` needs to fill the width.
    fn missing(&mut self, text: &[u8]) -> Outcome<usize> {
        let Some(width) = self.flags.width.filter(|width| *width > 0) else {
            return Ok(0);
        };
        let mut count: usize = 0;
        self.cx.characters(text, |_| {
            count += 1;
            Ok(())
        })?;
        Ok(width.saturating_sub(count))
    }

    fn float(&mut self, value: f64, verb: char) -> Outcome<()> {
        let mut text = float_digits(&self.flags, value, verb, self.cx.meter.room())?;
        if self.flags.space && text.starts_with('+') && !self.flags.plus {
            text.replace_range(..1, " ");
        }
        let unsigned = text.get(1..).unwrap_or_default().to_owned();
        if !value.is_finite() {
            let text =
                if value.is_nan() && !self.flags.space && !self.flags.plus { &unsigned } else { &text };
            return self.write_integer(text.as_bytes());
        }
        if !self.flags.plus && text.starts_with('+') {
            return self.pad(unsigned.as_bytes());
        }
        let width = self.flags.width.unwrap_or(0);
        if self.flags.zero && !self.flags.minus && width > text.len() {
            self.output.push(text.get(..1).unwrap_or_default().as_bytes())?;
            self.output.push_repeated(b"0", width - text.len())?;
            return self.output.push(unsigned.as_bytes());
        }
        self.pad(text.as_bytes())
    }

    fn complex(&mut self, real: f64, imaginary: f64, verb: char) -> Outcome<()> {
        self.output.push(b"(")?;
        self.float(real, verb)?;
        let plus = std::mem::replace(&mut self.flags.plus, true);
        self.float(imaginary, verb)?;
        self.flags.plus = plus;
        self.output.push(b"i)")
    }

    fn deeper(&mut self) -> Outcome<()> {
        self.depth += 1;
        self.cx.meter.nesting(self.depth)
    }

    fn list(&mut self, list: &List, verb: char) -> Outcome<()> {
        self.deeper()?;
        if self.flags.sharp_v {
            self.output.push(list.of.name().as_bytes())?;
        }
        if self.flags.sharp_v && list.is_nil {
            self.output.push(b"(nil)")?;
        } else {
            self.output.push(if self.flags.sharp_v { b"{" } else { b"[" })?;
            for (position, item) in list.items.borrow().iter().enumerate() {
                self.separate(position)?;
                self.value(item, verb)?;
            }
            self.output.push(if self.flags.sharp_v { b"}" } else { b"]" })?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn map(&mut self, map: &Map, verb: char) -> Outcome<()> {
        self.deeper()?;
        self.output.push(if self.flags.sharp_v { map.of.name().as_bytes() } else { b"map" })?;
        self.output.push(if self.flags.sharp_v { b"{" } else { b"[" })?;
        self.entries(&map.entries.borrow(), verb)?;
        self.output.push(if self.flags.sharp_v { b"}" } else { b"]" })?;
        self.depth -= 1;
        Ok(())
    }

    fn entries(&mut self, entries: &Entries, verb: char) -> Outcome<()> {
        for (position, (key, value)) in entries.iter().enumerate() {
            self.separate(position)?;
            self.value(&Value::Text(key.clone()), verb)?;
            self.output.push(b":")?;
            self.value(value, verb)?;
        }
        Ok(())
    }

    fn separate(&mut self, position: usize) -> Outcome<()> {
        match (position, self.flags.sharp_v) {
            (0, _) => Ok(()),
            (_, true) => self.output.push(b", "),
            (_, false) => self.output.push(b" "),
        }
    }

    fn version(&mut self, version: &Version, reference: Reference, verb: char) -> Outcome<()> {
        if reference == Reference::Pointer {
            self.output.push(b"&")?;
        }
        self.structure("semver.Version", &fields_of(version), verb)
    }

    fn structure(&mut self, type_name: &str, fields: &[(&str, Value)], verb: char) -> Outcome<()> {
        self.deeper()?;
        if self.flags.sharp_v {
            self.output.push(type_name.as_bytes())?;
        }
        self.output.push(b"{")?;
        for (position, (name, value)) in fields.iter().enumerate() {
            self.separate(position)?;
            if self.flags.sharp_v || self.flags.plus_v {
                self.output.push(name.as_bytes())?;
                self.output.push(b":")?;
            }
            self.value(value, verb)?;
        }
        self.output.push(b"}")?;
        self.depth -= 1;
        Ok(())
    }
}

/// Returns the fields of Go's struct.
fn fields_of(version: &Version) -> [(&'static str, Value); 6] {
    let number = |number| Value::Uint(number, UintType::Uint64);
    [
        ("major", number(version.major)),
        ("minor", number(version.minor)),
        ("patch", number(version.patch)),
        ("pre", Value::text(version.prerelease.as_str())),
        ("metadata", Value::text(version.metadata.as_str())),
        ("original", Value::text(version.original.as_str())),
    ]
}

fn is_float_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

/// Formats the digits of a float with its sign, including a plus.
fn float_digits(flags: &Flags, value: f64, verb: char, room: usize) -> Outcome<String> {
    let (style, default) = match verb {
        'v' => ('g', None),
        'F' => ('f', Some(6)),
        'e' | 'E' | 'f' => (verb, Some(6)),
        _ => (verb, None),
    };
    let precision = flags.precision.or(default);
    let mut text = format_float(value, style, precision, room)?;
    if !text.starts_with(['+', '-']) {
        text.insert(0, '+');
    }
    if flags.sharp && verb != 'b' && value.is_finite() {
        text = with_decimal_point(&text, style, precision);
    }
    Ok(text)
}

/// Applies the `#` flag: always a decimal point, and the zeros that `%g` would drop.
fn with_decimal_point(text: &str, style: char, precision: Option<usize>) -> String {
    let mut missing = match style {
        'g' | 'G' | 'x' => i64::try_from(precision.unwrap_or(6)).unwrap_or(6),
        _ => 0,
    };
    let exponents: &[char] = if matches!(style, 'x' | 'X') { &['p', 'P'] } else { &['e', 'E'] };
    let (digits, tail) = text.split_at(text.find(exponents).unwrap_or(text.len()));
    let significant =
        digits.chars().skip(1).filter(|char| *char != '.').skip_while(|char| *char == '0').count();
    missing -= i64::try_from(significant).unwrap_or(0);
    let mut result = digits.to_owned();
    if !digits.contains('.') {
        if digits.len() == 2 && digits.ends_with('0') {
            missing -= 1;
        }
        result.push('.');
    }
    result.push_str(&"0".repeat(usize::try_from(missing).unwrap_or(0)));
    result.push_str(tail);
    result
}
