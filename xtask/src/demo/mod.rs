//! `cargo xtask demo`: sealing, Git and decryption, on a real API server with real commands.

mod repository;
mod rotation;
mod story;

use std::path::Path;
use std::process::ExitCode;

use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{
    Cluster, ControlPlane, ControllerProcess, Edition, Error, Installation, Laptop, Reach, Result, workspace,
};

use self::story::{Story, quote};
use crate::cluster::how_to_enter;
use crate::inside;
use crate::test::step;

const NAMESPACE: &str = "shop";
const FIRST: &str = "correct-horse-battery-staple";
const SECOND: &str = "Tr0ub4dor-and-3";

/// Seal a Secret, commit it to Git, let the controller decrypt it
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave everything running until ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the demo; ends with an error at the first step that fails.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let programs = ControlPlanePrograms::prepare()?;
    if Ground::here() == Ground::Outside {
        build().await?;
        return inside::again().await;
    }
    let mut story = Story::begin("Seal on a laptop, store in Git, decrypt in the cluster.");
    story.chapter("A cluster with the controller");
    let plane = ControlPlane::start(&programs).await;
    let plane = story.step("etcd, kube-apiserver and kube-controller-manager are running", plane)?;
    let cluster = Cluster::at(plane.access()).await?;
    let installation = cluster.install("kube-system", Reach::WholeCluster).await;
    let installation =
        story.step("deploy/kustomize/base is applied: CRDs, account, roles, Service", installation)?;
    let _controller = start_controller(&mut story, &installation).await?;
    let folder =
        tempfile::tempdir().map_err(|source| Error::Io { action: "create a folder".into(), source })?;
    let laptop = Laptop::with(
        folder.path(),
        &plane.access().kubeconfig(),
        &[&programs.kubectl, &workspace::built_program("kubeseal")?],
    )?;
    run_chapters(&mut story, &laptop)?;
    rotation::rotate(&mut story, &laptop)?;
    story.end();
    if arguments.keep {
        keep(&plane, folder.path()).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// All steps on the running cluster.
fn run_chapters(story: &mut Story, laptop: &Laptop) -> Result<()> {
    let account = "system:serviceaccount:kube-system:sealed-secrets-controller";
    let answer = laptop.refuses(&format!("kubectl auth can-i delete namespaces --as {account}"));
    story.step("its account is not an administrator: it may not delete namespaces", answer)?;

    story.chapter("The laptop seals");
    laptop.shell("git init --quiet git && cd git && git config user.name demo && git config user.email demo@example.com")?;
    laptop.shell(&format!("kubectl create namespace {NAMESPACE}"))?;
    story.command(laptop, "kubeseal --fetch-cert > cert.pem")?;
    story.command(laptop, &sealing(FIRST))?;
    let sealed = laptop.shell("grep --only-matching 'password: Ag.\\{60\\}' git/database.yaml");
    quote(&story.step("the file for Git contains only ciphertext", sealed)?);

    story.chapter("Git carries");
    story.command(laptop, "cd git && git add . && git commit --quiet --message 'database password'")?;
    story.step(
        "the password is in no object of the repository, plain or base64",
        repository::hides(laptop, &[FIRST]),
    )?;

    story.chapter("The cluster decrypts");
    story.command(laptop, "kubectl apply -f git/database.yaml")?;
    let decrypted = until_decrypted(laptop, FIRST);
    story.step("the controller created the Secret", decrypted)?;
    let output = story.command(laptop, SHOW)?;
    quote(&output);

    story.chapter("A change arrives the same way");
    story.command(laptop, &sealing(SECOND))?;
    story.command(laptop, "cd git && git commit --quiet --all --message 'new database password'")?;
    story.step("neither password is in any object", repository::hides(laptop, &[FIRST, SECOND]))?;
    story.command(laptop, "kubectl apply -f git/database.yaml")?;
    let decrypted = until_decrypted(laptop, SECOND);
    story.step("the controller changed the Secret", decrypted)?;
    quote(&laptop.shell(SHOW)?);
    Ok(())
}

/// The command that shows the decrypted value.
const SHOW: &str = "kubectl get secret database -n shop -o jsonpath='{.data.password}' | base64 --decode";

/// The command that seals a value.
fn sealing(password: &str) -> String {
    format!(
        "kubectl create secret generic database -n {NAMESPACE} --from-literal=password={password} \\\n\
         \x20     --dry-run=client -o yaml | kubeseal --cert cert.pem -o yaml > git/database.yaml"
    )
}

async fn start_controller(story: &mut Story, installation: &Installation) -> Result<ControllerProcess> {
    let controller = installation.start(Edition::Ours, &[]).await;
    story.step("the controller runs with its account's token, and serves its certificate", controller)
}

fn until_decrypted(laptop: &Laptop, password: &str) -> Result<()> {
    let wait = format!("kubectl wait secret/database -n {NAMESPACE} --timeout=60s");
    laptop.shell(&format!("{wait} --for=create"))?;
    let encoded = format!("$(printf %s {password} | base64)");
    laptop.shell(&format!("{wait} --for=jsonpath='{{.data.password}}'={encoded}")).map(drop)
}

async fn keep(plane: &ControlPlane, folder: &Path) {
    println!("\nEverything is still running, until ctrl-C. The laptop's files: {}", folder.display());
    println!("{}", how_to_enter(&plane.access().kubeconfig()));
    told_to_stop().await;
}

/// Builds the programs. Runs outside of the isolation, where crates can still be downloaded.
async fn build() -> Result<()> {
    let arguments = ["build", "--locked", "--bin", "controller", "--bin", "kubeseal"];
    let finished = step::quietly(&mut step::cargo(&arguments)).await?;
    if finished.success {
        return Ok(());
    }
    Err(Error::Program(format!("the programs cannot be built:\n{}", finished.output)))
}
