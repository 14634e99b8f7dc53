//! Measures the memory for reconciling an object against the estimate.

#![cfg(test)]

mod world;

use k8s_openapi::api::core::v1::Secret;
use peak_alloc::PeakAlloc;
use sealed_secrets_core::decryption::Content;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, secret_of};
use sealed_secrets_core::weight::heap_of;
use sealed_secrets_crds::SealedSecret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Returns the object as the API server sends it, with every field also in the managedFields.
fn stored(mut object: Value) -> String {
    let managed = json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": owned(&object)}]);
    object["metadata"] = json!({"name": "a", "namespace": "b", "uid": "c", "managedFields": managed});
    object.to_string()
}

fn owned(value: &Value) -> Value {
    let fields = value.as_object().into_iter().flatten();
    Value::Object(fields.map(|(name, value)| (format!("f:{name}"), owned(value))).collect())
}

fn named(count: usize, value: &str) -> Value {
    Value::Object((0..count).map(|number| (format!("a{number}"), json!(value))).collect())
}

/// Returns a Secret with as many bytes as the ciphertexts, without decryption.
fn desired(sealed: &SealedSecret) -> Secret {
    let plaintext = |value: &String| vec![b'x'; value.len() * 3 / 4].into();
    let items = sealed.spec.encrypted_data.iter().map(|(key, value)| (key.clone(), plaintext(value)));
    let budget = Budget { steps: u64::MAX, output: usize::MAX, ..Budget::default() };
    let mut renderer = Renderer { budget: &budget, sources: &mut world::Still::forever() };
    secret_of(sealed, Content::Items(items.collect()), &mut renderer).unwrap().secret
}

/// Decodes a response like the client library, which copies it.
fn read<T: DeserializeOwned>(answer: &str) -> T {
    let received = answer.to_owned();
    let text = received.clone();
    drop(received);
    serde_json::from_str(&text).unwrap()
}

/// Follows an object with an existing Secret from its text to the response to the write, which is as long as `answer`.
fn work_on(body: &str, answer: &str) {
    let sealed: SealedSecret = read(body);
    let desired = desired(&sealed);
    drop(sealed);
    let existing: Secret = read(answer);
    let wanted = desired.clone();
    let request = serde_json::to_vec(&wanted).unwrap();
    let updated: Secret = read(answer);
    drop((desired, existing, wanted, request, updated));
}

#[test]
fn no_object_takes_more_memory_than_estimated() {
    let items = |items| json!({"encryptedData": items});
    let template = |template| json!({"encryptedData": {}, "template": template});
    for (shape, spec) in [
        ("one large item", items(named(1, &"A".repeat(1_300_000)))),
        ("many items", items(named(2_000, &"A".repeat(600)))),
        ("many empty items", items(named(55_000, ""))),
        ("many empty templates", template(json!({"data": named(35_000, "")}))),
        ("many annotations", template(json!({"metadata": {"annotations": named(10_000, "")}}))),
    ] {
        let body = stored(json!({"spec": spec}));
        let answer = stored(serde_json::to_value(desired(&read(&body))).unwrap());
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        work_on(&body, &answer);
        let taken = HEAP.peak_usage() - before;
        let said = heap_of([spec.to_string().as_str()]);
        assert!(taken <= said, "{shape}: {taken} bytes, and said to take {said}");
    }
}
