//! `keys` and `cert` without a cluster.

use tempfile::TempDir;

use crate::run::{CERTIFICATE, kubeseal, seal_free};

/// The program's answer to words that do not follow the grammar.
fn misused(arguments: &[&str]) -> String {
    let ran = seal_free(arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?} {}", ran.stderr);
    ran.stderr
}

#[test]
fn wrong_words_end_with_2_and_an_explanation_on_stderr() {
    let seen: [(&[&str], &str); 9] = [
        (&["keys"], "Usage: kubeseal keys <COMMAND>"),
        (&["keys", "bogus"], "unrecognized subcommand 'bogus'"),
        (&["keys", "list", "-n", "shop"], "unexpected argument '-n'"),
        (&["keys", "list", "-o", "xml"], "possible values: text, wide, json, yaml"),
        (&["keys", "rotate", "--timeout", "5d"], "Invalid timeout value"),
        (&["keys", "backup"], "--output <FILE>"),
        (&["keys", "restore"], "<FILE>"),
        (&["keys", "revoke", "k", "--decrypt-until", "soon"], "--decrypt-until <TIME>"),
        (&["cert", "fetch", "--scope", "strict"], "unexpected argument '--scope'"),
    ];
    for (arguments, words) in seen {
        let told = misused(arguments);
        assert!(told.contains(words), "{arguments:?} {told}");
    }
}

#[test]
fn the_version_is_printed_whatever_follows_the_flag() {
    let ran = seal_free(&["--version", "keys", "list"]);
    assert_eq!((ran.code, ran.stdout.starts_with("kubeseal version: v")), (Some(0), true));
}

#[test]
fn each_verb_has_help_with_an_example_and_a_manual_page() {
    for (group, verbs) in [
        ("keys", &["list", "rotate", "backup", "restore", "revoke", "retire"][..]),
        ("cert", &["fetch", "show"]),
    ] {
        for verb in verbs {
            let help = seal_free(&[group, verb, "--help"]);
            assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
            assert!(help.stdout.contains(&format!("kubeseal {group} {verb} ")), "{}", help.stdout);
            assert!(
                help.stdout.contains("Example") && help.stdout.contains("--kubeconfig"),
                "{}",
                help.stdout
            );
            assert!(help.stdout.lines().all(|line| line.chars().count() <= 130), "{}", help.stdout);
            let page = seal_free(&["man", group, verb]);
            assert!(page.stdout.contains(&format!(".TH kubeseal-{group}-{verb} 1")), "{}", page.stdout);
        }
    }
    assert_eq!(seal_free(&["man", "bogus"]).code, Some(1));
    for shell in ["bash", "zsh", "fish"] {
        let script = seal_free(&["completion", shell]).stdout;
        assert!(script.contains("retire") && script.contains("decrypt-until"), "{shell}");
    }
}

#[test]
fn private_keys_are_not_written_to_terminals_or_pipes() {
    for place in ["-", "/dev/stdout", "/dev/tty", "/dev/null"] {
        let ran = seal_free(&["keys", "backup", "--force", "-o", place]);
        let expected = format!(
            "error: {place} is not a plain file: private keys are written to a file that only you can read, never to a \
             terminal, a pipe or a link\n"
        );
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(1), "", expected.as_str()));
    }
}

#[test]
fn a_certificate_is_described_without_a_cluster() {
    let shown = seal_free(&["cert", "show", "--cert", CERTIFICATE]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    // As ssh-keygen -lf and openssl x509 -text say of the file.
    let begin = "fingerprint  SHA256:d7vDRpnXNiJzDkmyznDUSjyxvtAkyQgqS6HKJqYJJvA\nsubject      CN=known-answer\n\
                 serial       07\nkey          RSA, 2048 bits\nvalid from   2026-11-21T07:45:49Z\n\
                 valid until  2126-10-28T07:45:49Z (";
    assert!(shown.stdout.starts_with(begin), "{}", shown.stdout);
    let yaml = seal_free(&["cert", "show", "--cert", CERTIFICATE, "-o", "yaml"]).stdout;
    assert!(
        yaml.starts_with("---\ncommonName: known-answer\n") && yaml.contains("\nexpired: false\n"),
        "{yaml}"
    );
}

#[test]
fn a_backup_that_cannot_be_read_is_named_before_any_cluster_is_asked() {
    let folder = TempDir::new().unwrap();
    let broken =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {tls.key: aHVudGVyMg==, tls.crt: eA==}\n";
    for (text, reason) in [
        (
            broken,
            "nothing was restored, because of Secret k: field data[\"tls.key\"]: no PEM private key found",
        ),
        ("apiVersion: v1\nkind: ConfigMap\n", "expected a Secret"),
        ("# nothing\n", "holds no key Secrets"),
    ] {
        std::fs::write(folder.path().join("keys.yaml"), text).unwrap();
        let ran = kubeseal(folder.path(), &["keys", "restore", "keys.yaml"], b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert!(ran.stderr.contains(reason) && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
        assert_eq!(kubeseal(folder.path(), &["keys", "restore", "-"], text.as_bytes()).code, Some(1));
    }
}
