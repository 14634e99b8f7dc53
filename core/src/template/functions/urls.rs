//! URLs, after Go's `net/url`.

use std::net::Ipv6Addr;

use super::strings::find;
use crate::template::context::{Args, Cx, short};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{Bytes, Entries, Map, MapType, Value};

/// Maximum length of a URL or of a part of one, in bytes.
const MAX_LENGTH: usize = 256 << 10;
const INVALID: Failure = Failure::function("not a URL");

/// Part of a URL to escape. Each has its own set of unescaped characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Path,
    Host,
    Zone,
    User,
    Fragment,
    Query,
}

#[derive(Default)]
struct Url {
    scheme: Vec<u8>,
    opaque: Vec<u8>,
    user: Option<User>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    fragment: Vec<u8>,
}

struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl User {
    fn to_bytes(&self) -> Vec<u8> {
        let mut text = escape(&self.name, Mode::User);
        if let Some(password) = &self.password {
            text.push(b':');
            text.extend(escape(password, Mode::User));
        }
        text
    }
}

fn is_plain(byte: u8, mode: Mode) -> bool {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => true,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'[' | b']'
        | b'<' | b'>' | b'"'
            if matches!(mode, Mode::Host | Mode::Zone) =>
        {
            true
        }
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match mode {
            Mode::Path => byte != b'?',
            Mode::User => !matches!(byte, b'@' | b'/' | b'?' | b':'),
            Mode::Fragment => true,
            Mode::Query | Mode::Host | Mode::Zone => false,
        },
        b'!' | b'(' | b')' | b'*' => mode == Mode::Fragment,
        _ => false,
    }
}

fn escape(text: &[u8], mode: Mode) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' if mode == Mode::Query => output.push(b'+'),
            byte if is_plain(*byte, mode) => output.push(*byte),
            byte => output.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    output
}

/// Returns a hexadecimal digit.
const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

/// `url.QueryEscape`
pub(super) fn escape_query(cx: &mut Cx, text: &[u8]) -> Outcome<Vec<u8>> {
    let mut output = Vec::new();
    cx.pieces(text, |piece| {
        output.extend(escape(piece, Mode::Query));
        Ok(())
    })?;
    Ok(output)
}

fn unescape(text: &[u8], mode: Mode) -> Outcome<Vec<u8>> {
    let mut output = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            if matches!(mode, Mode::Host | Mode::Zone) && first.is_ascii() && !is_plain(*first, mode) {
                return Err(INVALID);
            }
            output.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or(INVALID)?;
        let digits = str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let digits = digits.ok_or(INVALID)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| INVALID)?;
        let is_allowed = match mode {
            Mode::Host => !byte.is_ascii() || digits == "25",
            Mode::Zone => digits == "25" || byte == b' ' || is_plain(byte, Mode::Host),
            _ => true,
        };
        if !is_allowed {
            return Err(INVALID);
        }
        output.push(byte);
        rest = after;
    }
    Ok(output)
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        Some(position) => (text.get(..position).unwrap_or_default(), text.get(position + 1..)),
        None => (text, None),
    }
}

impl Url {
    fn parse(text: &[u8]) -> Outcome<Self> {
        let (text, fragment) = cut(text, b'#');
        let fragment = unescape(fragment.unwrap_or_default(), Mode::Fragment)?;
        let mut url = Self { fragment, ..Self::default() };
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err(INVALID);
        }
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        url.parse_rest(rest)?;
        Ok(url)
    }

    fn parse_rest(&mut self, rest: &[u8]) -> Outcome<()> {
        let mut rest = rest;
        if !rest.starts_with(b"/") {
            if !self.scheme.is_empty() {
                self.opaque = rest.to_vec();
                return Ok(());
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err(INVALID);
            }
        }
        if (!self.scheme.is_empty() || !rest.starts_with(b"///")) && rest.starts_with(b"//") {
            let after = rest.get(2..).unwrap_or_default();
            let end = after.iter().position(|byte| *byte == b'/').unwrap_or(after.len());
            let (authority, path) = after.split_at(end);
            self.parse_authority(authority)?;
            rest = path;
        }
        self.path = unescape(rest, Mode::Path)?;
        Ok(())
    }

    fn parse_authority(&mut self, authority: &[u8]) -> Outcome<()> {
        let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else {
            self.host = parse_host(authority)?;
            return Ok(());
        };
        self.host = parse_host(authority.get(at + 1..).unwrap_or_default())?;
        let user = authority.get(..at).unwrap_or_default();
        if !user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte)) {
            return Err(INVALID);
        }
        let (name, password) = cut(user, b':');
        let password = password.map(|password| unescape(password, Mode::User)).transpose()?;
        self.user = Some(User { name: unescape(name, Mode::User)?, password });
        Ok(())
    }

    fn hostname(&self) -> &[u8] {
        let host = self.host.as_slice();
        let without_port = match host.iter().rposition(|byte| *byte == b':') {
            Some(colon) if is_port(host.get(colon..).unwrap_or_default()) => {
                host.get(..colon).unwrap_or_default()
            }
            _ => host,
        };
        without_port.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(without_port)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = self.scheme.clone();
        if !self.scheme.is_empty() {
            text.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut text);
        } else {
            text.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            text.push(b'?');
            text.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            text.push(b'#');
            text.extend(escape(&self.fragment, Mode::Fragment));
        }
        text
    }

    fn write_hierarchy(&self, text: &mut Vec<u8>) {
        let has_authority = !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some();
        if has_authority && (!self.host.is_empty() || !self.path.is_empty() || self.user.is_some()) {
            text.extend_from_slice(b"//");
        }
        if let Some(user) = &self.user {
            text.extend(user.to_bytes());
            text.push(b'@');
        }
        text.extend(escape(&self.host, Mode::Host));
        let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Mode::Path) };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            text.push(b'/');
        }
        if text.is_empty() && cut(&path, b'/').0.contains(&b':') {
            text.extend_from_slice(b"./");
        }
        text.extend(path);
    }
}

