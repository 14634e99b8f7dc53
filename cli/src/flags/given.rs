//! The given flags with their values.

use std::collections::{HashMap, HashSet};

use super::value::{check, is_true};
use super::{FLAGS, Flag, Group, Kind, UsageError};

const ENVIRONMENT_PREFIX: &str = "SEALED_SECRETS_";

/// Values by the names of flags, from the command line and the environment.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: HashMap<&'static str, Vec<String>>,
    from_environment: HashSet<&'static str>,
}

impl Flags {
    pub(super) fn add(&mut self, flag: &'static Flag, value: String) -> Result<(), UsageError> {
        match check(flag.kind, &value) {
            Ok(values) => {
                let all = self.given.entry(flag.name).or_default();
                if !matches!(flag.kind, Kind::List | Kind::Repeated) {
                    all.clear();
                }
                all.extend(values);
                Ok(())
            }
            Err(cause) => Err(UsageError::Value { value, flag: flag.notation(), cause }),
        }
    }

    /// Sets every wanted flag that was not given from its variable `SEALED_SECRETS_…`. Returns a warning for each variable that has an
    /// invalid value and is ignored, as by upstream.
    pub(crate) fn fill_from(
        &mut self,
        wanted: impl Fn(&Flag) -> bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Vec<String> {
        let mut ignored = Vec::new();
        let settable = |flag: &&Flag| !flag.kind.is_log() && flag.group != Group::Log && wanted(flag);
        for flag in FLAGS.iter().filter(settable) {
            let name = format!("{ENVIRONMENT_PREFIX}{}", flag.name.to_uppercase().replace('-', "_"));
            match variable(&name).filter(|value| !value.is_empty()) {
                Some(value) if !self.was_given(flag.name) => match self.add(flag, value) {
                    Err(UsageError::Value { cause, .. }) => {
                        ignored.push(format!("{name} is ignored: {cause}"));
                    }
                    _ => drop(self.from_environment.insert(flag.name)),
                },
                _ => {}
            }
        }
        ignored
    }

    /// Returns `true` if command line or environment set the flag.
    pub(crate) fn was_given(&self, name: &str) -> bool {
        self.values(name).is_some()
    }

    /// Returns `true` if the command line set the flag.
    pub(crate) fn is_on_command_line(&self, name: &str) -> bool {
        self.was_given(name) && !self.from_environment.contains(name)
    }

    /// Returns `true` if a boolean flag is true.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(is_true)
    }

    /// The last value, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values(name)?.last().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// All values.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        self.values(name).map_or(&[], Vec::as_slice)
    }

    fn values(&self, name: &str) -> Option<&Vec<String>> {
        debug_assert!(FLAGS.iter().any(|flag| flag.name == name), "no such flag: {name}");
        self.given.get(name)
    }
}
