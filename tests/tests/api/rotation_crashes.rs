//! Crashes of the controller just before or just after a write about a key: the next controller completes the change.

use http::Method;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_crds::SealingKeyPhase::{self, Compromised, DecryptOnly, Primary, Retired};
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};
use sealed_secrets_tests::{Cluster, Edition, Fault, FaultProxy, Reach, until};
use serde_json::{Value, json};

use crate::key_scene::{KeyScene, LABEL, SMALL, key_secret};
use crate::rotation_faults::{behind_proxy, is_write, with_proxy};
use crate::scene::{CANARY, seal_with};
use crate::support::PATIENCE;

const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const COMPROMISED: (&str, &str) = (KEY_STATE_ANNOTATION, "Compromised");
const RETIRED: (&str, &str) = (KEY_STATE_ANNOTATION, "Retired");
const LEAKED: (&str, &str) = (COMPROMISED_SINCE_ANNOTATION, LONG_AGO);
const WANTED: (&str, &str) = (STATE_SINCE_ANNOTATION, LONG_AGO);
const OVER: (&str, &str) = (DECRYPT_UNTIL_ANNOTATION, LONG_AGO);
const OFF_RING: (&str, &str) = (OFF_RING_SINCE_ANNOTATION, LONG_AGO);

/// A kind of write, and a key Secret for which it is due at once.
struct Case {
    what: &'static str,
    /// Label and annotations of the key Secret before.
    before: (&'static str, &'static [(&'static str, &'static str)]),
    /// Phase and label afterwards, and the annotation that was written with them and is left, if any; `None` for a deleted key.
    after: Option<(SealingKeyPhase, &'static str, Option<&'static str>)>,
}

const WITHOUT_WHOLE_VIEW: [Case; 5] = [
    Case { what: "activate", before: ("pending", &[]), after: Some((Primary, "active", None)) },
    Case {
        what: "note-wish",
        before: ("active", &[COMPROMISED, OVER]),
        after: Some((Compromised, "compromised", Some(COMPROMISED_SINCE_ANNOTATION))),
    },
    Case {
        what: "remove",
        before: ("active", &[COMPROMISED, LEAKED, WANTED, OVER]),
        after: Some((Compromised, "compromised", Some(OFF_RING_SINCE_ANNOTATION))),
    },
    Case {
        what: "note-off-ring",
        before: ("retired", &[RETIRED, WANTED]),
        after: Some((Retired, "retired", Some(OFF_RING_SINCE_ANNOTATION))),
    },
    Case {
        what: "restore",
        before: ("active", &[RETIRED, WANTED, OFF_RING]),
        after: Some((DecryptOnly, "active", None)),
    },
];

const WITH_WHOLE_VIEW: [Case; 3] = [
    Case {
        what: "note-unused",
        before: ("active", &[]),
        after: Some((DecryptOnly, "active", Some(UNUSED_SINCE_ANNOTATION))),
    },
    Case {
        what: "retire",
        before: ("active", &[RETIRED, WANTED]),
        after: Some((Retired, "retired", Some(OFF_RING_SINCE_ANNOTATION))),
    },
    Case { what: "delete", before: ("retired", &[OFF_RING]), after: None },
];

impl Case {
    fn phase(&self) -> Option<SealingKeyPhase> {
        self.after.map(|(phase, ..)| phase)
    }

    fn write(&self) -> Method {
        if self.after.is_some() { Method::PUT } else { Method::DELETE }
    }

    /// The key Secret, newer than all existing ones if it is to become primary.
    async fn key(&self, scene: &KeyScene, name: &str) -> Secret {
        let now = scene.later_than_all_keys().await;
        let leads = self.phase() == Some(Primary);
        let begun = if leads { now } else { now - SignedDuration::from_hours(1) };
        let (label, annotations) = self.before;
        let mut key = key_secret(name, label, begun);
        let annotations = annotations.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        key.annotations_mut().extend(annotations);
        key
    }

    /// Waits until the key is in its final state.
    async fn until_done(&self, scene: &KeyScene, name: &str) {
        let Some((phase, label, note)) = self.after else {
            let gone = async || {
                let secret = scene.secrets().get_opt(name).await.unwrap();
                (secret.is_none() && scene.sealing_keys().get_opt(name).await.unwrap().is_none())
                    .then_some(())
            };
            return until(&format!("{name} and its SealingKey are gone"), PATIENCE, gone).await.unwrap();
        };
        scene.until_phase(name, phase).await;
        let is_left = |secret: &Secret| {
            let annotations = secret.annotations();
            let noted = note.map_or_else(|| annotations.is_empty(), |note| annotations.contains_key(note));
            noted && secret.labels()[LABEL] == label
        };
        scene.0.until_secret(name, "is left as it should be", is_left).await;
    }
}

/// Runs each case twice, with a controller that crashes before the write and one that crashes after it.
async fn killed_at_each(scene: &mut KeyScene, proxy: &FaultProxy, kubeconfig: &str, cases: &[Case]) {
    scene.0.opened("db").await;
    let [mut leader] = scene.names().await.try_into().unwrap();
    let mut names = vec![leader.clone()];
    for case in cases {
        for (moment, fault) in [("before", Fault::Silence), ("after", Fault::Unanswered)] {
            let name = format!("{}-{moment}", case.what);
            let key = case.key(scene, &name).await;
            let (write, path) = (case.write(), format!("/secrets/{name}"));
            proxy.fail(move |method, to| is_write(method, to, (&write, &path)).then_some(fault));
            scene.create_secret(&key).await;
            let hit = async || (proxy.faults() > 0).then_some(());
            until(&name, PATIENCE, hit).await.unwrap();
            scene.0.controller.process().kill();
            proxy.heal();
            scene.0.controller =
                scene.0.installation.start(Edition::Ours, &[SMALL, kubeconfig]).await.unwrap();
            case.until_done(scene, &name).await;
            names.extend(case.phase().map(|_| name.clone()));
            if case.phase() == Some(Primary) {
                leader.clone_from(&name);
            }
            scene.until_offered(&leader).await;
            if matches!(case.phase(), Some(Primary | DecryptOnly)) {
                let object = format!("sealed-to-{name}");
                let secret = scene.0.secret(&object, "password", CANARY);
                scene.0.create(&seal_with(&key.string_data.unwrap()["tls.crt"], &secret)).await;
                scene.0.until_synced(&object, "True").await;
            }
        }
    }
    scene.delete_secret("db").await;
    scene.0.until_secret("db", "it opens still", |_| true).await;
    let mut left = scene.names().await;
    left.sort();
    names.sort();
    assert_eq!(left, names, "no key but these was made or is gone");
}

/// The policy under which `delete` and `note-unused` are due.
fn retention() -> Value {
    json!({"retention": {"keepAtLeast": 2, "retireWhenUnusedFor": "1h", "deleteAfterRetired": "1h"}})
}

#[tokio::test]
async fn killed_before_or_after_it_activates_removes_dates_or_restores_a_key_the_next_controller_completes_it()
 {
    let (mut scene, proxy, kubeconfig) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    killed_at_each(&mut scene, &proxy, &kubeconfig, &WITHOUT_WHOLE_VIEW).await;
}

#[tokio::test]
async fn killed_before_or_after_it_dates_retires_or_deletes_an_unused_key_the_next_controller_ends_it() {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let (proxy, kubeconfig) = behind_proxy(&installation).await;
    let mut scene = KeyScene::start(cluster, installation, &[&kubeconfig]).await;
    scene.apply_policy(&retention()).await;
    killed_at_each(&mut scene, &proxy, &kubeconfig, &WITH_WHOLE_VIEW).await;
}
