//! Functions and methods of semantic versions.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::template::context::{Args, Cx, Function, Ty, method_of, short};
use crate::template::error::{Failure, Outcome};
use crate::template::value::version::{INVALID, Part, Version, are_identifiers, is_prerelease};
use crate::template::value::{Reference, UintType, Value};

/// Maximum length of a version or constraint, in bytes.
pub(super) const MAX_LENGTH: usize = 4 << 10;

pub(super) fn semver(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = short(args.text(0), MAX_LENGTH)?;
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

/// Methods that Go defines on pointers only, so that values returned by other methods do not have them.
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
    short(args.text(1), MAX_LENGTH)?;
    let prerelease = args.string(1);
    if !prerelease.is_empty() && !is_prerelease(&prerelease) {
        return Err(INVALID);
    }
    direct(cx, Version { prerelease, ..(*receiver(args)).clone() }.with_updated_original())
}

fn set_metadata(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    short(args.text(1), MAX_LENGTH)?;
    let metadata = args.string(1);
    if !metadata.is_empty() && !are_identifiers(&metadata) {
        return Err(INVALID);
    }
    direct(cx, Version { metadata, ..(*receiver(args)).clone() }.with_updated_original())
}
