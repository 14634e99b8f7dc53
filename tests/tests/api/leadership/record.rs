//! The recorded watches of a run: contents, generations, random values and events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::task::JoinHandle;

use super::replicas::Replicas;
use crate::scene::item;

/// The reported state of one SealedSecret.
#[derive(Clone, Debug, Default)]
struct Reported {
    /// Generation and value of `Synced`.
    latest: Option<(i64, bool)>,
    /// Generation of its spec.
    generation: i64,
    /// Times that it became synced.
    successes: usize,
    /// Those of them for a generation that had been reported before.
    repeated: usize,
}

#[derive(Default)]
struct Seen {
    /// The latest number of each object.
    numbers: BTreeMap<String, i64>,
    went_back: Vec<String>,
    tokens: BTreeMap<String, BTreeSet<String>>,
    reported: BTreeMap<String, Reported>,
    /// The names of the events that tell of a success, by object.
    events: BTreeMap<String, BTreeSet<String>>,
    repeated_events: Vec<String>,
}

impl Seen {
    fn number(&mut self, what: &str, number: i64) {
        let before = self.numbers.entry(what.to_owned()).or_insert(number);
        if *before > number {
            self.went_back.push(format!("{what}: {before} to {number}"));
        }
        *before = number;
    }

    /// Notes the number at the end of a value, which grows with each change, or a random value.
    fn secret(&mut self, secret: &Secret) {
        let name = secret.name_any();
        if let Some(token) = item(secret, "token") {
            self.tokens.entry(name).or_default().insert(token);
            return;
        }
        let value = item(secret, "password").unwrap_or_default();
        if let Some(number) = value.rsplit('-').next().and_then(|number| number.parse().ok()) {
            self.number(&format!("content of {name}"), number);
        }
    }

    fn sealed_secret(&mut self, object: &DynamicObject) {
        let (name, status) = (object.name_any(), &object.data["status"]);
        let reported = self.reported.entry(name.clone()).or_default();
        reported.generation = object.metadata.generation.unwrap_or_default();
        let Some(generation) = status["observedGeneration"].as_i64() else { return };
        let is_synced = status["conditions"][0]["status"] == "True";
        if is_synced && reported.latest != Some((generation, true)) {
            reported.successes += 1;
            reported.repeated += usize::from(reported.latest.is_some_and(|(before, _)| before == generation));
        }
        reported.latest = Some((generation, is_synced));
        self.number(&format!("observedGeneration of {name}"), generation);
    }

    fn event(&mut self, event: &Event) {
        if event.reason.as_deref() != Some("Unsealed") {
            return;
        }
        if event.count != Some(1) {
            self.repeated_events.push(event.name_any());
        }
        let about = event.involved_object.name.clone().unwrap_or_default();
        self.events.entry(about).or_default().insert(event.name_any());
    }
}

/// Watches of everything that people see of the controller's work.
pub(super) struct Record {
    seen: Arc<Mutex<Seen>>,
    watches: Vec<JoinHandle<()>>,
}

impl Record {
    pub(super) fn begin(replicas: &Replicas) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let watches = vec![
            watch(replicas.secrets(), &seen, Seen::secret),
            watch(replicas.sealed_secrets(), &seen, Seen::sealed_secret),
            watch(kube::Api::namespaced(replicas.cluster.client(), replicas.namespace()), &seen, Seen::event),
        ];
        Self { seen, watches }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Asserts that nothing has gone back, each random value is the first one, and each change was told once, where so many
    /// events could not be written: they are missing, or they told of a failure between two equal successes.
    pub(super) fn assert_in_order(&self, failed_events: usize) {
        assert!(self.watches.iter().all(|watch| !watch.is_finished()));
        let seen = self.seen();
        assert_eq!(seen.went_back, Vec::<String>::new());
        for (name, values) in &seen.tokens {
            assert_eq!(values.len(), 1, "{name} has had other random values: {values:?}");
        }
        assert_eq!(seen.repeated_events, Vec::<String>::new(), "counted more than once");
        let (mut missing, mut repeated) = (0, 0);
        for (name, reported) in &seen.reported {
            let told = seen.events.get(name).map_or(0, BTreeSet::len);
            let generations = usize::try_from(reported.generation).unwrap();
            if told > generations + reported.repeated {
                println!("{name} is told {told} times: {reported:?}");
            }
            repeated += told.saturating_sub(generations + reported.repeated);
            missing += reported.successes.saturating_sub(told);
        }
        assert!(
            missing + repeated <= failed_events,
            "{missing} events are missing, {repeated} are repeated, and {failed_events} could not be written"
        );
        let told: usize = seen.events.values().map(BTreeSet::len).sum();
        println!(
            "{told} events, {missing} missing, {repeated} repeated, {failed_events} could not be written"
        );
    }

    /// The random values so far.
    pub(super) fn tokens(&self) -> usize {
        self.seen().tokens.len()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

fn watch<K>(api: kube::Api<K>, seen: &Arc<Mutex<Seen>>, note: fn(&mut Seen, &K)) -> JoinHandle<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let seen = Arc::clone(seen);
    let shown = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
    tokio::spawn(shown.for_each(move |object| {
        if let Ok(object) = object {
            note(&mut seen.lock().unwrap(), &object);
        }
        std::future::ready(())
    }))
}
