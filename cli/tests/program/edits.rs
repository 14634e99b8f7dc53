//! Files that are edited in place, as Git sees them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::run::{CERTIFICATE, Ran, SECRET, kubeseal};
use crate::workspace::{KEY, git_stdout};

/// The lines that `git diff` shows as removed (`-`) and added (`+`) since the file was committed.
fn changed_lines(folder: &Path) -> Vec<String> {
    let diff = git_stdout(folder, &["diff", "--unified=0"]);
    let is_change =
        |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- ");
    diff.lines().filter(is_change).map(str::to_owned).collect()
}

fn commit(folder: &Path) {
    git_stdout(folder, &["init", "--quiet"]);
    git_stdout(folder, &["add", "."]);
    git_stdout(folder, &["commit", "--quiet", "--allow-empty", "--message=before"]);
}

/// A SealedSecret file as users keep it in Git: comments, unusual key order and quotes, a template, a second document.
fn kept_file(folder: &Path) -> String {
    let ran = kubeseal(folder, &["--cert", CERTIFICATE, "-o", "yaml"], SECRET.as_bytes());
    let item = ran.stdout.lines().find_map(|line| line.strip_prefix("    password: ")).unwrap();
    let text = format!(
        "# owned by the shop team\n\
         apiVersion: bitnami.com/v1alpha1\nkind: 'SealedSecret'   # not a Secret\n\
         metadata: {{ name: db, namespace: \"shop\" }}\n\nspec:\n  # what the others see\n  template:\n    \
         metadata:\n      labels:\n          deep: \"yes\"   # four more\n    data:\n      url: |\n        \
         # no comment: {{{{ .password }}}}\n\n        last\n  \
         encryptedData:\n    # rotate every spring\n    password: {item}   # since 2024\n\n# the end\n"
    );
    std::fs::write(folder.join("db.yaml"), &text).unwrap();
    text
}

fn merge(folder: &Path, arguments: &[&str], secret: &str) -> Ran {
    kubeseal(
        folder,
        &[&["--cert", CERTIFICATE, "--merge-into", "db.yaml"], arguments].concat(),
        secret.as_bytes(),
    )
}

fn merged(folder: &Path, secret: &str) -> String {
    let ran = merge(folder, &[], secret);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    std::fs::read_to_string(folder.join("db.yaml")).unwrap()
}

#[test]
fn git_shows_one_added_line_after_merging_a_new_item() {
    let folder = TempDir::new().unwrap();
    kept_file(folder.path());
    commit(folder.path());
    merged(folder.path(), "kind: Secret\nstringData: {user: admin}\n");
    let changed = changed_lines(folder.path());
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].starts_with("+    user: AQ"), "{changed:?}");
}

#[test]
fn git_shows_one_changed_line_after_replacing_an_item() {
    let folder = TempDir::new().unwrap();
    kept_file(folder.path());
    commit(folder.path());
    merged(folder.path(), "kind: Secret\nstringData: {password: changed}\n");
    let changed = changed_lines(folder.path());
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(changed[0].starts_with("-    password: AQ") && changed[0].ends_with("   # since 2024"));
    assert!(changed[1].starts_with("+    password: AQ") && changed[1].ends_with("   # since 2024"));
}

#[test]
fn windows_line_ends_stay_on_every_line() {
    let folder = TempDir::new().unwrap();
    let text = kept_file(folder.path()).replace('\n', "\r\n");
    std::fs::write(folder.path().join("db.yaml"), &text).unwrap();
    commit(folder.path());
    let after = merged(folder.path(), "kind: Secret\nstringData: {user: admin}\n");
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    assert_eq!(changed_lines(folder.path()).len(), 1);
}

#[test]
fn an_item_is_sealed_for_the_scope_of_the_file_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let before = kept_file(folder.path());
    let ran = merge(folder.path(), &["--scope", "cluster-wide"], "kind: Secret\nstringData: {user: admin}\n");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            Some(1),
            "error: db.yaml is strict, so it cannot hold items of --scope cluster-wide; leave the flag out\n"
        )
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("db.yaml")).unwrap(), before);
    let wide = "kind: Secret\nmetadata: {annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}}\n\
                stringData: {user: admin}\n";
    merged(folder.path(), wide);
    let opened =
        kubeseal(folder.path(), &["--recovery-unseal", "--recovery-private-key", KEY, "-f", "db.yaml"], b"");
    assert!(opened.stdout.contains("\"user\": \"YWRtaW4=\""), "{}{}", opened.stdout, opened.stderr);
}

#[test]
fn a_file_without_namespace_is_sealed_for_the_one_of_the_flag() {
    let folder = TempDir::new().unwrap();
    let text = kept_file(folder.path()).replace(", namespace: \"shop\"", "");
    std::fs::write(folder.path().join("db.yaml"), &text).unwrap();
    let secret = "kind: Secret\nstringData: {user: admin}\n";
    assert_eq!(merge(folder.path(), &[], secret).stderr, "error: secret must declare a namespace\n");
    let ran = merge(folder.path(), &["-n", "shop"], secret);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let edited = std::fs::read_to_string(folder.path().join("db.yaml")).unwrap();
    assert!(edited.contains("metadata: { name: db }") && edited.contains("\n    user: AQ"), "{edited}");
}

#[test]
fn an_input_that_cannot_be_merged_leaves_the_file_unchanged() {
    let folder = TempDir::new().unwrap();
    let before = kept_file(folder.path());
    for input in ["", "kind: ConfigMap\n", "kind: Secret\n", "kind: Secret\nstringData: {a: 012}\n", "{"] {
        assert_eq!(merge(folder.path(), &[], input).code, Some(1), "{input}");
        assert_eq!(std::fs::read_to_string(folder.path().join("db.yaml")).unwrap(), before);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_changes_while_it_is_edited_keeps_the_other_change() {
    let folder = TempDir::new().unwrap();
    kept_file(folder.path());
    let file = folder.path().join("db.yaml");
    // The certificate is fetched after the file was read; the server plays the second writer.
    let (url, server) = crate::run::serve_once(std::fs::read(CERTIFICATE).unwrap(), {
        let file = file.clone();
        move || std::fs::write(file, "another's work\n").unwrap()
    });
    let arguments = ["--cert", &url, "--merge-into", "db.yaml"];
    let ran = kubeseal(folder.path(), &arguments, b"kind: Secret\nstringData: {user: admin}\n");
    server.join().unwrap();
    let changed =
        "error: db.yaml: the file changed while it was being edited; nothing was written, try again\n";
    assert!(ran.code == Some(1) && ran.stderr.ends_with(changed), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "another's work\n");
}

#[test]
#[cfg(unix)]
fn a_pipe_is_written_to_and_stays_a_pipe() {
    use std::os::unix::fs::FileTypeExt as _;
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", "pipe"], SECRET.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(reader.join().unwrap().contains("\"kind\": \"SealedSecret\""));
    assert!(std::fs::metadata(pipe).unwrap().file_type().is_fifo());
}

#[test]
#[cfg(unix)]
fn an_edited_file_keeps_its_mode_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = TempDir::new().unwrap();
    kept_file(folder.path());
    let real = folder.path().join("real.yaml");
    std::fs::rename(folder.path().join("db.yaml"), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.yaml", folder.path().join("db.yaml")).unwrap();
    merged(folder.path(), "kind: Secret\nstringData: {user: admin}\n");
    assert!(std::fs::symlink_metadata(folder.path().join("db.yaml")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::read_to_string(&real).unwrap().contains("    user: AQ"));
}
