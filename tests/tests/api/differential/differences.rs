//! Intended differences with their reasons, in the words of docs/differences.md.

/// A row of docs/differences.md.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// The original's behaviour.
    pub(crate) original: &'static str,
    /// The reason for our behaviour.
    pub(crate) why: &'static str,
}

pub(crate) const NO_SECRET: Difference = Difference {
    original: "a document that is not a Secret is skipped or sealed silently",
    why: "no document is lost silently",
};
pub(crate) const LIST: Difference =
    Difference { original: "a `List` is read as an empty Secret", why: "`kubectl get -o yaml` writes lists" };
pub(crate) const UNQUOTED: Difference = Difference {
    original: "an unquoted `y`, `012` or `1e3` where text is expected becomes `true`, `10` or `1000`, as item, key, label or name",
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
    original: "errors of the decoder are printed in Go's words",
    why: "a value may be a password",
};
pub(crate) const YAML_WORDS: Difference = Difference {
    original: "`=` and `<<` are written without quotes; control characters make YAML output fail",
    why: "every YAML 1.1 reader reads them back",
};
pub(crate) const CONTROL: Difference =
    Difference { original: "control characters are not escaped in JSON", why: "YAML readers refuse them" };
pub(crate) const STORED_ONLY: Difference = Difference {
    original: "`managedFields` and `finalizers` of the input stay in the template",
    why: "they belong to one stored object",
};
pub(crate) const STRICT: Difference = Difference {
    original: "`--scope strict` does not undo a scope annotation, silently",
    why: "scripts rely on it, but users should know",
};
pub(crate) const VARIABLE: Difference = Difference {
    original: "a wrong value of a `SEALED_SECRETS_` variable is ignored silently",
    why: "it may have been the scope",
};
pub(crate) const NO_CERTIFICATE: Difference = Difference {
    original: "every file that is not a PEM certificate causes the same error",
    why: "users find their mistake",
};
pub(crate) const CERTIFICATE: Difference = Difference {
    original: "the error about an elliptic-curve certificate prints its numbers; keys of 1024 bits are used",
    why: "readable; too weak",
};
pub(crate) const FOLDER: Difference = Difference {
    original: "with a folder as the output, the command succeeds and writes nothing",
    why: "the output was not written",
};
pub(crate) const TEMPORARY: Difference = Difference {
    original: "errors about a new output file name a temporary file",
    why: "the user knows that name",
};
pub(crate) const REWRITTEN: Difference = Difference {
    original: "`--merge-into` and `--re-encrypt` rewrite the file, in JSON if not told otherwise",
    why: "clean diffs",
};
pub(crate) const CRASH: Difference =
    Difference { original: "`--merge-into` crashes where the target lacks a map", why: "no crash" };
pub(crate) const MERGED_SCOPE: Difference = Difference {
    original: "`--merge-into` seals for the scope of the input or of `--scope`, whatever the file's own scope",
    why: "the item could not be decrypted",
};
pub(crate) const LEFT_EMPTY: Difference = Difference {
    original: "`--merge-into` or `--validate` with `-w` leave an empty file",
    why: "the file may be needed",
};
pub(crate) const RENDERED: Difference = Difference {
    original: "`--re-encrypt` copies the template, labels and rendered items from the controller's answer",
    why: "re-encryption must not edit the manifest",
};
pub(crate) const NOTHING: Difference = Difference {
    original: "`--re-encrypt` or `--validate` without any SealedSecret succeeds",
    why: "nothing was checked",
};
pub(crate) const ROTATE: Difference =
    Difference { original: "`--rotate` prints its warning into the output", why: "the output is a manifest" };
