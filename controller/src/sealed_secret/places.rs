//! Work that takes long has few places: what is quick never waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::versions::Key;

/// Between two looks at whether there is a place.
const LOOK_FOR_PLACE: Duration = Duration::from_secs(1);

/// Why an object needs a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// It needs more private-key operations than one slice has.
    Long,
    /// It has templates, which cannot be interrupted.
    Templates,
}

impl Kind {
    /// Places in all, and for the objects of one namespace: a backlog of one has enough, and some workers are always left.
    const fn places(self) -> (usize, usize) {
        match self {
            Self::Long => (4, 2),
            Self::Templates => (24, 16),
        }
    }
}

/// The places that are taken, and the objects that wait for one.
#[derive(Debug, Default)]
pub(super) struct Places {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: HashMap<(Kind, String), usize>,
    wanted: HashMap<Key, Kind>,
    /// How many objects of a namespace wait.
    waiting: HashMap<(Kind, String), usize>,
}

/// A place, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    pub(super) kind: Kind,
    namespace: String,
}

impl Places {
    /// A place of this kind for an object. If none is free, or those that are belong to namespaces that wait and have none, the
    /// object is noted as waiting for one.
    pub(super) fn take(self: &Arc<Self>, kind: Kind, key: &Key) -> Option<Place> {
        let (in_all, of_one) = kind.places();
        let mut state = self.lock();
        let all: usize = state.taken.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum();
        let place = (kind, key.0.clone());
        let own = state.taken.get(&place).copied().unwrap_or_default();
        let reserved = if own == 0 { 0 } else { state.waiting_without(kind) };
        if own >= of_one || all + reserved >= in_all {
            state.want(key, kind);
            return None;
        }
        state.taken.insert(place, own + 1);
        Some(Place { places: Arc::clone(self), kind, namespace: key.0.clone() })
    }

    /// The kind of place that this object waits for.
    pub(super) fn wanted(&self, key: &Key) -> Option<Kind> {
        self.lock().wanted.get(key).copied()
    }

    /// This object waits no longer: it has changed, has gone, or is done.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().want_no_more(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn want(&mut self, key: &Key, kind: Kind) {
        self.want_no_more(key);
        self.wanted.insert(key.clone(), kind);
        *self.waiting.entry((kind, key.0.clone())).or_default() += 1;
    }

    fn want_no_more(&mut self, key: &Key) {
        if let Some(kind) = self.wanted.remove(key) {
            decrease(&mut self.waiting, &(kind, key.0.clone()));
        }
    }

    /// Namespaces that wait for a place of this kind and have none.
    fn waiting_without(&self, kind: Kind) -> usize {
        self.waiting.keys().filter(|place| place.0 == kind && !self.taken.contains_key(place)).count()
    }
}

fn decrease(counts: &mut HashMap<(Kind, String), usize>, key: &(Kind, String)) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        decrease(&mut state.taken, &(self.kind, std::mem::take(&mut self.namespace)));
    }
}

/// When to look again for a place.
pub(super) fn later() -> Duration {
    LOOK_FOR_PLACE.mul_f64(1.0 + rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str) -> Key {
        (namespace.to_owned(), "db".to_owned())
    }

    fn take_all(places: &Arc<Places>, kind: Kind, namespace: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(kind, &key(namespace))).collect()
    }

    #[test]
    fn one_namespace_leaves_places_to_others_and_long_work_leaves_workers_to_the_rest() {
        let places = Arc::<Places>::default();
        for kind in [Kind::Long, Kind::Templates] {
            let (in_all, of_one) = kind.places();
            let first = take_all(&places, kind, "a");
            assert_eq!(first.len(), of_one);
            let others: Vec<_> =
                ["b", "c", "d"].iter().flat_map(|name| take_all(&places, kind, name)).collect();
            assert_eq!(first.len() + others.len(), in_all);
            drop(first);
            for name in ["c", "d"] {
                places.forget(&key(name));
            }
            assert_eq!(take_all(&places, kind, "a").len(), of_one);
        }
        assert!(places.lock().taken.is_empty(), "a place that is left leaves nothing behind");
    }

    #[test]
    fn the_next_place_is_for_a_namespace_that_has_none() {
        let places = Arc::<Places>::default();
        let (mut first, _second) = (take_all(&places, Kind::Long, "a"), take_all(&places, Kind::Long, "b"));
        assert!(places.take(Kind::Long, &key("c")).is_none(), "all are taken");
        first.pop();
        assert!(places.take(Kind::Long, &key("a")).is_none());
        let third = places.take(Kind::Long, &key("c"));
        assert!(third.is_some());
        places.forget(&key("c"));
        first.pop();
        assert!(places.take(Kind::Long, &key("a")).is_some(), "nobody else waits");
    }

    #[test]
    fn an_object_without_a_place_waits_until_it_is_done_or_has_changed() {
        let places = Arc::<Places>::default();
        let taken = take_all(&places, Kind::Long, "shop");
        assert_eq!(places.wanted(&key("shop")), Some(Kind::Long));
        drop(taken);
        assert!(places.take(Kind::Long, &key("shop")).is_some());
        places.forget(&key("shop"));
        assert_eq!(places.wanted(&key("shop")), None);
    }
}
