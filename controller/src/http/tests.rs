//! Tests over real connections, with a ring of one known key.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use sealed_secrets_core::crypto::{KeyPair, KeySize};
use sealed_secrets_core::keyring::{KeyRing, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;
use crate::fuzzed::{CERTIFICATE, KEY};
use crate::keystore::fixtures::ring_key;
use crate::keystore::list::refresh::KeyRefresh;
use crate::leadership::Leadership;

const LONG: Duration = Duration::from_mins(1);
const CONNECTIONS: usize = 80;
const SHORT: Duration = Duration::from_millis(50);
const NOTHING_SEALED: &str = r#"{"apiVersion":"bitnami.com/v1alpha1","kind":"SealedSecret","metadata":{"name":"a","namespace":"b"},"spec":{"encryptedData":{}}}"#;

/// A server that is stopped at the end of the test.
struct Served {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    _stop_at_the_end: tokio_util::sync::DropGuard,
}

struct Times {
    headers: Duration,
    connection: Duration,
    read: Duration,
    answer: Duration,
    drain: Duration,
    /// The keystore lists keys when it is asked. Otherwise a request that does not decrypt waits for a list.
    lists: bool,
}

const PATIENT: Times =
    Times { headers: LONG, connection: LONG, read: LONG, answer: LONG, drain: Duration::ZERO, lists: true };

fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![known_key()]))
}

fn known_key() -> Arc<RingKey> {
    ring_key(KEY, Some(CERTIFICATE))
}

/// Another key, without a certificate, so that it never is the primary key.
fn old_key() -> Arc<RingKey> {
    let pem = KeyPair::generate(KeySize::Rsa2048).unwrap().expose_pkcs1_pem().unwrap();
    ring_key(&pem, None)
}

async fn served(times: Times, burst: u32) -> Served {
    served_with(times, burst, V1Data::Accepted, &[]).await
}

async fn served_with(times: Times, burst: u32, v1_data: V1Data, trusted: &[&str]) -> Served {
    served_with_keys(times, burst, v1_data, trusted, ring()).await
}

async fn served_with_keys(
    times: Times,
    burst: u32,
    v1_data: V1Data,
    trusted: &[&str],
    ring: Arc<KeyRing>,
) -> Served {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let metrics = Arc::new(Metrics::new(false, &Leadership::unelected()));
    let (_, ring) = watch::channel(Some(ring));
    let key_refresh = Arc::<KeyRefresh>::default();
    if times.lists {
        tokio::spawn(list_for_ever(Arc::clone(&key_refresh)));
    }
    let http_state = HttpState {
        request_handler: RequestHandler::new(ring.clone(), key_refresh, v1_data, times.read, LONG),
        readiness: Readiness {
            ring: ring.clone(),
            requirement: Requirement::SealedSecrets(Arc::clone(metrics.api_requests())),
            stop: stop.clone(),
        },
        ring,
        limiter: RateLimiter::new(Limits { per_second: 0.01, burst }, Instant::now()),
        proxies: Arc::new(TrustedProxies::new(
            trusted.iter().map(|network| network.parse().unwrap()).collect(),
        )),
        metrics: Arc::clone(&metrics),
    };
    let timeouts = ConnectionTimeouts {
        connections: CONNECTIONS,
        headers: times.headers,
        answer: times.answer,
        connection: times.connection,
        request_grace: SHORT,
        shutdown: ShutdownTimeouts { drain: times.drain, receive: SHORT, answer: 2 * LONG },
    };
    tokio::spawn(serve(listener, http_state, timeouts, stop.clone()));
    Served { address, metrics, stop: stop.clone(), _stop_at_the_end: stop.drop_guard() }
}

/// Acts as a keystore that always finds the same keys.
async fn list_for_ever(key_refresh: Arc<KeyRefresh>) {
    loop {
        key_refresh.requested().await;
        key_refresh.published(Instant::now());
    }
}

