//! The only writer of Secrets. Drift repair: `ApplyRequest::update` decides between repair and replacement, and
//! `secret::ownership` computes the target state.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{GetParams, ObjectMeta, PostParams, Request};
use kube::{Resource as _, ResourceExt as _};
use sealed_secrets_core::unseal::Unsealed;
use sealed_secrets_crds::names::RENDERED_FROM_ANNOTATION;
use sealed_secrets_crds::{Scope, SealedSecret};

use super::desired::refuse_sealing_key;
use super::live;
use super::ownership::{MANAGER, Mode, has_same_content, relation, target};
use super::record::{Before, SecretVersion};
use super::refusal::Written;
use super::sent::SentSecret;
use crate::api::client::Once;
use crate::error::Failure;
use crate::sealed_secret::limits::SMALL_SECRET;
use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::state::ObjectStates;
use crate::work::fair_semaphore::{Permit, WorkClass};

/// Attempts to write, each decided on the latest Secret, before the object has to wait: another writer may win every time.
const ATTEMPTS: usize = 8;

/// Change by a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Updated {
        /// The version of the Secret before the write.
        from: SecretVersion,
        /// The manager that had changed it last, if that is recorded.
        changed_by: Option<String>,
    },
    Nothing,
}

/// The next request to try.
enum Step {
    Create {
        /// The live SealedSecret is read before.
        check_live: bool,
    },
    /// With the reason why it may not be created: quotas and webhooks decide before the API server checks whether it exists.
    Update(Option<Failure>),
}

/// Brings the Secret of `sealed` into its desired state: creates it, or replaces an existing Secret that is ours. A Secret that
/// is known to exist is not offered for creation, since a quota would count it.
///
/// Returns the change, and the metadata of the Secret afterwards; `None` if nothing was done, because the SealedSecret is not the
/// version any more that was decrypted. The decision holds for the very object that is written: the PUT carries its uid and
/// resourceVersion, and the live SealedSecret is read between reading the Secret and writing it. So a Secret of a later
/// generation either existed when it was read, which the live SealedSecret shows, or was written since, and the PUT is a
/// conflict: no content replaces a later one.
///
/// # Errors
/// When the existing Secret is not ours or the API server refuses.
pub(crate) async fn apply(
    states: &ObjectStates,
    sealed: &SealedSecret,
    unsealed: Unsealed,
    before: Before,
) -> Result<Option<(Applied, ObjectMeta)>, Failure> {
    let Unsealed { secret: mut desired, volatile } = unsealed;
    if !volatile.is_empty() {
        desired
            .annotations_mut()
            .insert(RENDERED_FROM_ANNOTATION.to_owned(), rendered_from(&sealed.metadata));
    }
    let key = ObjectKey::of(&desired);
    let secrets = Request::new(Secret::url_path(&(), Some(&key.namespace)));
    let request = ApplyRequest { states, sealed, desired, volatile, before, key, secrets };
    let should_exist = states.has_secret(&request.key) || request.before.has_unsealed;
    // Without an owner the Secret would outlast a SealedSecret that is gone.
    let check_live = request.before.is_known || request.desired.owner_references().is_empty();
    let mut step = if should_exist { Step::Update(None) } else { Step::Create { check_live } };
    for _ in 0..ATTEMPTS {
        let attempt = match &step {
            Step::Create { check_live } => request.create(*check_live).await,
            Step::Update(_) => request.update().await,
        };
        step = match (attempt, step) {
            (Ok(done), _) => return Ok(Some(done)),
            (Err(Attempt::Superseded), _) => return Ok(None),
            (Err(Attempt::Failed(failure)), _) => return Err(failure),
            (Err(Attempt::Refused(error)), _) => request.update_after(&error)?,
            (Err(Attempt::Changed), step) => step,
            (Err(Attempt::Absent), Step::Update(Some(refusal))) => return Err(refusal),
            // It has existed, maybe with values of a later generation.
            (Err(Attempt::Absent), _) => Step::Create { check_live: true },
        };
    }
    Err(Failure::temporary("the Secret was modified concurrently at every attempt to write it".to_owned()))
}

/// Reason why a request has not succeeded.
enum Attempt {
    /// The Secret does not exist.
    Absent,
    /// Another write came first.
    Changed,
    /// The Secret may not be created.
    Refused(kube::Error),
    /// The SealedSecret has changed since it was decrypted: its own event queues it.
    Superseded,
    Failed(Failure),
}

/// An existing Secret, and the permit for its memory if it is large.
struct Existing {
    secret: Secret,
    memory: Option<Permit>,
}

/// Desired state of one Secret.
struct ApplyRequest<'a> {
    states: &'a ObjectStates,
    sealed: &'a SealedSecret,
    desired: Secret,
    /// Keys of items whose templates give another value each time.
    volatile: BTreeSet<String>,
    before: Before,
    /// Namespace and name of the Secret.
    key: ObjectKey,
    /// Requests for Secrets of its namespace.
    secrets: Request,
}

