//! The connection to the cluster, which each run loads once.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Ran, kubeseal, serve};

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn kubeconfig(server: &str, count: &Path) -> Value {
    let script = format!("echo x >> {}; echo 'status: {{token: abc}}'", count.display());
    let plugin = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script], "interactiveMode": "Never"
    });
    json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {"exec": plugin}}],
    })
}

/// Runs kubeseal with a kubeconfig that can be read once: a second read finds another file.
fn with_kubeconfig_read_once(folder: &Path, first: &Value, second: &Value, arguments: &[&str]) -> Ran {
    let pipe = folder.join("config");
    fs::write(folder.join("next"), second.to_string()).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (first, next, path) = (first.to_string(), folder.join("next"), pipe.clone());
    let writer = std::thread::spawn(move || {
        // Opening blocks until a reader opens the file; the reader sees end of file only after the exchange.
        let mut opened = fs::File::options().write(true).open(&path).unwrap();
        fs::rename(next, path).unwrap();
        std::io::Write::write_all(&mut opened, first.as_bytes()).unwrap();
    });
    let ran = kubeseal(folder, &[arguments, &["--kubeconfig", "config"]].concat(), b"hunter2");
    writer.join().unwrap();
    ran
}

#[test]
fn a_run_that_asks_the_cluster_for_three_things_reads_the_kubeconfig_and_logs_in_once() {
    for command in [&["--raw", "--name", "db"][..], &["--fetch-cert"], &["cert", "show"]] {
        let folder = TempDir::new().unwrap();
        let count = folder.path().join("count");
        let (address, server) = serve(vec![NOT_FOUND.to_vec(), NOT_FOUND.to_vec()]);
        let first = kubeconfig(&format!("http://{address}"), &count);
        let second = kubeconfig("http://127.0.0.1:1", &count);
        let ran = with_kubeconfig_read_once(folder.path(), &first, &second, command);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{command:?}");
        let request = format!(
            "Get \"http://{address}/api/v1/namespaces/kube-system/services/sealed-secrets-controller\": "
        );
        let request = if command.contains(&"cert") { request } else { String::new() };
        let expected = format!("error: cannot get sealed secret service: {request}404 Not Found.\n");
        assert!(ran.stderr.contains(&expected), "{command:?} {}", ran.stderr);
        let requests = server.join().unwrap();
        let asked = |path: &str| requests.iter().any(|request| request.starts_with(&format!("GET {path}")));
        let namespace = "namespaces/kube-system";
        assert!(asked(&format!("/api/v1/{namespace}/services/")), "{requests:?}");
        assert!(asked(&format!("/apis/sealedsecrets.rs/v1alpha1/{namespace}/sealingkeys")), "{requests:?}");
        assert_eq!(fs::read_to_string(count).unwrap(), "x\n", "{command:?}");
    }
}
