//! The program itself, without a cluster: variables, and where its lines go.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};

const NOBODY_LISTENS: &str = "apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
users: [{name: a, user: {}}]
";

/// A controller that is killed when dropped.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_controller"));
    command.env_clear().envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a controller that never finds its API server; the folder holds its kubeconfig.
fn start(variables: &[(&str, &str)]) -> (Controller, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, NOBODY_LISTENS).unwrap();
    let mut command = command(variables);
    command
        .arg("--kubeconfig")
        .arg(file)
        .args(["--listen-addr=127.0.0.1:0", "--listen-metrics-addr=127.0.0.1:0"]);
    (Controller(command.spawn().unwrap()), folder)
}

fn first_line(stream: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn information_goes_to_standard_output_and_trouble_to_standard_error() {
    let (mut controller, _folder) = start(&[]);
    let told = first_line(controller.0.stdout.take().unwrap());
    assert!(told.contains(" level=INFO msg=\"sealed-secrets-controller starts\" "), "{told}");
    let trouble = first_line(controller.0.stderr.take().unwrap());
    assert!(trouble.contains(" level=ERROR ") || trouble.contains(" level=WARN "), "{trouble}");
}

#[test]
fn a_variable_sends_everything_to_standard_error() {
    let (mut controller, _folder) = start(&[("SEALED_SECRETS_LOG_INFO_STDOUT", "false")]);
    let told = first_line(controller.0.stderr.take().unwrap());
    assert!(told.contains(" level=INFO ") && told.contains("starts"), "{told}");
}

#[test]
fn lines_can_be_json() {
    let (mut controller, _folder) = start(&[("SEALED_SECRETS_LOG_FORMAT", "json")]);
    let line: serde_json::Value =
        serde_json::from_str(&first_line(controller.0.stdout.take().unwrap())).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["msg"], "sealed-secrets-controller starts");
}

#[test]
fn a_level_filters_lines_below_it() {
    let (mut controller, _folder) =
        start(&[("SEALED_SECRETS_LOG_LEVEL", "error"), ("SEALED_SECRETS_LOG_INFO_STDOUT", "false")]);
    let told = first_line(controller.0.stderr.take().unwrap());
    assert!(told.contains(" level=ERROR "), "{told}");
}

#[test]
fn a_flag_beats_its_variable() {
    let mut command = command(&[("SEALED_SECRETS_LISTEN_ADDR", "nonsense")]);
    command.args(["--listen-addr=:0", "--version"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("controller version: v"));
}

#[test]
fn a_wrong_value_of_a_variable_is_named_and_passed_over() {
    let (mut controller, _folder) = start(&[("SEALED_SECRETS_KEY_SIZE", "1000")]);
    let told = first_line(controller.0.stderr.take().unwrap());
    assert!(told.contains(" level=WARN ") && told.contains("SEALED_SECRETS_KEY_SIZE"), "{told}");
}

#[test]
fn an_invalid_flag_is_an_error_with_the_valid_values() {
    let output = command(&[]).arg("--key-size=1000").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--key-size") && text.contains("2048, 3072, 4096 or 8192"), "{text}");
}

/// The controller as this user of a kubeconfig, at this address.
fn started_as(user: &str, address: &str) -> (Controller, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "abc\n").unwrap();
    let config = NOBODY_LISTENS.replace("user: {}", &format!("user: {user}")).replace("127.0.0.1:1", address);
    std::fs::write(folder.path().join("kubeconfig"), config).unwrap();
    let mut command = command(&[]);
    command.current_dir(folder.path()).args(["--kubeconfig", "kubeconfig"]);
    command.args(["--listen-addr=127.0.0.1:0", "--listen-metrics-addr=127.0.0.1:0"]);
    (Controller(command.spawn().unwrap()), folder)
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_controller_that_waits_for_its_exec_plugin() {
    // The plugin ends too, with nothing, after which the controller would fail.
    let plugin = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /bin/sh, \
                  args: [-c, 'echo >started; exec /bin/sleep 30']}}";
    let (mut controller, folder) = started_as(plugin, "127.0.0.1:1");
    let started = folder.path().join("started");
    while !started.exists() {
        assert!(controller.0.try_wait().unwrap().is_none(), "it runs the plugin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = controller.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(controller.0.wait().unwrap().success());
}

#[test]
fn a_token_is_sent_without_the_line_break_at_the_end_of_its_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_controller, _folder) =
        started_as("{tokenFile: token}", &listener.local_addr().unwrap().to_string());
    let request = BufReader::new(listener.accept().unwrap().0);
    let header = request.lines().map_while(Result::ok).find(|line| line.starts_with("authorization: "));
    assert_eq!(header.as_deref(), Some("authorization: Bearer abc"));
}

#[test]
fn credentials_that_cannot_be_used_end_it_without_a_panic_and_are_not_shown() {
    let plugin = |script: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, '{script}']}}}}"
        )
    };
    for user in [
        "{token: \"hunter2\\n\"}".to_owned(),
        "{tokenFile: kubeconfig, username: hunter2}".to_owned(),
        plugin("echo hunter2; exit 1"),
        plugin("echo \"{hunter2: [\""),
    ] {
        let (mut controller, _folder) = started_as(&user, "127.0.0.1:1");
        let mut told = String::new();
        controller.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(controller.0.wait().unwrap().code(), Some(1), "{user} {told}");
        assert!(!told.contains("hunter2") && !told.contains("panicked"), "{user} {told}");
    }
}

#[test]
fn without_a_cluster_the_error_has_a_remedy() {
    let output = command(&[("HOME", "/nonexistent")])
        .args(["--listen-addr=127.0.0.1:0", "--listen-metrics-addr=127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("or set --kubeconfig"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_controller_leaves_no_core_dump() {
    let (mut controller, _folder) = start(&[]);
    first_line(controller.0.stdout.take().unwrap());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", controller.0.id())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"]);
}
