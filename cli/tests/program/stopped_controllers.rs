//! A server that stands for an API server whose service proxy has no controller behind it: it answers 503 at once, and says nothing
//! about when to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::run::{SECRET, answer, seal, serve_always};
use crate::workspace::Workspace;

const CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");
const FINGERPRINT: &str = "SHA256:d7vDRpnXNiJzDkmyznDUSjyxvtAkyQgqS6HKJqYJJvA";
const NO_ENDPOINTS: &str = "no endpoints available for service \"http:sealed-secrets-controller:http\"";

/// The server's address, and the number of requests to the service proxy.
fn server(keys: Option<Value>) -> (String, Arc<AtomicUsize>) {
    let proxied = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&proxied);
    let status = |code: u16, reason: &str, message: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    let address = serve_always(move |line| {
        if line.contains("/proxy/") {
            counted.fetch_add(1, Ordering::SeqCst);
            return answer("503 Service Unavailable", &status(503, "ServiceUnavailable", NO_ENDPOINTS));
        }
        if line.contains("/services/") {
            return answer("200 OK", &json!({"spec": {"ports": [{"name": "http"}]}}));
        }
        match &keys {
            Some(keys) if line.contains("/sealingkeys") => answer("200 OK", keys),
            Some(_) => answer("404 Not Found", &status(404, "NotFound", "not found")),
            None => answer("404 Not Found", &json!("404 page not found")),
        }
    });
    (format!("http://{address}"), proxied)
}

fn sealed() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("db.yaml", &seal(&["-o", "yaml"], SECRET).stdout);
    workspace
}

#[test]
fn one_refusal_of_the_service_proxy_is_final_and_names_the_pod() {
    let workspace = sealed();
    let hint = "is the controller's Pod running? kubectl get pods -n kube-system\n";
    for (line, begin, end) in [
        ("--fetch-cert", "error: cannot fetch certificate: no endpoints", ")\n"),
        ("cert fetch", "error: cannot fetch certificate: Get \"http://", ")\n"),
        ("create generic x -n shop --generate a", "error: cannot fetch certificate: Get \"http://", ")\n"),
        ("--validate -f db.yaml", "error: cannot validate sealed secret: no endpoints", "; "),
        ("--re-encrypt -f db.yaml", "no endpoints", "; "),
        ("verify .", "error: cannot validate sealed secret: Post \"http://", "; "),
        ("reencrypt .", "error: cannot re-encrypt secret: Post \"http://", "; "),
    ] {
        let (address, proxied) = server(None);
        let ran = workspace.run(&format!("{line} --server {address}"));
        let expected =
            format!("{NO_ENDPOINTS} (503 Service Unavailable{}{hint}", if end == "; " { "); " } else { end });
        assert!(ran.code == Some(1) && ran.stderr.contains(&expected), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(begin), "{line}: {}", ran.stderr);
        assert_eq!(proxied.load(Ordering::SeqCst), 1, "{line}");
    }
}

#[test]
fn the_certificate_of_the_sealing_key_is_taken_after_the_first_refusal() {
    let key = json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": "new", "namespace": "kube-system"},
        "spec": {}, "status": {"phase": "Primary", "fingerprint": FINGERPRINT, "certificate": CERTIFICATE}
    });
    let keys = json!({"apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyList", "metadata": {}, "items": [key]});
    let workspace = sealed();
    let (address, proxied) = server(Some(keys));
    let ran = workspace.run(&format!("--fetch-cert --server {address}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), CERTIFICATE), "{}", ran.stderr);
    let told = "(503 Service Unavailable); using the certificate of SealingKey kube-system/new\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran = workspace.run(&format!("set db.yaml token --generate --server {address}"));
    let told = "certificate of SealingKey kube-system/new\n";
    assert!(ran.code == Some(0) && ran.stderr.ends_with(told), "{}", ran.stderr);
    assert_eq!(proxied.load(Ordering::SeqCst), 2);
}

#[test]
fn objects_of_a_cluster_that_cannot_be_asked_are_not_counted_as_those_that_do_not_decrypt() {
    let workspace = sealed();
    let (address, _) = server(None);
    let ran = workspace.run(&format!("verify . --server {address}"));
    assert!(ran.stderr.ends_with("\nnot checked: 1 SealedSecret\n"), "{}", ran.stderr);
    for flag in ["", " --dry-run"] {
        let ran = workspace.run(&format!("reencrypt .{flag} --server {address}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "not checked: 1 SealedSecret\n"));
    }
}