/// Sends this request and reads until the server closes the connection.
async fn exchange(served: &Served, request: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    match stream.read_to_string(&mut answer).await {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => answer,
    }
}

fn post(path: &str, body: &str, more_headers: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{more_headers}\r\n{body}"
    )
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test]
async fn headers_that_do_not_come_do_not_hold_a_connection() {
    let served = served(Times { headers: SHORT, ..PATIENT }, 10).await;
    for beginning in ["", "GET /healthz HTTP/1.1\r\nX-Slow: "] {
        let answer = exchange(&served, beginning).await;
        assert!(answer.is_empty() || status(&answer) == "408", "{answer}");
    }
    let idle = exchange(&served, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(idle.ends_with("ok\n"), "a kept connection ends when no further request comes: {idle}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_without_it() {
    let served = served(Times { read: SHORT, ..PATIENT }, 10).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&rest(stream).await), "400");
}

#[tokio::test]
async fn a_connection_that_lasts_too_long_ends_though_its_client_keeps_asking() {
    let served = served(Times { connection: SHORT, ..PATIENT }, 10).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut answer = [0; 1024];
    loop {
        let sent = stream.write_all(request).await;
        if sent.is_err() || matches!(stream.read(&mut answer).await, Ok(0) | Err(_)) {
            break;
        }
    }
}

#[tokio::test]
async fn idle_connections_do_not_keep_a_probe_from_being_answered() {
    let served = served(PATIENT, 10).await;
    let mut asking = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    asking.write_all(head.as_bytes()).await.unwrap();
    asking.read_exact(&mut [0; 12]).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS + 3 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    let probe = "GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n";
    assert_eq!(status(&exchange(&served, probe).await), "200");
    asking.write_all(b"{}").await.unwrap();
    let answer = rest(asking).await;
    assert!(
        answer.ends_with("as JSON or YAML\n"),
        "a request that is being answered is not given up: {answer}"
    );
}

#[tokio::test]
async fn beyond_16_in_flight_a_client_is_turned_away() {
    let served = served(PATIENT, 1000).await;
    let head = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body only when it begins to read it.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        waiting.push(stream);
    }
    let verify = post("/v1/verify", NOTHING_SEALED, "");
    assert_eq!(status(&exchange(&served, &verify).await), "429");
    waiting.pop();
    let timeouts = Instant::now() + LONG;
    while status(&exchange(&served, &verify).await) == "429" {
        assert!(Instant::now() < timeouts, "a place that is free again is given to the next");
    }
    assert_eq!(
        status(&exchange(&served, "GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n").await),
        "200"
    );
}

#[tokio::test]
async fn many_documents_aliases_and_nodes_are_refused_like_other_invalid_input() {
    let served = served(PATIENT, 1000).await;
    let double =
        |text: String, level: u32| text + &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
    let doubled = (1..17).fold("---\na0: &a0 [x]\n".to_owned(), double);
    let nodes = format!("[{}]", "x,".repeat(500_000));
    for body in [doubled.repeat(20), "---\na\n".repeat(300_000), nodes] {
        assert_eq!(status(&exchange(&served, &post("/v1/verify", &body, "")).await), "500");
    }
}

#[tokio::test]
async fn a_request_too_many_is_answered_as_upstream_does_whomever_it_claims_to_come_from() {
    let served = served(PATIENT, 1).await;
    let from = |peer: u8| post("/v1/verify", NOTHING_SEALED, &format!("X-Forwarded-For: 10.0.0.{peer}\r\n"));
    let first = exchange(&served, &from(1)).await;
    assert!(first.contains("x-ratelimit-limit: 2\r\nx-ratelimit-remaining: 1\r\nx-ratelimit-reset: 100\r\n"));
    assert_eq!(status(&exchange(&served, &from(2)).await), "200");
    let third = exchange(&served, &from(3)).await;
    assert_eq!(status(&third), "429");
    assert!(third.contains("x-ratelimit-remaining: 0\r\n"), "{third}");
    let (_, after) = third.split_once("retry-after: ").unwrap();
    let wait: u64 = after.split_once("\r\n").unwrap().0.parse().unwrap();
    // Minus the time since the first request.
    assert!((40..=100).contains(&wait), "{third}");
    assert!(third.ends_with("\r\n\r\nlimit exceeded\n"));
}

