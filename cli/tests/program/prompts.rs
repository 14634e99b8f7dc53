//! Prompts and signals, on a pseudo terminal of util-linux's `script`.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::PROGRAM;
use crate::workspace::Workspace;

/// A program on a terminal. What it shows is read until a text appears.
pub(crate) struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    /// Runs a line of a shell. At its end the shell prints its exit code and whether the terminal echoes.
    pub(crate) fn start(workspace: &Workspace, line: &str) -> Self {
        Self::start_with(workspace, "xterm", line)
    }

    /// As [`Self::start`], on this kind of terminal.
    pub(crate) fn start_with(workspace: &Workspace, kind: &str, line: &str) -> Self {
        Self::shell_on(workspace, kind, &format!("{PROGRAM} {line}"))
    }

    /// Runs a line of a shell as it is.
    pub(crate) fn shell(workspace: &Workspace, line: &str) -> Self {
        Self::shell_on(workspace, "xterm", line)
    }

    /// Runs a line of a shell on this kind of terminal.
    pub(crate) fn shell_on(workspace: &Workspace, kind: &str, line: &str) -> Self {
        let line = format!("trap : INT; {line}; echo code=$?; stty -a | grep -o -- '-*\\becho\\b'; echo end");
        // Without a limit, a test would wait for ever for a text that never appears.
        let mut script = Command::new("timeout");
        script.current_dir(workspace.path()).env("TERM", kind).env("KUBECONFIG", "none");
        script.args(["120", "script", "--quiet", "--return", "--command", &line, "/dev/null"]);
        let child =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, shown: String::new() }
    }

    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut byte = [0];
        while !self.shown.contains(text) {
            let length = self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(length, 1, "{text:?} does not appear: {}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
    }

    pub(crate) fn enter(&mut self, keys: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(keys).unwrap();
    }

    /// All that was shown, after the end of the program; the terminal echoes again.
    pub(crate) fn end(mut self, code: i32) -> String {
        self.wait_for("end\r\n");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        assert!(self.shown.ends_with(&format!("code={code}\r\necho\r\nend\r\n")), "{}", self.shown);
        self.shown
    }
}

#[test]
fn an_answer_is_hidden_and_one_answer_serves_all_files() {
    let workspace = Workspace::new();
    let line =
        "create generic db -n shop --prompt password --prompt token -w a.yaml -w b.yaml --cert cert.pem";
    let mut terminal = Terminal::start(&workspace, line);
    terminal.wait_for("password (hidden): ");
    terminal.enter(b"hunter2\r");
    terminal.wait_for("token (hidden): ");
    terminal.enter("Grüße\r".as_bytes());
    let shown = terminal.end(0);
    assert!(!shown.contains("hunter2") && !shown.contains("Gr"), "{shown}");
    for file in ["a.yaml", "b.yaml"] {
        let opened = workspace.opened(file);
        assert!(
            opened.contains("\"password\": \"aHVudGVyMg==\"")
                && opened.contains("\"token\": \"R3LDvMOfZQ==\""),
            "{opened}"
        );
    }
    let mut terminal = Terminal::start(&workspace, "set a.yaml password --cert cert.pem");
    terminal.wait_for("password (hidden): ");
    terminal.enter(b"other\r");
    assert!(terminal.end(0).contains("a.yaml:9: password replaced in shop/db (strict)"));
    assert!(workspace.opened("a.yaml").contains("\"password\": \"b3RoZXI=\""));
}

#[test]
fn a_long_answer_is_kept_whole() {
    let workspace = Workspace::new();
    let mut terminal =
        Terminal::start(&workspace, "create generic db -n shop --prompt jwt -w a.yaml --cert cert.pem");
    terminal.wait_for("jwt (hidden): ");
    terminal.enter(&[&vec![b'x'; 6000][..], b"\r"].concat());
    terminal.end(0);
    let ran = crate::run::kubeseal(
        workspace.path(),
        &["--recovery-unseal", "--recovery-private-key", crate::workspace::KEY, "-f", "a.yaml"],
        b"",
    );
    assert!(ran.stdout.contains(&format!("\"{}\"", "eHh4".repeat(2000))), "{}", ran.stderr);
}

#[test]
fn an_empty_answer_ends_with_1_and_writes_nothing() {
    let workspace = Workspace::new();
    for key in [&b"\r"[..], b"\x04"] {
        let mut terminal = Terminal::start(
            &workspace,
            "create generic db -n shop --prompt password -w a.yaml --cert cert.pem",
        );
        terminal.wait_for("password (hidden): ");
        terminal.enter(key);
        assert!(terminal.end(1).contains("error: password: the answer is empty; nothing was written"));
    }
    assert_eq!(workspace.names(), [""; 0]);
}

#[test]
fn an_interrupted_prompt_ends_with_130_and_leaves_the_terminal_as_it_was() {
    let workspace = Workspace::new();
    for line in [
        "create generic db -n shop --prompt password -w a.yaml --cert cert.pem",
        "create docker-registry db -n shop --docker-server h --docker-username u -w a.yaml --cert cert.pem",
    ] {
        let mut terminal = Terminal::start(&workspace, line);
        terminal.wait_for(" (hidden): ");
        terminal.enter(b"hun\x03");
        terminal.end(130);
    }
    assert_eq!(workspace.names(), [""; 0]);
}

#[test]
fn a_literal_value_on_a_terminal_is_warned_of() {
    let workspace = Workspace::new();
    let shown = Terminal::start(
        &workspace,
        "create generic db -n shop --from-literal user=app -w a.yaml --cert cert.pem",
    )
    .end(0);
    assert!(
        shown.contains("warning: user was on the command line; command lines end up in the shell history"),
        "{shown}"
    );
}

#[test]
fn an_interrupt_while_a_certificate_is_loaded_ends_at_once_with_130_and_changes_nothing() {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
    workspace.write("plain.yaml", crate::run::SECRET);
    let before = (workspace.names(), workspace.read("db.yaml"), workspace.read("plain.yaml"));
    for line in [
        "create generic new -n shop --prompt password -w a.yaml -w b.yaml",
        "create tls new -n shop --tls-cert cert.pem --tls-key cert.pem -w a.yaml",
        "set db.yaml password",
        "seal -i plain.yaml",
        "edit db.yaml",
        &format!("reencrypt db.yaml --private-key {}", crate::workspace::KEY),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cert.pem", listener.local_addr().unwrap());
        let mut terminal = Terminal::start(&workspace, &format!("{line} --cert {url}"));
        let connection = listener.accept().unwrap();
        terminal.enter(b"\x03");
        terminal.end(130);
        drop(connection);
        assert_eq!(
            (workspace.names(), workspace.read("db.yaml"), workspace.read("plain.yaml")),
            before,
            "{line}"
        );
    }
}

/// The program waits for a certificate that never arrives.
#[test]
fn sigterm_and_sigint_end_the_program_with_their_codes_and_no_file_is_left() {
    let workspace = Workspace::new();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cert.pem", listener.local_addr().unwrap());
        let mut command = Command::new(PROGRAM);
        command.current_dir(workspace.path()).env_clear().args([
            "create",
            "generic",
            "db",
            "-n",
            "shop",
            "--generate",
            "a",
        ]);
        let mut child = command.args(["-w", "a.yaml", "--cert", &url]).stderr(Stdio::null()).spawn().unwrap();
        let _connection = listener.accept().unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "the signal ends the program");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(code));
    }
    assert_eq!(workspace.names(), [""; 0]);
}
