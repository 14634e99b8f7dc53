//! SealedSecrets with what is sealed in them, and the memory that they may take.

use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, GetParams, Request};
use sealed_secrets_crds::SealedSecret;

use super::folded::{self, Whole};
use super::seen::version_of;
use crate::context::Context;
use crate::error::Failure;
use crate::fair_semaphore::{Permit, Turn};

/// Objects that take no more heap wait for no memory: all workers together hold few of them.
const SMALL: usize = 96 << 10;

/// An object that is worked on.
pub(super) struct Fetched {
    pub(super) sealed: SealedSecret,
    /// Until this is dropped, its heap counts.
    pub(super) memory: Option<Permit>,
}

/// Whether `object` waits for memory.
pub(super) fn is_large(object: &DynamicObject) -> bool {
    folded::heap(object) > SMALL
}

/// The typed object, from the API server where the watch does not keep it. `None` where that has become another one, or none: the
/// watch will show it. Large objects wait for their turn before anything of them is in memory.
///
/// # Errors
/// Those of the API server, and of the decoder.
pub(super) async fn fetched(object: &DynamicObject, context: &Context) -> Result<Option<Fetched>, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let memory = if is_large(object) {
        match context.work.memory.acquire(&namespace, folded::heap(object), Turn::New).await {
            None => return Ok(None),
            permit => permit,
        }
    } else {
        None
    };
    let sealed = if folded::is_whole(object) {
        folded::decode(object)?
    } else {
        let Some(whole) = get(&namespace, &object.name_any(), context).await? else { return Ok(None) };
        if version_of(&whole.metadata) != version_of(&object.metadata) {
            return Ok(None);
        }
        folded::decode_whole(whole)?
    };
    Ok(Some(Fetched { sealed, memory }))
}

async fn get(namespace: &str, name: &str, context: &Context) -> Result<Option<Whole>, Failure> {
    let path = SealedSecret::url_path(&(), Some(namespace));
    let request = Request::new(path).get(name, &GetParams::default());
    let request = request.map_err(|error| Failure::temporary(error.to_string()))?;
    match context.client.request::<Whole>(request).await {
        Ok(whole) => Ok(Some(whole)),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(None),
        Err(error) => Err(Failure::api(&error)),
    }
}
