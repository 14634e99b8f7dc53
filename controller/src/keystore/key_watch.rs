//! Key Secrets that change: a turn is due. Metadata only.

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use crate::backoff::WatchBackoff;
use crate::client;

/// An item for every change of a key Secret; where watching is not allowed, none but a line in the log.
pub(super) fn changes(
    client: &Client,
    namespace: &str,
    legacy_name: &str,
) -> impl futures::Stream<Item = ()> + use<> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), namespace);
    let watched = |config| watcher(secrets.clone(), config).backoff(WatchBackoff::spare());
    let labelled = watched(client::watching().labels(SEALING_KEY_LABEL));
    let legacy = watched(client::watching().fields(&format!("metadata.name={legacy_name}")));
    let mut told = false;
    stream::select(labelled, legacy)
        .inspect(move |event| match event {
            Err(error) if !client::is_forbidden(error) => {
                tracing::warn!("watching key Secrets: {}", client::watch_in_words(error));
            }
            Err(error) if !std::mem::replace(&mut told, true) => tracing::warn!(
                "key Secrets may not be watched and are listed every 30 seconds instead: {}",
                client::watch_in_words(error)
            ),
            Ok(_) | Err(_) => {}
        })
        .filter_map(|event| std::future::ready(event.is_ok().then_some(())))
        // The first list of a watch is an event for each key: one turn is enough for all that have arrived.
        .ready_chunks(1024)
        .map(drop)
}
