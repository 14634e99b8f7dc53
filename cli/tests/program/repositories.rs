//! Repositories in states that users meet: without a commit, in the middle of a rebase, bare, with converted line breaks, with odd
//! names, with folders in the place of files.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::run::{PROGRAM, SECRET, kubeseal};
use crate::workspace::{KEY, OTHER_CERTIFICATE, Workspace, git};

const CREATE: &str = "create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem";

#[test]
fn a_repository_without_a_commit_is_served_like_any_other() {
    let workspace = Workspace::repository();
    workspace.done("git install", "");
    workspace.done(CREATE, "");
    workspace.write("plain.yaml", SECRET);
    workspace.git(&["add", "."]);
    for line in ["lint", "lint --staged"] {
        let ran = workspace.run(line);
        assert!(
            ran.code == Some(3) && ran.stdout.contains("plain.yaml:2: error[KS001]"),
            "{line}: {}",
            ran.stdout
        );
    }
    let told = workspace.done("seal -i plain.yaml --cert cert.pem", "");
    assert!(told.contains("warning: plain.yaml was staged with its plaintext; run git add again"), "{told}");
    workspace.done("set db.yaml token --generate --cert cert.pem", "");
    assert_eq!(workspace.run("inspect .").code, Some(0));
    let dry = format!("reencrypt . --dry-run --private-key {KEY} --cert cert.pem");
    assert_eq!(workspace.run(&dry).code, Some(0));
    workspace.git(&["add", "."]);
    let (is_done, told) = git(workspace.path(), &["commit", "--quiet", "--message=first"]);
    assert!(is_done && !told.contains("0 errors"), "a hook without findings is silent: {told}");
}

#[test]
fn a_rebase_that_has_stopped_can_be_continued_with_the_same_commands() {
    let workspace = Workspace::repository();
    workspace.done("git install", "");
    workspace.done(CREATE, "");
    let commit = |value: &str| {
        if !value.is_empty() {
            workspace.done("set db.yaml user --cert cert.pem", value);
        }
        workspace.git(&["add", "db.yaml"]);
        workspace.git(&["commit", "--quiet", "--message=x"]);
    };
    commit("");
    workspace.git(&["checkout", "--quiet", "-b", "other"]);
    commit("theirs");
    workspace.git(&["checkout", "--quiet", "main"]);
    commit("ours");
    assert!(!git(workspace.path(), &["rebase", "other"]).0);
    assert!(workspace.file(".git/rebase-merge").exists());
    let ran = workspace.run("lint");
    assert!(ran.code == Some(3) && ran.stdout.contains("error[KS004]: a merge conflict"), "{}", ran.stdout);
    workspace.refused(
        "set db.yaml user --generate --cert cert.pem",
        1,
        "a merge conflict that is not resolved",
    );
    for line in ["git uninstall", "git install"] {
        workspace.done(line, "");
    }
    workspace.git(&["checkout", "--quiet", "--theirs", "db.yaml"]);
    workspace.done("set db.yaml more --cert cert.pem", "x");
    workspace.git(&["add", "db.yaml"]);
    assert_eq!(workspace.run("lint --staged").code, Some(0));
    let (is_done, told) = git(workspace.path(), &["rebase", "--continue"]);
    assert!(is_done, "{told}");
    let opened = workspace.opened("db.yaml");
    assert!(opened.contains("\"user\": \"b3Vycw==\"") && opened.contains("\"more\": \"eA==\""), "{opened}");
}

#[test]
fn a_bare_repository_has_no_files_and_its_work_trees_are_served() {
    let workspace = Workspace::new();
    workspace.git(&["init", "--quiet", "--bare", "bare.git"]);
    let bare = workspace.file("bare.git");
    for (line, code, expected) in [
        (&["lint"][..], 0, ""),
        (&["lint", "--staged"], 1, "error: "),
        (&["git", "install"], 1, "error: "),
        (&["git", "uninstall"], 1, "error: "),
        (&["inspect", "."], 1, "no SealedSecret in this folder"),
    ] {
        let ran = kubeseal(&bare, line, b"");
        assert!(ran.code == Some(code) && ran.stderr.contains(expected), "{line:?}: {}", ran.stderr);
    }
    // A work tree needs a commit.
    let (is_done, told) = git(workspace.path(), &["clone", "--quiet", "bare.git", "clone"]);
    assert!(is_done, "{told}");
    let clone = workspace.file("clone");
    for words in [
        &["commit", "--quiet", "--allow-empty", "--message=x"][..],
        &["push", "--quiet", "origin", "HEAD:main"],
    ] {
        let (is_done, told) = git(&clone, words);
        assert!(is_done, "{told}");
    }
    let tree = workspace.file("tree");
    let (is_done, told) = git(&bare, &["worktree", "add", "--quiet", "../tree", "main"]);
    assert!(is_done, "{told}");
    fs::write(tree.join("plain.yaml"), SECRET).unwrap();
    assert_eq!(kubeseal(&tree, &["git", "install"], b"").code, Some(0));
    assert_eq!(kubeseal(&tree, &["lint"], b"").code, Some(3));
    assert!(git(&tree, &["add", "plain.yaml"]).0);
    let (is_done, told) = git(&tree, &["commit", "--quiet", "--message=x"]);
    assert!(!is_done && told.contains("plain.yaml:2: error[KS001]"), "{told}");
    assert!(bare.join("hooks/pre-commit").exists());
}

