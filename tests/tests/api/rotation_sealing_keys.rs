//! `SealingKey`s: a view of the key Secrets, restored after changes, and the place where users set the state of a key.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use sealed_secrets_core::crypto::KeyPair;
use sealed_secrets_crds::{
    RotationPhase, SealingKey, SealingKeyPhase, SealingKeyPolicyStatus, SealingKeySpec, SealingKeyState,
};
use sealed_secrets_tests::until;
use serde_json::json;

use crate::key_scene::{KeyScene, issue, key_secret, phase_of};
use crate::scene::CANARY;
use crate::support::PATIENCE;

fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    secret.annotations().get(&format!("sealedsecrets.rs/{name}")).map(String::as_str)
}

fn has_state(key: &SealingKey, state: SealingKeyState) -> bool {
    key.spec.state == state
}

#[tokio::test]
async fn every_key_secret_has_a_sealing_key_that_goes_with_it() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let key = scene.until_phase(&first, SealingKeyPhase::Primary).await;
    let secret = scene.secrets().get(&first).await.unwrap();
    let [owner] = key.owner_references() else { panic!("one owner") };
    assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("Secret", secret.metadata.uid.as_ref()));
    assert!(secret.owner_references().is_empty(), "the Secret belongs to nobody");
    let status = key.status.unwrap();
    assert!(status.fingerprint.unwrap().starts_with("SHA256:"));
    assert_eq!(status.certificate.unwrap(), scene.controller().certificate().await.unwrap());
    let page = scene.controller().metrics().await.unwrap();
    let info = format!("sealed_secrets_controller_key_info{{name=\"{first}\"");
    assert!(page.lines().any(|line| line.starts_with(&info) && line.contains("Primary")), "{page}");
    assert!(page.contains("sealed_secrets_controller_key_not_after_timestamp_seconds{"), "{page}");

    scene
        .create_secret(&key_secret("brought", "active", Timestamp::now() - SignedDuration::from_hours(1)))
        .await;
    scene.until_phase("brought", SealingKeyPhase::DecryptOnly).await;
    scene.delete_secret("brought").await;
    let gone = async || scene.sealing_keys().get_opt("brought").await.unwrap().is_none().then_some(());
    until("the SealingKey went with its Secret", PATIENCE, gone).await.unwrap();
    scene.until_event("KeyDeleted", "brought").await;
}

#[tokio::test]
async fn a_certificate_that_is_issued_anew_is_served_and_shown() {
    let scene = KeyScene::set().await;
    let not_before = scene.later_than_all_keys().await;
    let brought = key_secret("brought", "active", not_before);
    scene.create_secret(&brought).await;
    scene.until_offered("brought").await;
    let key = KeyPair::from_pem(brought.string_data.unwrap()["tls.key"].as_bytes()).unwrap();
    let reissued = issue(&key, not_before, 8);
    let change = Patch::Merge(json!({"stringData": {"tls.crt": reissued}}));
    scene.secrets().patch("brought", &PatchParams::default(), &change).await.unwrap();
    let shows = |key: &SealingKey| {
        key.status.as_ref().and_then(|status| status.certificate.as_deref()) == Some(reissued.as_str())
    };
    scene.until_key("brought", "its new certificate", shows).await;
    scene.until_offered("brought").await;
}

