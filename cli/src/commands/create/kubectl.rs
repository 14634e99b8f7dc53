//! Words of `kubectl create`, and what `kubeseal create` has in their place.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::commands::tips::suggest;

const VERBS: [&str; 3] = ["generic", "tls", "docker-registry"];
const ALL_VERBS: &str =
    "kubeseal create generic NAME, kubeseal create tls NAME or kubeseal create docker-registry NAME";
const NOTHING_IS_APPLIED: &str =
    "leave it out: kubeseal create writes a SealedSecret to stdout or to the file of -w, and applies nothing";

/// The flags of `kubectl create secret`, and what to write instead.
const FLAGS: [(&str, &str); 13] = [
    (
        "--key",
        "kubeseal create tls NAME --tls-cert FILE --tls-key FILE; --cert is the certificate that seals",
    ),
    ("--filename", "kubeseal seal FILE, for a Secret that is in a file"),
    ("-f", "kubeseal seal FILE, for a Secret that is in a file"),
    (
        "--from-file",
        "kubeseal create generic NAME --type kubernetes.io/dockerconfigjson --from-file .dockerconfigjson=FILE",
    ),
    ("--append-hash", "leave it out: a SealedSecret and its Secret have the NAME that is given"),
    ("--dry-run", NOTHING_IS_APPLIED),
    ("--validate", NOTHING_IS_APPLIED),
    ("--save-config", NOTHING_IS_APPLIED),
    ("--field-manager", NOTHING_IS_APPLIED),
    ("--show-managed-fields", NOTHING_IS_APPLIED),
    ("--edit", "leave it out: kubeseal edit FILE opens the file of -w in an editor"),
    ("--template", "leave it out: the output is YAML, or JSON with -o json"),
    ("--allow-missing-template-keys", "leave it out: the output is YAML, or JSON with -o json"),
];

/// Names the counterpart of a word of kubectl, in place of the word that looks most like it. `words` are those of the command line.
pub(in crate::commands) fn with_hint(mut error: clap::Error, words: &[String]) -> clap::Error {
    let tip =
        match (error.kind(), error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidSubcommand)) {
            (ErrorKind::UnknownArgument, Some(ContextValue::String(flag)), _) => of_flag(flag),
            (ErrorKind::InvalidSubcommand, _, Some(ContextValue::String(word))) if word == "secret" => {
                Some(without_secret(words))
            }
            (ErrorKind::InvalidSubcommand, ..) if error.get(ContextKind::SuggestedSubcommand).is_none() => {
                Some(ALL_VERBS.to_owned())
            }
            _ => return error,
        };
    if let Some(tip) = tip {
        suggest(&mut error, tip);
    }
    error
}

fn of_flag(flag: &str) -> Option<String> {
    let known = FLAGS.into_iter().find(|(known, _)| *known == flag);
    known.map(|(_, tip)| tip.to_owned())
}

/// The command without the word `secret`. Only words of the grammar are repeated: others may be values.
fn without_secret(words: &[String]) -> String {
    let verb = words.iter().find_map(|word| VERBS.into_iter().find(|verb| verb == word));
    verb.map_or(ALL_VERBS.to_owned(), |verb| format!("kubeseal create {verb} NAME, without the word secret"))
}
