//! The functions that templates may call. `table` lists them all; each family has a file of its own.

#![expect(clippy::unnecessary_wraps, reason = "all bodies have one type, so that one table can hold them")]

mod automaton;
mod builtins;
mod certificates;
mod conversion;
mod crypto;
mod dates;
mod decimal;
mod dicts;
mod encoding;
mod flow;
mod keys;
mod layout;
mod layout_parser;
mod lists;
mod math;
mod merge;
mod passwords;
mod paths;
mod patterns;
mod random;
mod reflection;
mod scrypt;
mod semver;
mod semver_constraint;
mod strings;
mod table;
mod time_methods;
mod urls;
mod words;
mod wrapping;

pub(crate) use self::table::{is_function, is_volatile, lookup, method};
