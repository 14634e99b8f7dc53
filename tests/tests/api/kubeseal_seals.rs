//! Subcommands that seal, without a certificate at hand: they fetch that of the controller, ours and upstream's.

use std::fs;
use std::path::PathBuf;

use sealed_secrets_core::manifest::{documents, json_of};
use sealed_secrets_tests::{Cluster, DEFAULT_KEY_SIZE, Edition, Kubeseal};
use tempfile::TempDir;

use crate::scene::CANARY;
use crate::support::{apply_sealed, secret, until_secret};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data");

/// A folder in which kubeseal seals for the controller of a namespace.
struct Folder {
    files: TempDir,
    kubeseal: Kubeseal,
    namespace: String,
}

impl Folder {
    fn new(cluster: &Cluster, namespace: &str) -> Self {
        let files = TempDir::new().unwrap();
        let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(cluster.kubeconfig());
        let kubeseal = kubeseal
            .in_folder(files.path().to_owned())
            .with_variable("SEALED_SECRETS_CONTROLLER_NAMESPACE", namespace)
            .with_variable("SEALED_SECRETS_NAMESPACE", namespace);
        Self { files, kubeseal, namespace: namespace.to_owned() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.files.path().join(file)
    }

    /// Runs a line of words that succeeds, with this stdin; returns what it tells.
    fn run(&self, line: &str, input: &str) -> String {
        let output = self.kubeseal.run(&line.split_whitespace().collect::<Vec<_>>(), input).unwrap();
        assert!(output.status.success(), "{line}: {}{}", output.stdout, output.stderr);
        output.stderr
    }

    /// Runs a line that seals with the certificate of the controller.
    fn seal(&self, line: &str, input: &str) {
        let told = self.run(line, input);
        assert!(told.ends_with(", certificate of the controller\n"), "{line}: {told}");
    }

    /// Uses each subcommand that seals once.
    fn use_each(&self) {
        self.seal("create generic db --from-file first=- -w db.yaml", CANARY);
        self.seal("set db.yaml second", CANARY);
        fs::write(self.path("editor.sh"), "sed -i 's/<sealed 1>/typed/' \"$1\"\n").unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let kubeseal = self.kubeseal.clone().with_variable("KUBE_EDITOR", "sh editor.sh");
        let edit = ["edit", "db.yaml", "--tmpdir", memory.path().to_str().unwrap()];
        let told = kubeseal.run(&edit, "").unwrap().stderr;
        assert!(told.contains(": first replaced in ") && told.ends_with("of the controller\n"), "{told}");
        fs::write(self.path("web.yaml"), secret(&self.namespace, "web", "password", CANARY)).unwrap();
        self.seal("seal -i web.yaml", "");
        self.seal_elsewhere("moved.yaml");
        let moved = self.run(&format!("reencrypt moved.yaml --private-key {DATA}/rsa2048-pkcs1.pem"), "");
        assert_eq!(moved, "");
    }

    /// Seals a file for another cluster.
    fn seal_elsewhere(&self, file: &str) {
        let create =
            format!("create generic moved --from-file password=- -w {file} --cert {DATA}/rsa2048.crt");
        self.run(&create, CANARY);
    }

    /// The SealedSecret of a file in JSON.
    fn json(&self, file: &str) -> String {
        let text = fs::read_to_string(self.path(file)).unwrap();
        json_of(&documents(&text).unwrap()[0].root).to_string()
    }
}

async fn seal_without_a_certificate(edition: Edition) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let namespace = installation.namespace().to_owned();
    let _controller = installation.start(edition, &[DEFAULT_KEY_SIZE]).await.unwrap();
    let folder = Folder::new(&cluster, &namespace);
    let folder = tokio::task::spawn_blocking(move || {
        folder.use_each();
        let told = folder.run("verify db.yaml web.yaml moved.yaml", "");
        assert_eq!(told, "3 of 3 SealedSecrets decrypt\n");
        folder
    });
    let folder = folder.await.unwrap();
    for (file, name, items) in [
        ("db.yaml", "db", &[("first", "typed"), ("second", CANARY)][..]),
        ("web.yaml", "web", &[("password", CANARY)]),
        ("moved.yaml", "moved", &[("password", CANARY)]),
    ] {
        apply_sealed(&cluster, &folder.json(file)).await;
        until_secret(&cluster, &namespace, name, items).await;
    }
}

#[tokio::test]
async fn create_set_edit_seal_and_reencrypt_fetch_the_certificate_through_the_service_proxy_of_our_controller()
 {
    seal_without_a_certificate(Edition::Ours).await;
}

#[tokio::test]
async fn create_set_edit_seal_and_reencrypt_fetch_the_certificate_of_upstreams_controller() {
    seal_without_a_certificate(Edition::Upstream).await;
}