impl ApplyRequest<'_> {
    /// Decides on the next step after a refused creation: the Secret may exist.
    fn update_after(&self, error: &kube::Error) -> Result<Step, Failure> {
        let refused = || self.written(&self.desired, None).failure(error);
        match code(error) {
            Some(409) => Ok(Step::Update(None)),
            Some(400 | 403 | 422) => Ok(Step::Update(Some(refused()))),
            _ => Err(refused()),
        }
    }

    fn written<'a>(&'a self, secret: &'a Secret, existing: Option<&'a Secret>) -> Written<'a> {
        Written { sealed: self.sealed, secret, existing }
    }

    /// Creates the Secret. The first Secret of a SealedSecret needs no read of the live object: it replaces none, and is deleted
    /// with its owner.
    async fn create(&self, check_live: bool) -> Result<(Applied, ObjectMeta), Attempt> {
        if check_live {
            self.check_live().await?;
        }
        let created = self.send_new(check_live).await;
        Ok((Applied::Created, created.map_err(Attempt::Refused)?.metadata))
    }

    /// Sends the new Secret. After a read of the live object it is sent once or not at all: when the API server takes the request
    /// only after a pause, the SealedSecret may be gone, and a Secret without an owner would stay.
    async fn send_new(&self, once: bool) -> kube::Result<Secret> {
        let body = serde_json::to_vec(&self.desired).map_err(kube::Error::SerdeError)?;
        let mut request = self.secrets.create(&written_by_us(), body).map_err(kube::Error::BuildRequest)?;
        if once {
            request.extensions_mut().insert(Once);
        }
        self.send(request).await
    }

    /// Sends the Secret that replaces the existing one.
    async fn send_update(&self, wanted: &Secret) -> kube::Result<Secret> {
        let body = serde_json::to_vec(wanted).map_err(kube::Error::SerdeError)?;
        let request = self.secrets.replace(&self.key.name, &written_by_us(), body);
        self.send(request.map_err(kube::Error::BuildRequest)?).await
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> kube::Result<Secret> {
        let SentSecret(secret) = self.states.context.client.request(request).await?;
        Ok(secret)
    }

    async fn update(&self) -> Result<(Applied, ObjectMeta), Attempt> {
        let name = &self.key.name;
        let Existing { secret: existing, memory: _memory } = self.existing().await?;
        refuse_sealing_key(&existing, &self.states.context.namespace).map_err(Attempt::Failed)?;
        let relation = relation(&existing, self.sealed, self.was_ours(&existing));
        let mode = if self.before.has_unsealed { Mode::Repair } else { Mode::Replace };
        let kept = if self.is_rendered_from_this(&existing) { &self.volatile } else { &BTreeSet::new() };
        let wanted = target(&existing, &self.desired, relation, mode, kept);
        let is_so = wanted.as_ref().is_some_and(|wanted| has_same_content(&existing, wanted));
        // A random value fits every generation, and may be of a later one than was decrypted.
        if !self.volatile.is_empty() || !is_so {
            self.check_live().await?;
        }
        if is_so {
            return Ok((Applied::Nothing, existing.metadata));
        }
        let mut wanted = wanted.ok_or_else(|| Attempt::Failed(Failure::NotOurs(name.clone())))?;
        // They are a summary. The API server keeps its own where a request has none.
        wanted.metadata.managed_fields = None;
        let updated = self.send_update(&wanted).await;
        let updated = updated.map_err(|error| match code(&error) {
            // It was changed, or deleted.
            Some(404 | 409) => Attempt::Changed,
            _ => Attempt::Failed(self.written(&wanted, Some(&existing)).failure(&error)),
        })?;
        let (from, changed_by) = (SecretVersion::of(&existing.metadata), last_manager(&existing));
        Ok((Applied::Updated { from, changed_by }, updated.metadata))
    }

    /// Reads the existing Secret. Few are read at the same time: anybody may have made it, of any size.
    async fn existing(&self) -> Result<Existing, Attempt> {
        let ObjectKey { namespace, name } = &self.key;
        let permit = self.states.context.work.existing.acquire(namespace, 1, WorkClass::New).await;
        let memory = permit.ok_or(Attempt::Superseded)?;
        let request = self.secrets.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest);
        let sent = async { self.send(request?).await };
        let secret = sent.await.map_err(|error| match code(&error) {
            Some(404) => Attempt::Absent,
            _ => Attempt::Failed(self.written(&self.desired, None).failure(&error)),
        })?;
        let memory = is_large(&secret).then_some(memory);
        Ok(Existing { secret, memory })
    }

    /// Checks that the live SealedSecret is still the version that was decrypted.
    async fn check_live(&self) -> Result<(), Attempt> {
        let is_current = live::is_current(self.states.context.client.clone(), self.sealed).await;
        if is_current.map_err(Attempt::Failed)? { Ok(()) } else { Err(Attempt::Superseded) }
    }

    /// Returns true if the random values of the existing Secret are of this generation, whether this process, another replica or
    /// an earlier process has rendered them. Only the Secret itself can tell: its annotation is written together with the values.
    fn is_rendered_from_this(&self, existing: &Secret) -> bool {
        let marked = existing.annotations().get(RENDERED_FROM_ANNOTATION);
        marked.map_or(self.before.has_unsealed, |marked| *marked == rendered_from(&self.sealed.metadata))
    }

    /// Returns true if this process has seen the existing Secret controlled by its desired owner.
    fn was_ours(&self, existing: &Secret) -> bool {
        let secret = existing.uid().unwrap_or_default();
        let owners = self.desired.owner_references();
        owners.iter().any(|owner| self.states.has_secret_been_owned(&self.key, &secret, &owner.uid))
    }
}

