//! Values of flags, in the syntax of Go's flags.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use clap::builder::BoolValueParser;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::go::parse_bool;
use sealed_secrets_core::keyring::OrderBy;
use sealed_secrets_core::names::refused_name;
use sealed_secrets_core::template::parse_duration_with_days;

/// Labels or annotations by key.
pub type Pairs = BTreeMap<String, String>;

/// A time in RFC 1123 format with a numeric zone, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutoffTime(Option<Timestamp>);

impl CutoffTime {
    /// Returns the time, if one was given.
    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
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

/// The values that Go's `strconv.ParseBool` accepts.
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
        value
            .to_str()
            .and_then(parse_bool)
            .map_or_else(|| BoolValueParser::new().parse_ref(command, argument, value), Ok)
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

/// Parses a number of bytes in the notation of Kubernetes' memory limits.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 3] = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let unit = UNITS.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "expected bytes such as 128Mi or 134217728".to_owned())
}

/// Parses a duration in Go's syntax (`720h`, `1h30m`, `-1h`, `0`), with the additional units `d` and `w` for days and
/// weeks.
pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let nanoseconds = parse_duration_with_days(text);
    let unreadable = "expected a duration such as 720h, 30d or 1h30m, of at most 292 years";
    nanoseconds.map(SignedDuration::from_nanos).ok_or_else(|| unreadable.to_owned())
}

/// Parses the duration of a Lease.
pub(super) fn lease_duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_mins(10);
    let duration = duration(text).ok().and_then(|duration| Duration::try_from(duration).ok());
    let duration = duration.filter(|duration| ALLOWED.contains(duration) && duration.subsec_nanos() == 0);
    duration.ok_or_else(|| "expected whole seconds from 5s to 10m, for example 15s".to_owned())
}

/// Parses a name of an object: a DNS subdomain (RFC 1123).
pub(super) fn subdomain(text: &str) -> Result<String, String> {
    if text.is_empty() || refused_name(text).is_some() {
        return Err("a name has 1 to 253 characters out of a-z, 0-9, - and ., and each part between dots begins and ends with a letter or digit".to_owned());
    }
    Ok(text.to_owned())
}

/// Parses `k=v,k=v`. Empty parts are ignored.
pub(super) fn pairs(text: &str) -> Result<Pairs, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, not {part:?}"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    parts.map(pair).collect()
}

/// Address ranges.
pub type Networks = Vec<IpNet>;

/// Parses networks such as `10.0.0.0/8` and single addresses, comma-separated. Empty parts are ignored.
pub(super) fn networks(text: &str) -> Result<Networks, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let network = |part: &str| {
        let address = part.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        let unreadable = || format!("expected a network such as 10.0.0.0/8 or an address, not {part:?}");
        address.or_else(|_| part.parse()).map_err(|_| unreadable())
    };
    parts.map(network).collect()
}

/// A listen address in Go's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an address without brackets; empty for every address.
    pub host: String,
    /// The port; 0 for any free one.
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
                Err("an IPv6 address must be in brackets: [HOST]:PORT".to_owned())
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
    fn bytes_are_read_as_kubernetes_writes_them() {
        let cases = [("128Mi", 128 << 20), ("134217728", 128 << 20), ("1Gi", 1 << 30), ("64Ki", 64 << 10)];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "Mi", "1.5Gi", "-1", "99999999999Gi", "128M"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

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
    fn a_lease_lasts_whole_seconds_and_neither_too_short_nor_too_long() {
        for (text, seconds) in [("5s", 5), ("15s", 15), ("1m30s", 90), ("10m", 600)] {
            assert_eq!(lease_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["4s", "4999ms", "5.5s", "601s", "-15s", "0", "15", ""] {
            assert!(lease_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_a_dns_subdomain() {
        for text in ["a", "sealed-secrets.controller", "0", &"a".repeat(253)] {
            assert_eq!(subdomain(text).as_deref(), Ok(text));
        }
        for text in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", &"a".repeat(254)] {
            assert!(subdomain(text).is_err(), "{text:?}");
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
