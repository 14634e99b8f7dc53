//! Watches key Secrets, metadata only: every change triggers a turn.

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use crate::api::backoff::WatchBackoff;
use crate::api::client;

/// Returns an item for every change of a key Secret; if watching is denied, logs that and yields nothing.
pub(crate) fn changes(
    client: &Client,
    namespace: &str,
    legacy_name: &str,
) -> impl futures::Stream<Item = ()> + use<> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), namespace);
    let watched = |config| watcher(secrets.clone(), config).backoff(WatchBackoff::optional());
    let labelled = watched(client::watching().labels(SEALING_KEY_LABEL));
    let legacy = watched(client::watching().fields(&format!("metadata.name={legacy_name}")));
    let mut is_logged = false;
    stream::select(labelled, legacy)
        .inspect(move |event| match event {
            Err(error) if !client::is_forbidden(error) => {
                tracing::warn!("watching key Secrets: {}", client::describe_watch_error(error));
            }
            Err(error) if !std::mem::replace(&mut is_logged, true) => tracing::warn!(
                "the permission to watch key Secrets is missing, so they are listed every 30 seconds: {}",
                client::describe_watch_error(error)
            ),
            Ok(_) | Err(_) => {}
        })
        .filter_map(|event| std::future::ready(event.is_ok().then_some(())))
        // The initial list of a watch produces an event per key: one turn handles all that have arrived.
        .ready_chunks(1024)
        .map(drop)
}
