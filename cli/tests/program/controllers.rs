//! `reencrypt` and `verify` with a server that stands for the API server and a controller, for what real ones cannot be made to do
//! at a certain moment: refuse for the rate, hang, answer nonsense. `tests/tests/api/kubeseal_reencrypt.rs` has the real ones.

#![cfg(unix)]

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::prompts::Terminal;
use crate::run::{CERTIFICATE, PROGRAM, answer, request, serve_always};
use crate::workspace::Workspace;

const KEY: &str = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";

/// Requests that the server saw, and its answers.
#[derive(Default)]
struct State {
    /// Numbers of objects of the Lists that were sent to be rotated.
    lists: Mutex<Vec<usize>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    /// Lists from this number on are not answered.
    hangs_from: Mutex<Option<usize>>,
    /// Answers for the next requests, instead of the usual ones.
    instead: Mutex<Vec<(String, String)>>,
    is_slow: AtomicBool,
}

struct Server {
    address: String,
    state: Arc<State>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(connection.unwrap()));
            }
        });
        Self { address, state }
    }

    fn line(&self, line: &str) -> String {
        format!("{line} --server http://{}", self.address)
    }
}

impl State {
    /// Answers one request. The client may be gone at any time.
    fn serve(&self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        let Some((line, body)) = request(&mut connection) else { return };
        let (Some(path), Ok(body)) = (line.split(' ').nth(1), str::from_utf8(&body)) else { return };
        let is_rotate = path.contains("/v1/rotate?stale-only=true");
        if is_rotate || path.contains("/v1/verify") {
            self.most_running.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if self.is_slow.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(700));
            }
        }
        let answer = if is_rotate {
            self.rotate(body)
        } else if path.contains("/v1/verify") {
            self.instead.lock().unwrap().pop().unwrap_or_else(|| ("200 OK".to_owned(), String::new()))
        } else {
            ("200 OK".to_owned(), json!({"spec": {"ports": [{"name": "http"}]}}).to_string())
        };
        if is_rotate || path.contains("/v1/verify") {
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
        let (status, body) = answer;
        let key = if is_rotate {
            format!("Sealed-Secrets-Key: {KEY}\r\nSealed-Secrets-Stale: 0\r\n")
        } else {
            String::new()
        };
        let head =
            format!("HTTP/1.1 {status}\r\n{key}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        drop(connection.get_mut().write_all((head + &body).as_bytes()));
    }

    /// Every item that begins with `AgOld` is stale.
    fn rotate(&self, body: &str) -> (String, String) {
        let mut list: Value = serde_json::from_str(body).unwrap();
        let objects = list["items"].as_array_mut().unwrap();
        if !objects.is_empty() {
            if let Some(answer) = self.instead.lock().unwrap().pop() {
                return answer;
            }
            let number = {
                let mut lists = self.lists.lock().unwrap();
                lists.push(objects.len());
                lists.len()
            };
            while self.hangs_from.lock().unwrap().is_some_and(|from| number >= from) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        for object in objects {
            for item in object["spec"]["encryptedData"].as_object_mut().unwrap().values_mut() {
                *item = item.as_str().unwrap().replace("AgOld", "AgNew").into();
            }
        }
        ("200 OK".to_owned(), list.to_string())
    }
}

/// So many files of ten stale items.
fn repository(files: usize) -> Workspace {
    let workspace = Workspace::new();
    for number in 0..files {
        let items: Vec<_> = (0..10).map(|item| format!("    item{item}: AgOld{number:03}{item}\n")).collect();
        let head = format!(
            "kind: SealedSecret\nmetadata: {{name: s{number}, namespace: shop}}\nspec:\n  encryptedData:\n"
        );
        workspace.write(&format!("repository/{number:03}.yaml"), &(head + &items.concat()));
    }
    workspace
}

/// The numbers of files whose items are all old, and all new with receipts; a file is one or the other.
fn old_and_new(workspace: &Workspace) -> (usize, usize) {
    let (mut old, mut new) = (0, 0);
    for entry in std::fs::read_dir(workspace.file("repository")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with(".kubeseal-") {
            // The program is just writing.
            continue;
        }
        let text = workspace.read(&format!("repository/{name}"));
        let counts = (
            text.matches(": AgOld").count(),
            text.matches(": AgNew").count(),
            text.matches("# kubeseal: ").count(),
        );
        match counts {
            (10, 0, 0) => old += 1,
            (0, 10, 10) => new += 1,
            _ => panic!("{counts:?}: {text}"),
        }
    }
    (old, new)
}

#[test]
fn many_objects_take_few_requests_of_which_two_run_at_a_time() {
    let (server, workspace) = (Server::start(), repository(45));
    server.state.is_slow.store(true, Ordering::SeqCst);
    let ran = workspace.run(&server.line("reencrypt repository"));
    assert!(ran.code == Some(0) && ran.stderr.is_empty(), "{}", ran.stderr);
    assert!(
        ran.stdout.ends_with("\n450 of 450 items in 45 of 45 files re-encrypted; commit and apply them\n"),
        "{}",
        ran.stdout
    );
    let mut lists = server.state.lists.lock().unwrap().clone();
    lists.sort_unstable();
    assert_eq!(lists, [5, 10, 10, 10, 10]);
    assert_eq!(server.state.most_running.load(Ordering::SeqCst), 2);
    assert_eq!(old_and_new(&workspace), (0, 45));
    let again = workspace.run(&server.line("reencrypt repository"));
    assert_eq!(again.stdout, "0 of 450 items in 0 of 45 files re-encrypted\n");
    assert_eq!(server.state.lists.lock().unwrap().len(), 5, "items with fresh receipts are not sent");
}

#[test]
fn a_refusal_for_the_rate_is_obeyed_and_the_request_repeated() {
    let (server, workspace) = (Server::start(), repository(1));
    let refusal = ("429 Too Many Requests\r\nRetry-After: 2".to_owned(), "limit exceeded\n".to_owned());
    server.state.instead.lock().unwrap().push(refusal.clone());
    let begin = Instant::now();
    assert_eq!(workspace.run(&server.line("reencrypt repository")).code, Some(0));
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(old_and_new(&workspace), (0, 1));
    server.state.instead.lock().unwrap().push(refusal);
    let verified = workspace.run(&server.line("verify repository"));
    assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), "1 of 1 SealedSecrets decrypt\n"));
    assert!(begin.elapsed() >= Duration::from_secs(4));
}

