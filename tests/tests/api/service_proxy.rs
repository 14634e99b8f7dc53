//! The controller behind the API server's service proxy: clients, keep-alive connections, and replicas that stop.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::Request;
use k8s_openapi::api::core::v1::Endpoints;
use kube::api::PostParams;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sealed_secrets_tests::{ControllerProcess, Edition, Kubeseal, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::Scene;
use crate::support::PATIENCE;

const SERVICE: &str = "sealed-secrets-controller";

/// A client without retries, so that each failure is visible.
async fn client(scene: &Scene) -> Client {
    let file = Kubeconfig::read_from(scene.cluster.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn proxied(scene: &Scene, method: &str, path: &str) -> http::request::Builder {
    let namespace = scene.namespace();
    let path = format!("/api/v1/namespaces/{namespace}/services/http:{SERVICE}:http/proxy{path}");
    Request::builder().method(method).uri(path)
}

/// The status of a request with `X-Forwarded-For`, as a proxy sends it to the controller.
async fn forwarded(controller: SocketAddr, whom: &str) -> String {
    let mut stream = TcpStream::connect(controller).await.unwrap();
    let request = format!("POST /v1/verify HTTP/1.0\r\nX-Forwarded-For: {whom}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.get(9..12).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn clients_behind_the_api_server_have_a_rate_each_whatever_they_write() {
    let scene = Scene::set().await;
    scene.until_logged("forwards are counted by client").await;
    let client = client(&scene).await;
    let turned_away = async || {
        let request = proxied(&scene, "POST", "/v1/verify").header("X-Forwarded-For", "192.0.2.7");
        let answer = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status() == 429).then_some(())
    };
    until("a client has used up its rate", PATIENCE, turned_away).await.unwrap();
    let other = forwarded(scene.controller.address(), "192.0.2.7").await;
    assert_eq!(other, "500", "the one whose address the client has written has its own rate");
}

#[tokio::test]
async fn a_client_that_is_turned_away_breaks_no_connection_of_the_api_server() {
    let scene = Scene::set().await;
    let client = client(&scene).await;
    for length in [100, 40_000, 300_000] {
        let statuses = stream::iter(0..300).map(|_| async {
            let request = proxied(&scene, "POST", "/v1/verify").body(Body::from(vec![b'x'; length])).unwrap();
            client.send(request).await.unwrap().status().as_u16()
        });
        let statuses: Vec<_> = statuses.buffer_unordered(8).collect().await;
        assert!(statuses.iter().all(|status| matches!(status, 429 | 500)), "{length}: {statuses:?}");
        assert!(statuses.contains(&429), "{length}: {statuses:?}");
    }
}

/// Makes the Service lead to these replicas only.
async fn publish(scene: &Scene, replicas: &[SocketAddr]) {
    let endpoints: Api<Endpoints> = Api::namespaced(scene.cluster.client(), scene.namespace());
    let mut published = endpoints.get(SERVICE).await.unwrap();
    let subset = published.subsets.as_ref().unwrap()[0].clone();
    let of = |replica: &SocketAddr| {
        let mut subset = subset.clone();
        subset.ports.as_mut().unwrap()[0].port = replica.port().into();
        subset
    };
    published.subsets = Some(replicas.iter().map(of).collect());
    endpoints.replace(SERVICE, &PostParams::default(), &published).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fetch_of_the_certificate_fails_while_one_of_two_replicas_stops() {
    let mut scene = Scene::with(&["--key-size=2048"]).await;
    let staying: ControllerProcess =
        scene.installation.start(Edition::Ours, &["--key-size=2048"]).await.unwrap();
    let process = scene.controller.process().id();
    let both = [scene.controller.address(), staying.address()];
    publish(&scene, &both).await;
    let (client, fetched, is_over) = (client(&scene).await, AtomicUsize::new(0), AtomicBool::new(false));
    let request = || proxied(&scene, "GET", "/v1/cert.pem").body(Body::empty()).unwrap();
    let fetch = async |_| {
        while !is_over.load(Ordering::SeqCst) {
            let status = client.send(request()).await.unwrap().status();
            assert_eq!(status, 200, "after {} fetches", fetched.load(Ordering::SeqCst));
            fetched.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (stopping, process) = (scene.controller.address(), process.to_string());
    let stop = async {
        let some = |more| {
            let (fetched, before) = (&fetched, fetched.load(Ordering::SeqCst));
            let have_come = move || (fetched.load(Ordering::SeqCst) >= before + more).then_some(());
            until("certificates are fetched", PATIENCE, move || std::future::ready(have_come()))
        };
        some(50).await.unwrap();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        let unready = async || {
            let answer =
                sealed_secrets_tests::http_request(&stopping.to_string(), "GET", "/readyz", "").await;
            answer.is_ok_and(|answer| answer.status == 503).then_some(())
        };
        until("the replica that stops is not ready", PATIENCE, unready).await.unwrap();
        // The delay of kubelet and endpoints controller.
        tokio::time::sleep(Duration::from_secs(1)).await;
        publish(&scene, &both[1..]).await;
        some(50).await.unwrap();
        let closed = async || TcpStream::connect(stopping).await.is_err().then_some(());
        until("the replica has stopped", PATIENCE, closed).await.unwrap();
        some(50).await.unwrap();
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(stop, stream::iter(0..4).for_each_concurrent(4, fetch));
    assert!(scene.controller.stop().await.unwrap().success());
}

#[tokio::test]
async fn without_endpoints_kubeseal_takes_the_certificate_of_the_sealing_key_and_does_not_wait_for_a_controller()
 {
    let scene = Scene::with(&["--key-size=2048"]).await;
    let certificate = scene.controller.certificate().await.unwrap();
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(scene.cluster.kubeconfig());
    let namespace = scene.namespace().to_owned();
    let run = async |line: &'static str, input: &'static str| {
        let (kubeseal, namespace) = (kubeseal.clone(), namespace.clone());
        let ran = tokio::task::spawn_blocking(move || {
            let words = line.split(' ').chain(["--controller-namespace", &namespace]);
            kubeseal.run(&words.collect::<Vec<_>>(), input).unwrap()
        });
        tokio::time::timeout(Duration::from_mins(1), ran).await.expect("it waits").unwrap()
    };
    let listed = async || {
        let keys = run("keys list", "").await;
        keys.stdout.contains("Primary").then_some(())
    };
    until("the SealingKey is there", PATIENCE, listed).await.unwrap();
    publish(&scene, &[]).await;
    let fell_back = async || {
        let fetched = run("--fetch-cert", "").await;
        fetched.stderr.contains("no endpoints").then_some(fetched)
    };
    let fetched = until("the API server has seen the change", PATIENCE, fell_back).await.unwrap();
    assert_eq!(fetched.stdout, certificate, "{}", fetched.stderr);
    assert!(fetched.stderr.contains("; using the certificate of SealingKey "), "{}", fetched.stderr);
    let sealed = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a, namespace: b}\n\
                  spec: {encryptedData: {a: AgX}}\n";
    let told = run("--validate", sealed).await.stderr;
    let pod = format!("; is the controller's Pod running? kubectl get pods -n {namespace}\n");
    assert!(
        told.starts_with("error: cannot validate sealed secret: no endpoints") && told.ends_with(&pod),
        "{told}"
    );
}
