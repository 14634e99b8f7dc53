//! Complete SealedSecrets, with their encrypted items, within a memory limit.

use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::{GetParams, Request};
use sealed_secrets_core::weight::heap_for;
use sealed_secrets_crds::SealedSecret;

use crate::context::Context;
use crate::error::Failure;
use crate::sealed_secret::limits::SMALL_OBJECT;
use crate::sealed_secret::object::ObjectVersion;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::sealed_secret::watch::raw::UnabridgedSealedSecret;
use crate::work::fair_semaphore::{Permit, WorkClass};
use crate::work::limits::MAX_HEAP_OF_OBJECT;

/// A complete object.
pub(crate) struct Fetched {
    pub(crate) sealed: SealedSecret,
    pub(crate) memory: Memory,
}

/// Returns true if `object` needs a permit for its memory.
pub(crate) fn is_large(object: &RawSealedSecret) -> bool {
    object.heap() > SMALL_OBJECT
}

/// Returns the typed object, from the API server if the watch does not keep its spec. Returns `None` if the object there has
/// changed or was deleted: the watch will deliver that. A large object waits for its permit before anything of it is in memory.
///
/// # Errors
/// [`Failure::TooManyFields`], those of the API server, and of the decoder.
pub(crate) async fn fetched(object: &RawSealedSecret, context: &Context) -> Result<Option<Fetched>, Failure> {
    if object.heap() > MAX_HEAP_OF_OBJECT {
        return Err(Failure::TooManyFields);
    }
    let namespace = object.namespace().unwrap_or_default();
    // Its templates are rendered while it holds memory, when it must not wait for more.
    let rendered = if object.has_templates() { heap_for(context.template_budget.output, 0) } else { 0 };
    let Some(memory) = memory_for(object, rendered, context).await else { return Ok(None) };
    let sealed = if object.has_spec() {
        object.decode()?
    } else {
        let Some(whole) = get(&namespace, &object.name_any(), context).await? else { return Ok(None) };
        if ObjectVersion::of(&whole.metadata) != ObjectVersion::of(&object.metadata) {
            return Ok(None);
        }
        whole.decode()?
    };
    Ok(Some(Fetched { sealed, memory }))
}

/// Permit for the memory of an object, until dropped; an object that is not large needs none.
pub(crate) struct Memory {
    _permit: Option<Permit>,
}

/// Waits for the memory of `object`, and so many further bytes, if it is large. Returns `None` when the controller stops before.
pub(crate) async fn memory_for(
    object: &RawSealedSecret,
    further: usize,
    context: &Context,
) -> Option<Memory> {
    if !is_large(object) {
        return Some(Memory { _permit: None });
    }
    let (namespace, bytes) = (object.namespace().unwrap_or_default(), object.heap() + further);
    let permit = context.work.memory.acquire(&namespace, bytes, WorkClass::New).await?;
    Some(Memory { _permit: Some(permit) })
}

async fn get(
    namespace: &str,
    name: &str,
    context: &Context,
) -> Result<Option<UnabridgedSealedSecret>, Failure> {
    let path = SealedSecret::url_path(&(), Some(namespace));
    let request = Request::new(path).get(name, &GetParams::default());
    let request = request.map_err(|error| Failure::temporary(error.to_string()))?;
    match context.client.request::<UnabridgedSealedSecret>(request).await {
        Ok(whole) => Ok(Some(whole)),
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(None),
        Err(error) => Err(Failure::api(&error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::sealed_secret::watch::raw::raw_object;

    /// An object with so many templates of one character.
    fn object(templates: usize) -> RawSealedSecret {
        let data: Map<String, Value> =
            (0..templates).map(|number| (format!("{number}"), json!("x"))).collect();
        raw_object(&json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"encryptedData": {}, "template": {"data": data}}
        }))
    }

    #[tokio::test]
    async fn an_object_of_more_fields_than_the_memory_for_work_holds_is_refused() {
        let context = Context::for_tests();
        assert!(!matches!(fetched(&object(40_000), &context).await, Err(Failure::TooManyFields)));
        assert!(matches!(fetched(&object(100_000), &context).await, Err(Failure::TooManyFields)));
        assert_eq!(Failure::TooManyFields.class().condition, "TooManyFields");
    }
}
