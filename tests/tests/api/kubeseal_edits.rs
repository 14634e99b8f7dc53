//! Files that kubeseal edits in place: only the intended lines change, also with upstream's controller.

use std::path::Path;
use std::process::Command;

use sealed_secrets_tests::{Cluster, DEFAULT_KEY_SIZE, Edition, Installation, Kubeseal};

use crate::support::secret;

/// A kubeseal in `folder` that uses the controller of `installation`.
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

/// The lines that `git diff` shows as removed (`-`) and added (`+`) since the file was committed.
fn git_diff(folder: &Path) -> Vec<String> {
    let diff = git(folder, &["diff", "--unified=0"]);
    let lines = diff.lines().filter(|line| !line.starts_with("+++ ") && !line.starts_with("--- "));
    lines.filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn re_encrypt_in_git(edition: Edition) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let _serving = installation.start(edition, &[DEFAULT_KEY_SIZE]).await.unwrap();
    let edited = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealed.yaml");
        let kubeseal = kubeseal(&cluster, folder.path());
        run(&kubeseal, &installation, &["-w", "sealed.yaml"], &secret("shop", "db", "a", "hunter2"));
        std::fs::write(&file, commented(&std::fs::read_to_string(&file).unwrap())).unwrap();
        git(folder.path(), &["init", "--quiet"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "--quiet", "--message=sealed"]);
        run(&kubeseal, &installation, &["--validate", "-f", "sealed.yaml"], "");
        run(&kubeseal, &installation, &["--re-encrypt", "-f", "sealed.yaml"], "");
        run(&kubeseal, &installation, &["--validate", "-f", "sealed.yaml"], "");
        git_diff(folder.path())
    });
    let changed = edited.await.unwrap();
    let starts: Vec<&str> = changed.iter().map(|line| &line[..10]).collect();
    assert_eq!(starts, ["-    a: Ag", "+    a: Ag", "-    a: Ag", "+    a: Ag"], "{changed:?}");
}

#[tokio::test]
async fn git_shows_ciphertext_lines_only_after_re_encrypting_through_upstreams_controller() {
    re_encrypt_in_git(Edition::Upstream).await;
}

#[tokio::test]
async fn git_shows_ciphertext_lines_only_after_re_encrypting_through_the_service_proxy_and_ours() {
    re_encrypt_in_git(Edition::Ours).await;
}

#[tokio::test]
async fn an_object_of_an_unknown_key_is_not_valid_and_is_left_unchanged() {
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
            re_encrypted
                .stderr
                .starts_with("error: sealed.yaml: document 1, line 2, shop/db: cannot re-encrypt secret: "),
            "{}",
            re_encrypted.stderr
        );
        assert_eq!((validated.status.code(), re_encrypted.status.code()), (Some(1), Some(1)));
        (before, std::fs::read_to_string(&file).unwrap())
    });
    let (before, after) = refused.await.unwrap();
    assert_eq!(before, after);
}

/// Mounts a file system of 16 KiB, fills it or makes it read-only, and lets kubeseal merge into a file on it.
const ON_A_BAD_DISK: &str = r#"
mount -t tmpfs -o size=16k tmpfs "$1"
cp "$2" "$1/db.yaml"
case $4 in
    full) head -c 1000000 /dev/zero > "$1/fill" 2>/dev/null || true ;;
    read-only) mount -o remount,ro "$1" ;;
esac
printf 'kind: Secret\nstringData: {b: two}\n' | "$0" --cert "$3" --merge-into "$1/db.yaml" && echo done
cmp -s "$2" "$1/db.yaml" && echo unharmed
ls -A "$1"
"#;

fn on_a_bad_disk(edition: Edition, disk: &str) -> (String, String) {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048.crt");
    let folder = tempfile::tempdir().unwrap();
    let (mounted, file) = (folder.path().join("disk"), folder.path().join("sealed.yaml"));
    std::fs::create_dir(&mounted).unwrap();
    let sealing = ["--cert", certificate, "-o", "yaml", "-w", file.to_str().unwrap()];
    Kubeseal::of(edition).unwrap().run(&sealing, &secret("shop", "db", "a", "x")).unwrap().ok().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", ON_A_BAD_DISK]).arg(edition.kubeseal().unwrap());
    let output = command.arg(mounted).arg(file).args([certificate, disk]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_full_or_read_only_disk_harms_no_file_though_upstreams_kubeseal_loses_it_on_a_full_one() {
    let (left, told) = on_a_bad_disk(Edition::Ours, "full");
    assert_eq!(left, "unharmed\ndb.yaml\nfill\n");
    assert!(
        told.starts_with("error: write ") && told.ends_with("db.yaml: no space left on device\n"),
        "{told}"
    );
    let (left, told) = on_a_bad_disk(Edition::Ours, "read-only");
    assert_eq!(left, "unharmed\ndb.yaml\n");
    assert!(told.starts_with("error: open ") && told.ends_with("db.yaml: read-only file system\n"), "{told}");
    assert!(!on_a_bad_disk(Edition::Upstream, "full").0.contains("unharmed"));
}
