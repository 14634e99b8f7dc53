//! Go's names for the types and kinds of values, as printed by `%T`, `typeOf` and `kindOf`.

use super::{IntType, ListType, MapType, Reference, UintType, Value};

impl Value {
    /// Returns the name of the Go type, such as `map[string]interface {}`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_, of) => of.name(),
            Self::Uint(_, UintType::Uint8) => "uint8",
            Self::Uint(_, UintType::Uint64) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Text(_) => "string",
            Self::List(list) => list.of.name(),
            Self::Map(map) => map.of.name(),
            Self::Time(_) => "time.Time",
            Self::Zone(_) => "*time.Location",
            Self::Version(_, Reference::Pointer) => "*semver.Version",
            Self::Version(_, Reference::Direct) => "semver.Version",
            Self::Certificate(_) => "sprig.certificate",
        }
    }

    /// Returns the name of the Go kind, such as `slice`.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Int(_, IntType::Int | IntType::Month | IntType::Weekday) => "int",
            Self::Int(_, IntType::Int64 | IntType::Duration) => "int64",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Zone(_) | Self::Version(_, Reference::Pointer) => "ptr",
            Self::Time(_) | Self::Version(_, Reference::Direct) | Self::Certificate(_) => "struct",
            Self::Bool(_) | Self::Uint(..) | Self::Float(_) | Self::Complex(..) | Self::Text(_) => {
                self.type_name()
            }
        }
    }
}

impl IntType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Month => "time.Month",
            Self::Weekday => "time.Weekday",
            Self::Duration => "time.Duration",
        }
    }
}

impl ListType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::Text => "[]string",
            Self::Int => "[]int",
            Self::Lists => "[][]interface {}",
        }
    }
}

impl MapType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "map[string]interface {}",
            Self::Text => "map[string]string",
        }
    }
}