pub(crate) const RECOVERY: Difference = Difference {
    original: "`--recovery-unseal` prints an owner without uid, takes one document, refuses the v1 field",
    why: "the output can be applied",
};
pub(crate) const KEYLESS: Difference = Difference {
    original: "`--recovery-private-key` with a file without keys is ignored",
    why: "users notice the wrong file",
};
pub(crate) const CLIENT: Difference = Difference {
    original: "a missing permission or an unreachable cluster is reported in client-go's words",
    why: "another client library",
};
pub(crate) const HELP: Difference = Difference {
    original: "the help is one list; errors about flags follow it, on stdout only",
    why: "users of a script that redirects stdout see the error",
};
pub(crate) const VERSION: Difference =
    Difference { original: "`--version` prints the original's version", why: "it is another program" };
pub(crate) const SUBCOMMANDS: Difference =
    Difference { original: "no completion, no manual page", why: "convenience" };
pub(crate) const NO_CIPHERTEXT: Difference = Difference {
    original: "only the controller notices an item of `encryptedData` that is not text; `--merge-into` keeps it",
    why: "users find the mistake where they made it",
};
pub(crate) const NO_KIND: Difference = Difference {
    original: "a document without `kind` and without items is skipped",
    why: "no document is lost silently",
};
pub(crate) const UNREADABLE: Difference = Difference {
    original: "the error about an unreadable file of `-f` has neither name nor reason",
    why: "users need both",
};
pub(crate) const ONE_OF_SEVERAL: Difference = Difference {
    original: "an error about one of several Secrets does not say which one",
    why: "users find it",
};
pub(crate) const SURPLUS: Difference = Difference {
    original: "arguments that are not flags are ignored",
    why: "`-f *.yaml` would seal the first file only",
};
pub(crate) const TRUTH: Difference = Difference {
    original: "a boolean flag with its value after a space (`--raw false`) is true",
    why: "the effect is the opposite of the text",
};
pub(crate) const RENEWED: Difference = Difference {
    original: "the error of a failed `--re-encrypt` does not name the object",
    why: "users find it",
};
pub(crate) const NO_RECOVERY_KEY: Difference = Difference {
    original: "`--recovery-unseal` without a key reports that no key could decrypt",
    why: "the user forgot the keys",
};
pub(crate) const KEY_WITHOUT_RECOVERY: Difference = Difference {
    original: "`--recovery-private-key` without `--recovery-unseal` is ignored",
    why: "the command would seal",
};
pub(crate) const RECOVERY_NAMESPACE: Difference =
    Difference { original: "`--recovery-unseal` ignores `-n`", why: "the item is bound to one" };
pub(crate) const REFUSED_NAME: Difference = Difference {
    original: "a name or key that the API server will refuse (`runnerToken`, `a/b`) is sealed silently",
    why: "the mistake is found before it is deployed",
};

/// All differences.
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
    why: "an attacker on the network could read the sealed values",
};

/// Rows that a comparison of two invocations cannot show, each with the test that shows it.
pub(crate) const TESTED_ELSEWHERE: &[(&str, &str)] = &[
    (
        "a Secret is made by kubectl and piped through kubeseal; one value is changed by sealing again",
        "a_new_file_has_its_items_with_receipts_and_the_report_names_what_was_chosen",
    ),
    ("an output that is a device or a pipe is replaced by a file", "a_pipe_is_written_to_and_stays_a_pipe"),
    ("an unclosed `{` runs without end", "an_unclosed_brace_ends_with_an_error"),
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
        "the stderr of an exec plugin is passed on unchanged",
        "a_plugin_that_fails_is_named_with_its_status_and_what_it_said_and_nothing_that_it_holds",
    ),
    (
        "control and invisible characters in names, kinds and answers of servers reach the terminal",
        "names_of_certificates_and_files_are_escaped",
    ),
    (
        "keys are listed, saved and relabelled with kubectl; a new key needs a restart or a signal",
        "keys_are_seen_rotated_revoked_and_retired_from_a_laptop",
    ),
    (
        "the certificate comes through the service proxy only",
        "a_certificate_is_taken_from_sealing_keys_that_agree_and_from_no_others",
    ),
];
