//! Unexpected arguments: the message suggests what was meant, and nothing is sealed by accident.

use tempfile::TempDir;

use crate::run::{CERTIFICATE, SECRET, kubeseal, seal, seal_free};

#[test]
fn unknown_arguments_end_with_2_and_a_suggestion() {
    let folder = TempDir::new().unwrap();
    for file in ["one.yaml", "two.yaml"] {
        std::fs::write(folder.path().join(file), SECRET).unwrap();
    }
    let cases = [
        (
            &["-f", "one.yaml", "two.yaml", "-w", "both.yaml"][..],
            "-f takes one file, and \"two.yaml\" is one more",
        ),
        (&["one.yaml"], "did you mean -f one.yaml, or < one.yaml?"),
        (&["kyes", "list", "-o", "yaml"], "\"kyes\" is not a subcommand; did you mean \"kubeseal keys\"?"),
        (&["crt"], "did you mean \"kubeseal cert\"?"),
        (&["validate"], "did you mean \"kubeseal verify\"?"),
        (&["words"], "unexpected argument \"words\""),
        (&["--", "-w", "out.yaml"], "unexpected argument \"-w\""),
    ];
    for (arguments, meant) in cases {
        let ran = kubeseal(folder.path(), &[&["--cert", CERTIFICATE], arguments].concat(), SECRET.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(meant), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is written");
}

#[test]
fn a_lone_dash_is_standard_input_and_an_empty_argument_is_nothing() {
    let dash = seal(&["-"], SECRET);
    assert_eq!((dash.code, dash.stderr.as_str()), (Some(0), ""));
    let empty = seal(&[""], SECRET);
    assert_eq!(
        (empty.code, empty.stderr.as_str()),
        (Some(0), "warning: an empty argument is ignored; was a variable empty?\n")
    );
}

#[test]
fn a_truth_value_behind_a_space_is_that_of_its_flag() {
    let off = seal(&["--raw", "false"], SECRET);
    assert!(off.stdout.contains("SealedSecret"), "{}", off.stderr);
    assert_eq!(off.stderr, "warning: --raw false is read as --raw=false; write it with the equals sign\n");
    let on = seal(&["--raw", "true", "--scope", "cluster-wide"], "x");
    assert!(on.stdout.starts_with("AQ"), "{}", on.stderr);
}

#[test]
fn flags_may_stand_before_a_subcommand_and_before_its_verb() {
    let folder = TempDir::new().unwrap();
    let unreachable = ["--server", "http://127.0.0.1:1", "--request-timeout", "5s"];
    let expected = kubeseal(folder.path(), &[&["keys", "list"], &unreachable[..]].concat(), b"");
    assert_eq!(expected.code, Some(1));
    for arguments in [
        [&unreachable[..], &["keys", "list"]].concat(),
        [&["keys"], &unreachable[..], &["list"]].concat(),
        [&unreachable[..2], &["keys"], &unreachable[2..], &["list"]].concat(),
    ] {
        let ran = kubeseal(folder.path(), &arguments, b"");
        assert_eq!((ran.code, &ran.stderr), (expected.code, &expected.stderr), "{arguments:?}");
    }
    let help = seal_free(&["--help", "keys"]);
    assert!(help.code == Some(0) && help.stdout.contains("Usage: kubeseal keys"), "{}", help.stdout);
    let foreign = seal_free(&["--cert", "x", "keys", "list"]);
    assert!(foreign.code == Some(2) && foreign.stderr.contains("--cert"), "{}", foreign.stderr);
}

#[test]
fn a_flag_that_a_subcommand_does_not_accept_is_named_together_with_the_subcommand() {
    let folder = TempDir::new().unwrap();
    for (verb, words, flags) in [
        ("create generic", &["db", "--generate", "a"][..], &["--raw", "--item", "--merge-into"][..]),
        ("create tls", &["db", "--tls-cert", "a", "--tls-key", "b"], &["--raw", "--prompt"]),
        ("create docker-registry", &["db", "--docker-server", "h", "--docker-username", "u"], &["--raw"]),
        ("seal", &["a.yaml"], &["--raw", "--all", "--merge-into"]),
        ("set", &["a.yaml", "key"], &["--raw", "--write", "--force"]),
        ("unset", &["a.yaml", "key"], &["--raw", "--cert", "--no-receipt"]),
        ("edit", &["a.yaml"], &["--raw", "--generate"]),
        ("inspect", &["a.yaml"], &["--raw", "--cert"]),
        ("lint", &["a.yaml"], &["--raw", "--cert"]),
        ("verify", &["a.yaml"], &["--raw", "--cert", "--no-receipt"]),
        ("reencrypt", &["a.yaml"], &["--raw", "--write"]),
        ("status", &[], &["--raw", "--cert"]),
        ("unseal", &["a.yaml", "--private-key", "b"], &["--write", "--cert"]),
        ("git install", &[], &["--raw", "--force"]),
        ("git uninstall", &[], &["--raw", "--no-hook"]),
        ("keys list", &[], &["--raw", "--cert"]),
        ("cert show", &[], &["--raw", "--write"]),
    ] {
        for flag in flags {
            let verb_words: Vec<&str> = verb.split(' ').collect();
            let mut lines = vec![[&verb_words[..], words, &[*flag]].concat()];
            // Before the subcommand, another flag could take its name for a value.
            lines.extend((*flag == "--raw").then(|| [&[*flag], &verb_words[..], words].concat()));
            for line in lines {
                let ran = kubeseal(folder.path(), &line, b"");
                assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line:?}: {}", ran.stderr);
                let (first, rest) = ran.stderr.split_once('\n').unwrap();
                assert!(
                    first.starts_with("error: ") && first.contains(&format!("'{flag}'")),
                    "{line:?}: {first}"
                );
                assert!(rest.contains(&format!("kubeseal {verb}")), "{line:?}: {}", ran.stderr);
            }
        }
    }
}
