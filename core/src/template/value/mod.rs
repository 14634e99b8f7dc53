//! Template values: dynamically typed, with the distinctions that Go shows when it prints or converts them.

mod bytes;
pub(crate) mod certificate;
pub(crate) mod compare;
pub(crate) mod heap;
mod kind;
mod runes;
pub(crate) mod time;
pub(crate) mod version;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use self::bytes::Bytes;
pub(crate) use self::runes::{Rune, decode_rune, is_alphanumeric, is_graphic, push_rune, runes};

use self::certificate::Certificate;
use self::time::{Time, Zone};
use self::version::Version;

/// A value. `Nil` stands for Go's nil interface and for the value of a missing key.
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

/// Access to a struct: direct or through a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reference {
    Pointer,
    Direct,
}

/// Element type of a Go slice.
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

/// Value type of a Go map with string keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MapType {
    Any,
    Text,
}

/// Entries of a map, in key order.
pub(crate) type Entries = BTreeMap<Bytes, Value>;

/// A Go map with string keys, shared and mutable in place.
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

    /// Go's truth: nil, zero and empty values are false.
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

    /// Copies the elements, whose number was charged for when the list was created.
    pub(crate) fn to_vec(&self) -> Vec<Value> {
        self.items.borrow().clone()
    }
}

impl Map {
    pub(crate) fn keys(&self) -> Vec<Bytes> {
        self.entries.borrow().keys().cloned().collect()
    }
}