#[tokio::test]
async fn labels_and_broken_secrets_are_phases() {
    let scene = KeyScene::set().await;
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    for (name, label) in
        [("waits", "pending"), ("gone", "retired"), ("other", "whatever"), ("lost", "compromised")]
    {
        scene.create_secret(&key_secret(name, label, hour_ago)).await;
    }
    let mut broken = key_secret("broken", "active", hour_ago);
    broken.string_data.as_mut().unwrap().insert("tls.key".to_owned(), "rubbish".to_owned());
    scene.create_secret(&broken).await;
    let mut mismatched = key_secret("mismatched", "active", hour_ago);
    let others = key_secret("x", "active", hour_ago).string_data.unwrap()["tls.crt"].clone();
    mismatched.string_data.as_mut().unwrap().insert("tls.crt".to_owned(), others);
    scene.create_secret(&mismatched).await;
    for (name, phase) in [
        ("gone", SealingKeyPhase::Retired),
        ("other", SealingKeyPhase::Retired),
        ("lost", SealingKeyPhase::Compromised),
        ("broken", SealingKeyPhase::Unreadable),
        ("mismatched", SealingKeyPhase::DecryptOnly),
    ] {
        scene.until_phase(name, phase).await;
    }
    let told = |name: &'static str| async {
        scene.sealing_keys().get(name).await.unwrap().status.unwrap().message.unwrap_or_default()
    };
    assert!(told("broken").await.contains("tls.key"));
    assert!(told("mismatched").await.contains("does not match"));
    assert!(told("other").await.contains("another value than active"));
    scene.until_event("KeyUnreadable", "tls.").await;
}

#[tokio::test]
async fn altered_sealing_keys_are_restored_and_foreign_ones_deleted() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let is_complete = |key: &SealingKey| {
        phase_of(key) == Some(SealingKeyPhase::Primary)
            && key.status.as_ref().is_some_and(|status| status.usage.is_some())
    };
    let mut key = scene.until_key(&first, "Primary, and counted", is_complete).await;
    let own = key.status.clone();
    key.status.as_mut().unwrap().certificate = Some("somebody else's".to_owned());
    key.status.as_mut().unwrap().phase = Some(SealingKeyPhase::Retired);
    scene.sealing_keys().replace_status(&first, &PostParams::default(), &key).await.unwrap();
    scene.until_key(&first, "its status is put back", |key| key.status == own).await;
    let orphan = Patch::Merge(json!({"metadata": {"ownerReferences": null}}));
    scene.sealing_keys().patch(&first, &PatchParams::default(), &orphan).await.unwrap();
    scene.until_key(&first, "its owner is put back", |key| key.owner_references().len() == 1).await;
    let uid = scene.sealing_keys().get(&first).await.unwrap().metadata.uid;
    scene.sealing_keys().delete(&first, &DeleteParams::default()).await.unwrap();
    scene
        .until_key(&first, "made anew", |key| key.metadata.uid != uid && key.status.as_ref() == own.as_ref())
        .await;
    let foreign = SealingKey::new("foreign", SealingKeySpec::default());
    scene.sealing_keys().create(&PostParams::default(), &foreign).await.unwrap();
    let gone = async || scene.sealing_keys().get_opt("foreign").await.unwrap().is_none().then_some(());
    until("a SealingKey without a key goes", PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_key_marked_compromised_gets_a_successor_at_once_and_still_decrypts() {
    let scene = KeyScene::with_policy(&json!({"rotation": {"activationDelay": "2d"}})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    let sealed = scene.0.seal(&scene.0.secret("db", "password", CANARY)).await;
    scene.say(&first, &json!({"state": "Compromised"})).await;
    scene.until_phase(&first, SealingKeyPhase::Compromised).await;
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| **name != first).unwrap();
    scene.until_offered(new).await;
    let secret = scene.until_labelled(&first, "active").await;
    assert_eq!(annotation(&secret, "state"), Some("Compromised"));
    assert!(annotation(&secret, "state-since").is_some());
    scene.until_event("KeyCompromised", "change the values").await;
    scene.0.create(&sealed).await;
    scene.0.until_synced("db", "True").await;
    scene.until_policy("idle again", |status| status.phase == Some(RotationPhase::Idle)).await;
    assert_eq!(scene.names().await.len(), 2, "one successor");
}

#[tokio::test]
async fn at_its_deadline_a_compromised_key_leaves_the_ring_and_relabelling_it_clears_its_dates() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    let sealed = scene.0.seal(&scene.0.secret("db", "password", CANARY)).await;
    let end = (Timestamp::now() + SignedDuration::from_secs(2)).to_string();
    scene.say(&first, &json!({"state": "Compromised", "decryptUntil": end})).await;
    let secret = scene.until_labelled(&first, "compromised").await;
    let noted: Timestamp = annotation(&secret, "decrypt-until").unwrap().parse().unwrap();
    assert_eq!(noted, end.parse().unwrap());
    scene.until_phase(&first, SealingKeyPhase::Compromised).await;
    scene.0.create(&sealed).await;
    scene.0.until_synced("db", "False").await;

    scene.relabel(&first, "active").await;
    let is_forgotten =
        |key: &SealingKey| has_state(key, SealingKeyState::Active) && key.spec.decrypt_until.is_none();
    scene.until_key(&first, "nothing is wanted of it", is_forgotten).await;
    scene.0.until_synced("db", "True").await;
    let forgotten = |secret: &Secret| {
        ["state", "state-since", "compromised-since", "decrypt-until", "off-ring-since"]
            .iter()
            .all(|name| annotation(secret, name).is_none())
    };
    scene.0.until_secret(&first, "nothing is noted", forgotten).await;
    scene.until_phase(&first, SealingKeyPhase::DecryptOnly).await;
}

