//! Constraints on semantic versions: `>=1.2 <2 || ~3.1`, after Go's `Masterminds/semver`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

use super::semver::MAX_LENGTH;
use crate::template::context::{Args, Cx, short};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;
use crate::template::value::version::{Version, compare_prereleases};

const INVALID: Failure = Failure::function("not a version constraint");

const VERSION: &str = concat!(
    r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?",
    r"(-[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*)?(?:\+[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*)?"
);
const OPERATOR: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
const SPACE: &str = r"[\t\n\x0C\r ]";

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new(&$pattern).unwrap());
    };
}

pattern!(RANGE, format!(r"{SPACE}*({VERSION}){SPACE}+-{SPACE}+({VERSION}){SPACE}*"));
pattern!(ONE, format!(r"^{SPACE}*({OPERATOR}){SPACE}*({VERSION}){SPACE}*$"));
pattern!(EACH, format!(r"(?:{OPERATOR}){SPACE}*(?:{VERSION})"));
pattern!(
    ALL,
    format!(
        r"^({SPACE}*(?:{OPERATOR}){SPACE}*(?:{VERSION}){SPACE}*)((?:{SPACE}+|,{SPACE}*)(?:{OPERATOR}){SPACE}*(?:{VERSION}){SPACE}*)*$"
    )
);

struct Constraint {
    operator: String,
    version: Version,
    /// True if a part is missing or `x`.
    is_partial: bool,
    any_minor: bool,
    any_patch: bool,
}

/// Bytes that a parsed constraint takes for each byte of its text.
const BYTES_FOR_EACH: usize = 160;

pub(super) fn compare(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = str::from_utf8(short(args.text(0), MAX_LENGTH)?).map_err(|_| INVALID)?;
    cx.step(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    cx.meter.affords(text.len().saturating_mul(BYTES_FOR_EACH))?;
    let alternatives = parse(text)?;
    let version = str::from_utf8(short(args.text(1), MAX_LENGTH)?).map_err(|_| INVALID)?;
    let version = Version::parse(version)?;
    Ok(Value::Bool(alternatives.iter().any(|all| admits_all(all, &version))))
}

fn admits_all(constraints: &[Constraint], version: &Version) -> bool {
    let names_prerelease = constraints.iter().any(|constraint| !constraint.version.prerelease.is_empty());
    constraints.iter().all(|constraint| constraint.admits(version, names_prerelease))
}

fn parse(text: &str) -> Outcome<Vec<Vec<Constraint>>> {
    let rewritten = RANGE.replace_all(text, |range: &regex::Captures| {
        let part = |group| range.get(group).map_or("", |part| part.as_str());
        format!(">={},<={} ", part(1), part(6))
    });
    rewritten.split("||").map(parse_group).collect()
}

fn parse_group(text: &str) -> Outcome<Vec<Constraint>> {
    if !ALL.is_match(text) {
        return Err(INVALID);
    }
    EACH.find_iter(text).map(|found| parse_one(found.as_str())).collect()
}

fn parse_one(text: &str) -> Outcome<Constraint> {
    let captures = ONE.captures(text).ok_or(INVALID)?;
    let group = |number| captures.get(number).map_or("", |group| group.as_str());
    let (major, minor, patch, prerelease) = (group(3), group(4), group(5), group(6));
    let is_open = |part: &str| matches!(part.trim_start_matches('.'), "" | "x" | "X" | "*");
    let any_major = is_open(major);
    let any_minor = !any_major && is_open(minor);
    let any_patch = !any_major && !any_minor && is_open(patch);
    let version = if any_major {
        format!("0.0.0{prerelease}")
    } else if any_minor {
        format!("{major}.0.0{prerelease}")
    } else if any_patch {
        format!("{major}{minor}.0{prerelease}")
    } else {
        group(2).to_owned()
    };
    Ok(Constraint {
        operator: group(1).to_owned(),
        version: Version::parse(&version).map_err(|_| INVALID)?,
        is_partial: any_major || any_minor || any_patch,
        any_minor,
        any_patch,
    })
}

impl Constraint {
    fn admits(&self, version: &Version, names_prerelease: bool) -> bool {
        if !version.prerelease.is_empty() && self.version.prerelease.is_empty() && !names_prerelease {
            return false;
        }
        let order = version.compare(&self.version);
        match self.operator.as_str() {
            "!=" => self.differs(version),
            ">" => self.is_exceeded(version),
            "<" => order == Ordering::Less,
            ">=" | "=>" => order != Ordering::Less,
            "<=" | "=<" => self.is_not_exceeded(version),
            "~" | "~>" => self.is_close(version),
            "^" => self.is_compatible(version),
            _ if self.is_partial => self.is_close(version),
            _ => order == Ordering::Equal,
        }
    }

    fn differs(&self, version: &Version) -> bool {
        if !self.is_partial {
            return version.compare(&self.version) != Ordering::Equal;
        }
        if self.version.major != version.major {
            return true;
        }
        if self.any_minor {
            return false;
        }
        if self.version.minor != version.minor {
            return true;
        }
        if self.any_patch {
            return compare_prereleases(&version.prerelease, &self.version.prerelease) != Ordering::Equal;
        }
        version.compare(&self.version) != Ordering::Equal
    }

    fn is_exceeded(&self, version: &Version) -> bool {
        if self.is_partial && version.major != self.version.major {
            return version.major > self.version.major;
        }
        if self.any_minor {
            return false;
        }
        if self.any_patch {
            return version.minor > self.version.minor;
        }
        version.compare(&self.version) == Ordering::Greater
    }

    fn is_not_exceeded(&self, version: &Version) -> bool {
        if !self.is_partial {
            return version.compare(&self.version) != Ordering::Greater;
        }
        let same_major = version.major == self.version.major;
        version.major <= self.version.major
            && !(same_major && version.minor > self.version.minor && !self.any_minor)
    }

    /// `~`: allows the same minor version, if one is given.
    fn is_close(&self, version: &Version) -> bool {
        if version.compare(&self.version) == Ordering::Less {
            return false;
        }
        let numbers = (self.version.major, self.version.minor, self.version.patch);
        if numbers == (0, 0, 0) && !self.any_minor && !self.any_patch {
            return true;
        }
        version.major == self.version.major && (version.minor == self.version.minor || self.any_minor)
    }

    /// `^`: requires the same leftmost non-zero number.
    fn is_compatible(&self, version: &Version) -> bool {
        if version.compare(&self.version) == Ordering::Less {
            return false;
        }
        if self.version.major > 0 || self.any_minor {
            return version.major == self.version.major;
        }
        if version.major > 0 {
            return false;
        }
        if self.version.minor > 0 || self.any_patch {
            return version.minor == self.version.minor;
        }
        version.minor == 0 && version.patch == self.version.patch
    }
}