/// The files that a command reads, without Git in PATH if `path` is an empty folder.
fn files_read(folder: &Path, path: Option<&Path>, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env_clear().args(["lint", "-o", "json"]).args(words);
    command.envs(path.map(|path| ("PATH", path)));
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["file"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_git_a_folder_of_a_work_tree_stands_for_the_files_that_are_not_ignored() {
    let workspace = Workspace::repository();
    workspace.write(".gitignore", "ignored.yaml\n/below/also-ignored/\n");
    workspace.write("below/.gitignore", "own.yaml\n");
    for name in [
        "a.yaml",
        "ignored.yaml",
        "below/a.yaml",
        "below/ignored.yaml",
        "below/own.yaml",
        "below/also-ignored/a.yaml",
        ".hidden/a.yaml",
    ] {
        workspace.write(name, SECRET);
    }
    // Files of Git itself may have any name.
    workspace.write(".git/a.yaml", SECRET);
    fs::create_dir(workspace.file("empty")).unwrap();
    let none = workspace.file("empty");
    for (folder, words, expected) in [
        ("", &[][..], &[".hidden/a.yaml", "a.yaml", "below/a.yaml"][..]),
        ("", &["below"], &["below/a.yaml"]),
        ("below", &[], &["a.yaml"]),
        ("", &["below/ignored.yaml"], &["below/ignored.yaml"]),
    ] {
        let folder = workspace.file(folder);
        assert_eq!(files_read(&folder, None, words), expected, "{folder:?} {words:?} with Git");
        assert_eq!(files_read(&folder, Some(&none), words), expected, "{folder:?} {words:?} without Git");
    }
}

#[test]
fn without_git_files_are_changed_and_what_needs_git_says_so() {
    let workspace = Workspace::repository();
    workspace.write("plain.yaml", SECRET);
    workspace.git(&["add", "plain.yaml"]);
    fs::create_dir(workspace.file("empty")).unwrap();
    let run = |line: &str| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(workspace.path()).env_clear().env("PATH", workspace.file("empty"));
        let output = command.args(line.split(' ')).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for line in ["git install", "git uninstall", "lint --staged"] {
        let (code, told) = run(line);
        assert!(code == Some(1) && told.starts_with("error: git: "), "{line}: {told}");
    }
    for line in [
        CREATE,
        "set db.yaml token --generate --cert cert.pem",
        "unset db.yaml token",
        "seal -i plain.yaml --cert cert.pem",
        "inspect .",
        "git textconv db.yaml",
    ] {
        let (code, told) = run(line);
        assert_eq!(code, Some(0), "{line}: {told}");
    }
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let (workspace, other) = (Workspace::repository(), Workspace::repository());
    other.write("own.yaml", SECRET);
    other.git(&["add", "."]);
    other.git(&["commit", "--quiet", "--message=x"]);
    let url = other.path().to_str().unwrap();
    workspace.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "sub"]);
    workspace.write("top.yaml", SECRET);
    workspace.write(".kubeseal.yaml", "rules: [{namespace: of-the-root}]\n");
    let sub = workspace.file("sub");
    assert!(sub.join(".git").is_file(), "its repository is in that of the root");
    for (folder, words, expected) in [
        (workspace.path(), &[][..], &["top.yaml"][..]),
        (workspace.path(), &["sub"], &["sub/own.yaml"]),
        (workspace.path(), &["sub/own.yaml"], &["sub/own.yaml"]),
        (&sub, &[], &["own.yaml"]),
    ] {
        assert_eq!(files_read(folder, None, words), expected, "{words:?}");
    }
    // The project file of the root is not that of the submodule.
    let create = ["create", "generic", "db", "--generate", "a", "--cert", "../cert.pem", "-w", "db.yaml"];
    let ran = kubeseal(&sub, &create, b"");
    assert!(ran.code == Some(2) && ran.stderr.contains("no namespace"), "{}", ran.stderr);
    fs::write(sub.join(".kubeseal.yaml"), "rules: [{namespace: of-the-submodule}]\n").unwrap();
    let ran = kubeseal(&sub, &create, b"");
    assert!(ran.code == Some(0) && ran.stderr.contains("created of-the-submodule/db"), "{}", ran.stderr);
    // So are its settings and its hook.
    let ran = kubeseal(&sub, &["git", "install"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let own = workspace.file(".git/modules/sub");
    assert!(own.join("hooks/pre-commit").exists() && own.join("info/attributes").exists());
    assert!(!workspace.file(".git/hooks/pre-commit").exists());
    let (is_done, told) = git(&sub, &["commit", "--quiet", "--allow-empty", "--message=x"]);
    assert!(is_done, "{told}");
    fs::write(sub.join("new.yaml"), SECRET).unwrap();
    assert!(git(&sub, &["add", "new.yaml"]).0);
    let (is_done, told) = git(&sub, &["commit", "--quiet", "--message=x"]);
    assert!(!is_done && told.contains("new.yaml:2: error[KS001]"), "{told}");
}

#[test]
fn line_breaks_that_git_converts_stay_converted_and_cause_no_difference() {
    let workspace = Workspace::repository();
    workspace.git(&["config", "core.autocrlf", "true"]);
    workspace.done("git install", "");
    workspace.done(CREATE, "");
    let commit = || {
        workspace.git(&["add", "db.yaml"]);
        workspace.git(&["commit", "--quiet", "--message=x"]);
    };
    commit();
    fs::remove_file(workspace.file("db.yaml")).unwrap();
    workspace.git(&["checkout", "--quiet", "db.yaml"]);
    let is_converted = || {
        let text = workspace.read("db.yaml");
        text.matches("\r\n").count() == text.matches('\n').count()
    };
    assert!(is_converted());
    workspace.git(&["checkout", "--quiet", "-b", "other"]);
    workspace.done("set db.yaml token --cert cert.pem", "theirs");
    assert!(is_converted());
    assert_eq!(workspace.git(&["diff", "--numstat", "--no-textconv"]), "1\t0\tdb.yaml\n");
    assert_eq!(workspace.git(&["diff"]).matches("\n+ ").count(), 1, "{}", workspace.git(&["diff"]));
    commit();
    workspace.git(&["checkout", "--quiet", "main"]);
    workspace.done("set db.yaml user --cert cert.pem", "ours");
    commit();
    let (is_done, told) = git(workspace.path(), &["merge", "--quiet", "other"]);
    assert!(is_done, "{told}");
    assert!(is_converted());
    let opened = workspace.opened("db.yaml");
    assert!(
        opened.contains("\"user\": \"b3Vycw==\"") && opened.contains("\"token\": \"dGhlaXJz\""),
        "{opened}"
    );
    let reencrypt = format!("reencrypt db.yaml --private-key {KEY} --cert {OTHER_CERTIFICATE}");
    assert_eq!(workspace.run(&reencrypt).code, Some(0));
    assert!(is_converted());
    assert_eq!(workspace.run("lint").code, Some(0));
    workspace.git(&["add", "db.yaml"]);
    assert_eq!(workspace.run("lint --staged").code, Some(0));
}

/// Names that a shell, Git or a message could take for something else.
const NAMES: [&str; 6] =
    ["a b.yaml", "two\nlines.yaml", "Grüße 世界.yaml", "-n.yaml", "it's \"$(x)\".yaml", "*.yaml"];

#[test]
fn files_of_any_name_are_found_checked_changed_and_committed() {
    let workspace = Workspace::repository();
    workspace.done("git install", "");
    for name in NAMES {
        workspace.write(&format!("in/{name}"), SECRET);
    }
    let files = |line: &str, list: &str| {
        let ran = workspace.run(line);
        let report: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{line}: {}", ran.stderr));
        let file = |entry: &Value| entry["file"].as_str().unwrap().to_owned();
        let mut files: Vec<String> = report[list].as_array().unwrap().iter().map(file).collect();
        files.sort();
        files
    };
    let mut all = NAMES.map(|name| format!("in/{name}"));
    all.sort();
    assert_eq!(files("lint -o json in", "findings"), all);
    workspace.git(&["add", "in"]);
    assert_eq!(files("lint --staged -o json", "findings"), all);
    let told = workspace.done("seal -i in --cert cert.pem", "");
    assert_eq!(told.lines().filter(|line| line.contains(": sealed shop/db")).count(), NAMES.len(), "{told}");
    assert_eq!(files("inspect -o json in", "objects"), all);
    let reencrypt = format!("reencrypt in -o json --private-key {KEY} --cert {OTHER_CERTIFICATE}");
    assert_eq!(files(&reencrypt, "files"), all);
    for file in &all {
        for words in [&["set", "token", "--generate", "--cert", "cert.pem"][..], &["unset", "token"]] {
            let words = [&words[..1], &[file], &words[1..]].concat();
            let ran = kubeseal(workspace.path(), &words, b"");
            assert!(ran.code == Some(0) && ran.stderr.lines().count() == 1, "{words:?}: {}", ran.stderr);
        }
    }
    workspace.git(&["add", "in"]);
    let (is_done, told) = git(workspace.path(), &["commit", "--quiet", "--message=x"]);
    assert!(is_done, "{told}");
}

#[test]
fn a_project_file_may_name_itself_in_a_rule() {
    let workspace = Workspace::repository();
    let project = "clusters:\n  own: {certificate: cert.pem}\nrules:\n- {path: .kubeseal.yaml, cluster: own}\n- {path: '**', cluster: own}\n";
    workspace.write(".kubeseal.yaml", project);
    workspace.done("create generic db -n shop --generate token -w db.yaml", "");
    assert_eq!(workspace.run("lint").code, Some(0));
    workspace.refused(
        "create generic db -n shop --generate token -w .kubeseal.yaml",
        1,
        ".kubeseal.yaml: the file exists",
    );
    workspace.refused(
        "set .kubeseal.yaml token --generate",
        1,
        ".kubeseal.yaml: no SealedSecret in this file",
    );
    workspace.refused("seal -i .kubeseal.yaml", 1, ".kubeseal.yaml: no Secret in this file");
    // Its own certificate is none.
    workspace
        .write(".kubeseal.yaml", &project.replace("certificate: cert.pem", "certificate: .kubeseal.yaml"));
    workspace.refused(
        "set db.yaml token --generate",
        1,
        "any valid RSA or ECDSA certificates: .kubeseal.yaml holds",
    );
    let ran = workspace.run("lint");
    assert!(ran.code == Some(3) && ran.stdout.contains(".kubeseal.yaml:2: error[KS050]"), "{}", ran.stdout);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_refused_by_each_command() {
    let workspace = Workspace::new();
    workspace.done(CREATE, "");
    fs::create_dir(workspace.file("folder.yaml")).unwrap();
    let create = "create generic new -n shop --cert cert.pem";
    let folder = "folder.yaml: a folder, not a regular file";
    let editable = "folder.yaml: is a folder; name a file";
    let is_directory = "folder.yaml: is a directory";
    for (line, code, message) in [
        (format!("{create} --generate a -w folder.yaml"), 1, "folder.yaml: the file exists"),
        (format!("{create} --generate a -w folder.yaml --force"), 1, folder),
        (format!("{create} --from-env-file folder.yaml"), 1, is_directory),
        (format!("{create} --from-file a=folder.yaml"), 2, "folder.yaml is a folder"),
        ("create tls new -n shop --tls-cert folder.yaml --tls-key folder.yaml".to_owned(), 1, is_directory),
        ("set folder.yaml user --generate --cert cert.pem".to_owned(), 1, editable),
        ("set db.yaml user --generate --cert folder.yaml".to_owned(), 1, is_directory),
        ("set db.yaml user --from-file folder.yaml --cert cert.pem".to_owned(), 1, is_directory),
        ("unset folder.yaml user".to_owned(), 1, editable),
        ("edit folder.yaml --cert cert.pem".to_owned(), 1, editable),
        ("seal folder.yaml --cert cert.pem".to_owned(), 2, "folder.yaml is a folder; add -i"),
        ("seal -i folder.yaml --cert cert.pem".to_owned(), 1, "folder.yaml: no Secret in this folder"),
        ("seal - -w folder.yaml --force --cert cert.pem".to_owned(), 1, folder),
        ("inspect folder.yaml".to_owned(), 1, "no SealedSecret in this folder"),
        (format!("verify folder.yaml --private-key {KEY}"), 1, "no SealedSecret in this folder"),
        (format!("reencrypt folder.yaml --private-key {KEY}"), 1, "no SealedSecret in this folder"),
        ("reencrypt db.yaml --private-key folder.yaml --cert cert.pem".to_owned(), 1, is_directory),
        ("unseal db.yaml --private-key folder.yaml".to_owned(), 1, is_directory),
        (format!("unseal --raw folder.yaml --name db -n shop --private-key {KEY}"), 1, is_directory),
    ] {
        workspace.refused(&line, code, message);
    }
}
