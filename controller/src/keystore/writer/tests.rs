//! Round trips: annotations are written to a key Secret and read back as a record.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use kube::{Api, Client};
use sealed_secrets_core::rotation::{KeyLabel, KeyRecord};
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::keystore::fixtures::{key_secret, time_at};

const COMPROMISED: DesiredState = DesiredState::Compromised { decrypt_until: None };

/// Returns a key Secret with these annotations of ours.
fn secret(annotations: &[(&str, &str)]) -> Secret {
    let mut secret = key_secret("a", "");
    for (name, value) in annotations {
        secret.annotations_mut().insert((*name).to_owned(), (*value).to_owned());
    }
    secret
}

fn record(secret: &Secret) -> KeyRecord {
    KeyRecord::new(secret, None)
}

/// Returns this key Secret after a user has set the desired state, and after it was dated.
fn requested(secret: Secret, desired: DesiredState, second: i64) -> Secret {
    changed(with_desired_state(secret, desired), Step::RecordRequest, time_at(second))
}

#[test]
fn to_retire_a_compromised_key_takes_back_neither_its_mark_nor_its_end() {
    let compromised = DesiredState::Compromised { decrypt_until: Some(time_at(90)) };
    let retiring = requested(requested(secret(&[]), compromised, 20), DesiredState::Retired, 30);
    let record = record(&retiring);
    assert_eq!((record.desired, record.state_since), (DesiredState::Retired, Some(time_at(30))));
    assert_eq!((record.compromised_since, record.decrypt_until), (Some(time_at(20)), Some(time_at(90))));
    assert!(record.is_compromised());
    let again = requested(retiring, COMPROMISED, 40);
    assert_eq!(self::record(&again).compromised_since, Some(time_at(20)), "since the first word of it");
    assert_eq!(self::record(&again).decrypt_until, None, "that has no end was said");
}

#[test]
fn a_compromise_that_was_noted_without_the_mark_gets_it_with_its_date() {
    let noted = [(KEY_STATE_ANNOTATION, "Compromised"), (STATE_SINCE_ANNOTATION, "1970-01-01T00:00:20Z")];
    let dates = |annotations: &[(&str, &str)]| {
        assert!(record(&secret(annotations)).is_undated());
        let dated = record(&changed(secret(annotations), Step::RecordRequest, time_at(30)));
        (dated.compromised_since, dated.state_since)
    };
    assert_eq!(dates(&noted), (Some(time_at(20)), Some(time_at(20))));
    assert_eq!(dates(&noted[..1]), (Some(time_at(30)), Some(time_at(30))));
}

#[test]
fn a_date_that_is_none_is_noted_once() {
    let rubbish = [
        (KEY_STATE_ANNOTATION, "Compromised"),
        (STATE_SINCE_ANNOTATION, "yesterday"),
        (COMPROMISED_SINCE_ANNOTATION, "long ago"),
    ];
    assert!(record(&secret(&rubbish)).is_undated());
    let dated = changed(secret(&rubbish), Step::RecordRequest, time_at(30));
    assert!(!record(&dated).is_undated());
    let again = changed(dated.clone(), Step::RecordRequest, time_at(50));
    assert_eq!(again.annotations(), dated.annotations());
}

#[test]
fn a_marked_key_without_a_state_is_still_compromised() {
    let marked = secret(&[(COMPROMISED_SINCE_ANNOTATION, "1970-01-01T00:00:20Z")]);
    assert_eq!(record(&marked).desired, COMPROMISED);
    let dated = changed(marked, Step::RecordRequest, time_at(30));
    assert!(!record(&dated).is_undated(), "one write is enough");
}

#[test]
fn only_a_user_who_restores_the_key_clears_the_mark() {
    let compromised = || requested(secret(&[]), COMPROMISED, 20);
    for desired in
        [COMPROMISED, DesiredState::Compromised { decrypt_until: Some(time_at(90)) }, DesiredState::Retired]
    {
        assert!(record(&with_desired_state(compromised(), desired)).is_compromised(), "{desired:?}");
    }
    let steps = [
        Step::Activate,
        Step::Retire,
        Step::RemoveCompromised,
        Step::RecordRequest,
        Step::RecordRemoval,
        Step::RecordUnused,
        Step::RecordUsed,
    ];
    for step in steps {
        let stepped = changed(with_desired_state(compromised(), DesiredState::Retired), step, time_at(40));
        assert_eq!(record(&stepped).compromised_since, Some(time_at(20)), "{step:?}");
    }
    let taken_back = with_desired_state(compromised(), DesiredState::Active);
    assert_eq!(taken_back.annotations(), secret(&[]).annotations(), "it is as if nothing was said");
    let mut put_back = changed(
        with_desired_state(compromised(), DesiredState::Retired),
        Step::RemoveCompromised,
        time_at(40),
    );
    assert_eq!(record(&put_back).label, KeyLabel::Compromised);
    put_back.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), SEALING_KEY_ACTIVE.to_owned());
    assert!(!record(&put_back).is_compromised());
    let restored = changed(put_back, Step::Restore, time_at(50));
    assert_eq!(restored.annotations(), secret(&[]).annotations());
}

#[tokio::test]
async fn a_key_secret_is_deleted_only_in_the_version_that_was_planned_with() {
    let sent = Arc::<Mutex<Vec<(Method, Value)>>>::default();
    let log = Arc::clone(&sent);
    let server = service_fn(move |request: Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let method = request.method().clone();
            let body = request.into_body().collect_bytes().await.unwrap();
            log.lock().unwrap().push((method, serde_json::from_slice(&body).unwrap()));
            Ok::<_, std::io::Error>(Response::new(Body::from(br#"{"kind": "Status"}"#.to_vec())))
        }
    });
    let api = Api::namespaced(Client::new(server, "default"), "default");
    let writer = Writer::new(Secrets { api, namespace: "default".to_owned() });
    writer.delete(&secret(&[])).await.unwrap();
    let [(method, body)] = <[_; 1]>::try_from(std::mem::take(&mut *sent.lock().unwrap())).unwrap();
    assert_eq!(method, Method::DELETE);
    assert_eq!(body["preconditions"], json!({"uid": "uid of a", "resourceVersion": "1"}));
}
