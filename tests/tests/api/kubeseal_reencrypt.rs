//! `kubeseal reencrypt` and `kubeseal verify` with our controller and with upstream's.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Installation, Kubeseal, Output};
use serde_json::Value;
use tempfile::TempDir;

use crate::key_scene::key_secret;
use crate::support::secret;

/// A controller with an old and a new key, and a folder of files.
struct Repository {
    cluster: Cluster,
    installation: Installation,
    _controller: ControllerProcess,
    folder: TempDir,
}

impl Repository {
    async fn with(edition: Edition) -> Self {
        let cluster = Cluster::shared().await.unwrap();
        Self::on(cluster, edition, TempDir::new().unwrap()).await
    }

    /// Adds a controller to a folder. The files `NAMESPACE-old.pem` and `NAMESPACE-new.pem` are the certificates of its keys.
    async fn on(cluster: Cluster, edition: Edition, folder: TempDir) -> Self {
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
        for (name, hours) in [("old", 2), ("new", 1)] {
            let key = key_secret(name, "active", Timestamp::now() - SignedDuration::from_hours(hours));
            let key = secrets.create(&PostParams::default(), &key).await.unwrap();
            let file = folder.path().join(format!("{}-{name}.pem", installation.namespace()));
            fs::write(file, &key.data.unwrap()["tls.crt"].0).unwrap();
        }
        let controller = installation.start(edition, &[]).await.unwrap();
        Self { cluster, installation, _controller: controller, folder }
    }

    fn namespace(&self) -> &str {
        self.installation.namespace()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn kubeseal(&self) -> Kubeseal {
        let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(self.cluster.kubeconfig());
        kubeseal.in_folder(self.path().to_owned())
    }

    /// Runs a line with the controller of this repository.
    fn run(&self, line: &str) -> Output {
        let kubeseal = self.kubeseal().with_variable("SEALED_SECRETS_CONTROLLER_NAMESPACE", self.namespace());
        kubeseal.run(&line.split_whitespace().collect::<Vec<_>>(), "").unwrap()
    }

    /// Writes a SealedSecret `shop/NAME` with an item for each key, `old` or `new`, without receipts.
    fn write(&self, file: &str, name: &str, keys: &[&str]) {
        let head = format!(
            "# of the shop\nkind: SealedSecret\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  encryptedData:\n"
        );
        let mut items = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let certificate = format!("{}-{key}.pem", self.namespace());
            let input = secret("shop", name, "a", "hunter2");
            let sealed =
                self.kubeseal().run(&["--cert", &certificate, "-o", "yaml"], &input).unwrap().ok().unwrap();
            let item = sealed.lines().find_map(|line| line.strip_prefix("    a: ")).unwrap();
            items.push(format!("    item{index}: {item}\n"));
        }
        let file = self.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, head + &items.concat()).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }
}

/// For each line whether it changed, and whether it has a receipt now.
fn changes(before: &str, after: &str) -> Vec<(bool, bool)> {
    assert_eq!(before.lines().count(), after.lines().count());
    let lines = before.lines().zip(after.lines());
    lines.map(|(before, after)| (before != after, after.contains("  # kubeseal: SHA256:"))).skip(5).collect()
}

/// Runs a body that blocks; requests of the test's own runtime go on meanwhile.
async fn blocking<T: Send + 'static>(repository: Repository, body: fn(&Repository) -> T) -> T {
    tokio::task::spawn_blocking(move || body(&repository)).await.unwrap()
}