#[tokio::test]
async fn a_body_of_more_than_two_mebibytes_or_with_an_encoding_is_refused() {
    let served = served(PATIENT, 1000).await;
    let padded = |length: usize| format!("{NOTHING_SEALED}{}", " ".repeat(length - NOTHING_SEALED.len()));
    assert_eq!(status(&exchange(&served, &post("/v1/verify", &padded(2 << 20), "")).await), "200");
    let gzip = post("/v1/verify", NOTHING_SEALED, "Content-Encoding: gzip\r\n");
    assert_eq!(status(&exchange(&served, &gzip).await), "400");
    // Only the length is sent: the answer comes before the body.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let chunked = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n200001\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    stream.write_all(" ".repeat((2 << 20) + 1).as_bytes()).await.unwrap();
    assert_eq!(status(&rest(stream).await), "400");
}

#[tokio::test]
async fn only_paths_that_are_served_become_labels() {
    let served = served(PATIENT, 1000).await;
    for path in ["/v1/verify", "/v1/cert.pem", "/healthz", "/nothing", "/v1/verify/x"] {
        exchange(&served, &post(path, NOTHING_SEALED, "")).await;
    }
    let page = served.metrics.render();
    let series: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("sealed_secrets_controller_http_requests_total{"))
        .collect();
    assert_eq!(series.len(), 2, "{series:?}");
}

#[tokio::test]
async fn rotate_gives_yaml_back_with_the_fields_that_are_not_ours() {
    let served = served(PATIENT, 1000).await;
    let yaml = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a, namespace: b, finalizers: [x/y]}\n\
                spec: {encryptedData: {}, template: {metadata: {ownerReferences: [{kind: K}]}}, ours: 7}\nextra: yes\nstatus: {}\n";
    let answer = exchange(&served, &post("/v1/rotate", yaml, "")).await;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let expected = json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "extra": true,
        "metadata": {"name": "a", "namespace": "b", "finalizers": ["x/y"]},
        "spec": {"encryptedData": {}, "template": {"metadata": {"ownerReferences": [{"kind": "K"}]}}, "ours": 7}
    });
    assert_eq!(body, expected);
}

/// A SealedSecret of the deprecated form: the whole Secret is one item.
fn sealed_as_v1() -> String {
    let ring = ring();
    let key = ring.primary().unwrap().key_pair().public_key().clone();
    let label = Label::new(Scope::Strict, "b", "a");
    let data = seal_value(&mut rand::rng(), &key, &label, b"{}").unwrap();
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": "a", "namespace": "b"}, "spec": {"data": data}
    })
    .to_string()
}

#[tokio::test]
async fn the_deprecated_form_is_verified_and_rotated_where_it_is_accepted() {
    let accepting = served(PATIENT, 1000).await;
    let sealed = sealed_as_v1();
    assert_eq!(status(&exchange(&accepting, &post("/v1/verify", &sealed, "")).await), "200");
    let rotated = exchange(&accepting, &post("/v1/rotate", &sealed, "")).await;
    let (_, rotated) = rotated.split_once("\r\n\r\n").unwrap();
    assert_ne!(rotated, sealed);
    assert_eq!(status(&exchange(&accepting, &post("/v1/verify", rotated, "")).await), "200");
    let refusing = served_with(PATIENT, 1000, V1Data::Refused, &[]).await;
    assert_eq!(status(&exchange(&refusing, &post("/v1/verify", &sealed, "")).await), "409");
    assert_eq!(status(&exchange(&refusing, &post("/v1/rotate", &sealed, "")).await), "500");
}

