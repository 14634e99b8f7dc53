//! The recipes for CI in `deploy/gitops/ci`: the scripts of their jobs, run as each system runs them, on a clone and with a controller.
//!
//! The systems themselves are not here, and neither are Tekton's CRDs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Installation, Kubeseal, Output, workspace};
use serde_json::Value;
use tempfile::TempDir;

use crate::key_scene::key_secret;
use crate::support::secret;

/// The jobs, or steps, of each recipe.
const JOBS: [&str; 3] = ["lint", "verify", "reencrypt"];
const GITLAB: &str = "https://kubeseal:token@gitlab.example.org/team/cluster.git";

/// A CI system, which turns a job of its recipe into scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    GitHub,
    GitLab,
    Tekton,
}

const SYSTEMS: [System; 3] = [System::GitHub, System::GitLab, System::Tekton];

/// A script, the command that runs its file, and its variables.
struct Script {
    text: String,
    shell: &'static [&'static str],
    variables: BTreeMap<String, String>,
}

impl System {
    fn recipe(self) -> Value {
        let file = match self {
            Self::GitHub => "github-actions.yaml",
            Self::GitLab => "gitlab-ci.yaml",
            Self::Tekton => "tekton-task.yaml",
        };
        let file = workspace::root().join("deploy/gitops/ci").join(file);
        serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// The scripts of a job in their order.
    fn scripts(self, job: &str) -> Vec<Script> {
        let recipe = self.recipe();
        match self {
            Self::GitHub => {
                assert_eq!(recipe["defaults"]["run"]["shell"], "bash");
                let steps = recipe["jobs"][job]["steps"].as_array().unwrap().iter();
                // GitHub's command for the shell `bash`.
                let shell = &["bash", "--noprofile", "--norc", "-eo", "pipefail"];
                let script = |step: &Value| {
                    let variables = step["env"].as_object().into_iter().flatten();
                    let variables = variables.map(|(name, value)| (name.clone(), text(value))).collect();
                    Some(Script { text: step["run"].as_str()?.to_owned(), shell, variables })
                };
                steps.filter_map(script).collect()
            }
            Self::GitLab => {
                let lines = recipe[format!("kubeseal-{job}")]["script"].as_array().unwrap();
                let text = lines.iter().map(text).collect::<Vec<_>>().join("\n");
                vec![Script { text, shell: &["bash", "-eo", "pipefail"], variables: BTreeMap::new() }]
            }
            Self::Tekton => {
                let steps = recipe["spec"]["steps"].as_array().unwrap();
                let step = steps.iter().find(|step| step["name"] == job).unwrap();
                let variables = step["env"].as_array().into_iter().flatten();
                let variables = variables.map(|variable| (text(&variable["name"]), text(&variable["value"])));
                vec![Script { text: text(&step["script"]), shell: &[], variables: variables.collect() }]
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A clone with a SealedSecret `shop/db` of a stale item and a fresh one, its remote, and the controller that has both keys.
struct Repository {
    cluster: Cluster,
    installation: Installation,
    _controller: ControllerProcess,
    folder: TempDir,
}

fn git_in(folder: &Path, line: &str) -> Output {
    let mut command = Command::new("git");
    command.args(line.split_whitespace()).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
    Output::of(&mut command, "").unwrap()
}

impl Repository {
    async fn new() -> Self {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
        for (name, hours) in [("old", 2), ("new", 1)] {
            let key = key_secret(name, "active", Timestamp::now() - SignedDuration::from_hours(hours));
            let key = secrets.create(&PostParams::default(), &key).await.unwrap();
            fs::write(folder.path().join(name), &key.data.unwrap()["tls.crt"].0).unwrap();
        }
        let controller = installation.start(Edition::Ours, &[]).await.unwrap();
        let repository = Self { cluster, installation, _controller: controller, folder };
        git_in(repository.folder.path(), "init --quiet --bare --initial-branch=main remote").ok().unwrap();
        git_in(&repository.remote(), "config receive.advertisePushOptions true").ok().unwrap();
        git_in(repository.folder.path(), "clone --quiet remote source").ok().unwrap();
        fs::write(repository.source().join("db.yaml"), repository.sealed("db", "old")).unwrap();
        fs::write(repository.source().join("web.yaml"), repository.sealed("web", "new")).unwrap();
        repository.commit();
        repository
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn remote(&self) -> PathBuf {
        self.folder.path().join("remote")
    }

    /// A SealedSecret of one item, sealed with the key of this name.
    fn sealed(&self, name: &str, key: &str) -> String {
        let certificate = self.folder.path().join(key);
        let arguments = ["--cert", certificate.to_str().unwrap(), "-o", "yaml"];
        let input = secret("shop", name, "password", "hunter2");
        Kubeseal::of(Edition::Ours).unwrap().run(&arguments, &input).unwrap().ok().unwrap()
    }

    fn commit(&self) {
        git_in(&self.source(), "add --all").ok().unwrap();
        git_in(&self.source(), "-c user.name=t -c user.email=t@example.org commit --quiet -m x")
            .ok()
            .unwrap();
        git_in(&self.source(), "push --quiet origin HEAD:main").ok().unwrap();
    }

    /// A file as the branch of the remote has it; empty without the branch.
    fn pushed(&self, branch: &str, file: &str) -> String {
        git_in(&self.remote(), &format!("show {branch}:{file}")).stdout
    }

    /// Runs a job on the branch main, as the system does; the first script that fails ends it.
    fn run(&self, system: System, job: &str) -> Output {
        git_in(&self.source(), "checkout --quiet --force -B main origin/main").ok().unwrap();
        git_in(&self.source(), "branch --quiet --delete --force reencrypt");
        let exported = self.folder.path().join("exported");
        fs::write(&exported, "").unwrap();
        let mut last = None;
        for script in system.scripts(job) {
            let output = self.run_script(system, &script, &exported);
            let ended = !output.status.success();
            last = Some(output);
            if ended {
                break;
            }
        }
        last.unwrap()
    }

    fn run_script(&self, system: System, script: &Script, exported: &Path) -> Output {
        let file = self.folder.path().join("script");
        fs::write(&file, &script.text).unwrap();
        let shell: Vec<_> = match script.shell {
            // Tekton runs the file itself: its first line names the shell.
            [] => {
                let line = script.text.lines().next().unwrap().strip_prefix("#!").unwrap();
                line.split(' ').collect()
            }
            shell => shell.to_vec(),
        };
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(&file).current_dir(self.source());
        self.prepare(&mut command, system, exported);
        for (name, value) in &script.variables {
            command.env(name, self.filled_in(value));
        }
        Output::of(&mut command, "").unwrap()
    }

    /// The environment of a job; kubeseal is found first, and the test's controller is in another namespace than the usual one.
    fn prepare(&self, command: &mut Command, system: System, exported: &Path) {
        let kubeseal = workspace::built_program("kubeseal").unwrap();
        let inherited = std::env::var_os("PATH").unwrap();
        let folders =
            std::iter::once(kubeseal.parent().unwrap().to_owned()).chain(std::env::split_paths(&inherited));
        command.env_clear().env("PATH", std::env::join_paths(folders).unwrap());
        command.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("SEALED_SECRETS_CONTROLLER_NAMESPACE", self.installation.namespace());
        match system {
            System::GitHub => {
                command.env("RUNNER_TEMP", self.folder.path()).env("GITHUB_ENV", exported);
                let exported = fs::read_to_string(exported).unwrap();
                command.envs(exported.lines().filter_map(|line| line.split_once('=')));
            }
            System::GitLab => {
                command.env("KUBECONFIG", self.cluster.kubeconfig()).env("PUSH_TOKEN", "token");
                command.env("CI_SERVER_HOST", "gitlab.example.org").env("CI_PROJECT_PATH", "team/cluster");
                let address = format!("url.{}.insteadOf", self.remote().display());
                command.env("GIT_CONFIG_COUNT", "1");
                command.env("GIT_CONFIG_KEY_0", address).env("GIT_CONFIG_VALUE_0", GITLAB);
            }
            // Instead of the Pod's ServiceAccount.
            System::Tekton => _ = command.env("KUBECONFIG", self.cluster.kubeconfig()),
        }
    }

    /// The value of a variable, with the system's expressions replaced.
    fn filled_in(&self, value: &str) -> String {
        match value {
            "${{ secrets.KUBECONFIG }}" => fs::read_to_string(self.cluster.kubeconfig()).unwrap(),
            "$(params.branch)" => text(&System::Tekton.recipe()["spec"]["params"][0]["default"]),
            other => panic!("{other} is not known here"),
        }
    }
}

async fn blocking(repository: Repository, body: fn(&Repository)) {
    tokio::task::spawn_blocking(move || body(&repository)).await.unwrap();
}

#[tokio::test]
async fn every_ci_recipe_passes_good_files_and_pushes_stale_items_sealed_anew_through_the_service_proxy() {
    blocking(Repository::new().await, |repository| {
        let (db, web) = (repository.pushed("main", "db.yaml"), repository.pushed("main", "web.yaml"));
        for system in SYSTEMS {
            git_in(&repository.remote(), "branch --quiet --delete --force reencrypt");
            for job in JOBS {
                let output = repository.run(system, job);
                assert!(output.status.success(), "{system:?} {job}\n{}{}", output.stdout, output.stderr);
            }
            let reencrypted = repository.pushed("reencrypt", "db.yaml");
            assert!(!reencrypted.is_empty() && reencrypted != db, "{system:?}: {reencrypted}");
            assert_eq!(repository.pushed("reencrypt", "web.yaml"), web, "{system:?}");
            assert_eq!(repository.pushed("main", "db.yaml"), db, "{system:?}");
        }
        git_in(&repository.source(), "merge --quiet origin/reencrypt").ok().unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_ci_recipe_pushes_nothing_if_no_item_is_stale_by_the_service_proxy() {
    blocking(Repository::new().await, |repository| {
        fs::write(repository.source().join("db.yaml"), repository.sealed("db", "new")).unwrap();
        repository.commit();
        for system in SYSTEMS {
            let output = repository.run(system, "reencrypt");
            assert!(output.status.success(), "{system:?}\n{}{}", output.stdout, output.stderr);
            assert_eq!(repository.pushed("reencrypt", "db.yaml"), "", "{system:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_ci_recipe_refuses_a_plain_secret_and_an_item_that_does_not_decrypt_by_the_service_proxy() {
    blocking(Repository::new().await, |repository| {
        let moved = repository.sealed("db", "new").replace("name: db", "name: moved");
        fs::write(repository.source().join("moved.yaml"), moved).unwrap();
        fs::write(repository.source().join("plain.yaml"), secret("shop", "plain", "password", "hunter2"))
            .unwrap();
        repository.commit();
        for system in SYSTEMS {
            let linted = repository.run(system, "lint");
            assert_eq!(linted.status.code(), Some(3), "{system:?}\n{}{}", linted.stdout, linted.stderr);
            assert!(linted.stdout.contains("plain.yaml") && linted.stdout.contains("KS001"), "{system:?}");
            let verified = repository.run(system, "verify");
            assert_eq!(verified.status.code(), Some(3), "{system:?}\n{}{}", verified.stdout, verified.stderr);
            assert!(verified.stdout.contains("moved.yaml"), "{system:?}: {}", verified.stdout);
        }
    })
    .await;
}

/// The image and the other settings of each container.
#[test]
fn every_ci_recipe_uses_the_image_with_a_shell_of_this_version() {
    let image = format!("ghcr.io/sealed-secrets-rs/kubeseal:{}-ci", env!("CARGO_PKG_VERSION"));
    let github = System::GitHub.recipe();
    for job in JOBS {
        assert_eq!(github["jobs"][job]["container"], *image, "{job}");
    }
    assert_eq!(System::GitLab.recipe()["default"]["image"], *image);
    let task = System::Tekton.recipe();
    assert_eq!((&task["apiVersion"], &task["kind"]), (&Value::from("tekton.dev/v1"), &Value::from("Task")));
    assert_eq!(task["spec"]["stepTemplate"]["image"], *image);
}

/// Tekton puts parameters into scripts as text, so that their values would be run.
#[test]
fn no_script_of_the_tekton_task_contains_a_variable_of_tekton() {
    for job in JOBS {
        for script in System::Tekton.scripts(job) {
            assert!(!script.text.contains("$("), "{}", script.text);
        }
    }
}