#[tokio::test]
async fn stale_items_move_to_the_newest_key_and_fresh_ones_stay_with_our_controller() {
    blocking(Repository::with(Edition::Ours).await, |repository| {
        repository.write("prod/db.yaml", "db", &["old", "new", "old"]);
        repository.write("prod/web.yaml", "web", &["new"]);
        repository.write("prod/gone.yaml", "gone", &["old", "old"]);
        let moved = repository.read("prod/gone.yaml").replace("name: gone", "name: moved");
        fs::write(repository.path().join("prod/gone.yaml"), &moved).unwrap();
        let (db, web) = (repository.read("prod/db.yaml"), repository.read("prod/web.yaml"));

        let dry = repository.run("reencrypt prod/db.yaml prod/web.yaml --dry-run");
        let report = "prod/db.yaml: 2 of 3 items are stale\n2 of 4 items in 1 of 2 files are stale\n";
        assert_eq!((dry.status.code(), dry.stdout.as_str(), dry.stderr.as_str()), (Some(3), report, ""));
        assert_eq!(repository.read("prod/db.yaml"), db);

        let done = repository.run("reencrypt prod");
        let report = "prod/db.yaml: 2 of 3 items re-encrypted\n2 of 6 items in 1 of 3 files re-encrypted; commit and apply them\n";
        assert_eq!((done.status.code(), done.stdout.as_str()), (Some(1), report));
        assert_eq!(done.stderr, "prod/gone.yaml:2: shop/moved: does not decrypt\n");
        assert_eq!(
            changes(&db, &repository.read("prod/db.yaml")),
            [(true, true), (false, false), (true, true)]
        );
        assert_eq!((repository.read("prod/web.yaml"), repository.read("prod/gone.yaml")), (web, moved));

        let verified = repository.run("verify prod");
        assert_eq!(verified.status.code(), Some(3));
        assert_eq!(verified.stdout, "prod/gone.yaml:2: shop/moved: does not decrypt\n");
        let told = &verified.stderr;
        assert!(told.ends_with("--private-key FILE names it.\n2 of 3 SealedSecrets decrypt\n"), "{told}");
        let again = repository.run("reencrypt prod/db.yaml prod/web.yaml --all -o json");
        let again: Value = serde_json::from_str(&again.ok().unwrap()).unwrap();
        assert_eq!((&again["items"], &again["stale"], &again["failed"]), (&4.into(), &0.into(), &0.into()));
        let key =
            repository.run(&format!("cert show --cert {}-new.pem", repository.namespace())).ok().unwrap();
        let newest = again["files"][0]["objects"][0]["key"].as_str().unwrap();
        assert!(key.contains(newest), "{newest}: {key}");
    })
    .await;
}

#[tokio::test]
async fn with_upstreams_controller_all_items_without_a_fresh_receipt_are_re_encrypted_and_get_none() {
    blocking(Repository::with(Edition::Upstream).await, |repository| {
        repository.write("db.yaml", "db", &["old", "new"]);
        repository.write("web.yaml", "web", &["old"]);
        repository.write("gone.yaml", "gone", &["old"]);
        let moved = repository.read("gone.yaml").replace("name: gone", "name: moved");
        fs::write(repository.path().join("gone.yaml"), &moved).unwrap();
        let set = format!("set db.yaml item2 --generate --cert {}-new.pem", repository.namespace());
        repository.run(&set).ok().unwrap();
        let db = repository.read("db.yaml");
        let warning = "warning: this controller cannot tell stale items from fresh ones\n";

        let dry = repository.run("reencrypt db.yaml web.yaml --dry-run");
        assert_eq!((dry.status.code(), dry.stderr.as_str()), (Some(3), warning));
        assert!(dry.stdout.ends_with("3 of 4 items in 2 of 2 files are stale\n"), "{}", dry.stdout);
        let done = repository.run("reencrypt db.yaml web.yaml gone.yaml");
        assert_eq!(done.stderr, format!("{warning}gone.yaml:2: shop/moved: does not decrypt\n"));
        let report = "db.yaml: 2 of 3 items re-encrypted\nweb.yaml: 1 of 1 items re-encrypted\n\
                      3 of 5 items in 2 of 3 files re-encrypted; commit and apply them\n";
        assert_eq!((done.status.code(), done.stdout.as_str()), (Some(1), report));
        assert_eq!(changes(&db, &repository.read("db.yaml")), [(true, false), (true, false), (false, true)]);
        assert_eq!(repository.read("gone.yaml"), moved);
        let verified = repository.run("verify db.yaml web.yaml gone.yaml");
        assert_eq!(verified.status.code(), Some(3));
        assert!(verified.stderr.ends_with("\n2 of 3 SealedSecrets decrypt\n"), "{}", verified.stderr);
    })
    .await;
}

