//! SealedSecrets with what is sealed in them, and the memory that they may take.

use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, GetParams, Request};
use sealed_secrets_crds::SealedSecret;

use crate::api::client;
use crate::context::Context;
use crate::error::Failure;
use crate::sealed_secret::watch::observed::object_hash;
use crate::sealed_secret::watch::raw::{self, UnabridgedSealedSecret};
use crate::work::fair_semaphore::{Permit, WorkClass};

/// Objects that are smaller wait for no memory: all workers together hold few of them.
const SMALL: usize = 16 << 10;

/// An object that is worked on.
pub(crate) struct Fetched {
    pub(crate) sealed: SealedSecret,
    /// Until this is dropped, its bytes count.
    pub(crate) memory: Option<Permit>,
}

/// The typed object, from the API server where the watch does not keep it. `None` where that has become another one, or none: the
/// watch will show it. Large objects wait for their turn before anything of them is in memory.
///
/// # Errors
/// Those of the API server, and of the decoder.
pub(crate) async fn fetched(object: &DynamicObject, context: &Context) -> Result<Option<Fetched>, Failure> {
    let (namespace, bytes) = (object.namespace().unwrap_or_default(), raw::bytes(object));
    let memory = if bytes <= SMALL {
        None
    } else {
        match context.work.memory.acquire(&namespace, bytes, WorkClass::New).await {
            None => return Ok(None),
            permit => permit,
        }
    };
    let sealed = if raw::is_whole(object) {
        raw::decode(object)?
    } else {
        let Some(whole) = get(&namespace, &object.name_any(), context).await? else { return Ok(None) };
        if object_hash(&whole.metadata) != object_hash(&object.metadata) {
            return Ok(None);
        }
        raw::decode(&whole)?
    };
    Ok(Some(Fetched { sealed, memory }))
}

async fn get(namespace: &str, name: &str, context: &Context) -> Result<Option<DynamicObject>, Failure> {
    let path = SealedSecret::url_path(&(), Some(namespace));
    let request = Request::new(path).get(name, &GetParams::default());
    let request = request.map_err(|error| Failure::temporary(error.to_string()))?;
    match context.client.request::<UnabridgedSealedSecret>(request).await {
        Ok(UnabridgedSealedSecret(object)) => Ok(Some(object)),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(None),
        Err(error) => Err(Failure::temporary(client::in_words(&error))),
    }
}