#[tokio::test]
async fn an_item_that_is_not_text_does_not_decrypt_and_items_of_another_type_are_not_a_sealed_secret() {
    let served = served(PATIENT, 1000).await;
    let answers = [
        ("null", "200", "200"),
        (r#"{"a":[]}"#, "409", "500"),
        (r#"{"a":{}}"#, "409", "500"),
        (r#"{"a":5}"#, "409", "500"),
        (r#"{"a":true}"#, "409", "500"),
        (r#"{"a":null}"#, "409", "500"),
        (r#"{"a":""}"#, "409", "500"),
        ("[]", "500", "500"),
        ("7", "500", "500"),
        (r#""text""#, "500", "500"),
    ];
    for (items, verified, rotated) in answers {
        let body = NOTHING_SEALED.replace("{}", items);
        assert_eq!(status(&exchange(&served, &post("/v1/verify", &body, "")).await), verified, "{items}");
        assert_eq!(status(&exchange(&served, &post("/v1/rotate", &body, "")).await), rotated, "{items}");
    }
}

#[tokio::test]
async fn an_object_without_its_kind_is_not_a_sealed_secret() {
    let served = served(PATIENT, 1000).await;
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{NOTHING_SEALED}]}}"#);
    for body in ["{}", &list, r#"{"kind":"SealedSecret"}"#] {
        for path in ["/v1/verify", "/v1/rotate"] {
            assert_eq!(status(&exchange(&served, &post(path, body, "")).await), "500", "{path} {body}");
        }
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_a_rate_each_and_cannot_take_that_of_another() {
    let served = served_with(PATIENT, 1, V1Data::Accepted, &["127.0.0.0/8"]).await;
    let from = |list: &str| post("/v1/verify", NOTHING_SEALED, &format!("X-Forwarded-For: {list}\r\n"));
    for expected in ["200", "200", "429"] {
        assert_eq!(status(&exchange(&served, &from("192.0.2.2, 192.0.2.1")).await), expected);
    }
    assert_eq!(status(&exchange(&served, &from("192.0.2.9, 192.0.2.1")).await), "429");
    assert_eq!(status(&exchange(&served, &from("192.0.2.1, 192.0.2.2")).await), "200");
}

/// A SealedSecret `b/NAME` with an item for each key.
fn sealed_with(name: &str, keys: &[&Arc<RingKey>]) -> Value {
    let label = Label::new(Scope::Strict, "b", name);
    let seal =
        |key: &RingKey| seal_value(&mut rand::rng(), key.key_pair().public_key(), &label, b"value").unwrap();
    let items: BTreeMap<String, String> =
        keys.iter().enumerate().map(|(index, key)| (format!("item{index}"), seal(key))).collect();
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": name, "namespace": "b", "finalizers": ["x/y"]}, "spec": {"encryptedData": items},
        "status": {}
    })
}

fn list(items: &[&Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn list_of_a_thousand_items(key: &Arc<RingKey>) -> String {
    let objects: Vec<Value> = (0..40).map(|number| sealed_with(&format!("a{number}"), &[key; 25])).collect();
    list(&objects.iter().collect::<Vec<_>>())
}

fn json_body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const STALE_ONLY: &str = "/v1/rotate?stale-only=true";

async fn served_with_old_key(burst: u32) -> (Served, Arc<RingKey>, Arc<RingKey>) {
    let (new, old) = (known_key(), old_key());
    let ring = Arc::new(KeyRing::new(vec![Arc::clone(&new), Arc::clone(&old)]));
    (served_with_keys(PATIENT, burst, V1Data::Accepted, &[], ring).await, new, old)
}

#[tokio::test]
async fn stale_items_alone_are_rotated_and_fresh_ones_come_back_byte_for_byte() {
    let (served, new, old) = served_with_old_key(1000).await;
    let sealed = sealed_with("a", &[&new, &old, &new, &old]);
    let answer = exchange(&served, &post(STALE_ONLY, &sealed.to_string(), "")).await;
    assert_eq!(header(&answer, "sealed-secrets-key"), Some(new.fingerprint().as_str()), "{answer}");
    assert_eq!(header(&answer, "sealed-secrets-stale"), Some("2"));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let rotated = json_body(&answer);
    let items = |sealed: &Value, key: &str| sealed["spec"]["encryptedData"][key].clone();
    for (key, is_stale) in [("item0", false), ("item1", true), ("item2", false), ("item3", true)] {
        assert_eq!(items(&rotated, key) != items(&sealed, key), is_stale, "{key}");
    }
    assert_eq!((&rotated["metadata"], rotated.get("status")), (&sealed["metadata"], None));
    let again = exchange(&served, &post(STALE_ONLY, &rotated.to_string(), "")).await;
    assert_eq!((header(&again, "sealed-secrets-stale"), json_body(&again)), (Some("0"), rotated));
}

#[tokio::test]
async fn a_list_is_rotated_in_one_request_and_a_status_replaces_an_object_that_does_not_decrypt() {
    let (served, new, old) = served_with_old_key(1000).await;
    let mut moved = sealed_with("b", &[&old]);
    moved["metadata"]["name"] = "elsewhere".into();
    let (stale, fresh) = (sealed_with("a", &[&old, &old]), sealed_with("c", &[&new]));
    for kind in ["List", "SealedSecretList"] {
        let body = list(&[&stale, &moved, &fresh]).replace("\"List\"", &format!("\"{kind}\""));
        let answer = exchange(&served, &post(STALE_ONLY, &body, "")).await;
        assert_eq!(
            (status(&answer), header(&answer, "sealed-secrets-stale")),
            ("200", Some("2")),
            "{answer}"
        );
        let rotated = json_body(&answer);
        assert_eq!((rotated["kind"].as_str(), rotated["items"].as_array().unwrap().len()), (Some(kind), 3));
        let verify = post("/v1/verify", &rotated["items"][0].to_string(), "");
        assert_eq!(status(&exchange(&served, &verify).await), "200");
        let failed = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure",
            "message": "the SealedSecret cannot be decrypted"
        });
        assert_eq!((&rotated["items"][1], &rotated["items"][2]["spec"]), (&failed, &fresh["spec"]));
    }
    let alone = exchange(&served, &post(STALE_ONLY, &moved.to_string(), "")).await;
    assert_eq!((status(&alone), header(&alone, "sealed-secrets-stale")), ("500", Some("0")));
    assert!(alone.ends_with("the SealedSecret cannot be decrypted\n"), "{alone}");
}

/// Returns a List of some 100 KB that takes 6 MB when it is parsed, and several turns.
fn list_that_is_large_when_parsed() -> String {
    let nested = (0..50).fold(json!(0), |inner, _| json!({"a": inner}));
    let (key, mut objects) = (known_key(), Vec::new());
    for number in 0..60 {
        objects.push(sealed_with(&format!("a{number}"), &[&key]));
    }
    objects[0]["padding"] = vec![nested; 180].into();
    list(&objects.iter().collect::<Vec<_>>())
}

/// Returns the memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Runs the test of this name in a process of its own, whose memory no other test takes; `None` inside of that process.
fn alone(test: &str) -> Option<ExitStatus> {
    const ALONE: &str = "TEST_RUNS_ALONE";
    std::env::var_os(ALONE).is_none().then(|| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", test]).env(ALONE, "1").status().unwrap()
    })
}

#[tokio::test]
async fn lists_that_wait_for_their_turn_take_little_memory() {
    if let Some(status) = alone("http::tests::lists_that_wait_for_their_turn_take_little_memory") {
        return assert!(status.success(), "{status}");
    }
    let served = served_with(PATIENT, 1000, V1Data::Accepted, &["127.0.0.0/8"]).await;
    let served = Arc::new(served);
    let (body, before) = (list_that_is_large_when_parsed(), resident());
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (served, whom) = (Arc::clone(&served), format!("X-Forwarded-For: 192.0.2.{}\r\n", number % 4));
        let request = post(STALE_ONLY, &body, &whom);
        answers.spawn(async move { status(&exchange(&served, &request).await).to_owned() });
    }
    let mut most = 0;
    while !answers.is_empty() {
        most = most.max(resident().saturating_sub(before));
        let next = tokio::time::timeout(Duration::from_millis(5), answers.join_next()).await;
        assert!(next.is_err() || next.is_ok_and(|answer| answer.unwrap().unwrap() == "200"));
    }
    assert!(most < 100 << 20, "{} MiB", most >> 20);
}

#[tokio::test]
async fn an_object_that_is_neither_a_sealed_secret_nor_a_list_of_them_is_not_rotated() {
    let served = served(PATIENT, 1000).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod"});
    let nameless = json!({"items": [serde_json::from_str::<Value>(NOTHING_SEALED).unwrap()]}).to_string();
    let listed_in_a_list = list(&[&serde_json::from_str(&list(&[])).unwrap()]);
    let two = format!("{NOTHING_SEALED}\n{NOTHING_SEALED}");
    for body in
        [list(&[&pod]), nameless, listed_in_a_list, two, pod.to_string(), "{".to_owned(), String::new()]
    {
        let answer = exchange(&served, &post(STALE_ONLY, &body, "")).await;
        assert!(
            status(&answer) == "500" && header(&answer, "sealed-secrets-key").is_none(),
            "{body}: {answer}"
        );
    }
    assert_eq!(json_body(&exchange(&served, &post(STALE_ONLY, &list(&[]), "")).await)["items"], json!([]));
}

#[tokio::test]
async fn requests_for_stale_items_are_charged_by_their_operations_and_others_by_their_number() {
    let (served, new, old) = served_with_old_key(1).await;
    let few = list(&[&sealed_with("a", &[&new, &old])]);
    for _ in 0..20 {
        assert_eq!(status(&exchange(&served, &post(STALE_ONLY, &few, "")).await), "200");
    }
    let verify = post("/v1/verify?stale-only=true", NOTHING_SEALED, "");
    assert_eq!(status(&exchange(&served, &verify).await), "200");
    assert_eq!(status(&exchange(&served, &verify).await), "429", "the query is for rotate alone");
    // More than a thousand operations are charged like one request, which is all there is.
    let (served, _, old) = served_with_old_key(0).await;
    assert_eq!(
        status(&exchange(&served, &post(STALE_ONLY, &list_of_a_thousand_items(&old), "")).await),
        "200"
    );
    let refused = exchange(&served, &post(STALE_ONLY, &few, "")).await;
    assert_eq!((status(&refused), header(&refused, "retry-after").is_some()), ("429", true), "{refused}");
}

#[tokio::test]
async fn a_list_of_many_objects_lets_other_clients_have_their_turn() {
    answers_others_meanwhile(STALE_ONLY, &list_of_a_thousand_items(&known_key())).await;
}

#[tokio::test]
async fn one_object_of_many_items_lets_other_clients_have_their_turn() {
    let body = sealed_with("a", &[&known_key(); 1000]).to_string();
    for path in [STALE_ONLY, "/v1/rotate", "/v1/verify"] {
        answers_others_meanwhile(path, &body).await;
    }
}

/// Sends this body, and asserts that requests of another client are answered meanwhile.
async fn answers_others_meanwhile(path: &str, body: &str) {
    let ring = Arc::new(KeyRing::new(vec![known_key(), old_key()]));
    let served = served_with_keys(PATIENT, 1000, V1Data::Accepted, &["127.0.0.0/8"], ring).await;
    let long = post(path, body, "X-Forwarded-For: 192.0.2.1\r\n");
    let short = post("/v1/verify", NOTHING_SEALED, "X-Forwarded-For: 192.0.2.2\r\n");
    let mut long = Box::pin(exchange(&served, &long));
    let mut answered = 0;
    loop {
        tokio::select! {
            answer = &mut long => {
                assert_eq!(status(&answer), "200");
                break;
            }
            answer = exchange(&served, &short) => {
                assert_eq!(status(&answer), "200");
                answered += 1;
            }
        }
    }
    assert!(answered >= 10, "{path}: {answered} requests of another client were answered meanwhile");
}

#[tokio::test]
async fn a_request_whose_connection_is_closed_early_is_charged() {
    let (served, _, old) = served_with_old_key(0).await;
    let body = sealed_with("a", &[&old; 1000]).to_string();
    // The whole of it takes longer than all waits, and is charged only if it is charged before its answer.
    for tries in 1..=20 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(post(STALE_ONLY, &body, "").as_bytes()).await.unwrap();
        tokio::time::sleep(SHORT).await;
        drop(stream);
        let answer = exchange(&served, &post(STALE_ONLY, NOTHING_SEALED, "")).await;
        let uncharged = Duration::from_secs(2) * 2 * tries;
        let full_after: u64 = header(&answer, "x-ratelimit-reset").unwrap().parse().unwrap();
        if full_after > uncharged.as_secs() + 1 {
            return;
        }
    }
    panic!("nothing is charged for requests without an answer");
}

/// A client that keeps its connection open as long as the server does.
struct Kept<'a> {
    served: &'a Served,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Kept<'a> {
    fn new(served: &'a Served) -> Self {
        Self { served, stream: None }
    }

    /// Sends a complete request and returns the head of its answer.
    async fn ask(&mut self, request: &str) -> String {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(self.served.address).await.unwrap()),
        };
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(
                stream.read_line(&mut line).await.unwrap() > 0,
                "the connection ended in the head: {head}"
            );
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            head += &line;
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if head.contains("connection: close") {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        } else {
            self.stream = Some(stream);
        }
        head
    }
}

