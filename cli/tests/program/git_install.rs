//! `git install` and `git uninstall`.
#![cfg(unix)]

use std::fs;
use std::process::Command;

use crate::run::{PROGRAM, SECRET, kubeseal};
use crate::workspace::{Workspace, git_command};

/// Commits a file, and returns the exit code and stderr.
fn commit(workspace: &Workspace) -> (Option<i32>, String) {
    let output = git_command(workspace.path(), &["commit", "--quiet", "--message=x"]).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

#[test]
fn the_hook_keeps_plaintext_out_of_a_commit_until_it_is_removed() {
    let workspace = Workspace::repository();
    let told = workspace.done("git install", "");
    assert_eq!(
        told,
        format!(
            ".git/config: diff.kubeseal.textconv runs '{PROGRAM}' git textconv\n\
             .git/config: merge.kubeseal.driver runs '{PROGRAM}' git merge %O %A %B %L %P\n\
             .git/info/attributes: diff=kubeseal merge=kubeseal for *.yaml, *.yml and *.json\n\
             .git/hooks/pre-commit: runs '{PROGRAM}' lint --staged\n"
        )
    );
    let hook = workspace.read(".git/hooks/pre-commit");
    assert_eq!(workspace.done("git install", ""), told, "once more");
    assert_eq!(workspace.read(".git/hooks/pre-commit"), hook);
    workspace.write("secret.yaml", SECRET);
    workspace.git(&["add", "secret.yaml"]);
    let (code, said) = commit(&workspace);
    assert!(
        code == Some(1) && said.contains("secret.yaml:2: error[KS001]: a Secret that is not sealed"),
        "{said}"
    );
    assert_eq!(
        workspace.done("git uninstall", ""),
        ".git/config: diff.kubeseal.textconv removed\n.git/config: merge.kubeseal.driver removed\n\
         .git/info/attributes: diff=kubeseal merge=kubeseal removed\n.git/hooks/pre-commit: removed\n"
    );
    assert_eq!(workspace.done("git uninstall", ""), "kubeseal is not installed in this clone\n");
    assert_eq!(commit(&workspace).0, Some(0));
}

#[test]
fn the_hook_names_the_program_alone_if_path_leads_to_it() {
    let workspace = Workspace::repository();
    fs::create_dir(workspace.file("bin")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, workspace.file("bin/kubeseal")).unwrap();
    let path = format!("{}:/usr/bin:/bin", workspace.file("bin").display());
    let mut command = Command::new(PROGRAM);
    let status = command
        .current_dir(workspace.path())
        .env_clear()
        .env("PATH", path)
        .args(["git", "install"])
        .status()
        .unwrap();
    assert!(
        status.success()
            && workspace.read(".git/hooks/pre-commit").ends_with("\nexec kubeseal lint --staged\n")
    );
}

#[test]
fn another_hook_is_left_unchanged_and_the_missing_line_is_printed() {
    let workspace = Workspace::repository();
    workspace.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n");
    let ran = workspace.run("git install");
    assert_eq!(ran.code, Some(1));
    let missing = format!(
        "error: .git/hooks/pre-commit: another hook is already installed and was not changed; add this line to it: '{PROGRAM}' lint --staged || exit 1\n"
    );
    assert!(ran.stderr.ends_with(&missing), "{}", ran.stderr);
    assert_eq!(workspace.git(&["check-attr", "merge", "a.yaml"]), "a.yaml: merge: kubeseal\n");
    workspace.done("git uninstall", "");
    assert_eq!(workspace.read(".git/hooks/pre-commit"), "#!/bin/sh\nexit 0\n");
}

#[test]
fn the_hook_can_be_left_out_and_uninstall_reverts_exactly_the_installed_settings() {
    let workspace = Workspace::repository();
    let attributes = workspace.file(".git/info/attributes");
    for before in [None, Some("*.png binary\n# no line break at the end")] {
        drop(fs::remove_file(&attributes));
        if let Some(text) = before {
            workspace.write(".git/info/attributes", text);
        }
        workspace.git(&["config", "diff.other.textconv", "cat"]);
        let config = workspace.read(".git/config");
        workspace.done("git install --no-hook", "");
        workspace.done("git install --no-hook", "");
        assert!(!workspace.file(".git/hooks/pre-commit").exists());
        let lines = workspace.read(".git/info/attributes");
        assert_eq!(lines.matches("diff=kubeseal merge=kubeseal\n").count(), 3, "{lines}");
        workspace.done("git uninstall", "");
        assert_eq!(workspace.read(".git/config"), config);
        let after = before.map(|text| format!("{text}\n"));
        assert_eq!(fs::read_to_string(&attributes).ok(), after);
    }
}

#[test]
fn a_setting_of_somebody_else_stays_and_the_rest_is_installed_and_removed() {
    for (setting, values) in [
        ("diff.kubeseal.textconv", &["mine"][..]),
        ("merge.kubeseal.driver", &["mine"]),
        ("diff.kubeseal.textconv", &["kubeseal git textconv", "mine", "line\nbreak"]),
    ] {
        let workspace = Workspace::repository();
        for value in values {
            workspace.git(&["config", "--add", setting, value]);
        }
        let config = workspace.read(".git/config");
        assert_eq!(workspace.done("git uninstall", ""), "kubeseal is not installed in this clone\n");
        let ran = workspace.run("git install");
        let refused = format!(
            "error: .git/config: {setting} already runs another command and was not changed; remove it with `git config --unset-all {setting}`, \
             and run `kubeseal git install` again\n"
        );
        assert!(ran.code == Some(1) && ran.stderr.ends_with(&refused), "{}", ran.stderr);
        assert!(workspace.file(".git/hooks/pre-commit").exists());
        assert!(workspace.read(".git/config").starts_with(&config));
        workspace.done("git uninstall", "");
        assert_eq!(workspace.read(".git/config"), config);
        assert!(!workspace.file(".git/hooks/pre-commit").exists());
        // The advice leads on.
        workspace.git(&["config", "--unset-all", setting]);
        workspace.done("git install", "");
        workspace.git(&["config", setting, "mine"]);
        workspace.write(".git/hooks/pre-commit", "#!/bin/sh\n");
        let ran = workspace.run("git install");
        assert!(ran.code == Some(1) && ran.stderr.contains(&refused), "{}", ran.stderr);
        assert!(
            ran.stderr.lines().last().unwrap().contains("another hook is already installed"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_signal_ends_it_between_two_writes_and_a_repeated_run_completes_the_rest() {
    let workspace = Workspace::repository();
    // Git sends the signal while it is asked for the path of the attributes, and again for that of the hooks.
    let script = "#!/bin/sh\nPATH=/usr/bin:/bin\ncase \"$*\" in *$ASKED) kill -s $SIGNAL $PPID; sleep 1;; esac\nexec git \"$@\"\n";
    workspace.write("bin/git", script);
    let git = workspace.file("bin/git");
    fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let interrupted = |verb: &str, asked: &str, signal: &str| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(workspace.path()).env_clear().env("PATH", workspace.file("bin"));
        command
            .envs([("ASKED", asked), ("SIGNAL", signal)])
            .args(["git", verb])
            .output()
            .unwrap()
            .status
            .code()
    };
    let attributes = workspace.file(".git/info/attributes");
    assert_eq!(interrupted("install", "info/attributes", "INT"), Some(130));
    assert_eq!(interrupted("install", "hooks", "TERM"), Some(143));
    assert!(fs::read_to_string(&attributes).unwrap().contains("*.yaml diff=kubeseal"));
    workspace.done("git install", "");
    assert_eq!(interrupted("uninstall", "hooks", "INT"), Some(130));
    assert!(!attributes.exists() && workspace.file(".git/hooks/pre-commit").exists());
    workspace.done("git uninstall", "");
    assert!(!workspace.file(".git/hooks/pre-commit").exists());
}

#[test]
fn linked_work_trees_and_other_folders_of_hooks_are_honoured() {
    let workspace = Workspace::repository();
    workspace.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
    workspace.git(&["worktree", "add", "--quiet", "linked"]);
    let ran = kubeseal(&workspace.file("linked"), &["git", "install"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(workspace.file(".git/hooks/pre-commit").exists());
    workspace.done("git uninstall", "");
    workspace.git(&["config", "core.hooksPath", "own hooks"]);
    workspace.done("git install", "");
    assert!(
        workspace.file("own hooks/pre-commit").exists() && !workspace.file(".git/hooks/pre-commit").exists()
    );
    workspace.done("git uninstall", "");
    assert!(!workspace.file("own hooks/pre-commit").exists());
}

#[test]
fn outside_of_a_work_tree_nothing_is_installed() {
    let workspace = Workspace::new();
    workspace.refused("git install", 1, "not a git repository");
    workspace.git(&["init", "--quiet", "--bare", "bare.git"]);
    let ran = kubeseal(&workspace.file("bare.git"), &["git", "install"], b"");
    assert!(ran.code == Some(1) && ran.stderr.contains("cannot use bare repository"), "{}", ran.stderr);
}
