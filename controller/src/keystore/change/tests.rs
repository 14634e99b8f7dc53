//! What is written on a key Secret, and what is read from it afterwards.

use sealed_secrets_core::rotation::{KeyLabel, KeyRecord};

use super::*;
use crate::keystore::fixtures::{key_secret, moment};

const COMPROMISED: Wish = Wish::Compromised { decrypt_until: None };

/// A key Secret with these annotations of ours.
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

/// This key Secret after a person has said so, and after that was dated.
fn said(secret: Secret, wish: Wish, second: i64) -> Secret {
    changed(wished(secret, wish), Step::NoteWish, moment(second))
}

#[test]
fn to_retire_a_compromised_key_takes_back_neither_its_mark_nor_its_end() {
    let compromised = Wish::Compromised { decrypt_until: Some(moment(90)) };
    let retiring = said(said(secret(&[]), compromised, 20), Wish::Retired, 30);
    let record = record(&retiring);
    assert_eq!((record.wish, record.wish_since), (Wish::Retired, Some(moment(30))));
    assert_eq!((record.compromised_since, record.decrypt_until), (Some(moment(20)), Some(moment(90))));
    assert!(record.is_compromised());
    let again = said(retiring, COMPROMISED, 40);
    assert_eq!(self::record(&again).compromised_since, Some(moment(20)), "since the first word of it");
    assert_eq!(self::record(&again).decrypt_until, None, "that has no end was said");
}

#[test]
fn a_compromise_that_was_noted_without_the_mark_gets_it_with_its_date() {
    let noted = [(KEY_STATE_ANNOTATION, "Compromised"), (STATE_SINCE_ANNOTATION, "1970-01-01T00:00:20Z")];
    let dates = |annotations: &[(&str, &str)]| {
        assert!(record(&secret(annotations)).is_undated());
        let dated = record(&changed(secret(annotations), Step::NoteWish, moment(30)));
        (dated.compromised_since, dated.wish_since)
    };
    assert_eq!(dates(&noted), (Some(moment(20)), Some(moment(20))));
    assert_eq!(dates(&noted[..1]), (Some(moment(30)), Some(moment(30))));
}

#[test]
fn a_date_that_is_none_is_noted_once() {
    let rubbish = [
        (KEY_STATE_ANNOTATION, "Compromised"),
        (STATE_SINCE_ANNOTATION, "yesterday"),
        (COMPROMISED_SINCE_ANNOTATION, "long ago"),
    ];
    assert!(record(&secret(&rubbish)).is_undated());
    let dated = changed(secret(&rubbish), Step::NoteWish, moment(30));
    assert!(!record(&dated).is_undated());
    let again = changed(dated.clone(), Step::NoteWish, moment(50));
    assert_eq!(again.annotations(), dated.annotations());
}

#[test]
fn without_its_state_a_marked_key_is_still_said_to_be_compromised() {
    let marked = secret(&[(COMPROMISED_SINCE_ANNOTATION, "1970-01-01T00:00:20Z")]);
    assert_eq!(record(&marked).wish, COMPROMISED);
    let dated = changed(marked, Step::NoteWish, moment(30));
    assert!(!record(&dated).is_undated(), "one write is enough");
}

#[test]
fn only_a_person_who_puts_the_key_back_takes_the_mark_away() {
    let compromised = || said(secret(&[]), COMPROMISED, 20);
    for wish in [COMPROMISED, Wish::Compromised { decrypt_until: Some(moment(90)) }, Wish::Retired] {
        assert!(record(&wished(compromised(), wish)).is_compromised(), "{wish:?}");
    }
    let steps = [
        Step::Activate,
        Step::Retire,
        Step::Expel,
        Step::NoteWish,
        Step::NoteOffRing,
        Step::NoteUnused,
        Step::NoteUsed,
    ];
    for step in steps {
        let stepped = changed(wished(compromised(), Wish::Retired), step, moment(40));
        assert_eq!(record(&stepped).compromised_since, Some(moment(20)), "{step:?}");
    }
    let taken_back = wished(compromised(), Wish::Active);
    assert_eq!(taken_back.annotations(), secret(&[]).annotations(), "it is as if nothing was said");
    let mut put_back = changed(wished(compromised(), Wish::Retired), Step::Expel, moment(40));
    assert_eq!(record(&put_back).label, KeyLabel::Compromised);
    put_back.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), SEALING_KEY_ACTIVE.to_owned());
    assert!(!record(&put_back).is_compromised());
    let restored = changed(put_back, Step::Restore, moment(50));
    assert_eq!(restored.annotations(), secret(&[]).annotations());
}
