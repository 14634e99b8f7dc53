//! Tests of the workers, and of the limits of the process with several watched namespaces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::controller::Action;
use sealed_secrets_core::keyring::KeyRing;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::limits::{IN_FLIGHT, WORKERS};
use super::{Selection, contained, run};
use crate::context::Context;
use crate::error::Failure;

/// More than the slots of one namespace.
const OBJECTS_OF_EACH: usize = 30;

/// Number of requests in flight by namespace, without lists and watches.
type InFlight = Arc<Mutex<BTreeMap<String, usize>>>;

/// Returns a client of an API server that lists malformed SealedSecrets, and Secrets unless the namespace is called unlisted, and
/// answers no other request.
fn client(in_flight: &InFlight) -> Client {
    let in_flight = Arc::clone(in_flight);
    let server = tower::service_fn(move |request: Request<Body>| {
        let in_flight = Arc::clone(&in_flight);
        async move {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let namespace = path.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').next());
            let namespace = namespace.unwrap_or_default().to_owned();
            let list = match path.rsplit('/').next() {
                _ if query.contains("watch=") => None,
                Some("sealedsecrets") => Some(sealed_secrets(&namespace)),
                Some("secrets") if namespace.starts_with("unlisted") => None,
                Some("secrets") => Some(json!({"metadata": {"resourceVersion": "1"}, "items": []})),
                _ => {
                    *in_flight.lock().unwrap().entry(namespace).or_default() += 1;
                    None
                }
            };
            match list {
                Some(list) => {
                    Ok::<_, std::io::Error>(Response::new(Body::from(list.to_string().into_bytes())))
                }
                None => std::future::pending().await,
            }
        }
    });
    Client::new(server, "default")
}

fn sealed_secrets(namespace: &str) -> Value {
    let object = |number| {
        let metadata = json!({
            "name": format!("db-{number}"), "namespace": namespace, "uid": format!("{namespace}-{number}"),
            "resourceVersion": "1", "generation": 1
        });
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata,
            "spec": {"encryptedData": 7}
        })
    };
    let items: Vec<_> = (0..OBJECTS_OF_EACH).map(object).collect();
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecretList",
        "metadata": {"resourceVersion": "1"}, "items": items
    })
}

/// Waits until as many requests are in flight, and a while longer for those that should not begin.
async fn settled(in_flight: &InFlight, count: usize) {
    while in_flight.lock().unwrap().values().sum::<usize>() < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[test]
fn there_are_more_workers_than_objects_in_work() {
    assert!(usize::from(WORKERS) > IN_FLIGHT, "{IN_FLIGHT}");
}

#[tokio::test]
async fn a_panic_is_the_failure_of_one_object() {
    let defect = async { panic!("on purpose") };
    assert!(matches!(contained(defect).await, Err(Failure::Panicked)));
    assert!(contained(async { Ok(Action::await_change()) }).await.is_ok());
}

#[tokio::test]
async fn watched_namespaces_share_the_slots_of_one_queue_equally() {
    let in_flight = InFlight::default();
    let namespaces = ["a", "b", "c", "d"];
    let selection = Selection {
        namespaces: Some(namespaces.map(str::to_owned).to_vec()),
        labels: String::new(),
        repair: true,
    };
    let (_ring, ring) = watch::channel(Some(Arc::new(KeyRing::default())));
    let context = Context { client: client(&in_flight), ring, ..Context::for_tests() };
    let running = run(Arc::new(context), selection, CancellationToken::new());
    let settled = tokio::time::timeout(Duration::from_mins(1), settled(&in_flight, 4 * 8));
    tokio::select! {
        () = running => panic!("nothing ends it"),
        settled = settled => settled.expect("all slots are used"),
    }
    let expected: BTreeMap<_, _> = namespaces.map(|namespace| (namespace.to_owned(), 8)).into();
    assert_eq!(*in_flight.lock().unwrap(), expected);
}

#[tokio::test]
async fn namespaces_whose_secrets_are_not_listed_yet_do_not_hold_up_others() {
    let in_flight = InFlight::default();
    let unlisted = (0..12).map(|number| format!("unlisted-{number}"));
    let selection = Selection {
        namespaces: Some(unlisted.chain(["quiet".to_owned()]).collect()),
        labels: String::new(),
        repair: true,
    };
    let (_ring, ring) = watch::channel(Some(Arc::new(KeyRing::default())));
    let context = Context { client: client(&in_flight), ring, ..Context::for_tests() };
    let running = run(Arc::new(context), selection, CancellationToken::new());
    let settled = tokio::time::timeout(Duration::from_secs(10), settled(&in_flight, 16));
    tokio::select! {
        () = running => panic!("nothing ends it"),
        _ = settled => {}
    }
    assert_eq!(*in_flight.lock().unwrap(), BTreeMap::from([("quiet".to_owned(), 16)]));
}
