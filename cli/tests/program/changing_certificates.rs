//! Certificates that change while many files are sealed: all files are sealed with the same one, or none is written.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::run::{CERTIFICATE, SECRET, answer, serve_always};
use crate::workspace::{KEY, OTHER_CERTIFICATE, Workspace};

/// A server with a certificate that is another one from the second request on.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let certificates = [OTHER_CERTIFICATE, CERTIFICATE].map(|file| fs::read_to_string(file).unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&asked);
        let address = serve_always(move |request| {
            if request.contains("/services/") && !request.contains("/proxy/") {
                return answer("200 OK", &json!({"spec": {"ports": [{"name": "http"}]}}));
            }
            let number = counted.fetch_add(1, Ordering::SeqCst);
            answer("200 OK", &json!(certificates[number.min(1)]))
        });
        Self { address: format!("http://{address}"), asked }
    }
}

/// A workspace with a SealedSecret and a Secret in each of two folders.
fn without_project() -> Workspace {
    let workspace = Workspace::new();
    for folder in ["a", "b"] {
        workspace.write(&format!("{folder}/plain.yaml"), SECRET);
        let create = "create generic db -n shop --from-literal user=app --no-receipt --cert cert.pem";
        workspace.done(&format!("{create} -w {folder}/db.yaml"), "");
    }
    workspace.write("key.pem", &fs::read_to_string(KEY).unwrap());
    workspace
}

/// A repository with files of two clusters, and their project file.
fn workspace(clusters: &str) -> Workspace {
    let workspace = without_project();
    workspace.git(&["init", "--quiet"]);
    let rules = "rules:\n- {path: 'a/**', cluster: a}\n- {path: 'b/**', cluster: b}\n";
    workspace.write(".kubeseal.yaml", &format!("clusters:\n{clusters}{rules}"));
    workspace
}

const LINES: [&str; 4] = [
    "create generic new -n shop --generate token -w a/new.yaml -w b/new.yaml",
    "set a/db.yaml b/db.yaml token --generate",
    "seal -i a/plain.yaml b/plain.yaml",
    "reencrypt a/db.yaml b/db.yaml --private-key key.pem",
];

/// The files of both clusters.
fn contents(workspace: &Workspace) -> Vec<Option<String>> {
    let names = ["db.yaml", "new.yaml", "plain.yaml"];
    let files = ["a", "b"].into_iter().flat_map(|folder| names.map(|name| format!("{folder}/{name}")));
    files.map(|file| fs::read_to_string(workspace.file(&file)).ok()).collect()
}

/// The keys that the receipts of the files name.
fn keys(workspace: &Workspace) -> BTreeSet<String> {
    let text: String = contents(workspace).into_iter().flatten().collect();
    let receipts = text.split("# kubeseal: ").skip(1);
    receipts.map(|receipt| receipt.split(' ').next().unwrap().to_owned()).collect()
}

/// Runs a line, after which new items of both clusters are sealed with one key, for which one request was made.
fn is_sealed_with_one_key(workspace: &Workspace, server: &Server, line: &str) {
    let before = contents(workspace);
    let ran = workspace.run(line);
    assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
    assert_eq!(server.asked.load(Ordering::SeqCst), 1, "{line}");
    assert_eq!(keys(workspace).len(), 1, "{line}");
    let changed =
        contents(workspace).into_iter().zip(before).filter(|(after, before)| after != before).count();
    assert_eq!(changed, 2, "{line}");
}

#[test]
fn a_certificate_of_a_flag_is_loaded_once_for_files_of_several_clusters() {
    for line in LINES {
        let (server, workspace) = (Server::start(), workspace("  a: {}\n  b: {}\n"));
        is_sealed_with_one_key(&workspace, &server, &format!("{line} --cert {}/cert.pem", server.address));
    }
}

#[test]
fn a_certificate_that_several_clusters_share_is_loaded_once() {
    let shown = Workspace::new().run(&format!("cert show --cert {OTHER_CERTIFICATE} -o json")).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    for line in LINES {
        let server = Server::start();
        let cluster = format!(
            "{{certificate: '{}/cert.pem', fingerprint: '{}'}}",
            server.address,
            shown["fingerprint"].as_str().unwrap()
        );
        let workspace = workspace(&format!("  a: {cluster}\n  b: {cluster}\n"));
        is_sealed_with_one_key(&workspace, &server, line);
    }
}

#[test]
fn the_certificate_of_a_controller_is_loaded_once() {
    for line in &LINES {
        let (server, workspace) = (Server::start(), without_project());
        is_sealed_with_one_key(&workspace, &server, &format!("{line} --server {}", server.address));
    }
}

#[test]
fn nothing_is_written_if_the_certificate_of_one_cluster_is_not_the_pinned_one_any_more() {
    // The last command writes each file when it is ready, and reports the cluster.
    for line in &LINES[..3] {
        let pin = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";
        let server = Server::start();
        let clusters = format!(
            "  a: {{certificate: cert.pem}}\n  b: {{certificate: '{}/cert.pem', fingerprint: '{pin}'}}\n",
            server.address
        );
        let workspace = workspace(&clusters);
        let before = contents(&workspace);
        let ran = workspace.run(line);
        assert_eq!(ran.code, Some(1), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("but .kubeseal.yaml says {pin}")), "{line}: {}", ran.stderr);
        assert_eq!(contents(&workspace), before, "{line}");
    }
}

#[test]
fn clusters_of_the_same_name_in_two_projects_have_their_own_certificates() {
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.file("a")).unwrap();
    fs::create_dir_all(workspace.file("b")).unwrap();
    fs::copy(CERTIFICATE, workspace.file("a/cert.pem")).unwrap();
    fs::copy(OTHER_CERTIFICATE, workspace.file("b/cert.pem")).unwrap();
    for folder in ["a", "b"] {
        let project = "clusters: {prod: {certificate: cert.pem}}\nrules: [{cluster: prod}]\n";
        workspace.write(&format!("{folder}/.kubeseal.yaml"), project);
    }
    let told = workspace.done("create generic db -n shop --generate token -w a/db.yaml -w b/db.yaml", "");
    assert!(told.contains("certificate a/cert.pem\n") && told.contains("certificate b/cert.pem\n"), "{told}");
    assert_eq!(keys(&workspace).len(), 2, "{told}");
}
