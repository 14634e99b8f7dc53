//! Runs of the program in an empty environment.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kubeseal");
pub(crate) const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048.crt");
pub(crate) const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: hunter2}\n";

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs kubeseal in `folder`, without a kubeconfig and without variables of the developer.
pub(crate) fn kubeseal(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env_clear().env("KUBECONFIG", folder.join("none")).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program may end without reading everything.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub(crate) fn seal(arguments: &[&str], input: &str) -> Ran {
    let folder = TempDir::new().unwrap();
    kubeseal(folder.path(), &[&["--cert", CERTIFICATE], arguments].concat(), input.as_bytes())
}

/// The same text with every ciphertext of a 2048 bit key replaced.
pub(crate) fn masked(text: &str) -> String {
    let is_base64 = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    let mut masked = String::new();
    for piece in text.split_inclusive(|character| !is_base64(character)) {
        let word = piece.trim_end_matches(|character| !is_base64(character));
        masked.push_str(if word.len() > 300 && word.starts_with("AQ") { "AQ…" } else { word });
        masked.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    masked
}

pub(crate) fn fails(arguments: &[&str], input: &str, expected: &str) {
    let ran = seal(arguments, input);
    assert_eq!(
        (ran.code, ran.stderr.as_str(), ran.stdout.as_str()),
        (Some(1), expected, ""),
        "{arguments:?}"
    );
}

pub(crate) fn seal_free(arguments: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    kubeseal(folder.path(), arguments, b"")
}

/// Serves one request with this body, after calling `before_answer`; the thread returns the request's first line.
pub(crate) fn serve_once(
    body: Vec<u8>,
    before_answer: impl FnOnce() + Send + 'static,
) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = connection.read(&mut request).unwrap();
        before_answer();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned()
    });
    (format!("http://{address}/v1/cert.pem?x=1"), server)
}

/// Serves these responses, each to a connection of its own; the thread returns the requests.
pub(crate) fn serve(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answered = move |answer: Vec<u8>| {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = connection.read(&mut request).unwrap();
        connection.write_all(&answer).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    (address, std::thread::spawn(move || answers.into_iter().map(answered).collect()))
}

/// An answer with this body, a text or an object.
pub(crate) fn answer(status: &str, body: &Value) -> Vec<u8> {
    let body = match body {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nDate: Sun, 29 Nov 2026 00:00:00 GMT\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// The address of a server that answers each request until the tests end; `answered` gets the first line of the request.
pub(crate) fn serve_always(answered: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            // The client may be killed at any time.
            if let Some((line, _)) = request(&mut connection) {
                drop(connection.get_mut().write_all(&answered(&line)));
            }
        }
    });
    address
}

/// Reads a request whole and returns its first line and its body.
pub(crate) fn request(connection: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let lines = connection.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = lines.collect();
    let length = |line: &String| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; head.iter().find_map(length).unwrap_or_default()];
    connection.read_exact(&mut body).ok()?;
    Some((head.into_iter().next()?, body))
}