#[tokio::test]
async fn retiring_a_compromised_key_takes_back_neither_its_mark_nor_its_end() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.apply_policy(&json!({"primary": {"pin": first}})).await;
    let sealed = scene.0.seal(&scene.0.secret("db", "password", CANARY)).await;
    scene.0.create(&sealed).await;
    scene.say(&first, &json!({"state": "Compromised", "decryptUntil": "2100-01-01T00:00:00Z"})).await;
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| **name != first).unwrap();
    scene.until_offered(new).await;
    let compromised = scene.secrets().get(&first).await.unwrap();
    let since = annotation(&compromised, "compromised-since").unwrap().to_owned();

    scene.say(&first, &json!({"state": "Retired", "decryptUntil": null})).await;
    let is_heeded = |key: &SealingKey| {
        let heeded = key.status.as_ref().and_then(|status| status.observed_generation);
        has_state(key, SealingKeyState::Retired) && heeded == key.metadata.generation
    };
    let key = scene.until_key(&first, "it is to retire", is_heeded).await;
    assert_eq!(phase_of(&key), Some(SealingKeyPhase::Compromised));
    let secret = scene.secrets().get(&first).await.unwrap();
    assert_eq!(annotation(&secret, "state"), Some("Retired"));
    assert_eq!(annotation(&secret, "compromised-since"), Some(since.as_str()));
    assert_eq!(annotation(&secret, "decrypt-until"), Some("2100-01-01T00:00:00Z"));
    let ignored = |status: &SealingKeyPolicyStatus| {
        status.conditions.iter().any(|one| one.message.contains("PinIgnored"))
    };
    scene.until_policy("the pin is ignored", ignored).await;
    scene.until_offered(new).await;
    let warns = async || {
        let object = scene.0.sealed_secrets().get("db").await.unwrap();
        object.data["status"]["conditions"].to_string().contains("KeyCompromised").then_some(())
    };
    until("db says that its key is compromised", PATIENCE, warns).await.unwrap();

    let over =
        json!({"metadata": {"annotations": {"sealedsecrets.rs/decrypt-until": "2020-01-01T00:00:00Z"}}});
    scene.secrets().patch(&first, &PatchParams::default(), &Patch::Merge(over)).await.unwrap();
    scene.until_labelled(&first, "compromised").await;
    let shown = scene.sealing_keys().get(&first).await.unwrap();
    assert_eq!(phase_of(&shown), Some(SealingKeyPhase::Compromised));
    assert_eq!(scene.names().await.len(), 2, "one successor");
}