/// Returns true if the existing Secret needs a permit for its memory.
fn is_large(secret: &Secret) -> bool {
    size(secret) > SMALL_SECRET
}

/// Returns the bytes of items, labels and annotations.
pub(crate) fn size(secret: &Secret) -> usize {
    let data: usize = secret.data.iter().flatten().map(|(key, value)| key.len() + value.0.len()).sum();
    let metadata = [&secret.metadata.labels, &secret.metadata.annotations].into_iter().flatten().flatten();
    data + metadata.map(|(key, value)| key.len() + value.len()).sum::<usize>()
}

/// Identifies the version of a SealedSecret for which random values are kept.
fn rendered_from(sealed: &ObjectMeta) -> String {
    let scope = Scope::from_annotations(sealed.annotations.as_ref());
    let (uid, generation) =
        (sealed.uid.as_deref().unwrap_or_default(), sealed.generation.unwrap_or_default());
    format!("{uid}/{generation}/{scope}")
}

fn written_by_us() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// Returns the manager that has changed the Secret last, other than ours, according to its managedFields. Their times are whole
/// seconds, so that our own write may seem as late.
fn last_manager(secret: &Secret) -> Option<String> {
    let others = secret.managed_fields().iter().filter(|entry| entry.manager.as_deref() != Some(MANAGER));
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Context;

    const UID: &str = "4f3c1a2b";

    fn refusal(code: u16, reason: &str) -> (u16, Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code});
        (code, merged(status, "reason", json!(reason)))
    }

    fn merged(mut object: Value, field: &str, value: Value) -> Value {
        object[field] = value;
        object
    }

    fn secret(value: &str) -> Value {
        let owner = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "db", "uid": UID, "controller": true
        });
        let metadata = json!({
            "name": "db", "namespace": "shop", "uid": "1", "resourceVersion": "7", "ownerReferences": [owner]
        });
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"a": value}})
    }

    /// Returns an API server with a Secret that is deleted before it is replaced, together with its SealedSecret, and the methods
    /// of the requests for Secrets.
    fn server_that_forgets() -> (Client, Arc<Mutex<Vec<Method>>>) {
        let requests = Arc::<Mutex<Vec<Method>>>::default();
        let known = Arc::clone(&requests);
        let server = tower::service_fn(move |request: Request<Body>| {
            let (method, is_sealed) =
                (request.method().clone(), request.uri().path().contains("sealedsecrets"));
            let mut known = known.lock().unwrap();
            let is_deleted = known.contains(&Method::PUT);
            if !is_sealed {
                known.push(method.clone());
            }
            let (code, answer) = match (is_sealed, method.as_str()) {
                (_, "GET" | "PUT") if is_deleted => refusal(404, "NotFound"),
                (_, "PUT") => refusal(404, "NotFound"),
                (true, _) => {
                    let metadata = json!({"name": "db", "namespace": "shop", "uid": UID, "generation": 1});
                    let kind = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"});
                    (200, merged(kind, "metadata", metadata))
                }
                (false, "GET") => (200, secret("b2xk")),
                (false, _) if !is_deleted => refusal(409, "AlreadyExists"),
                (false, _) => (201, secret("bmV3")),
            };
            let response = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
            std::future::ready(response)
        });
        (Client::new(server, "default"), requests)
    }

    #[tokio::test]
    async fn a_secret_that_has_existed_is_not_created_without_a_look_at_its_sealed_secret() {
        let (client, requests) = server_that_forgets();
        let context = Context { client, ..Context::for_tests() };
        let states = ObjectStates::new(Arc::new(context), true);
        let sealed: SealedSecret = serde_json::from_value(json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "spec": {"encryptedData": {}},
            "metadata": {"name": "db", "namespace": "shop", "uid": UID, "generation": 1}
        }))
        .unwrap();
        let unsealed =
            Unsealed { secret: serde_json::from_value(secret("bmV3")).unwrap(), volatile: BTreeSet::new() };
        let before = Before { has_unsealed: false, is_known: false, version_after_success: None };
        let applied = apply(&states, &sealed, unsealed, before).await;
        assert_eq!(*requests.lock().unwrap(), [Method::POST, Method::GET, Method::PUT, Method::GET]);
        assert!(applied.is_ok_and(|applied| applied.is_none()));
    }
}
