//! Events, core/v1 like upstream's: its role grants no other kind.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sealed_secrets_core::names::MAX_NAME_LENGTH;
use sealed_secrets_core::text::prefix;
use sealed_secrets_crds::names::{SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};
use sha2::{Digest as _, Sha256};

use super::client;

use crate::clock;

/// True once the missing permission to create events was logged: it is logged once.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

const COMPONENT: &str = "sealed-secrets";
/// Limit of the API server.
const MAX_MESSAGE_LENGTH: usize = 1024;
/// Longest part of a name before the dot and the 16 digits.
const MAX_PREFIX_LENGTH: usize = MAX_NAME_LENGTH - 17;

/// Writes one event about the SealedSecret with this metadata. Its name is computed from its content, its object and `discriminator`, which
/// distinguishes it from the same text at another time: so neither another replica nor a restarted one writes it again.
pub(crate) async fn write(
    client: &Client,
    about: &ObjectMeta,
    kind: &str,
    reason: &str,
    message: &str,
    discriminator: &str,
) {
    let object = ObjectReference {
        api_version: Some(SEALED_SECRET_API_VERSION.to_owned()),
        kind: Some(SEALED_SECRET_KIND.to_owned()),
        name: about.name.clone(),
        namespace: about.namespace.clone(),
        resource_version: about.resource_version.clone(),
        uid: about.uid.clone(),
        field_path: None,
    };
    let name = name_of(about, reason, message, discriminator);
    let named = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
    create(client, named, object, kind, reason, message).await;
}

fn name_of(about: &ObjectMeta, reason: &str, message: &str, discriminator: &str) -> String {
    let (uid, generation) = (about.uid.as_deref().unwrap_or_default(), about.generation);
    let id = digest(&format!("{uid}\0{generation:?}\0{reason}\0{message}\0{discriminator}"));
    let prefix = prefix(about.name.as_deref().unwrap_or_default(), MAX_PREFIX_LENGTH);
    // A label of a DNS name ends with a letter or a digit.
    format!("{}.{id}", prefix.trim_end_matches(['.', '-']))
}

/// Writes one event that every replica would write, and a restarted replica would write again, possibly about another
/// object: while an event with this content exists, no second one is created.
pub(crate) async fn write_once(
    client: &Client,
    about: ObjectReference,
    kind: &str,
    reason: &str,
    message: &str,
) {
    let id = digest(&format!("{reason}\0{message}"));
    let named = ObjectMeta { name: Some(format!("{COMPONENT}.{id}")), ..ObjectMeta::default() };
    create(client, named, about, kind, reason, message).await;
}

/// Returns 16 hex digits of the SHA-256 of `text`.
fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    let id = digest.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    format!("{id:016x}")
}

/// Creates the event. A failure is only logged, because events are informational.
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
        Err(kube::Error::Api(status)) if status.code == 409 || client::is_namespace_terminating(&status) => {}
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            if !FORBIDDEN.swap(true, Ordering::Relaxed) {
                tracing::warn!("the permission to create events is missing: {}", status.message);
            }
        }
        Err(error) => {
            tracing::warn!(namespace, name, reason, "cannot create an event: {}", client::describe(&error));
        }
    }
}

fn event(named: ObjectMeta, about: ObjectReference, kind: &str, reason: &str, message: &str) -> Event {
    let now = Some(Time(clock::now()));
    Event {
        metadata: ObjectMeta { namespace: about.namespace.clone(), ..named },
        involved_object: about,
        type_: Some(kind.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(prefix(message, MAX_MESSAGE_LENGTH).to_owned()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        count: Some(1),
        first_timestamp: now.clone(),
        last_timestamp: now,
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;

    use super::name_of;

    fn about(name: &str, uid: &str, generation: i64) -> ObjectMeta {
        let (name, uid) = (Some(name.to_owned()), Some(uid.to_owned()));
        ObjectMeta { name, uid, generation: Some(generation), ..ObjectMeta::default() }
    }

    #[test]
    fn the_name_of_an_event_depends_on_exactly_the_properties_that_distinguish_it() {
        let name = name_of(&about("db", "u", 1), "Unsealed", "well", "t");
        let moved = ObjectMeta { resource_version: Some("7".to_owned()), ..about("db", "u", 1) };
        assert_eq!(name, name_of(&moved, "Unsealed", "well", "t"));
        let others = [
            name_of(&about("db", "v", 1), "Unsealed", "well", "t"),
            name_of(&about("db", "u", 2), "Unsealed", "well", "t"),
            name_of(&about("db", "u", 1), "Sealed", "well", "t"),
            name_of(&about("db", "u", 1), "Unsealed", "ill", "t"),
            name_of(&about("db", "u", 1), "Unsealed", "well", "s"),
        ];
        assert!(others.iter().all(|other| *other != name), "{name} {others:?}");
    }

    #[test]
    fn the_name_of_an_event_is_a_dns_name_however_long_that_of_its_object_is() {
        let digits = |name: &str| name.rsplit_once('.').unwrap().1.to_owned();
        for object in ["db", &"a".repeat(253), &format!("{}-.-.b", "a".repeat(232))] {
            let name = name_of(&about(object, "u", 1), "Unsealed", "well", "");
            let parts_end_well =
                name.split('.').all(|part| part.ends_with(|end: char| end.is_alphanumeric()));
            assert!(name.len() <= 253 && parts_end_well && digits(&name).len() == 16, "{name}");
        }
    }
}
