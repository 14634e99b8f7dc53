//! Where ours is meant to differ, and why; in the words of docs/differences.md.

/// A row of docs/differences.md.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// What the original does.
    pub(crate) original: &'static str,
    /// Why ours does something else.
    pub(crate) why: &'static str,
}

pub(crate) const NO_SECRET: Difference = Difference {
    original: "a document that is no Secret is skipped or sealed silently",
    why: "nothing goes missing in silence",
};
pub(crate) const LIST: Difference =
    Difference { original: "a `List` is read as an empty Secret", why: "`kubectl get -o yaml` writes lists" };
pub(crate) const UNQUOTED: Difference = Difference {
    original: "an unquoted `y`, `012` or `1e3` where text is wanted becomes `true`, `10` or `1000`, as item, key, label or name",
    why: "the sealed value must be what the author wrote",
};
pub(crate) const DUPLICATE: Difference =
    Difference { original: "duplicate keys: the last one wins", why: "one of them is a mistake" };
pub(crate) const CASE: Difference = Difference {
    original: "field names are matched in any case (`METADATA`)",
    why: "one spelling, one meaning",
};
pub(crate) const BINARY: Difference =
    Difference { original: "`!!binary` values are decoded", why: "plain YAML is enough" };
pub(crate) const DECODER: Difference = Difference {
    original: "errors of the decoder are printed as Go has them",
    why: "a value may be a password",
};
pub(crate) const YAML_WORDS: Difference = Difference {
    original: "`=` and `<<` are written without quotes; control characters make YAML output fail",
    why: "every YAML 1.1 reader reads them back",
};
pub(crate) const CONTROL: Difference =
    Difference { original: "control characters stand in JSON as they are", why: "YAML readers refuse them" };
pub(crate) const STORED_ONLY: Difference = Difference {
    original: "`managedFields` and `finalizers` of the input stay in the template",
    why: "they belong to one stored object",
};
pub(crate) const STRICT: Difference = Difference {
    original: "`--scope strict` does not undo a scope annotation, silently",
    why: "scripts rely on it, people should know",
};
pub(crate) const VARIABLE: Difference = Difference {
    original: "a wrong value of a `SEALED_SECRETS_` variable is ignored silently",
    why: "it may have been the scope",
};
pub(crate) const NO_CERTIFICATE: Difference = Difference {
    original: "anything but a certificate in PEM gets the same sentence, whatever it is",
    why: "the mistake is found out",
};
pub(crate) const CERTIFICATE: Difference = Difference {
    original: "an elliptic certificate is answered with its numbers; keys of 1024 bits are used",
    why: "readable; too weak",
};
pub(crate) const FOLDER: Difference = Difference {
    original: "an output that is a folder succeeds and writes nothing",
    why: "nothing went where it should",
};
pub(crate) const TEMPORARY: Difference = Difference {
    original: "a new output file names a temporary file in errors",
    why: "that is what the user knows",
};
pub(crate) const REWRITTEN: Difference = Difference {
    original: "`--merge-into` and `--re-encrypt` rewrite the file, in JSON if not told otherwise",
    why: "clean diffs",
};
pub(crate) const CRASH: Difference =
    Difference { original: "`--merge-into` crashes where the target lacks a map", why: "no crash" };
pub(crate) const MERGED_SCOPE: Difference = Difference {
    original: "`--merge-into` seals for the scope of the input or of `--scope`, whatever the file's own scope",
    why: "the item would not open",
};
pub(crate) const LEFT_EMPTY: Difference = Difference {
    original: "`--merge-into` or `--validate` with `-w` leave an empty file",
    why: "the file was somebody's",
};
pub(crate) const RENDERED: Difference = Difference {
    original: "`--re-encrypt` ends with the template, labels and rendered items of the controller's answer",
    why: "re-encrypting is not editing",
};
pub(crate) const NOTHING: Difference =
    Difference { original: "`--re-encrypt` or `--validate` of nothing succeeds", why: "nothing was checked" };
pub(crate) const ROTATE: Difference =
    Difference { original: "`--rotate` prints its warning into the output", why: "the output is a manifest" };
pub(crate) const RECOVERY: Difference = Difference {
    original: "`--recovery-unseal` prints an owner without uid, takes one document, refuses the v1 field",
    why: "the output can be applied",
};
pub(crate) const KEYLESS: Difference = Difference {
    original: "`--recovery-private-key` with a file that holds no key is ignored",
    why: "the wrong file is found out",
};
pub(crate) const CLIENT: Difference = Difference {
    original: "a missing kubectl right or a cluster out of reach is told in client-go's words",
    why: "another client library",
};
pub(crate) const HELP: Difference = Difference {
    original: "the help is one list; wrong flags are told at the end of it, on stdout only",
    why: "a script that redirects stdout still tells its user",
};
pub(crate) const VERSION: Difference =
    Difference { original: "`--version` says the original's", why: "it is another program" };
