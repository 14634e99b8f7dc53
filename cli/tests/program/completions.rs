//! Completion of words that files decide, in real shells.
#![cfg(unix)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{PROGRAM, kubeseal};
use crate::workspace::Workspace;

fn filled() -> Workspace {
    let workspace = Workspace::new();
    workspace.done(
        "create generic db -n shop --from-literal password=x --from-literal passphrase=y --from-literal user=z --cert cert.pem -w db.yaml",
        "",
    );
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: cert.pem}, stage: {}, \"$(touch evil)\": {}}\n",
    );
    workspace
}

fn offered(workspace: &Workspace, words: &[&str]) -> Vec<String> {
    let ran = kubeseal(workspace.path(), &[&["completion", "candidates", "--"], words].concat(), b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn keys_of_files_and_clusters_of_the_project_are_offered_where_they_fit() {
    let workspace = filled();
    workspace.write("other/.kubeseal.yaml", "clusters: {test: {}}\n");
    workspace.write("odd.yaml", "kind: SealedSecret\nspec:\n  encryptedData:\n    pin=hunter2: AgX\n    $(touch evil): AgX\n    good: AgX\n");
    for (words, wanted) in [
        (&["set", "db.yaml", ""][..], &["passphrase", "password", "user"][..]),
        (&["unset", "db.yaml", "pass"], &["passphrase", "password"]),
        (&["unset", "db.yaml", "-n", "shop", "u"], &["user"]),
        (&["-n", "shop", "set", "db.yaml", "u"], &["user"]),
        (&["unset", "odd.yaml", ""], &["good"]),
        (&["set", "db.yaml", "odd.yaml", ""], &["good", "passphrase", "password", "user"]),
        (&["unseal", "db.yaml", "--item", "u"], &["user"]),
        (&["unseal", "db.yaml", "--item=u"], &["--item=user"]),
        (&["set", "--for", ""], &["prod", "stage"]),
        (&["set", "--for", "p"], &["prod"]),
        (&["set", "--for=p"], &["--for=prod"]),
        (&["set", "--for", "=", "p"], &["prod"]),
        (&["set", "--for", "="], &["prod", "stage"]),
        (&["set", "other/db.yaml", "--for", ""], &["test"]),
        (&["create", "generic", "x", "--for", "s"], &["stage"]),
        (&["set", ""], &[]),
        (&["set", "gone.yaml", ""], &[]),
        (&["set", "db.yaml", "-"], &[]),
        (&["set", "db.yaml", "--from-file", ""], &[]),
        (&["create", "generic", ""], &[]),
        (&["lint", "db.yaml", ""], &[]),
        (&[], &[]),
    ] {
        assert_eq!(offered(&workspace, words), wanted, "{words:?}");
    }
}

/// Types lines into an interactive shell on a pseudo terminal of util-linux's `script`, and returns what it showed.
fn typed(workspace: &Workspace, shell: &str, lines: &str) -> String {
    let folder = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let paths = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut script = Command::new("script");
    // A shell that waits for more is ended.
    let shell = format!("timeout --foreground 60 {shell}");
    script.current_dir(workspace.path()).args(["--quiet", "--return", "--command", &shell, "/dev/null"]);
    script
        .env("PATH", paths)
        .env("HOME", workspace.path())
        .env("TERM", "xterm")
        .env("INPUTRC", "/dev/null")
        .env_remove("KUBECONFIG");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).is_file())
}

/// The shell completes `us` to `user`, which `unset` then removes, and a flag and a cluster, which `set` uses.
fn completes(shell: &str, program: &str, load: &str) {
    if !is_installed(program) {
        eprintln!("{program} is not installed");
        return;
    }
    let workspace = filled();
    // The `n` answers zsh, which asks before it shows many candidates.
    let lines = format!(
        "{load}\nkubeseal insp\t db.yaml > shown\nkubeseal unset db.yaml us\t\nkubeseal set db.yaml token --no-rec\t --generate --for pr\t\nkubeseal set --for $\t\tn\x15\nexit\nexit\n"
    );
    let shown = typed(&workspace, shell, &lines);
    assert!(workspace.read("shown").starts_with("db.yaml:2: shop/db"), "{shown}");
    let text = workspace.read("db.yaml");
    assert!(!text.contains("    user: ") && text.contains("    password: "), "{shown}");
    let token =
        text.lines().find(|line| line.starts_with("    token: ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(!token.contains("# kubeseal"), "--no-receipt: {token}");
    assert!(!workspace.file("evil").exists(), "the shell evaluates no word of a file");
}

#[test]
#[cfg(target_os = "linux")]
fn bash_completes_verbs_flags_keys_and_clusters() {
    completes("bash --norc --noprofile -i", "bash", "source <(kubeseal completion bash)");
}

#[test]
#[cfg(target_os = "linux")]
fn zsh_completes_verbs_flags_keys_and_clusters() {
    completes("zsh -f -i", "zsh", "autoload -U compinit; compinit -u; source <(kubeseal completion zsh)");
}

#[test]
fn each_script_asks_for_the_words_of_files() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = kubeseal(workspace.path(), &["completion", shell], b"").stdout;
        assert!(script.contains("completion candidates --"), "{shell}");
    }
    let bash = kubeseal(workspace.path(), &["completion", "bash"], b"").stdout;
    assert_eq!(bash.matches("complete -F _kubeseal_words ").count(), 2, "both forms of the last command");
}
