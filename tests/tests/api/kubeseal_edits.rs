//! Files that kubeseal edits in place: nothing but what is meant changes, also with upstream's controller behind it.

use std::path::Path;

use sealed_secrets_tests::{Cluster, Edition, Installation, Kubeseal};

use crate::support::secret;

/// A kubeseal in `folder` that finds the controller of `installation`.
fn kubeseal(cluster: &Cluster, folder: &Path) -> Kubeseal {
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap();
    kubeseal.in_folder(folder.to_owned()).with_kubeconfig(cluster.kubeconfig())
}

fn run(kubeseal: &Kubeseal, installation: &Installation, arguments: &[&str], input: &str) {
    let controller = ["--controller-namespace", installation.namespace()];
    kubeseal.run(&[&controller[..], arguments].concat(), input).unwrap().ok().unwrap();
}

/// Two SealedSecrets in one file, with comments, and a template that the controller would render or drop.
fn commented(sealed: &str) -> String {
    let with_template = sealed
        .replace("  template:\n", "  template:   # kept\n    data:\n      greeting: 'hello {{ .a }}'\n");
    format!("# first\n{with_template}# between\n{sealed}# last\n")
}

fn changed_lines<'a>(before: &'a str, after: &'a str) -> Vec<(&'a str, &'a str)> {
    assert_eq!(before.lines().count(), after.lines().count());
    before.lines().zip(after.lines()).filter(|(before, after)| before != after).collect()
}

#[tokio::test]
async fn re_encrypting_through_upstreams_controller_changes_ciphertext_lines_only() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let _serving = installation.start(Edition::Upstream, &[]).await.unwrap();
    let edited = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealed.yaml");
        let kubeseal = kubeseal(&cluster, folder.path());
        run(&kubeseal, &installation, &["-w", "sealed.yaml"], &secret("shop", "db", "a", "hunter2"));
        let before = commented(&std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, &before).unwrap();
        run(&kubeseal, &installation, &["--validate", "-f", "sealed.yaml"], "");
        run(&kubeseal, &installation, &["--re-encrypt", "-f", "sealed.yaml"], "");
        run(&kubeseal, &installation, &["--validate", "-f", "sealed.yaml"], "");
        (before, std::fs::read_to_string(&file).unwrap())
    });
    let (before, after) = edited.await.unwrap();
    let changed = changed_lines(&before, &after);
    assert_eq!(changed.len(), 2);
    assert!(
        changed
            .iter()
            .all(|(before, after)| before.starts_with("    a: Ag") && after.starts_with("    a: Ag"))
    );
}

#[tokio::test]
async fn what_another_key_sealed_is_not_valid_and_stays_as_it_is() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let _serving = installation.start(Edition::Upstream, &[]).await.unwrap();
    let refused = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealed.yaml");
        let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048.crt");
        let kubeseal = kubeseal(&cluster, folder.path());
        let sealing = ["--cert", certificate, "-w", "sealed.yaml"];
        run(&kubeseal, &installation, &sealing, &secret("shop", "db", "a", "hunter2"));
        let before = std::fs::read_to_string(&file).unwrap();
        let controller = ["--controller-namespace", installation.namespace()];
        let ask =
            |verb: &str| kubeseal.run(&[&controller[..], &[verb, "-f", "sealed.yaml"]].concat(), "").unwrap();
        let validated = ask("--validate");
        assert_eq!(validated.stderr, "error: unable to decrypt sealed secret: db\n");
        let re_encrypted = ask("--re-encrypt");
        assert!(
            re_encrypted.stderr.starts_with("error: cannot re-encrypt secret: "),
            "{}",
            re_encrypted.stderr
        );
        assert_eq!((validated.status.code(), re_encrypted.status.code()), (Some(1), Some(1)));
        (before, std::fs::read_to_string(&file).unwrap())
    });
    let (before, after) = refused.await.unwrap();
    assert_eq!(before, after);
}