#[tokio::test]
async fn a_refused_request_breaks_no_connection_that_is_kept() {
    let served = served(PATIENT, 1).await;
    for (padding, is_kept) in [(0, true), (40_000, true), (500_000, false)] {
        let body = format!("{NOTHING_SEALED}{}", " ".repeat(padding));
        let length = body.len();
        let mut client = Kept::new(&served);
        for number in 0..100 {
            let head = format!("POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let answer = client.ask(&format!("{head}{body}")).await;
            let is_first = padding == 0 && number < 2;
            assert_eq!(status(&answer), if is_first { "200" } else { "429" });
            assert_eq!(client.stream.is_some(), is_kept, "{answer}");
        }
    }
}

#[tokio::test]
async fn no_answer_leaves_a_body_unread_on_a_connection_that_is_kept() {
    let served = served(PATIENT, 1000).await;
    for path in ["/healthz", "/v1/cert.pem", "/nothing", "/v1/verify"] {
        let mut client = Kept::new(&served);
        for length in [30, 500_000, 30] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            );
            client.ask(&(head + &"x".repeat(length))).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_was_not_asked_for_is_not_waited_for() {
    let served = served(PATIENT, 1).await;
    let verify = post("/v1/verify", NOTHING_SEALED, "");
    exchange(&served, &verify).await;
    exchange(&served, &verify).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(status(&answer) == "429" && answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_request_with_two_lengths_is_the_last_of_its_connection() {
    let served = served(PATIENT, 1000).await;
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for headers in [format!("{length}{chunked}"), format!("{chunked}{length}"), chunked.to_owned()] {
        for path in ["/healthz", "/v1/verify"] {
            let smuggled = "GET /v1/cert.pem HTTP/1.1\r\nHost: a\r\n\r\n";
            let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n0\r\n\r\n{smuggled}");
            let answer = exchange(&served, &request).await;
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }
}

/// Returns the number of written and unread bytes in the kernel for the sockets of this port, and the number of its
/// connections.
#[cfg(target_os = "linux")]
fn unread(port: u16) -> (usize, usize) {
    let mut found = (0, 0);
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_open = !matches!(fields[3], "06" | "0A");
            if is_open && fields[1].ends_with(&format!(":{port:04X}")) {
                let waiting = fields[4].split_once(':').unwrap().0;
                found = (found.0 + usize::from_str_radix(waiting, 16).unwrap(), found.1 + 1);
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_that_nobody_reads_take_little_memory_and_end() {
    let served = served_with(
        Times { answer: Duration::from_secs(2), ..PATIENT },
        1000,
        V1Data::Accepted,
        &["127.0.0.0/8"],
    )
    .await;
    let large =
        NOTHING_SEALED.replace(r#""spec""#, &format!(r#""padding":"{}","spec""#, "x".repeat(300 << 10)));
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let whom = format!("X-Forwarded-For: 192.0.2.{number}\r\n");
        let request = post("/v1/rotate", &large, &whom);
        // The longest idle connection is closed, or a refused request is answered.
        let _ = stream.write_all(request.as_bytes()).await;
        clients.push(stream);
    }
    let (mut most, timeouts) = (0, Instant::now() + 5 * LONG);
    loop {
        let (bytes, connections) = unread(served.address.port());
        most = most.max(bytes);
        if connections == 0 {
            break;
        }
        assert!(Instant::now() < timeouts, "{connections} connections hold {bytes} bytes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(most > 0 && most < 100 * (64 << 10), "{most} bytes were held");
    let verify = post("/v1/verify", NOTHING_SEALED, "");
    assert_eq!(status(&exchange(&served, &verify).await), "200");
}

#[tokio::test]
async fn a_stopping_server_is_not_ready_and_answers_until_its_drain_time_is_over() {
    let served = served(Times { drain: LONG, ..PATIENT }, 1000).await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut kept = Kept::new(&served);
    assert_eq!(status(&kept.ask(&ask("/readyz")).await), "200");
    served.stop.cancel();
    let last = kept.ask(&ask("/v1/cert.pem")).await;
    assert!(status(&last) == "200" && last.contains("connection: close"), "{last}");
    let mut new = Kept::new(&served);
    let unready = new.ask(&ask("/readyz")).await;
    assert!(status(&unready) == "503" && new.stream.is_none(), "{unready}");
    assert_eq!(status(&new.ask(&ask("/v1/cert.pem")).await), "200");
}

#[tokio::test]
async fn a_server_that_has_stopped_accepts_nothing() {
    let served = served(PATIENT, 1000).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    served.stop.cancel();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    let timeouts = Instant::now() + LONG;
    while TcpStream::connect(served.address).await.is_ok() {
        assert!(Instant::now() < timeouts, "it accepts still");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_has_stopped_does_not_wait_for_the_rest_of_a_request() {
    let served = served(PATIENT, 1000).await;
    let body = "POST /v1/verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut without_body = TcpStream::connect(served.address).await.unwrap();
    without_body.write_all(body.as_bytes()).await.unwrap();
    without_body.read_exact(&mut [0; "HTTP/1.1 100 Continue\r\n\r\n".len()]).await.unwrap();
    let mut without_head = TcpStream::connect(served.address).await.unwrap();
    without_head.write_all(b"GET /v1/cert.pem HTTP/1.1\r\n").await.unwrap();
    served.stop.cancel();
    for unfinished in [without_body, without_head] {
        assert_eq!(rest(unfinished).await, "", "it is not answered");
    }
}

#[tokio::test]
async fn a_server_that_has_stopped_answers_what_has_arrived() {
    let served = served(Times { lists: false, ..PATIENT }, 1000).await;
    let unknown = NOTHING_SEALED.replace("{}", r#"{"password":"AAAA"}"#);
    let head = post("/v1/verify", &unknown, "Expect: 100-continue\r\n").replace(&unknown, "");
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; "HTTP/1.1 100 Continue\r\n\r\n".len()]).await.unwrap();
    served.stop.cancel();
    stream.write_all(unknown.as_bytes()).await.unwrap();
    assert_eq!(status(&rest(stream).await), "503", "it has waited for a list of keys");
}
