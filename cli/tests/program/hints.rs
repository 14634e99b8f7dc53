//! Mistakes of newcomers, each answered with the command that is meant.

use crate::workspace::Workspace;

/// Runs the line, which is refused, and returns what it tells on stderr.
fn told(line: &str) -> String {
    let ran = Workspace::new().run(line);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {}", ran.stderr);
    ran.stderr
}

#[test]
fn a_flag_without_its_dashes_or_a_word_of_another_tool_leads_to_the_subcommand_without_the_usage() {
    for (line, meant) in [
        (
            "re-encrypt . --dry-run",
            "\"re-encrypt\" is not a subcommand; did you mean \"kubeseal reencrypt\"?\n",
        ),
        ("re-encrypt .", "\"kubeseal reencrypt\"?\n"),
        ("rotate .", "\"kubeseal reencrypt\" (files) or \"kubeseal keys rotate\" (a new key)?\n"),
        (
            "validate db.yaml --private-key k",
            "\"validate\" is not a subcommand; did you mean \"kubeseal verify\"?\n",
        ),
        ("inspct db.yaml --json", "did you mean \"kubeseal inspect\"?\n"),
    ] {
        let told = told(line);
        assert!(told.starts_with("error: ") && told.ends_with(meant), "{line}: {told}");
    }
}

#[test]
fn an_unknown_flag_leads_to_its_counterpart_and_never_to_dashes() {
    for (line, tip) in [
        ("inspect -f db.yaml", "tip: the file is an argument: kubeseal inspect FILE"),
        ("unset -f db.yaml password", "tip: the file is an argument: kubeseal unset FILE"),
        ("unseal db.yaml --key k.pem", "tip: did you mean --private-key?"),
        ("unseal db.yaml --recovery-private-key k.pem", "tip: did you mean --private-key?"),
        ("unseal db.yaml --private-key k.pem -w out.yaml", "tip: unseal prints only; redirect stdout"),
        ("create generic db --namespace-wide", "tip: use --scope namespace-wide"),
        ("create generic --name db", "tip: the name is an argument: kubeseal create generic NAME"),
        ("lint --bogus", "error: unexpected argument '--bogus' found"),
    ] {
        let told = told(line);
        assert!(told.contains(tip) && !told.contains("as a value"), "{line}: {told}");
    }
    assert!(told("cert show cluster.pem").contains("for the certificate in a file use --cert FILE"));
}

#[test]
fn help_is_a_word_too() {
    let workspace = Workspace::new();
    for (line, same) in [
        ("help", "--help"),
        ("help set", "set --help"),
        ("help keys list", "keys list --help"),
        ("help man", "man --help"),
    ] {
        let (ran, same) = (workspace.run(line), workspace.run(same));
        assert_eq!((ran.code, &ran.stdout, ran.stderr.as_str()), (Some(0), &same.stdout, ""), "{line}");
        assert!(ran.stdout.contains("Usage"), "{line}: {}", ran.stdout);
    }
    let help = workspace.run("help").stdout;
    assert!(help.find("kubeseal create") < help.find("--fetch-cert"), "subcommands come first: {help}");
}

#[test]
fn a_file_in_a_folder_that_does_not_exist_is_refused_before_anything_is_asked() {
    let workspace = Workspace::new();
    for line in ["create generic db -n shop --generate a -w x/y/db.yaml", "seal - -w x/y/db.yaml"] {
        let ran = workspace.run(&format!("{line} --cert cert.pem"));
        let expected = "error: x/y/db.yaml: the folder does not exist; create it first\n";
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected), "{line}");
    }
}
