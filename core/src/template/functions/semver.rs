//! Semantic versions, after Go's `Masterminds/semver`.

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use super::table::method_of;
use super::{Args, Cx, Function, Ty, short};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{Reference, UintType, Value};

const INVALID: Failure = Failure::function("not a semantic version");
/// Bytes of a version or of a constraint.
pub(super) const LONGEST: usize = 4 << 10;

/// A version; equality is Go's, of all fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Version {
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) patch: u64,
    pub(super) prerelease: String,
    metadata: String,
    original: String,
}

impl Version {
    /// Reads a version; minor and patch may be missing, a `v` may stand before it.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
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

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }

    /// Go's struct fields, for verbs that print them.
    pub(crate) fn fields(&self) -> [(&'static str, Value); 6] {
        let number = |number| Value::Uint(number, UintType::Uint64);
        [
            ("major", number(self.major)),
            ("minor", number(self.minor)),
            ("patch", number(self.patch)),
            ("pre", Value::text(self.prerelease.as_str())),
            ("metadata", Value::text(self.metadata.as_str())),
            ("original", Value::text(self.original.as_str())),
        ]
    }

    fn with_original(mut self) -> Self {
        let v = if self.original.starts_with('v') { "v" } else { "" };
        self.original = format!("{v}{self}");
        self
    }

    fn next(&self, part: Part) -> Self {
        let mut next = self.clone();
        next.metadata = String::new();
        if part == Part::Patch && !self.prerelease.is_empty() {
            next.prerelease = String::new();
            return next.with_original();
        }
        next.prerelease = String::new();
        match part {
            Part::Major => (next.major, next.minor, next.patch) = (self.major.wrapping_add(1), 0, 0),
            Part::Minor => (next.minor, next.patch) = (self.minor.wrapping_add(1), 0),
            Part::Patch => next.patch = self.patch.wrapping_add(1),
        }
        next.with_original()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
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

fn are_identifiers(text: &str) -> bool {
    let is_identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(is_identifier)
}

/// Identifiers of which no number begins with a zero.
fn is_prerelease(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    are_identifiers(text)
        && !text.split('.').any(|part| part.len() > 1 && part.starts_with('0') && is_number(part))
}

/// A version without a pre-release comes after those with one.
pub(super) fn compare_prereleases(left: &str, right: &str) -> Ordering {
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

pub(super) fn semver(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = short(args.text(0), LONGEST)?;
    let version = Version::parse(str::from_utf8(text).map_err(|_| INVALID)?)?;
    made(cx, version, Reference::Pointer)
}

pub(super) static METHODS: &[Function] = &[
    method_of("Major", &[], |_, args| Ok(Value::Uint(receiver(args).major, UintType::Uint64))),
    method_of("Minor", &[], |_, args| Ok(Value::Uint(receiver(args).minor, UintType::Uint64))),
    method_of("Patch", &[], |_, args| Ok(Value::Uint(receiver(args).patch, UintType::Uint64))),
    method_of("Prerelease", &[], |cx, args| cx.text(receiver(args).prerelease.as_str())),
    method_of("Metadata", &[], |cx, args| cx.text(receiver(args).metadata.as_str())),
    method_of("Original", &[], |cx, args| cx.text(receiver(args).original.as_str())),
    method_of("String", &[], |cx, args| cx.text(receiver(args).to_string())),
    method_of("IncMajor", &[], |cx, args| direct(cx, receiver(args).next(Part::Major))),
    method_of("IncMinor", &[], |cx, args| direct(cx, receiver(args).next(Part::Minor))),
    method_of("IncPatch", &[], |cx, args| direct(cx, receiver(args).next(Part::Patch))),
    method_of("SetPrerelease", &[Ty::Text], set_prerelease),
    method_of("SetMetadata", &[Ty::Text], set_metadata),
    method_of("Compare", &[Ty::Version], |cx, args| Ok(Value::int(order(cx, args)? as i64))),
    method_of("Equal", &[Ty::Version], |cx, args| Ok(Value::Bool(order(cx, args)? == Ordering::Equal))),
    method_of("GreaterThan", &[Ty::Version], |cx, args| {
        Ok(Value::Bool(order(cx, args)? == Ordering::Greater))
    }),
    method_of("GreaterThanEqual", &[Ty::Version], |cx, args| {
        Ok(Value::Bool(order(cx, args)? != Ordering::Less))
    }),
    method_of("LessThan", &[Ty::Version], |cx, args| Ok(Value::Bool(order(cx, args)? == Ordering::Less))),
    method_of("LessThanEqual", &[Ty::Version], |cx, args| {
        Ok(Value::Bool(order(cx, args)? != Ordering::Greater))
    }),
];

/// Methods that Go gives to pointers only, so that what another method returned does not have them.
pub(super) const NEEDS_POINTER: [&str; 7] =
    ["Original", "Compare", "Equal", "GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual"];

fn receiver(args: &Args) -> Rc<Version> {
    match args.any(0) {
        Value::Version(version, _) => Rc::clone(version),
        _ => Rc::default(),
    }
}

fn direct(cx: &mut Cx, version: Version) -> Outcome<Value> {
    made(cx, version, Reference::Direct)
}

fn made(cx: &mut Cx, version: Version, reference: Reference) -> Outcome<Value> {
    let texts = version.prerelease.len() + version.metadata.len() + version.original.len();
    cx.meter.allocate(texts.saturating_add(size_of::<Version>()))?;
    cx.scan(texts)?;
    Ok(Value::Version(Rc::new(version), reference))
}

fn order(cx: &mut Cx, args: &Args) -> Outcome<Ordering> {
    cx.scan(receiver(args).prerelease.len())?;
    match args.any(1) {
        Value::Version(other, _) => Ok(receiver(args).compare(other)),
        _ => Err(Failure::function("the other version is nil")),
    }
}

fn set_prerelease(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    short(args.text(1), LONGEST)?;
    let prerelease = args.string(1);
    if !prerelease.is_empty() && !is_prerelease(&prerelease) {
        return Err(INVALID);
    }
    direct(cx, Version { prerelease, ..(*receiver(args)).clone() }.with_original())
}

fn set_metadata(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    short(args.text(1), LONGEST)?;
    let metadata = args.string(1);
    if !metadata.is_empty() && !are_identifiers(&metadata) {
        return Err(INVALID);
    }
    direct(cx, Version { metadata, ..(*receiver(args)).clone() }.with_original())
}
