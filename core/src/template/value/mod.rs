//! Values as templates see them: dynamically typed, with the distinctions Go shows when it prints or converts them.

mod bytes;
mod compare;
mod heap;
mod kind;
mod runes;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use self::bytes::Bytes;
pub(crate) use self::compare::{deep_equal, equal, less};
pub(crate) use self::heap::Heap;
pub(crate) use self::runes::{Rune, decode_rune, is_alphanumeric, is_graphic, push_rune, runes};
use super::functions::{Certificate, Time, Version, Zone};

/// One value. `Nil` stands for Go's nil interface and for what a missing key gives.
#[derive(Clone)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64, IntType),
    Uint(u64, UintType),
    Float(f64),
    Complex(f64, f64),
    Text(Bytes),
    List(List),
    Map(Map),
    Time(Time),
    Zone(Zone),
    Version(Rc<Version>, Reference),
    Certificate(Rc<Certificate>),
}

/// Go's signed integer types that functions and methods return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IntType {
    Int,
    Int64,
    Month,
    Weekday,
    Duration,
}

/// Go's unsigned integer types that functions and methods return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UintType {
    Uint8,
    Uint64,
}

/// Whether a struct is reached through a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reference {
    Pointer,
    Direct,
}

/// What a Go slice type holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListType {
    Any,
    Text,
    Int,
    Lists,
}

/// A Go slice. `sortAlpha` sorts a `[]string` in place, hence the cell.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) of: ListType,
    pub(crate) is_nil: bool,
    pub(crate) items: Rc<RefCell<Vec<Value>>>,
}

/// What a Go map type holds under its string keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MapType {
    Any,
    Text,
}

/// The entries of a map, in key order.
pub(crate) type Entries = BTreeMap<Bytes, Value>;

/// A Go map with string keys: shared and changed in place.
#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) of: MapType,
    pub(crate) entries: Rc<RefCell<Entries>>,
}

impl Value {
    pub(crate) const fn int(value: i64) -> Self {
        Self::Int(value, IntType::Int)
    }

    pub(crate) const fn int64(value: i64) -> Self {
        Self::Int(value, IntType::Int64)
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// Go's truth: false is nil, zero and empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value, _) => *value != 0,
            Self::Uint(value, _) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.items.borrow().is_empty(),
            Self::Map(map) => !map.entries.borrow().is_empty(),
            Self::Time(_) | Self::Zone(_) | Self::Version(..) | Self::Certificate(_) => true,
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil,
            _ => false,
        }
    }
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value> {
        self.items.borrow().get(index).cloned()
    }

    /// A copy of the elements; their count has been paid for when the list was made.
    pub(crate) fn to_vec(&self) -> Vec<Value> {
        self.items.borrow().clone()
    }
}

impl Map {
    pub(crate) fn keys(&self) -> Vec<Bytes> {
        self.entries.borrow().keys().cloned().collect()
    }
}