#[test]
fn invalid_answers_change_nothing_and_are_reported() {
    let cases = [
        (
            "200 OK",
            json!({"kind": "List", "items": []}).to_string(),
            "the controller's answer does not match the request",
        ),
        ("200 OK", "<html>".to_owned(), "the controller's answer does not match the request"),
        ("200 OK", json!({"items": [{"kind": "Status"}]}).to_string(), "does not decrypt"),
        ("200 OK", json!({"items": [{}]}).to_string(), "the controller's answer lacks the item \"item0\""),
        (
            "500 Internal Server Error",
            "there is no sealing key yet\n".to_owned(),
            "there is no sealing key yet (500 Internal",
        ),
        (
            "503 Service Unavailable",
            json!({"kind": "Status", "message": "no endpoints"}).to_string(),
            "no endpoints (503 Service Unavailable); is the controller's Pod running? kubectl get pods -n kube-system\n",
        ),
    ];
    for (status, body, told) in cases {
        let (server, workspace) = (Server::start(), repository(1));
        server.state.instead.lock().unwrap().push((status.to_owned(), body));
        let ran = workspace.run(&server.line("reencrypt repository"));
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (
                Some(1),
                if status.starts_with("503") {
                    "not checked: 1 SealedSecret\n"
                } else {
                    "0 of 10 items in 0 of 1 files re-encrypted\n"
                }
            )
        );
        assert!(ran.stderr.contains(told) && ran.stderr.lines().count() == 1, "{told}: {}", ran.stderr);
        assert_eq!(old_and_new(&workspace), (1, 0));
    }
    for (status, code, told) in [("409 Conflict", 3, ""), ("500 Internal Server Error", 1, "500 Internal")] {
        let (server, workspace) = (Server::start(), repository(1));
        server.state.instead.lock().unwrap().push((status.to_owned(), String::new()));
        let ran = workspace.run(&server.line("verify repository"));
        assert!(ran.code == Some(code) && ran.stderr.contains(told), "{}", ran.stderr);
        assert_eq!(
            ran.stdout,
            if code == 3 { "repository/000.yaml:1: shop/s0: does not decrypt\n" } else { "" }
        );
    }
}

