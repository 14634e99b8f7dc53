//! Programs that kubeseal starts: Git, editors and plugins. None gets a value in its arguments or variables, which others can read.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::prompts::Terminal;
use crate::run::PROGRAM;
use crate::workspace::{KEY, Workspace};

const VALUE: &str = "plaintext-4f1d9c";
/// The base64 text of the value begins so.
const ENCODED: &str = "cGxhaW50ZXh0LTRmMWQ5";

/// Begins a script that notes the arguments and variables of its process.
fn noting(workspace: &Workspace, name: &str) -> String {
    let seen = workspace.file("seen");
    format!(
        "#!/bin/sh\n(echo; echo ran {name}; tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ) >> {}\n",
        seen.display()
    )
}

/// A work tree with programs that note how they were started.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.git(&["init", "--quiet"]);
    let secret =
        format!("kind: Secret\nmetadata: {{name: db, namespace: shop}}\nstringData: {{password: {VALUE}}}\n");
    workspace.write("plain.yaml", &secret);
    workspace.write("folder/plain.yaml", &secret);
    workspace.git(&["add", "."]);
    let git = format!("{}PATH=/usr/bin:/bin exec git \"$@\"\n", noting(&workspace, "git"));
    // The text is opened a second time, since it cannot be saved as the editor leaves it at first.
    let editor = format!(
        "{}if grep -q {VALUE} \"$1\"; then sed -i 's/: yes$/: x/' \"$1\"; else sed -i 's/<sealed 1>/{VALUE}/; s/<sealed 2>/yes/' \"$1\"; fi\n",
        noting(&workspace, "editor")
    );
    let plugin = format!("{}echo 'status: {{token: abc}}'\n", noting(&workspace, "plugin"));
    for (name, text) in [("bin/git", git), ("bin/editor", editor), ("bin/plugin", plugin)] {
        workspace.write(name, &text);
        fs::set_permissions(workspace.file(name), Permissions::from_mode(0o755)).unwrap();
    }
    let plugin = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": workspace.file("bin/plugin"), "interactiveMode": "Never",
        "provideClusterInfo": true
    });
    let config = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {"exec": plugin}}],
    });
    workspace.write("config", &config.to_string());
    workspace
}

fn path(workspace: &Workspace) -> String {
    format!("{}:/usr/bin:/bin", workspace.file("bin").display())
}

/// Runs a line with the value on stdin; returns the exit code.
fn run(workspace: &Workspace, line: &str) -> Option<i32> {
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().env("PATH", path(workspace)).args(line.split(' '));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    drop(std::io::Write::write_all(&mut child.stdin.take().unwrap(), VALUE.as_bytes()));
    child.wait().unwrap().code()
}

#[test]
fn no_value_is_in_the_arguments_or_variables_of_a_program_that_is_started() {
    let workspace = workspace();
    let create = format!("create generic db -n shop --from-file a=- --from-literal b={VALUE}");
    for (line, code) in [
        ("lint .".to_owned(), 3),
        (format!("{create} -w db.yaml --cert cert.pem"), 0),
        (format!("{create} --kubeconfig config"), 1),
        ("set db.yaml token --cert cert.pem".to_owned(), 0),
        ("set db.yaml token --kubeconfig config".to_owned(), 1),
        ("seal -i plain.yaml folder --cert cert.pem".to_owned(), 0),
        (format!("unseal db.yaml --private-key {KEY}"), 0),
        (format!("reencrypt . --all --private-key {KEY} --cert cert.pem"), 0),
        ("lint --staged".to_owned(), 3),
    ] {
        assert_eq!(run(&workspace, &line), Some(code), "{line}");
    }
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let edit = format!(
        "PATH={} XDG_RUNTIME_DIR={} KUBE_EDITOR=editor {PROGRAM} edit db.yaml --cert cert.pem",
        path(&workspace),
        memory.path().display()
    );
    let mut terminal = Terminal::shell(&workspace, &edit);
    terminal.wait_for("press Enter to edit this text again");
    terminal.enter(b"\r");
    terminal.end(0);
    let seen = workspace.read("seen");
    for (name, times) in [("git", 4), ("editor", 2), ("plugin", 2)] {
        assert!(seen.matches(&format!("ran {name}\n")).count() >= times, "{name}: {seen}");
    }
    assert!(!seen.contains(VALUE) && !seen.contains(ENCODED), "{seen}");
}
