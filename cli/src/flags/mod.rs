//! Upstream's flag grammar: that of Go's pflag.

mod argument;
mod command_line;
mod error;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod given;
mod surplus;
mod table;
mod value;

pub(crate) use argument::{argument, words};
pub(crate) use command_line::CommandLine;
pub(crate) use error::UsageError;
#[cfg(any(test, fuzzing))]
pub use fuzzed::flags;
pub(crate) use given::Flags;
pub(crate) use surplus::{complaint, mistaken_verb};
pub(crate) use table::{FLAGS, Flag, Group, Kind};
pub(crate) use value::list;

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
    fn a_flag_beats_its_variable_and_a_wrong_variable_is_warned_of() {
        let environment = |name: &str| match name {
            "SEALED_SECRETS_NAMESPACE" => Some("env".to_owned()),
            "SEALED_SECRETS_CONTROLLER_NAME" => Some("other".to_owned()),
            "SEALED_SECRETS_SCOPE" => Some("foo".to_owned()),
            "SEALED_SECRETS_V" | "SEALED_SECRETS_LOG_DIR" => Some("9".to_owned()),
            _ => None,
        };
        let mut flags = parse("-n flag").unwrap();
        let ignored = flags.fill_from(|_| true, environment);
        assert_eq!((flags.text("namespace"), flags.text("controller-name")), (Some("flag"), Some("other")));
        assert_eq!(ignored.len(), 1);
        assert!(ignored[0].starts_with("SEALED_SECRETS_SCOPE is ignored"));
        assert!(!flags.was_given("v") && !flags.was_given("log_dir"));
    }
}