#[test]
fn a_refusal_of_the_api_server_is_told_with_its_address_but_for_the_flag_grammar() {
    let workspace = repository(1);
    let path = "/api/v1/namespaces/kube-system/services/";
    for (code, status, message) in
        [(403, "403 Forbidden", "services is forbidden"), (404, "404 Not Found", "services not found")]
    {
        let refusal = answer(status, &json!({"kind": "Status", "code": code, "message": message}));
        let address = serve_always(move |_| refusal.clone());
        for line in [
            "verify repository",
            "reencrypt repository",
            "set repository/000.yaml a --generate",
            "create generic db -n shop --generate a",
            "cert fetch",
        ] {
            let ran = workspace.run(&format!("{line} --server http://{address}"));
            let expected = format!(
                "error: cannot get sealed secret service: Get \"http://{address}{path}sealed-secrets-controller\": {message}.\n"
            );
            assert!(ran.code == Some(1) && ran.stderr.contains(&expected), "{line}: {}", ran.stderr);
        }
        let ran = workspace.run(&format!("--fetch-cert --server http://{address}"));
        let expected = format!("error: cannot get sealed secret service: {message}.\n");
        assert!(ran.code == Some(1) && ran.stderr.starts_with(&expected), "{}", ran.stderr);
    }
    let service = answer("200 OK", &json!({"spec": {"ports": [{"name": "http"}]}}));
    let refusal =
        answer("403 Forbidden", &json!({"kind": "Status", "message": "services/proxy is forbidden"}));
    let address =
        serve_always(move |line| if line.contains("/proxy/") { refusal.clone() } else { service.clone() });
    for (line, request) in [
        ("verify repository", "Post"),
        ("reencrypt repository", "Post"),
        ("set repository/000.yaml a --generate", "Get"),
    ] {
        let ran = workspace.run(&format!("{line} --server http://{address}"));
        let begin =
            format!(": {request} \"http://{address}{path}http:sealed-secrets-controller:http/proxy/v1/");
        assert!(ran.stderr.contains(&begin), "{line}: {}", ran.stderr);
        let end = "\": services/proxy is forbidden (403 Forbidden)\n";
        assert!(ran.code == Some(1) && ran.stderr.contains(end), "{line}: {}", ran.stderr);
    }
    assert_eq!(old_and_new(&workspace), (1, 0));
}

#[test]
fn an_old_certificate_file_is_reported_with_the_command_that_fetches_the_new_one() {
    let (server, workspace) = (Server::start(), repository(1));
    workspace.git(&["init", "--quiet"]);
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: cert.pem, controllerNamespace: keys, controllerName: ctl}}\nrules: [{cluster: prod}]\n",
    );
    let ran = workspace.run(&server.line("reencrypt repository"));
    let expected = "warning: cert.pem is not the certificate of the cluster's newest key; fetch it: kubeseal cert fetch \
                    --controller-namespace keys --controller-name ctl -w cert.pem\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), expected));
}

