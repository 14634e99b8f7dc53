//! Environment variables as an alternative to flags. An empty or invalid variable prevents the start only where it
//! prevents upstream's, which otherwise takes it for 0 or false; here the default applies.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Id};

use super::Args;

/// Flags of which an invalid variable prevents the start, as in upstream's controller.
const STRICT: [&str; 6] = [
    "key_cutoff_time",
    "key_prefix",
    "listen_addr",
    "listen_metrics_addr",
    "privatekey_annotations",
    "privatekey_labels",
];

/// A variable that is ignored: the default is in force, unless the flag itself was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongVariable {
    /// Its name.
    pub name: String,
    /// The flag that it sets.
    pub flag: String,
}

impl Args {
    /// Returns the flags of this process and its variables, and the variables that are ignored because their value is
    /// invalid. An empty variable counts as not set. Exits the process if a flag itself is invalid, or `--help` is
    /// given.
    #[must_use]
    pub fn of_this_process() -> (Self, Vec<WrongVariable>) {
        let Findings { unused, wrong } = examine(|name| std::env::var_os(name));
        let command = without_variables(Self::command(), |id| unused.contains(id));
        let args = Self::from_arg_matches(&command.get_matches());
        (args.unwrap_or_else(|error| error.exit()), wrong)
    }
}

/// The variables to ignore, and those of them that deserve a warning.
#[derive(Debug, Default)]
struct Findings {
    unused: Vec<Id>,
    wrong: Vec<WrongVariable>,
}

fn examine(variable: impl Fn(&OsStr) -> Option<OsString>) -> Findings {
    let flags_alone = without_variables(Args::command(), |_| true);
    let mut findings = Findings::default();
    for argument in Args::command().get_arguments() {
        let (Some(name), Some(flag)) = (argument.get_env(), argument.get_long()) else { continue };
        let Some(value) = variable(name) else { continue };
        let is_strict = STRICT.contains(&argument.get_id().as_str());
        if value.is_empty() {
            findings.unused.push(argument.get_id().clone());
        } else if !is_strict && !fits(&flags_alone, flag, &value) {
            let wrong = WrongVariable { name: name.to_string_lossy().into_owned(), flag: flag.to_owned() };
            findings.wrong.push(wrong);
            findings.unused.push(argument.get_id().clone());
        }
    }
    findings
}

fn without_variables(command: Command, which: impl Fn(&Id) -> bool) -> Command {
    let strip = |argument: Arg| if which(argument.get_id()) { argument.env(None) } else { argument };
    command.mut_args(strip)
}

fn fits(command: &Command, flag: &str, value: &OsStr) -> bool {
    let mut assignment = OsString::from(format!("--{flag}="));
    assignment.push(value);
    let parsed = command.clone().try_get_matches_from([OsStr::new("controller"), &assignment]);
    parsed.is_ok_and(|matches| Args::from_arg_matches(&matches).is_ok())
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn found(name: &str, value: &str) -> Findings {
        examine(|asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        for argument in Args::command().get_arguments() {
            let Some(name) = argument.get_env() else { continue };
            let Findings { unused, wrong } = found(name.to_str().unwrap(), "");
            assert!(unused == [argument.get_id().clone()] && wrong.is_empty(), "{name:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_passed_over_and_named() {
        for (name, value) in [
            ("SEALED_SECRETS_KEY_RENEW_PERIOD", "monthly"),
            ("SEALED_SECRETS_KEY_SIZE", "big"),
            ("SEALED_SECRETS_ALL_NAMESPACES", "maybe"),
            ("SEALED_SECRETS_RATE_LIMIT", "-1"),
            ("SEALED_SECRETS_LOG_FORMAT", "xml"),
            ("SEALED_SECRETS_LEADER_ELECT", "maybe"),
            ("SEALED_SECRETS_LEADER_ELECT_LEASE_DURATION", "1s"),
            ("SEALED_SECRETS_LEADER_ELECT_RESOURCE_NAME", "Upper"),
        ] {
            let Findings { unused, wrong } = found(name, value);
            assert_eq!((unused.len(), wrong.len()), (1, 1), "{name}");
            assert_eq!(wrong[0].name, name);
        }
    }

    #[test]
    fn a_right_value_is_used_and_so_is_a_wrong_one_that_is_an_error() {
        for (name, value) in [
            ("SEALED_SECRETS_KEY_RENEW_PERIOD", "0"),
            ("SEALED_SECRETS_KUBECLIENT_QPS", "-1"),
            ("SEALED_SECRETS_ALL_NAMESPACES", "F"),
            ("SEALED_SECRETS_ADDITIONAL_NAMESPACES", "a,b"),
            ("SEALED_SECRETS_KEY_PREFIX", "Bad"),
        ] {
            assert!(found(name, value).unused.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_variable_that_is_not_used_leaves_its_flag() {
        let command = without_variables(Args::command(), |id| id == "key_size");
        let sizes: Vec<_> = command.get_arguments().filter(|argument| argument.get_env().is_none()).collect();
        assert!(sizes.iter().any(|argument| argument.get_id() == "key_size"));
        let wrong = command.try_get_matches_from(["controller", "--key-size=big"]).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::ValueValidation);
    }
}
