//! Events, core/v1 as upstream writes them: its role grants no other kind.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, ObjectMeta, PostParams};
use kube::{Api, Client};
use sealed_secrets_crds::names::{SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};
use sha2::{Digest as _, Sha256};

use crate::{client, clock};

/// Whether a missing right was told: once is enough.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

const COMPONENT: &str = "sealed-secrets";
/// The API server refuses longer ones.
const LONGEST_MESSAGE: usize = 1024;

/// Writes one event about a SealedSecret.
pub(crate) async fn write(client: &Client, object: &DynamicObject, kind: &str, reason: &str, message: &str) {
    let metadata = &object.metadata;
    let about = ObjectReference {
        api_version: Some(SEALED_SECRET_API_VERSION.to_owned()),
        kind: Some(SEALED_SECRET_KIND.to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        resource_version: metadata.resource_version.clone(),
        uid: metadata.uid.clone(),
        field_path: None,
    };
    let prefix = metadata.name.as_ref().map(|name| format!("{}.", shortened(name, 200)));
    let named = ObjectMeta { generate_name: prefix, ..ObjectMeta::default() };
    create(client, named, about, kind, reason, message).await;
}

/// Writes one event that every replica would write, and one that has restarted would write again, maybe about another object: the
/// first one with these words stays alone as long as it lives.
pub(crate) async fn write_once(
    client: &Client,
    about: ObjectReference,
    kind: &str,
    reason: &str,
    message: &str,
) {
    let digest = Sha256::digest(format!("{reason}\0{message}"));
    let id = digest.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    let named = ObjectMeta { name: Some(format!("{COMPONENT}.{id:016x}")), ..ObjectMeta::default() };
    create(client, named, about, kind, reason, message).await;
}

/// One that cannot be written is only logged, since it reports and decides nothing.
async fn create(
    client: &Client,
    named: ObjectMeta,
    about: ObjectReference,
    kind: &str,
    reason: &str,
    message: &str,
) {
    let namespace = about.namespace.clone().unwrap_or_default();
    let name = about.name.clone().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    match events.create(&PostParams::default(), &event(named, about, kind, reason, message)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 || client::says_that_namespace_goes(&status) => {}
        Err(kube::Error::Api(status)) if status.code == 403 => {
            if !FORBIDDEN.swap(true, Ordering::Relaxed) {
                tracing::warn!("events may not be created: {}", status.message);
            }
        }
        Err(error) => tracing::warn!("no event for {namespace}/{name}: {}", client::in_words(&error)),
    }
}

fn event(named: ObjectMeta, about: ObjectReference, kind: &str, reason: &str, message: &str) -> Event {
    let now = Some(Time(clock::now()));
    Event {
        metadata: ObjectMeta { namespace: about.namespace.clone(), ..named },
        involved_object: about,
        type_: Some(kind.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(shortened(message, LONGEST_MESSAGE).to_owned()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        count: Some(1),
        first_timestamp: now.clone(),
        last_timestamp: now,
        ..Event::default()
    }
}

/// The longest beginning of at most `bytes` bytes.
fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(shortened("aé", 2), "a");
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("", 5), "");
    }
}
