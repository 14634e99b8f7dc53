//! Semantic versions, after Go's `Masterminds/semver`.

use std::cmp::Ordering;
use std::fmt;

use super::super::error::{Failure, Outcome};

pub(crate) const INVALID: Failure = Failure::function("not a semantic version");

/// A version. Equality compares all fields, as in Go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
}

impl Version {
    /// Parses a version. Minor and patch may be missing, and a `v` may precede it.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let original = text.to_owned();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = match text.split_once('+') {
            Some((text, metadata)) if are_identifiers(metadata) => (text, metadata),
            Some(_) => return Err(INVALID),
            None => (text, ""),
        };
        let (numbers, prerelease) = match text.split_once('-') {
            Some((numbers, prerelease)) if is_prerelease(prerelease) => (numbers, prerelease),
            Some(_) => return Err(INVALID),
            None => (text, ""),
        };
        let mut parts = [0; 3];
        if numbers.split('.').count() > 3 {
            return Err(INVALID);
        }
        for (slot, number) in parts.iter_mut().zip(numbers.split('.')) {
            let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
            *slot = number.parse().ok().filter(|_| is_number).ok_or(INVALID)?;
        }
        let [major, minor, patch] = parts;
        Ok(Self {
            major,
            minor,
            patch,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original,
        })
    }

    /// Compares by precedence: metadata are ignored.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }

    /// Sets `original` to the text of the version, with the `v` of the former original.
    pub(crate) fn with_updated_original(mut self) -> Self {
        let v = if self.original.starts_with('v') { "v" } else { "" };
        self.original = format!("{v}{self}");
        self
    }

    /// Increments a part, and removes the later parts, pre-release and metadata. A pre-release becomes its patch version.
    pub(crate) fn next(&self, part: Part) -> Self {
        let mut next = Self { prerelease: String::new(), metadata: String::new(), ..self.clone() };
        match part {
            Part::Major => (next.major, next.minor, next.patch) = (self.major.wrapping_add(1), 0, 0),
            Part::Minor => (next.minor, next.patch) = (self.minor.wrapping_add(1), 0),
            // A pre-release precedes the version with its numbers.
            Part::Patch if !self.prerelease.is_empty() => {}
            Part::Patch => next.patch = self.patch.wrapping_add(1),
        }
        next.with_updated_original()
    }
}

/// A number of a version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Major,
    Minor,
    Patch,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(formatter, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(formatter, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

pub(crate) fn are_identifiers(text: &str) -> bool {
    let is_identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(is_identifier)
}

/// Returns true for identifiers without leading zeros in numbers.
pub(crate) fn is_prerelease(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    are_identifiers(text)
        && !text.split('.').any(|part| part.len() > 1 && part.starts_with('0') && is_number(part))
}

/// Compares pre-releases. A version without one is greater than those with one.
pub(crate) fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => compare_identifiers(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare_identifiers(left: &str, right: &str) -> Ordering {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}
