//! A model of several writers, searched exhaustively: every order of the steps of three replicas, of their requests that
//! arrive late, of changes by people, and of a Lease that may change hands at any moment while former leaders go on.
//!
//! The Lease appears only as what permits a replica to begin, since nothing may depend on it. What is modelled is
//! `sealed_secret/secret/apply` (the live read and the precondition) and `keystore/generate` (computed names). Each test
//! leaves a part of the protocol out once, and then the search finds what that part prevents.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::Hash;

const REPLICAS: usize = 3;

/// A model: its states, and the steps between them.
trait Model {
    type State: Clone + Eq + Hash;

    fn start(&self) -> Self::State;

    /// The states that follow; an error names what a step has broken.
    fn next(&self, state: &Self::State) -> Result<Vec<Self::State>, &'static str>;

    /// An error names what is missing in a state in which nothing more happens by itself.
    fn at_rest(&self, state: &Self::State) -> Result<(), &'static str>;
}

/// Visits every state that can be reached. Returns their number, or the first error.
fn search<M: Model>(model: &M) -> Result<usize, &'static str> {
    let start = model.start();
    let (mut known, mut queue) = (HashSet::from([start.clone()]), VecDeque::from([start]));
    while let Some(state) = queue.pop_front() {
        model.at_rest(&state)?;
        for next in model.next(&state)? {
            if known.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    Ok(known.len())
}

/// The writers of one Secret.
#[derive(Clone, Copy)]
struct SecretModel {
    generations: u8,
    reads_live_object: bool,
    /// The read of the live object comes after the Secret was read. In the other order it is of no use.
    reads_it_after_secret: bool,
    has_precondition: bool,
}

const SECRET: SecretModel = SecretModel {
    generations: 2,
    reads_live_object: true,
    reads_it_after_secret: true,
    has_precondition: true,
};

/// An attempt of one replica at the SealedSecret of this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Attempt {
    None,
    Opened(u8),
    /// The live object was read before the Secret was read, in the wrong order.
    ReadEarly(u8),
    /// The Secret was read; `is_latest` until somebody writes it.
    Read {
        generation: u8,
        is_latest: bool,
    },
    LookedToReplace {
        generation: u8,
        is_latest: bool,
    },
    LookedToCreate(u8),
    /// A request is on its way, and arrives whatever becomes of the replica.
    Creating(u8),
    Replacing {
        generation: u8,
        is_latest: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Belief {
    Follows,
    /// Was the leader, and does not know yet that it is no more. That may last for any time.
    StillLeads,
    HoldsLease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Writer {
    belief: Belief,
    /// Generation that its watch has shown.
    seen: u8,
    /// Has tried this object before, so that its Secret may have existed.
    is_known: bool,
    /// A change was shown that no attempt has begun with.
    is_queued: bool,
    attempt: Attempt,
}

const FOLLOWER: Writer =
    Writer { belief: Belief::Follows, seen: 0, is_known: false, is_queued: false, attempt: Attempt::None };

impl Writer {
    fn leads(self) -> bool {
        self.belief != Belief::Follows
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SecretState {
    /// Generation of the SealedSecret.
    generation: u8,
    /// Generation from which the Secret was made, if it exists.
    secret: Option<u8>,
    /// People may delete the Secret once.
    may_be_deleted: bool,
    writers: [Writer; REPLICAS],
}

impl SecretState {
    /// The Secret was written or deleted: what was read is not the latest any more, and every watch shows it.
    fn secret_changed(&mut self) {
        for writer in &mut self.writers {
            writer.is_queued |= writer.leads();
            match &mut writer.attempt {
                Attempt::Read { is_latest, .. }
                | Attempt::LookedToReplace { is_latest, .. }
                | Attempt::Replacing { is_latest, .. } => *is_latest = false,
                _ => {}
            }
        }
    }

    /// Writers are alike, so their order says nothing.
    fn sorted(mut self) -> Self {
        self.writers.sort_unstable();
        self
    }
}

impl SecretModel {
    /// Steps of people, and of the Lease.
    fn environment(self, state: &SecretState) -> Vec<SecretState> {
        let mut all = Vec::new();
        if state.generation < self.generations {
            all.push(SecretState { generation: state.generation + 1, ..state.clone() });
        }
        if state.may_be_deleted && state.secret.is_some() {
            let mut deleted = SecretState { secret: None, may_be_deleted: false, ..state.clone() };
            deleted.secret_changed();
            all.push(deleted);
        }
        for index in 0..REPLICAS {
            let writer = state.writers[index];
            if writer.belief != Belief::HoldsLease {
                all.push(takes_lease(state, index));
            }
            if writer.belief == Belief::StillLeads {
                all.push(notices_end(state, index));
            }
            if writer.leads() && writer.seen < state.generation {
                let mut observed = state.clone();
                observed.writers[index].seen += 1;
                observed.writers[index].is_queued = true;
                all.push(observed);
            }
        }
        all
    }

    /// The next step of an attempt.
    fn step(self, state: &SecretState, index: usize) -> Result<Option<SecretState>, &'static str> {
        let (mut next, writer) = (state.clone(), state.writers[index]);
        let may_go_on = writer.leads();
        let is_current = |generation| !self.reads_live_object || generation == state.generation;
        let attempt = match writer.attempt {
            Attempt::Creating(generation) => match state.secret {
                None => return Ok(Some(written(next, index, generation))),
                Some(_) if may_go_on => Attempt::Opened(generation),
                Some(_) => Attempt::None,
            },
            Attempt::Replacing { generation, is_latest } => match state.secret {
                Some(content) if is_latest || !self.has_precondition => {
                    if content > generation {
                        return Err("a value went back");
                    }
                    if content == generation {
                        return Err("a random value was made again");
                    }
                    return Ok(Some(written(next, index, generation)));
                }
                _ if may_go_on => Attempt::Opened(generation),
                _ => Attempt::None,
            },
            _ if !may_go_on => return Ok(None),
            Attempt::None if writer.is_queued => {
                next.writers[index].is_queued = false;
                Attempt::Opened(writer.seen)
            }
            Attempt::None => return Ok(None),
            Attempt::Opened(generation) if !self.reads_it_after_secret && !is_current(generation) => {
                Attempt::None
            }
            Attempt::Opened(generation) if !self.reads_it_after_secret => Attempt::ReadEarly(generation),
            Attempt::Opened(generation) | Attempt::ReadEarly(generation) => match state.secret {
                None if writer.is_known && !is_current(generation) => Attempt::None,
                None => Attempt::LookedToCreate(generation),
                // Its values are kept, if the object is still this one.
                Some(content) if content == generation => Attempt::None,
                Some(_) => Attempt::Read { generation, is_latest: true },
            },
            Attempt::Read { generation, .. } if self.reads_it_after_secret && !is_current(generation) => {
                Attempt::None
            }
            Attempt::Read { generation, is_latest } => Attempt::LookedToReplace { generation, is_latest },
            Attempt::LookedToReplace { generation, is_latest } => {
                Attempt::Replacing { generation, is_latest }
            }
            Attempt::LookedToCreate(generation) => Attempt::Creating(generation),
        };
        next.writers[index].attempt = attempt;
        next.writers[index].is_known |= attempt == Attempt::None;
        Ok(Some(next))
    }
}

/// A replica begins a term, with memory of its own.
fn takes_lease(state: &SecretState, index: usize) -> SecretState {
    let mut next = state.clone();
    for writer in next.writers.iter_mut().filter(|writer| writer.belief == Belief::HoldsLease) {
        writer.belief = Belief::StillLeads;
    }
    let before = next.writers[index];
    let fresh = Writer { seen: state.generation, is_known: false, ..before };
    let base = if before.leads() { before } else { fresh };
    next.writers[index] = Writer { belief: Belief::HoldsLease, is_queued: true, ..base };
    next
}

/// A former leader notices that it leads no more. What it has sent still arrives.
fn notices_end(state: &SecretState, index: usize) -> SecretState {
    let mut next = state.clone();
    let writer = &mut next.writers[index];
    let is_sent = matches!(writer.attempt, Attempt::Creating(_) | Attempt::Replacing { .. });
    let attempt = if is_sent { writer.attempt } else { Attempt::None };
    *writer = Writer { attempt, ..FOLLOWER };
    next
}

fn written(mut state: SecretState, index: usize, generation: u8) -> SecretState {
    state.secret = Some(generation);
    state.secret_changed();
    state.writers[index].attempt = Attempt::None;
    state.writers[index].is_known = true;
    state
}

impl Model for SecretModel {
    type State = SecretState;

    fn start(&self) -> SecretState {
        SecretState { generation: 1, secret: None, may_be_deleted: true, writers: [FOLLOWER; REPLICAS] }
    }

    fn next(&self, state: &SecretState) -> Result<Vec<SecretState>, &'static str> {
        let mut all = self.environment(state);
        for index in 0..REPLICAS {
            all.extend(self.step(state, index)?);
        }
        Ok(all.into_iter().map(SecretState::sorted).collect())
    }

    fn at_rest(&self, state: &SecretState) -> Result<(), &'static str> {
        let is_idle = |writer: &Writer| writer.attempt == Attempt::None && !writer.is_queued;
        let leader = state.writers.iter().find(|writer| writer.belief == Belief::HoldsLease);
        let has_seen_all = leader.is_some_and(|leader| leader.seen == state.generation);
        let is_wrong = state.secret != Some(state.generation);
        if has_seen_all && state.writers.iter().all(is_idle) && is_wrong {
            Err("a Secret was lost")
        } else {
            Ok(())
        }
    }
}

/// The makers of sealing keys.
#[derive(Clone, Copy)]
struct KeyModel {
    /// The name of a key follows from the key before it.
    has_computed_names: bool,
}

/// A key Secret: its name, and the key that it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    name: u8,
    predecessor: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum MakerPhase {
    None,
    /// Has listed the keys: the newest, and how many there were.
    Listed {
        newest: u8,
        count: usize,
    },
    Creating(Key),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyState {
    keys: BTreeSet<Key>,
    /// Keys that people have asked for.
    wanted: usize,
    makers: Vec<MakerPhase>,
}

const MAX_WANTED: usize = 3;

impl KeyModel {
    fn step(self, state: &KeyState, index: usize) -> Result<Option<KeyState>, &'static str> {
        let mut next = state.clone();
        let newest = state.keys.last().map_or(0, |key| key.name);
        next.makers[index] = match &state.makers[index] {
            MakerPhase::None => MakerPhase::Listed { newest, count: state.keys.len() },
            MakerPhase::Listed { count, .. } if *count >= state.wanted => MakerPhase::None,
            MakerPhase::Listed { newest, .. } => {
                let free = state.keys.last().map_or(0, |key| key.name) + 1;
                let name = if self.has_computed_names { newest + 1 } else { free };
                MakerPhase::Creating(Key { name, predecessor: *newest })
            }
            MakerPhase::Creating(key) => {
                let is_taken = state.keys.iter().any(|other| other.name == key.name);
                let name = if self.has_computed_names {
                    key.name
                } else {
                    state.keys.len().try_into().unwrap_or(u8::MAX) + 1
                };
                if !is_taken || !self.has_computed_names {
                    if state.keys.iter().any(|other| other.predecessor == key.predecessor) {
                        return Err("a key has two successors");
                    }
                    next.keys.insert(Key { name, ..*key });
                }
                MakerPhase::None
            }
        };
        Ok((next != *state).then_some(next))
    }
}

impl Model for KeyModel {
    type State = KeyState;

    fn start(&self) -> KeyState {
        KeyState { keys: BTreeSet::new(), wanted: 1, makers: vec![MakerPhase::None; REPLICAS] }
    }

    fn next(&self, state: &KeyState) -> Result<Vec<KeyState>, &'static str> {
        let mut all = Vec::new();
        if state.wanted < MAX_WANTED && state.keys.len() == state.wanted {
            all.push(KeyState { wanted: state.wanted + 1, ..state.clone() });
        }
        for index in 0..REPLICAS {
            all.extend(self.step(state, index)?);
        }
        for state in &mut all {
            state.makers.sort_unstable();
        }
        Ok(all)
    }

    fn at_rest(&self, state: &KeyState) -> Result<(), &'static str> {
        if state.keys.len() > state.wanted { Err("there are more keys than were asked for") } else { Ok(()) }
    }
}

#[test]
fn three_writers_lose_no_secret_and_no_value_goes_back() {
    let states = search(&SECRET).unwrap();
    assert!(states > 10_000, "{states}");
}

#[test]
fn a_value_goes_back_without_the_live_read_or_the_precondition_or_in_the_wrong_order() {
    for broken in [
        SecretModel { reads_live_object: false, ..SECRET },
        SecretModel { reads_it_after_secret: false, ..SECRET },
        SecretModel { has_precondition: false, ..SECRET },
    ] {
        let found = search(&broken).unwrap_err();
        assert!(found == "a value went back" || found == "a random value was made again", "{found}");
    }
}

#[test]
fn a_key_has_one_successor_whatever_three_makers_do_at_once() {
    assert!(search(&KeyModel { has_computed_names: true }).unwrap() > 100);
    assert_eq!(search(&KeyModel { has_computed_names: false }), Err("a key has two successors"));
}
