//! kubeseal behind an HTTP proxy, set by the kubeconfig or the environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sealed_secrets_tests::{Cluster, Edition, Kubeseal};
use serde_json::Value;

/// An HTTP proxy for CONNECT; the list holds the requested targets.
fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&targets);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, seen) = (client.unwrap(), Arc::clone(&seen));
            std::thread::spawn(move || tunnel(client, &seen));
        }
    });
    (address, targets)
}

fn tunnel(mut client: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut head = BufReader::new(client.try_clone().unwrap());
    let mut request = String::new();
    head.read_line(&mut request).unwrap();
    let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    let mut line = String::new();
    while head.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let mut server = TcpStream::connect(&target).unwrap();
    seen.lock().unwrap().push(target);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut to, mut from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    drop(std::io::copy(&mut server, &mut client));
}

#[tokio::test]
async fn both_kubeseals_reach_upstreams_controller_through_the_proxy_that_is_named() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let serving = installation.start(Edition::Upstream, &[]).await.unwrap();
    let certificate = serving.certificate().await.unwrap();
    let server = cluster.access().server().to_string();
    let (kubeconfig, namespace) = (cluster.kubeconfig(), installation.namespace().to_owned());
    let ran = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxied.config");
        for edition in [Edition::Ours, Edition::Upstream] {
            let (address, targets) = proxy();
            let proxy = format!("http://{address}");
            let mut config: Value =
                serde_json::from_str(&std::fs::read_to_string(&kubeconfig).unwrap()).unwrap();
            config["clusters"][0]["cluster"]["proxy-url"] = proxy.clone().into();
            std::fs::write(&file, config.to_string()).unwrap();
            let kubeseal = Kubeseal::of(edition).unwrap();
            let fetch = ["--fetch-cert", "--controller-namespace", &namespace];
            let by_file = kubeseal.clone().with_kubeconfig(file.clone());
            let by_variable =
                kubeseal.clone().with_kubeconfig(kubeconfig.clone()).with_variable("HTTPS_PROXY", &proxy);
            let excepted = by_variable.clone().with_variable("NO_PROXY", "10.0.0.0/8,127.0.0.1");
            let unreachable = by_variable.clone().with_variable("HTTPS_PROXY", "http://127.0.0.1:1");
            for (kubeseal, times) in [(by_file, 1), (by_variable, 2), (excepted, 2)] {
                assert_eq!(kubeseal.run(&fetch, "").unwrap().ok().unwrap(), certificate);
                assert_eq!(*targets.lock().unwrap(), vec![server.clone(); times], "{edition:?}");
            }
            assert_eq!(unreachable.run(&fetch, "").unwrap().status.code(), Some(1));
        }
    });
    ran.await.unwrap();
}