#[tokio::test]
async fn more_requests_than_upstreams_rate_are_completed_by_waiting() {
    blocking(Repository::with(Edition::Upstream).await, |repository| {
        for number in 0..8 {
            repository.write(&format!("a/{number}.yaml"), &format!("s{number}"), &["old"]);
        }
        let done = repository.run("reencrypt a").ok().unwrap();
        assert!(
            done.ends_with("8 of 8 items in 8 of 8 files re-encrypted; commit and apply them\n"),
            "{done}"
        );
        let verified = repository.run("verify a");
        assert_eq!(
            (verified.status.code(), verified.stderr.as_str()),
            (Some(0), "8 of 8 SealedSecrets decrypt\n")
        );
    })
    .await;
}

#[tokio::test]
async fn each_file_goes_to_the_controller_of_its_cluster_and_one_that_is_not_there_stops_no_other() {
    let first = Repository::with(Edition::Ours).await;
    let folder = TempDir::new().unwrap();
    let second = Repository::on(Cluster::shared().await.unwrap(), Edition::Upstream, folder).await;
    let both = tokio::task::spawn_blocking(move || {
        for entry in fs::read_dir(second.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), first.path().join(entry.file_name())).unwrap();
        }
        let project = format!(
            "clusters:\n  prod: {{controllerNamespace: {0}, certificate: {0}-old.pem}}\n  stage: {{controllerNamespace: {1}}}\n  \
             gone: {{controllerNamespace: {0}, controllerName: nobody}}\n  far: {{context: nowhere}}\n\
             rules:\n- {{path: 'prod/**', cluster: prod}}\n- {{path: 'stage/**', cluster: stage}}\n\
             - {{path: 'gone/**', cluster: gone}}\n- {{path: 'far/**', cluster: far}}\n",
            first.namespace(),
            second.namespace()
        );
        fs::write(first.path().join(".kubeseal.yaml"), project).unwrap();
        // The project file of a work tree counts in its folders.
        fs::create_dir(first.path().join(".git")).unwrap();
        first.write("prod/db.yaml", "db", &["old"]);
        first.write("gone/db.yaml", "db", &["old"]);
        first.write("far/db.yaml", "db", &["old"]);
        second.write("db.yaml", "db", &["old"]);
        fs::create_dir(first.path().join("stage")).unwrap();
        fs::copy(second.path().join("db.yaml"), first.path().join("stage/db.yaml")).unwrap();
        let gone = first.read("gone/db.yaml");
        let run = |line: &str| first.kubeseal().run(&line.split(' ').collect::<Vec<_>>(), "").unwrap();

        let wrong = run("reencrypt stage --dry-run --for prod");
        assert_eq!(
            (wrong.status.code(), wrong.stdout.as_str()),
            (Some(0), "0 of 0 items in 0 of 0 files are stale\n")
        );
        let done = run("reencrypt prod stage gone far");
        let report = "prod/db.yaml: 1 of 1 items re-encrypted\nstage/db.yaml: 1 of 1 items re-encrypted\n\
                      2 of 4 items in 2 of 4 files re-encrypted; not checked: 2 SealedSecrets\n";
        assert_eq!((done.status.code(), done.stdout.as_str()), (Some(1), report), "{}", done.stderr);
        for told in [
            "error: cluster gone: cannot get sealed secret service: ",
            "error: cluster far: ",
            "warning: this controller cannot",
        ] {
            assert_eq!(done.stderr.matches(told).count(), 1, "{told}: {}", done.stderr);
        }
        let fetch =
            format!("kubeseal cert fetch --controller-namespace {0} -w {0}-old.pem\n", first.namespace());
        assert!(done.stderr.contains(&fetch), "{}", done.stderr);
        assert_eq!(first.read("gone/db.yaml"), gone);
        let verified = run("verify prod stage gone far -o json");
        assert_eq!(verified.status.code(), Some(1));
        let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!((&verified["decryptable"], &verified["unknown"]), (&2.into(), &2.into()), "{verified}");
    });
    both.await.unwrap();
}

