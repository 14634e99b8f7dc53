//! Values of flags, in the forms that Go's flags have.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use clap::builder::BoolValueParser;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::keyring::OrderBy;

/// Labels or annotations by key.
pub type Pairs = BTreeMap<String, String>;

/// A moment given as RFC 1123 with a numeric zone, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutoffTime(Option<Timestamp>);

impl CutoffTime {
    /// The moment, if one was given.
    #[must_use]
    pub fn moment(self) -> Option<Timestamp> {
        self.0
    }
}

impl std::str::FromStr for CutoffTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let zoned = jiff::fmt::rfc2822::parse(text)
            .map_err(|_| "expected a time such as \"Mon, 02 Jan 2006 15:04:05 -0700\"".to_owned())?;
        Ok(Self(Some(zoned.timestamp())))
    }
}

/// The words that Go's `strconv.ParseBool` takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct GoBool;

impl clap::builder::TypedValueParser for GoBool {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<bool, clap::Error> {
        match value.to_str() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            _ => BoolValueParser::new().parse_ref(command, argument, value),
        }
    }
}

pub(super) fn key_prefix(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 245 || !text.bytes().all(allowed) {
        return Err("a prefix has 1 to 245 characters out of a-z, 0-9 and -".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn key_size(text: &str) -> Result<KeySize, String> {
    let bits = text.parse().ok().and_then(KeySize::from_bits);
    bits.ok_or_else(|| "keys have 2048, 3072, 4096 or 8192 bits".to_owned())
}

pub(super) fn order_by(text: &str) -> Result<OrderBy, String> {
    match text {
        "CertNotBefore" => Ok(OrderBy::CertNotBefore),
        "SecretCreationTimestamp" => Ok(OrderBy::SecretCreationTimestamp),
        _ => Err("expected CertNotBefore or SecretCreationTimestamp".to_owned()),
    }
}

/// Go's form of durations (`720h`, `1h30m`, `-1h`, `0`), and `d` and `w` for days and weeks.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let unreadable = "expected a duration such as 720h, 30d or 1h30m";
    if rest.is_empty() {
        return Err(unreadable.to_owned());
    }
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let (part, after) = duration_part(rest).ok_or(unreadable)?;
        total = total.checked_add(part).ok_or("the duration is too long")?;
        rest = after;
    }
    Ok(if negative { -total } else { total })
}

fn duration_part(text: &str) -> Option<(SignedDuration, &str)> {
    // Go takes the micro sign and the Greek letter.
    const UNITS: [(&str, f64); 10] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("\u{b5}s", 1e-6),
        ("\u{3bc}s", 1e-6),
        ("ms", 1e-3),
        ("w", 604_800.0),
        ("d", 86_400.0),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, rest) = text.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
    let length = SignedDuration::try_from_secs_f64(number * seconds).ok()?;
    Some((length, rest.strip_prefix(unit)?))
}

/// `k=v,k=v`; what is empty is nothing.
pub(super) fn pairs(text: &str) -> Result<Pairs, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, not {part:?}"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    parts.map(pair).collect()
}

/// Ranges of addresses.
pub type Networks = Vec<IpNet>;

/// Networks such as `10.0.0.0/8` and single addresses, comma-separated; what is empty is nothing.
pub(super) fn networks(text: &str) -> Result<Networks, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let network = |part: &str| {
        let address = part.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        let unreadable = || format!("expected a network such as 10.0.0.0/8 or an address, not {part:?}");
        address.or_else(|_| part.parse()).map_err(|_| unreadable())
    };
    parts.map(network).collect()
}

/// Where to listen, in Go's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an address without brackets; empty for every address.
    pub host: String,
    /// 0 for any port that is free.
    pub port: u16,
}

impl std::str::FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parts.ok_or("expected HOST:PORT or :PORT, the port as a number")?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bracketed {
            None if host.contains([':', '[', ']']) => {
                Err("an IPv6 address stands in brackets: [HOST]:PORT".to_owned())
            }
            _ => Ok(Self { host: bracketed.unwrap_or(host).to_owned(), port }),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [
            ("720h", 2_592_000),
            ("30d", 2_592_000),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("0", 0),
            ("2w", 1_209_600),
            ("-1h", -3600),
            ("+2h", 7200),
            ("-0", 0),
        ];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for (text, nanoseconds) in [
            ("1ns", 1),
            ("1us", 1000),
            ("1\u{b5}s", 1000),
            ("1\u{3bc}s", 1000),
            ("1.5ms", 1_500_000),
            ("-.5s", -500_000_000),
        ] {
            assert_eq!(duration(text), Ok(SignedDuration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "+", "--1h", "h", "5", "1x", "-", "1h-"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_are_ranges_and_single_addresses() {
        let read =
            |text| networks(text).map(|networks| networks.iter().map(IpNet::to_string).collect::<Vec<_>>());
        assert_eq!(
            read("10.0.0.0/8, 192.0.2.1,,2001:db8::/32").unwrap(),
            ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
        );
        assert_eq!(read("").unwrap(), [""; 0]);
        for text in ["10.0.0.0/33", "api-server", "10.0.0.1:443"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_host_of_any_form_or_none_and_a_port() {
        for (text, host, port) in [
            (":8080", "", 8080),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("localhost:8080", "localhost", 8080),
            ("[::1]:8080", "::1", 8080),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "8080", "localhost", "::1:8080", "[::1:80", "a:b", ":65536"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text:?}");
        }
    }
}
