//! Tips for flags that a subcommand does not have, in place of those of the library.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Subcommands whose files are arguments.
const WITH_FILES: [&str; 9] =
    ["seal", "set", "unset", "edit", "inspect", "lint", "verify", "reencrypt", "unseal"];
/// Subcommands with `--private-key`.
const WITH_PRIVATE_KEYS: [&str; 3] = ["unseal", "verify", "reencrypt"];

/// Says what to write instead of an unknown flag. The library's tip to pass it as a value is of no use: no value begins with a dash.
pub(super) fn with_tip(mut error: clap::Error, words: &[String]) -> clap::Error {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => flag.clone(),
        _ => return error,
    };
    error.remove(ContextKind::Suggested);
    if let Some(tip) = tip(words.first().map_or("", String::as_str), flag.split('=').next().unwrap_or("")) {
        suggest(&mut error, tip);
    }
    error
}

/// Gives an error this tip in place of those of the library.
pub(super) fn suggest(error: &mut clap::Error, tip: String) {
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
}

fn tip(verb: &str, flag: &str) -> Option<String> {
    Some(match flag {
        "-f" | "--file" | "--filename" | "--secret-file" if WITH_FILES.contains(&verb) => {
            format!("the file is an argument: kubeseal {verb} FILE")
        }
        "--key" | "--recovery-private-key" if WITH_PRIVATE_KEYS.contains(&verb) => {
            "did you mean --private-key?".to_owned()
        }
        "-w" | "--write" | "--sealed-secret-file" if verb == "unseal" => {
            "unseal prints only; redirect stdout: kubeseal unseal FILE --private-key FILE > SECRET".to_owned()
        }
        "--strict" | "--namespace-wide" | "--cluster-wide" => {
            format!("use --scope {}", flag.trim_start_matches('-'))
        }
        "--name" if verb == "create" => "the name is an argument: kubeseal create generic NAME".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subcommands_that_have_the_counterpart_get_the_tip() {
        assert_eq!(tip("inspect", "-f").as_deref(), Some("the file is an argument: kubeseal inspect FILE"));
        assert_eq!(tip("verify", "--key").as_deref(), Some("did you mean --private-key?"));
        assert_eq!((tip("keys", "-f"), tip("lint", "--key"), tip("seal", "--name")), (None, None, None));
    }
}