pub(crate) const SUBCOMMANDS: Difference =
    Difference { original: "no completion, no manual page", why: "convenience" };
pub(crate) const NO_CIPHERTEXT: Difference = Difference {
    original: "an item of `encryptedData` that is no text is seen by the controller at the earliest; `--merge-into` keeps it",
    why: "the mistake is found where it was made",
};
pub(crate) const NO_KIND: Difference = Difference {
    original: "a document without `kind` and without items is passed over",
    why: "nothing goes missing in silence",
};
pub(crate) const UNREADABLE: Difference = Difference {
    original: "a file of `-f` that cannot be read is told without name and reason",
    why: "that is what people need to know",
};
pub(crate) const ONE_OF_SEVERAL: Difference = Difference {
    original: "an error about one of several Secrets does not say which one",
    why: "people find it",
};
pub(crate) const SURPLUS: Difference = Difference {
    original: "arguments that are no flags are ignored",
    why: "`-f *.yaml` would seal the first file only",
};
pub(crate) const TRUTH: Difference = Difference {
    original: "a boolean flag with its value behind a space (`--raw false`) is true",
    why: "it says the opposite of what happens",
};
pub(crate) const RENEWED: Difference =
    Difference { original: "a failed `--re-encrypt` does not say of which object", why: "people find it" };
pub(crate) const NO_RECOVERY_KEY: Difference = Difference {
    original: "`--recovery-unseal` without a key says that none could decrypt",
    why: "the keys were forgotten",
};
pub(crate) const KEY_WITHOUT_RECOVERY: Difference = Difference {
    original: "`--recovery-private-key` without `--recovery-unseal` is ignored",
    why: "it would seal",
};
pub(crate) const RECOVERY_NAMESPACE: Difference =
    Difference { original: "`--recovery-unseal` ignores `-n`", why: "the item is bound to one" };
pub(crate) const REFUSED_NAME: Difference = Difference {
    original: "a name or key that the API server will refuse (`runnerToken`, `a/b`) is sealed silently",
    why: "the mistake is found before it is deployed",
};

/// All of them.
pub(crate) const ALL: &[Difference] = &[
    NO_SECRET,
    LIST,
    UNQUOTED,
    DUPLICATE,
    CASE,
    BINARY,
    DECODER,
    YAML_WORDS,
    CONTROL,
    STORED_ONLY,
    STRICT,
    VARIABLE,
    NO_CERTIFICATE,
    CERTIFICATE,
    FOLDER,
    TEMPORARY,
    REWRITTEN,
    CRASH,
    MERGED_SCOPE,
    LEFT_EMPTY,
    RENDERED,
    NOTHING,
    ROTATE,
    RECOVERY,
    KEYLESS,
    CLIENT,
    HELP,
    VERSION,
    SUBCOMMANDS,
    NO_CIPHERTEXT,
    NO_KIND,
    UNREADABLE,
    ONE_OF_SEVERAL,
    SURPLUS,
    TRUTH,
    RENEWED,
    NO_RECOVERY_KEY,
    KEY_WITHOUT_RECOVERY,
    RECOVERY_NAMESPACE,
    REFUSED_NAME,
];

pub(crate) const PLAIN_HTTP: Difference = Difference {
    original: "a certificate over plain http is used silently",
    why: "whoever is on the way could read what is sealed",
};

/// Rows that two equal invocations cannot show, each with the test of the program that does.
pub(crate) const TESTED_ELSEWHERE: &[(&str, &str)] = &[
    ("an output that is a device or a pipe is replaced by a file", "a_pipe_is_written_to_and_stays_a_pipe"),
    ("`{`, unclosed, runs for ever", "an_unclosed_brace_ends_with_an_error"),
    ("aliases multiply content without limit", "hostile_input_is_refused_with_document_line_and_field"),
    ("an existing output file gets mode 0600", "an_edited_file_keeps_its_mode_and_a_link_stays_a_link"),
    (
        "a file that changes while it is edited is overwritten",
        "a_file_that_changes_while_it_is_edited_keeps_the_other_change",
    ),
    (
        "`--request-timeout` does not bound an address of `--cert`",
        "a_server_that_is_silent_is_given_up_after_the_request_timeout",
    ),
    (
        "what an exec plugin writes to stderr passes as it is",
        "a_plugin_that_fails_is_named_with_its_status_and_what_it_said_and_nothing_that_it_holds",
    ),
    (
        "control characters and invisible ones in names, kinds and answers of servers reach the terminal",
        "names_of_certificates_and_files_are_escaped",
    ),
    (
        "keys are listed, saved and relabelled with kubectl; a new one needs a restart or a signal",
        "keys_are_seen_rotated_revoked_and_retired_from_a_laptop",
    ),
    (
        "the certificate comes through the service proxy only",
        "a_certificate_is_taken_from_sealing_keys_that_agree_and_from_no_others",
    ),
];
