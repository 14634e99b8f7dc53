//! `kubeseal reencrypt` of a repository through the controller.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use sealed_secrets_tests::{Edition, Error, Installation, Result, until, workspace};

use super::keys;
use super::process;
use crate::bench::kubeseal::when;
use crate::bench::kubeseal_repository::{DONE, FILES, ITEMS, create_files, kubeseal_in, time};

const TIMEOUT: Duration = Duration::from_mins(2);

/// Items of the repository.
pub(super) const ALL_ITEMS: usize = FILES * ITEMS;

/// The time in which all items of a repository move from the existing key, of this certificate, to a newer one.
///
/// # Errors
/// When a program fails.
pub(super) async fn measure(
    client: &Client,
    installation: &Installation,
    kubeconfig: PathBuf,
    certificate: &str,
) -> Result<Duration> {
    let kubeseal = workspace::released_program("kubeseal")?;
    let folder = tempfile::tempdir().map_err(when("create a folder"))?;
    fs::write(folder.path().join("old.pem"), certificate).map_err(when("write a certificate"))?;
    create_files(&kubeseal, folder.path(), "old.pem")?;
    keys::add(client, installation.namespace(), 1).await?;
    // This start waits until kubeseal finds the controller.
    let mut controller = installation.start(Edition::Ours, &[]).await?;
    let is_newer = async || controller.certificate().await.is_ok_and(|served| served != certificate);
    until("the newer key is served", TIMEOUT, async || is_newer().await.then_some(())).await?;
    process::until_idle(controller.process().id()).await?;
    let namespace = installation.namespace().to_owned();
    // The API server of this run is served meanwhile.
    let reencrypt = tokio::task::spawn_blocking(move || {
        let arguments = ["reencrypt", ".", "--controller-namespace", &namespace];
        time(kubeseal_in(&kubeseal, folder.path(), &arguments).env("KUBECONFIG", kubeconfig), DONE)
    });
    let took = reencrypt.await.map_err(|error| Error::Invalid(error.to_string()))??;
    controller.stop().await?;
    keys::remove(client, installation.namespace()).await?;
    Ok(Duration::from_secs_f64(took / 1000.0))
}
