//! Intended differences: the original's behaviour, in the words of docs/differences.md.

pub(crate) const NO_SECRET: &str = "a document that is not a Secret is skipped or sealed silently";
pub(crate) const LIST: &str = "a `List` is read as an empty Secret";
pub(crate) const UNQUOTED: &str = "an unquoted `y`, `012` or `1e3` where text is expected becomes `true`, `10` or `1000`, as item, key, label or name";
pub(crate) const DUPLICATE: &str = "duplicate keys: the last one wins";
pub(crate) const CASE: &str = "field names are matched in any case (`METADATA`)";
pub(crate) const BINARY: &str = "`!!binary` values are decoded";
pub(crate) const DECODER: &str = "errors of the decoder are printed in Go's words";
pub(crate) const YAML_WORDS: &str =
    "`=` and `<<` are written without quotes; control characters make YAML output fail";
pub(crate) const CONTROL: &str = "control characters are not escaped in JSON";
pub(crate) const STORED_ONLY: &str = "`managedFields` and `finalizers` of the input stay in the template";
pub(crate) const STRICT: &str = "`--scope strict` does not undo a scope annotation, silently";
pub(crate) const VARIABLE: &str = "a wrong value of a `SEALED_SECRETS_` variable is ignored silently";
pub(crate) const NO_CERTIFICATE: &str = "every file that is not a PEM certificate causes the same error";
pub(crate) const CERTIFICATE: &str =
    "the error about an elliptic-curve certificate prints its numbers; keys of 1024 bits are used";
pub(crate) const FOLDER: &str = "with a folder as the output, the command succeeds and writes nothing";
pub(crate) const TEMPORARY: &str = "errors about a new output file name a temporary file";
pub(crate) const REWRITTEN: &str =
    "`--merge-into` and `--re-encrypt` rewrite the file, in JSON if not told otherwise";
pub(crate) const CRASH: &str = "`--merge-into` crashes where the target lacks a map";
pub(crate) const MERGED_SCOPE: &str =
    "`--merge-into` seals for the scope of the input or of `--scope`, whatever the file's own scope";
pub(crate) const LEFT_EMPTY: &str = "`--merge-into` or `--validate` with `-w` leave an empty file";
pub(crate) const RENDERED: &str =
    "`--re-encrypt` copies the template, labels and rendered items from the controller's answer";
pub(crate) const NOTHING: &str = "`--re-encrypt` or `--validate` without any SealedSecret succeeds";
pub(crate) const ROTATE: &str = "`--rotate` prints its warning into the output";
pub(crate) const RECOVERY: &str =
    "`--recovery-unseal` prints an owner without uid, takes one document, refuses the v1 field";
pub(crate) const KEYLESS: &str = "`--recovery-private-key` with a file without keys is ignored";
pub(crate) const CLIENT: &str =
    "a missing permission or an unreachable cluster is reported in client-go's words";
pub(crate) const HELP: &str = "the help is one list; errors about flags follow it, on stdout only";
pub(crate) const VERSION: &str = "`--version` prints the original's version";
pub(crate) const SUBCOMMANDS: &str = "no completion, no manual page";
pub(crate) const NO_CIPHERTEXT: &str =
    "only the controller notices an item of `encryptedData` that is not text; `--merge-into` keeps it";
pub(crate) const NO_KIND: &str = "a document without `kind` and without items is skipped";
pub(crate) const UNREADABLE: &str = "the error about an unreadable file of `-f` has neither name nor reason";
pub(crate) const ONE_OF_SEVERAL: &str = "an error about one of several Secrets does not say which one";
pub(crate) const SURPLUS: &str = "arguments that are not flags are ignored";
pub(crate) const TRUTH: &str = "a boolean flag with its value after a space (`--raw false`) is true";
pub(crate) const RENEWED: &str = "the error of a failed `--re-encrypt` does not name the object";
pub(crate) const NO_RECOVERY_KEY: &str =
    "`--recovery-unseal` without a key reports that no key could decrypt";
pub(crate) const KEY_WITHOUT_RECOVERY: &str =
    "`--recovery-private-key` without `--recovery-unseal` is ignored";
pub(crate) const RECOVERY_NAMESPACE: &str = "`--recovery-unseal` ignores `-n`";
pub(crate) const REFUSED_NAME: &str =
    "a name or key that the API server will refuse (`runnerToken`, `a/b`) is sealed silently";

pub(crate) const PLAIN_HTTP: &str = "a certificate over plain http is used silently";

/// Rows that a comparison of two invocations cannot show, each with the test that shows it.
pub(crate) const TESTED_ELSEWHERE: &[(&str, &str)] = &[
    (
        "a Secret is made by kubectl and piped through kubeseal; one value is changed by sealing again",
        "a_new_file_has_its_items_with_receipts_and_the_report_names_scope_key_and_certificate",
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
        "a_failing_plugin_is_named_with_its_status_and_stderr_but_without_its_credentials",
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
