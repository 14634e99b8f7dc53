//! Upstream's flag grammar: that of Go's pflag.

mod command_line;
mod table;
mod value;

use std::collections::{HashMap, HashSet};

use thiserror::Error;

pub(crate) use command_line::{CommandLine, Surplus};
pub(crate) use table::{FLAGS, Flag, Group, Kind};
use value::check;

const ENVIRONMENT_PREFIX: &str = "SEALED_SECRETS_";

/// The command line does not follow the grammar; pflag's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// `-h` without being told to: not an error, help is wanted.
    #[error("help requested")]
    Help,
    /// No such flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// No such letter.
    #[error("unknown shorthand flag: '{letter}' in -{word}")]
    UnknownLetter {
        /// The letter.
        letter: char,
        /// The word it stands in.
        word: String,
    },
    /// `--=x`, `---x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The last word wants a value.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// A value that the flag does not take.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {cause}")]
    Value {
        /// The value.
        value: String,
        /// The flag as the help shows it.
        flag: String,
        /// Why.
        cause: String,
    },
}

/// The flags that were given, by name; the environment fills in.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: HashMap<&'static str, Vec<String>>,
    from_environment: HashSet<&'static str>,
}

impl Flags {
    fn add(&mut self, flag: &'static Flag, value: String) -> Result<(), UsageError> {
        match check(flag.kind, &value) {
            Ok(values) => {
                let all = self.given.entry(flag.name).or_default();
                if !matches!(flag.kind, Kind::List | Kind::Repeated) {
                    all.clear();
                }
                all.extend(values);
                Ok(())
            }
            Err(cause) => Err(UsageError::Value { value, flag: flag.shown(), cause }),
        }
    }

    /// Sets every flag that was not given from its variable `SEALED_SECRETS_…`. Returns what is wrong with the others: they
    /// are left alone, as upstream leaves them.
    pub(crate) fn fill_from(&mut self, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut ignored = Vec::new();
        for flag in FLAGS.iter().filter(|flag| !flag.kind.is_log() && flag.group != Group::Log) {
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

    /// Whether the flag was given.
    pub(crate) fn was_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Whether the flag was given, and not by a variable.
    pub(crate) fn is_on_command_line(&self, name: &str) -> bool {
        self.was_given(name) && !self.from_environment.contains(name)
    }

    /// Whether a truth value was given as true.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(value::is_true)
    }

    /// The value, unless empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given
            .get(name)
            .and_then(|values| values.last())
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// All values.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        self.given.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Flag {
    fn shown(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.name), |short| format!("-{short}, --{}", self.name))
    }
}

fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, UsageError> {
        CommandLine::parse(line.split_whitespace().map(str::to_owned), &[]).map(|line| line.flags)
    }

    fn refused(line: &str) -> String {
        parse(line).unwrap_err().to_string()
    }

    #[test]
    fn a_value_may_be_attached_to_its_letter_or_follow() {
        for line in ["-nfoo", "-n=foo", "-n foo", "--namespace=foo", "--namespace foo", "x -n bar -nfoo y"] {
            assert_eq!(parse(line).unwrap().text("namespace"), Some("foo"), "{line}");
        }
    }

    #[test]
    fn the_last_truth_value_counts() {
        assert!(!parse("--raw --raw=F").unwrap().is_on("raw"));
        assert!(parse("-- --raw").is_ok_and(|flags| !flags.was_given("raw")));
    }

    #[test]
    fn lists_grow_and_split_at_commas() {
        let flags = parse("--from-file=a,b --from-file c --as-group=x,y").unwrap();
        assert_eq!(flags.texts("from-file"), ["a", "b", "c"]);
        assert_eq!(flags.texts("as-group"), ["x,y"]);
    }

    #[test]
    fn errors_have_pflag_s_words() {
        let seen = [
            ("--bogus=1", "unknown flag: --bogus"),
            ("-zq", "unknown shorthand flag: 'z' in -zq"),
            ("--=x", "bad flag syntax: --=x"),
            ("--cert", "flag needs an argument: --cert"),
            ("-fx -w", "flag needs an argument: 'w' in -w"),
            (
                "--raw=maybe",
                r#"invalid argument "maybe" for "--raw" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
            (
                "-version",
                r#"invalid argument "ersion" for "-v, --v" flag: strconv.ParseInt: parsing "ersion": invalid syntax"#,
            ),
            (
                "--scope=foo",
                r#"invalid argument "foo" for "--scope" flag: must be one of: strict, namespace-wide, cluster-wide"#,
            ),
            ("--logtostderr=foo", r#"invalid argument "foo" for "--logtostderr" flag: parse error"#),
            (
                "--vmodule=a=b",
                r#"invalid argument "a=b" for "--vmodule" flag: syntax error: expect comma-separated list of filename=N"#,
            ),
            (
                "--log_backtrace_at=a:0",
                r#"invalid argument "a:0" for "--log_backtrace_at" flag: syntax error: expect file.go:234"#,
            ),
        ];
        for (line, words) in seen {
            assert_eq!(refused(line), words);
        }
    }

    #[test]
    fn a_flag_beats_its_variable_and_a_wrong_variable_is_told() {
        let environment = |name: &str| match name {
            "SEALED_SECRETS_NAMESPACE" => Some("env".to_owned()),
            "SEALED_SECRETS_CONTROLLER_NAME" => Some("other".to_owned()),
            "SEALED_SECRETS_SCOPE" => Some("foo".to_owned()),
            "SEALED_SECRETS_V" | "SEALED_SECRETS_LOG_DIR" => Some("9".to_owned()),
            _ => None,
        };
        let mut flags = parse("-n flag").unwrap();
        let ignored = flags.fill_from(environment);
        assert_eq!((flags.text("namespace"), flags.text("controller-name")), (Some("flag"), Some("other")));
        assert_eq!(ignored.len(), 1);
        assert!(ignored[0].starts_with("SEALED_SECRETS_SCOPE is ignored"));
        assert!(!flags.was_given("v") && !flags.was_given("log_dir"));
    }
}