fn split_scheme(text: &[u8]) -> Outcome<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    match end.and_then(|end| text.get(end).map(|byte| (end, *byte))) {
        Some((0, b':')) => Err(INVALID),
        Some((end, b':')) if text.first().is_some_and(u8::is_ascii_alphabetic) => {
            Ok((text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default()))
        }
        _ => Ok((&[], text)),
    }
}

/// Returns true for a colon and digits, or nothing.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

fn parse_host(host: &[u8]) -> Outcome<Vec<u8>> {
    if host.starts_with(b"[") {
        return parse_bracketed(host);
    }
    if host.contains(&b'[') {
        return Err(INVALID);
    }
    let port = host.iter().position(|byte| *byte == b':').and_then(|colon| host.get(colon..));
    if !is_port(port.unwrap_or_default()) {
        return Err(INVALID);
    }
    unescape(host, Mode::Host)
}

fn parse_bracketed(host: &[u8]) -> Outcome<Vec<u8>> {
    let closing = host.iter().rposition(|byte| *byte == b']').ok_or(INVALID)?;
    if !is_port(host.get(closing + 1..).unwrap_or_default()) {
        return Err(INVALID);
    }
    let inner = host.get(1..closing).unwrap_or_default();
    let zone = find(inner, b"%25");
    let address = unescape(inner.get(..zone.unwrap_or(inner.len())).unwrap_or_default(), Mode::Host)?;
    let is_address = str::from_utf8(&address).ok().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if !is_address {
        return Err(INVALID);
    }
    let mut output = b"[".to_vec();
    output.extend(address);
    if let Some(zone) = zone {
        output.extend(unescape(inner.get(zone..).unwrap_or_default(), Mode::Zone)?);
    }
    output.extend(unescape(host.get(closing..).unwrap_or_default(), Mode::Host)?);
    Ok(output)
}

pub(super) fn parse(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = short(args.text(0), MAX_LENGTH)?;
    cx.meter.allocate(text.len().saturating_mul(6))?;
    cx.step(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    let url = Url::parse(text)?;
    let user = url.user.as_ref().map(User::to_bytes).unwrap_or_default();
    let hostname = url.hostname().to_vec();
    let parts = [
        ("scheme", url.scheme),
        ("host", url.host),
        ("hostname", hostname),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", url.fragment),
        ("userinfo", user),
    ];
    let mut entries = Entries::new();
    for (name, part) in parts {
        entries.insert(Bytes::from(name), cx.text(part)?);
    }
    cx.map(MapType::Any, entries)
}

pub(super) fn join(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let map = args.map(0);
    let mut part = |name| text_under(cx, map, name);
    let mut url = Url {
        scheme: part("scheme")?,
        opaque: part("opaque")?,
        user: None,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        fragment: part("fragment")?,
    };
    let user = part("userinfo")?;
    if !user.is_empty() {
        url.user = Url::parse(&[b"proto://", user.as_slice(), b"@host"].concat())?.user;
    }
    cx.text(url.to_bytes())
}

/// Returns a part of the URL to join, after charging for its escaping.
fn text_under(cx: &mut Cx, map: Option<&Map>, name: &str) -> Outcome<Vec<u8>> {
    match map.map_or(Ok(None), |map| cx.get(map, name.as_bytes()))? {
        None => Ok(Vec::new()),
        Some(Value::Text(text)) => {
            let text = short(&text, MAX_LENGTH)?;
            cx.meter.allocate(text.len().saturating_mul(4))?;
            cx.step(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
            Ok(text.to_vec())
        }
        Some(_) => Err(Failure::function("the parts of a URL must be strings")),
    }
}