#[tokio::test]
async fn without_permission_for_the_service_proxy_the_command_names_it_and_changes_nothing() {
    blocking(Repository::with(Edition::Ours).await, |repository| {
        repository.write("db.yaml", "db", &["old"]);
        let before = repository.read("db.yaml");
        for verb in ["reencrypt", "verify"] {
            let refused =
                repository.run(&format!("{verb} db.yaml --as nobody --controller-namespace default"));
            assert_eq!(refused.status.code(), Some(1));
            assert!(refused.stderr.contains("User \"nobody\" cannot"), "{}", refused.stderr);
        }
        assert_eq!(repository.read("db.yaml"), before);
    })
    .await;
}

#[tokio::test]
async fn an_item_copied_from_another_tenants_namespace_is_neither_verified_nor_re_encrypted() {
    for edition in [Edition::Ours, Edition::Upstream] {
        blocking(Repository::with(edition).await, |repository| {
            repository.write("a/db.yaml", "db", &["old"]);
            let stolen = repository.read("a/db.yaml").replace("namespace: shop", "namespace: thief");
            for (file, text) in [
                ("a/stolen.yaml", stolen.clone()),
                (
                    "a/wide.yaml",
                    stolen.replace(
                        "namespace: thief}",
                        "namespace: thief, annotations: {sealedsecrets.bitnami.com/namespace-wide: 'true'}}",
                    ),
                ),
            ] {
                fs::write(repository.path().join(file), &text).unwrap();
                let ran = repository.run(&format!("reencrypt {file}"));
                assert_eq!(ran.status.code(), Some(1));
                assert!(
                    ran.stderr.ends_with(&format!("{file}:2: thief/db: does not decrypt\n")),
                    "{}",
                    ran.stderr
                );
                assert_eq!(repository.read(file), text);
                assert_eq!(repository.run(&format!("verify {file}")).status.code(), Some(3));
            }
            assert_eq!(repository.run("verify a/db.yaml").status.code(), Some(0));
        })
        .await;
    }
}

#[tokio::test]
async fn a_run_that_is_interrupted_leaves_each_file_old_or_new_and_the_next_one_completes_it() {
    blocking(Repository::with(Edition::Ours).await, |repository| {
        repository.write("one.yaml", "db", &["old"; 10]);
        let text = repository.read("one.yaml");
        fs::create_dir(repository.path().join("a")).unwrap();
        for number in 0..200 {
            fs::write(repository.path().join(format!("a/{number:03}.yaml")), &text).unwrap();
        }
        let numbers = || {
            let (mut old, mut new) = (0, 0);
            for entry in fs::read_dir(repository.path().join("a")).unwrap() {
                let path = entry.unwrap().path();
                let is_temporary = path.extension().is_none_or(|extension| extension != "yaml");
                if is_temporary {
                    // The program is just writing.
                    continue;
                }
                let file = fs::read_to_string(path).unwrap();
                match file.matches("  # kubeseal: SHA256:").count() {
                    0 if file == text => old += 1,
                    10 => new += 1,
                    _ => panic!("half a file: {file}"),
                }
            }
            (old, new)
        };
        let mut command = Command::new(Edition::Ours.kubeseal().unwrap());
        command.args(["reencrypt", "a", "--controller-namespace", repository.namespace()]);
        command.current_dir(repository.path()).env("KUBECONFIG", repository.cluster.kubeconfig());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(2);
        while numbers().1 == 0 {
            assert!(Instant::now() < deadline, "a file changes");
            std::thread::sleep(Duration::from_millis(2));
        }
        let killed = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let (old, new) = numbers();
        assert!(old > 0 && old + new == 200, "{old} old files are left");
        let done = repository.run("reencrypt a").ok().unwrap();
        let total = format!(
            "\n{} of 2000 items in {old} of 200 files re-encrypted; commit and apply them\n",
            old * 10
        );
        assert!(done.ends_with(&total), "{done}");
        assert_eq!(numbers(), (0, 200));
        assert_eq!(repository.run("reencrypt a --all --dry-run").status.code(), Some(0));
    })
    .await;
}
