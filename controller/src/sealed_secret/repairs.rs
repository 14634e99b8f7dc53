//! How soon a Secret that is changed again and again may be put back again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::versions::Key;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(5);
/// A Secret that was left in peace this long starts over.
const PEACE: Duration = Duration::from_mins(10);

/// Different messages about one Secret, until it is left in peace.
const MOST_MESSAGES: usize = 4;

#[derive(Clone, Debug)]
struct Repaired {
    times: u32,
    last: Instant,
    told: Vec<String>,
    is_contested: bool,
}

/// What there is to say of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// That it was made.
    Repair,
    /// That it was made again, and that somebody has to let go.
    Fight,
    /// Nothing new.
    Nothing,
}

/// Repairs by Secret. The first one is made at once, each further one waits twice as long, up to five minutes.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    made: Mutex<HashMap<Key, Repaired>>,
}

impl Repairs {
    /// How long this Secret must still wait, if at all. What is no repair, because the SealedSecret has not opened yet as it is
    /// now, never waits.
    pub(super) fn wait(&self, key: &Key, is_repair: bool, now: Instant) -> Option<Duration> {
        if !is_repair {
            return None;
        }
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let repaired = made.get(key)?;
        let pause = pause_after(repaired.times);
        pause.checked_sub(now.duration_since(repaired.last)).filter(|rest| !rest.is_zero())
    }

    /// Notes a repair that this message describes, and forgets those of Secrets that were left in peace. Returns what there is to
    /// say of it: each message once, and a fight once.
    pub(super) fn made(&self, key: Key, message: &str, now: Instant) -> Telling {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, repaired| now.duration_since(repaired.last) < PEACE);
        let new = || Repaired { times: 0, last: now, told: Vec::new(), is_contested: false };
        let repaired = made.entry(key).or_insert_with(new);
        repaired.times = repaired.times.saturating_add(1);
        repaired.last = now;
        if repaired.told.iter().any(|told| told == message) || repaired.told.len() == MOST_MESSAGES {
            let is_known = std::mem::replace(&mut repaired.is_contested, true);
            return if is_known { Telling::Nothing } else { Telling::Fight };
        }
        repaired.told.push(message.to_owned());
        Telling::Repair
    }

    /// Forgets the repairs of a Secret whose SealedSecret is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn pause_after(times: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::Telling::{Fight, Nothing, Repair};
    use super::*;

    #[test]
    fn the_first_repair_is_made_at_once_and_each_further_one_waits_longer() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let key = ("shop".to_owned(), "db".to_owned());
        assert_eq!(repairs.wait(&key, true, start), None);
        repairs.made(key.clone(), "", start);
        assert_eq!(repairs.wait(&key, true, start), Some(FIRST));
        assert_eq!(repairs.wait(&key, true, start + FIRST), None);
        repairs.made(key.clone(), "", start + FIRST);
        assert_eq!(repairs.wait(&key, true, start + FIRST), Some(FIRST * 2));
    }

    #[test]
    fn what_a_user_asks_for_does_not_wait_and_a_new_sealed_secret_starts_over() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let key = ("shop".to_owned(), "db".to_owned());
        repairs.made(key.clone(), "", start);
        assert_eq!(repairs.wait(&key, false, start), None);
        assert_eq!(repairs.wait(&key, true, start), Some(FIRST));
        repairs.forget(&key);
        assert_eq!(repairs.wait(&key, true, start), None);
    }

    #[test]
    fn a_secret_that_was_left_in_peace_starts_over() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let key = ("shop".to_owned(), "db".to_owned());
        for second in 0..5 {
            repairs.made(key.clone(), "", start + Duration::from_secs(second));
        }
        let later = start + PEACE * 2;
        repairs.made(key.clone(), "", later);
        assert_eq!(repairs.wait(&key, true, later), Some(FIRST));
    }

    #[test]
    fn each_message_about_a_secret_is_told_once_and_a_fight_once_until_there_was_peace() {
        let (repairs, start) = (Repairs::default(), Instant::now());
        let tell = |message: &str, now| repairs.made(("shop".to_owned(), "db".to_owned()), message, now);
        let told =
            ["by one", "by another", "by one", "by another", "by one"].map(|message| tell(message, start));
        assert_eq!(told, [Repair, Repair, Fight, Nothing, Nothing]);
        for number in 0..MOST_MESSAGES - 2 {
            assert_eq!(tell(&number.to_string(), start), Repair);
        }
        assert_eq!(tell("by ever another", start), Nothing);
        assert_eq!(tell("by one", start + PEACE), Repair);
    }

    #[test]
    fn no_pause_is_longer_than_five_minutes() {
        assert_eq!(pause_after(u32::MAX), LONGEST);
    }
}
