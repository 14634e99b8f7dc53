//! `printf`: finds the directives of a format and passes each to the printer.

use super::super::context::Cx;
use super::super::error::Outcome;
use super::super::value::{Value, decode_rune};
use super::super::zeroizing::Buffer;
use super::flags::Flags;
use super::printer::Printer;

/// Maximum width and precision, as in Go.
const MAX_WIDTH: i64 = 1_000_000;

/// Formats the arguments like Go's `fmt.Sprintf`.
pub(crate) fn sprintf(cx: &mut Cx, format: &[u8], arguments: &[Value]) -> Outcome<Buffer> {
    let mut directives = Directives {
        printer: Printer::new(cx),
        rest: format,
        arguments,
        next: 0,
        reordered: false,
        index_is_good: true,
        after_index: false,
    };
    directives.run()?;
    Ok(directives.printer.output)
}

/// A format that is being processed, directive by directive.
struct Directives<'a, 'c, 's> {
    printer: Printer<'c, 's>,
    /// The part of the format that is not processed yet.
    rest: &'a [u8],
    arguments: &'a [Value],
    /// Index of the next argument.
    next: usize,
    /// True once a directive has an index such as `[1]`: unused arguments are no error then.
    reordered: bool,
    /// False if an index of the present directive is invalid.
    index_is_good: bool,
    /// True if an index precedes the next part of the directive.
    after_index: bool,
}

impl Directives<'_, '_, '_> {
    fn run(&mut self) -> Outcome<()> {
        self.printer.cx.work(self.rest.len())?;
        while let Some(percent) = self.rest.iter().position(|byte| *byte == b'%') {
            let (literal, rest) = self.rest.split_at(percent);
            self.printer.output.push(literal)?;
            self.rest = rest.get(1..).unwrap_or_default();
            self.printer.cx.work(percent)?;
            self.directive()?;
        }
        self.printer.output.push(self.rest)?;
        self.extra()
    }

    fn directive(&mut self) -> Outcome<()> {
        self.printer.flags = Flags::default();
        self.index_is_good = true;
        self.after_index = false;
        self.flags();
        self.index()?;
        self.width()?;
        self.precision()?;
        if !self.after_index {
            self.index()?;
        }
        let Some((verb, length)) = decode_rune(self.rest) else {
            return self.printer.output.push(b"%!(NOVERB)");
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.verb(verb)
    }

    fn verb(&mut self, verb: char) -> Outcome<()> {
        if verb == '%' {
            return self.printer.output.push(b"%");
        }
        if !self.index_is_good {
            return self.complain(verb, "BADINDEX");
        }
        let Some(argument) = self.arguments.get(self.next) else {
            return self.complain(verb, "MISSING");
        };
        self.next += 1;
        if verb == 'v' {
            let flags = &mut self.printer.flags;
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        self.printer.argument(argument, verb)
    }

    fn complain(&mut self, verb: char, what: &str) -> Outcome<()> {
        self.printer.output.push(format!("%!{verb}({what})").as_bytes())
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }

    fn flags(&mut self) {
        while let Some(flag) = self.rest.first() {
            let flags = &mut self.printer.flags;
            match flag {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => return,
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
    }

    /// Parses `[n]`, which selects the argument.
    fn index(&mut self) -> Outcome<()> {
        if self.rest.first() != Some(&b'[') {
            return Ok(());
        }
        self.reordered = true;
        let closing = self.rest.iter().position(|byte| *byte == b']');
        self.printer.cx.work(closing.unwrap_or(self.rest.len()))?;
        let closing = closing.filter(|_| self.rest.len() >= 3);
        let Some(closing) = closing else {
            self.index_is_good = false;
            self.rest = self.rest.get(1..).unwrap_or_default();
            return Ok(());
        };
        let digits = self.rest.get(1..closing).unwrap_or_default();
        self.rest = self.rest.get(closing + 1..).unwrap_or_default();
        let number = parse_count(digits);
        self.after_index = number.is_some();
        let chosen =
            number.and_then(|number| usize::try_from(number).ok()).and_then(|number| number.checked_sub(1));
        match chosen.filter(|chosen| *chosen < self.arguments.len()) {
            Some(chosen) => self.next = chosen,
            None => self.index_is_good = false,
        }
        Ok(())
    }

    fn width(&mut self) -> Outcome<()> {
        if self.take(b'*') {
            match self.count_from_argument() {
                Some(width) => {
                    let flags = &mut self.printer.flags;
                    if width < 0 {
                        flags.minus = true;
                        flags.zero = false;
                    }
                    flags.width = usize::try_from(width.abs()).ok();
                }
                None => self.printer.output.push(b"%!(BADWIDTH)")?,
            }
            self.after_index = false;
            return Ok(());
        }
        self.printer.flags.width = self.count();
        if self.after_index && self.printer.flags.width.is_some() {
            self.index_is_good = false;
        }
        Ok(())
    }

    fn precision(&mut self) -> Outcome<()> {
        if !self.take(b'.') {
            return Ok(());
        }
        if self.after_index {
            self.index_is_good = false;
        }
        self.after_index = false;
        self.index()?;
        if self.take(b'*') {
            match self.count_from_argument() {
                Some(precision) => self.printer.flags.precision = usize::try_from(precision).ok(),
                None => self.printer.output.push(b"%!(BADPREC)")?,
            }
            self.after_index = false;
        } else {
            self.printer.flags.precision = self.count().or(Some(0));
        }
        Ok(())
    }

    /// Parses a decimal number. A number that is too large consumes the rest of the format, as in Go.
    fn count(&mut self) -> Option<usize> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = self.rest.get(..length).filter(|digits| !digits.is_empty())?;
        let count = parse_count(digits);
        self.rest =
            self.rest.get(if count.is_some() { length } else { self.rest.len() }..).unwrap_or_default();
        usize::try_from(count?).ok()
    }

    fn count_from_argument(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        let count = match argument {
            Value::Int(count, _) => *count,
            Value::Uint(count, _) => i64::try_from(*count).ok()?,
            _ => return None,
        };
        (-MAX_WIDTH..=MAX_WIDTH).contains(&count).then_some(count)
    }

    /// Prints the arguments that no directive has used as an error, as Go does.
    fn extra(&mut self) -> Outcome<()> {
        let extra = self.arguments.get(self.next..).unwrap_or_default();
        if self.reordered || extra.is_empty() {
            return Ok(());
        }
        self.printer.flags = Flags::default();
        self.printer.output.push(b"%!(EXTRA ")?;
        for (position, value) in extra.iter().enumerate() {
            if position > 0 {
                self.printer.output.push(b", ")?;
            }
            if !matches!(value, Value::Nil) {
                self.printer.output.push(value.type_name().as_bytes())?;
                self.printer.output.push(b"=")?;
            }
            self.printer.argument(value, 'v')?;
        }
        self.printer.output.push(b")")
    }
}

fn parse_count(digits: &[u8]) -> Option<i64> {
    let text = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    // Go checks the size before it adds the last digit.
    text.parse::<i64>().ok().filter(|count| *count / 10 <= MAX_WIDTH)
}
