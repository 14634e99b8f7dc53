//! `git textconv`, as Git runs it.
#![cfg(unix)]

use crate::workspace::Workspace;

const CREATE: &str = "create generic db -n shop --from-literal user=app --from-literal password=12345678 -w db.yaml --cert cert.pem";

fn repository() -> Workspace {
    let workspace = Workspace::repository();
    workspace.done("git install --no-hook", "");
    workspace
}

#[test]
fn a_difference_shows_lengths_and_hashes_instead_of_ciphertexts() {
    let workspace = repository();
    workspace.done(CREATE, "");
    workspace.git(&["add", "db.yaml"]);
    // Before the first commit, too.
    let added = workspace.git(&["diff", "--cached"]);
    assert!(
        added.contains("+    password: <sealed 8 B ") && added.contains("+    user: <sealed 3 B "),
        "{added}"
    );
    workspace.git(&["commit", "--quiet", "--message=x"]);
    workspace.done("set db.yaml password --cert cert.pem", "hunter2");
    let shown = workspace.git(&["diff"]);
    assert!(
        shown.contains("-    password: <sealed 8 B ") && shown.contains("+    password: <sealed 7 B "),
        "{shown}"
    );
    let words = workspace.git(&["diff", "--word-diff"]);
    assert!(
        words.contains("<sealed [-8-]{+7+} B ") && !words.contains("AQ") && !shown.contains("AQ"),
        "{words}"
    );
    for arguments in [&["log", "-p"][..], &["show"]] {
        let shown = workspace.git(arguments);
        assert!(shown.contains("+    password: <sealed 8 B ") && !shown.contains("AQ"), "{shown}");
    }
}

#[test]
fn all_else_is_printed_as_it_is() {
    let workspace = repository();
    for text in ["", "a: [\n", "kind: Secret\nstringData: {a: b}\n", "<<<<<<< ours\nkind: SealedSecret\n"] {
        workspace.write("a b.yaml", text);
        let ran = crate::run::kubeseal(workspace.path(), &["git", "textconv", "a b.yaml"], b"");
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), text, ""));
    }
    std::fs::write(workspace.file("a.yaml"), b"a: \xff\n").unwrap();
    workspace.git(&["add", "a.yaml"]);
    assert!(workspace.git(&["diff", "--cached", "--stat"]).contains("a.yaml"));
    workspace.refused("git textconv none.yaml", 1, "open none.yaml: no such file or directory");
}