#[tokio::test]
async fn a_key_with_a_certificate_issued_anew_is_compromised_in_both_secrets() {
    let scene = KeyScene::set().await;
    let now = scene.later_than_all_keys().await;
    let brought = key_secret("brought", "active", now - SignedDuration::from_hours(1));
    let key = KeyPair::from_pem(brought.string_data.as_ref().unwrap()["tls.key"].as_bytes()).unwrap();
    let mut anew = brought.clone();
    anew.metadata.name = Some("anew".to_owned());
    anew.string_data.as_mut().unwrap().insert("tls.crt".to_owned(), issue(&key, now, 8));
    scene.create_secret(&brought).await;
    scene.create_secret(&anew).await;
    scene.until_offered("anew").await;
    let before = scene.until_keys(3).await;
    scene.until_phase("brought", SealingKeyPhase::DecryptOnly).await;
    scene.say("brought", &json!({"state": "Compromised"})).await;
    scene.until_phase("brought", SealingKeyPhase::Compromised).await;
    let told = scene.until_phase("anew", SealingKeyPhase::Compromised).await.status.unwrap().message;
    assert!(
        told.as_ref().is_some_and(|told| told.starts_with("Secret brought holds the same key")),
        "{told:?}"
    );
    let names = scene.until_keys(4).await;
    let successor = names.iter().find(|name| !before.contains(name)).unwrap();
    scene.until_offered(successor).await;
}

#[tokio::test]
async fn a_requested_state_can_be_taken_back() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.say(&first, &json!({"state": "Compromised"})).await;
    scene.until_keys(2).await;
    scene.until_phase(&first, SealingKeyPhase::Compromised).await;
    scene.say(&first, &json!({"state": "Active"})).await;
    let is_forgotten = |secret: &Secret| {
        ["state", "compromised-since"].iter().all(|name| annotation(secret, name).is_none())
    };
    scene.0.until_secret(&first, "not compromised", is_forgotten).await;
    scene.until_phase(&first, SealingKeyPhase::DecryptOnly).await;
    assert_eq!(scene.names().await.len(), 2);
}

#[tokio::test]
async fn the_primary_key_does_not_retire_and_the_blocker_is_reported() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.say(&first, &json!({"state": "Retired"})).await;
    let waits = |key: &SealingKey| {
        let message = key.status.as_ref().and_then(|status| status.message.clone());
        message.is_some_and(|message| message.starts_with("RetiresWhilePrimary"))
    };
    let key = scene.until_key(&first, "it says why it stays", waits).await;
    assert_eq!(phase_of(&key), Some(SealingKeyPhase::Primary));
    scene
        .until_policy("told", |status| {
            status.conditions.iter().any(|one| one.message.contains("RetiresWhilePrimary"))
        })
        .await;
    scene.until_event("RotationBlocked", "RetiresWhilePrimary").await;
}

#[tokio::test]
async fn a_recreated_sealing_key_has_the_state_of_its_secret() {
    let scene = KeyScene::set().await;
    let mut secret = key_secret("lost", "active", Timestamp::now() - SignedDuration::from_hours(1));
    secret.annotations_mut().insert("sealedsecrets.rs/state".to_owned(), "Compromised".to_owned());
    secret
        .annotations_mut()
        .insert("sealedsecrets.rs/decrypt-until".to_owned(), "2100-01-01T00:00:00Z".to_owned());
    scene.create_secret(&secret).await;
    let key = scene.until_phase("lost", SealingKeyPhase::Compromised).await;
    assert!(has_state(&key, SealingKeyState::Compromised));
    assert_eq!(key.spec.decrypt_until.unwrap().0.to_string(), "2100-01-01T00:00:00Z");
    scene.delete_secret("lost").await;
    secret.annotations_mut().clear();
    scene.create_secret(&secret).await;
    let anew = scene.until_phase("lost", SealingKeyPhase::DecryptOnly).await;
    assert!(has_state(&anew, SealingKeyState::Active), "a new Secret, a new SealingKey");
}