#[test]
fn no_shell_evaluates_the_words_of_a_repository_in_that_command() {
    let (server, workspace) = (Server::start(), repository(1));
    workspace.git(&["init", "--quiet"]);
    let name = "$(touch ran)'`touch ran`;touch ran #.pem";
    std::fs::copy(CERTIFICATE, workspace.file(name)).unwrap();
    workspace.write(
        ".kubeseal.yaml",
        &format!(
            "clusters:\n  prod:\n    certificate: {}\n    context: \"a $(touch ran) b\"\n    controllerName: \"--cert=x\"\nrules: [{{cluster: prod}}]\n",
            json!(name)
        ),
    );
    let config = json!({
        "contexts": [{"name": "a $(touch ran) b", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", server.address)}}],
    });
    workspace.write("config", &config.to_string());
    let ran = workspace.run("reencrypt repository --kubeconfig config");
    let (_, command) =
        ran.stderr.trim_end().split_once("; fetch it: ").unwrap_or_else(|| panic!("{}", ran.stderr));
    let script = format!("kubeseal() {{ printf '%s\\n' \"$@\"; }}; {command}");
    let output = Command::new("sh").current_dir(workspace.path()).args(["-c", &script]).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let expected =
        ["cert", "fetch", "--context", "a $(touch ran) b", "--controller-name=--cert=x", "-w", name];
    assert_eq!(words.lines().collect::<Vec<_>>(), expected, "{command}");
    assert!(!workspace.file("ran").exists(), "{command}");
}

fn start(workspace: &Workspace, line: &str) -> Child {
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().args(line.split(' '));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_signal_in_the_middle_leaves_each_file_old_or_new_and_a_repeated_run_completes_the_rest() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (server, workspace) = (Server::start(), repository(60));
        *server.state.hangs_from.lock().unwrap() = Some(3);
        let mut child = start(&workspace, &server.line("reencrypt repository"));
        let deadline = Instant::now() + Duration::from_mins(1);
        while old_and_new(&workspace).1 < 20 {
            assert!(Instant::now() < deadline, "two requests are answered");
            std::thread::sleep(Duration::from_millis(10));
        }
        let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(old_and_new(&workspace), (40, 20));
        assert_eq!(
            std::fs::read_dir(workspace.file("repository")).unwrap().count(),
            60,
            "nothing else is left"
        );
        *server.state.hangs_from.lock().unwrap() = None;
        let ran = workspace.run(&server.line("reencrypt repository"));
        assert!(
            ran.stdout
                .ends_with("\n400 of 600 items in 40 of 60 files re-encrypted; commit and apply them\n"),
            "{}",
            ran.stdout
        );
        assert_eq!(old_and_new(&workspace), (0, 60));
    }
}

#[test]
fn an_item_that_somebody_changes_meanwhile_is_kept_and_the_others_change() {
    let (server, workspace) = (Server::start(), repository(1));
    *server.state.hangs_from.lock().unwrap() = Some(1);
    let child = start(&workspace, &server.line("reencrypt repository"));
    let deadline = Instant::now() + Duration::from_mins(1);
    while server.state.lists.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the request arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    let text = workspace.read("repository/000.yaml");
    let changed =
        text.replace("item3: AgOld0003", "item3: AgMine").replace("    item0", "    # mine\n    item0");
    workspace.write("repository/000.yaml", &changed);
    *server.state.hangs_from.lock().unwrap() = None;
    assert!(child.wait_with_output().unwrap().status.success());
    let after = workspace.read("repository/000.yaml");
    let counts = (
        after.matches(": AgNew").count(),
        after.matches(": AgMine\n").count(),
        after.matches("    # mine\n").count(),
    );
    assert_eq!(counts, (9, 1, 1), "{after}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_progress_bar_is_on_terminals_only_appears_after_a_second_and_is_erased() {
    let (server, workspace) = (Server::start(), repository(45));
    server.state.is_slow.store(true, Ordering::SeqCst);
    let shown = Terminal::start(&workspace, &server.line("reencrypt repository --dry-run")).end(3);
    assert!(shown.contains("/450 items"), "{shown:?}");
    assert!(!shown.contains(" 100/450 items"), "nothing within the first second: {shown:?}");
    let (_, erased) = shown.rsplit_once("/450 items").unwrap();
    assert!(erased.contains("\u{1b}[2K") || erased.contains("\r\u{1b}["), "{shown:?}");
    let shown =
        Terminal::start_with(&workspace, "dumb", &server.line("reencrypt repository --dry-run")).end(3);
    assert!(!shown.contains("/450 items") && !shown.contains('\u{1b}'), "{shown:?}");
    let ran = workspace.run(&server.line("reencrypt repository --dry-run"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn verify_has_a_progress_bar_on_terminals_only_which_is_erased() {
    let (server, workspace) = (Server::start(), repository(6));
    server.state.is_slow.store(true, Ordering::SeqCst);
    let line = server.line("verify repository");
    let shown = Terminal::start(&workspace, &line).end(0);
    let (_, erased) = shown.rsplit_once("/6 SealedSecrets ").unwrap_or_else(|| panic!("no bar: {shown:?}"));
    assert!(erased.contains("\u{1b}[2K") || erased.contains("\r\u{1b}["), "{shown:?}");
    assert!(erased.contains("6 of 6 SealedSecrets decrypt\r\n"), "{shown:?}");
    let shown = Terminal::start_with(&workspace, "dumb", &line).end(0);
    assert!(!shown.contains("/6 SealedSecrets") && !shown.contains('\u{1b}'), "{shown:?}");
    server.state.is_slow.store(false, Ordering::SeqCst);
    let ran = workspace.run(&line);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "6 of 6 SealedSecrets decrypt\n"));
}
