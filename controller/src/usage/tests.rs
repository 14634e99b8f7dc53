//! Counts, what they are good for, and when they are published.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::keyring::{OrderBy, SealingKey};

use super::*;

fn object(name: &str) -> Object {
    ("shop".to_owned(), name.to_owned())
}

/// A ring with one key.
fn ring() -> KeyRing {
    let field = |name: &str, pem: &str| (name.to_owned(), ByteString(pem.as_bytes().to_vec()));
    let data = [field("tls.key", include_str!("../../../core/tests/data/rsa2048-pkcs1.pem"))];
    let secret = Secret { data: Some(data.into()), ..Secret::default() };
    KeyRing::new(vec![Arc::new(SealingKey::from_secret(&secret, OrderBy::default()).unwrap())])
}

fn on_ring() -> Fingerprint {
    ring().newest().unwrap().fingerprint().clone()
}

fn off_ring() -> Fingerprint {
    format!("SHA256:{}", "A".repeat(43)).parse().unwrap()
}

fn tally(key: Fingerprint, items: u32, unopened: u32) -> Tally {
    Tally::of(vec![KeyUse { fingerprint: key, items }], unopened)
}

fn from_status(tally: Tally) -> Tally {
    Tally { witness: Witness::Status, ..tally }
}

/// A ledger of the whole cluster in which these objects were listed, in version 1.
fn ledger(names: &[&str]) -> Ledger {
    let ledger = Ledger::new(true);
    for name in names {
        ledger.expect(object(name), 1);
    }
    ledger.listed();
    ledger
}

fn sum(ledger: &Ledger) -> Usage {
    ledger.sum(&ring()).0
}

#[test]
fn items_are_counted_by_key_and_objects_that_need_several_count_for_each() {
    let ledger = ledger(&["a", "b", "c"]);
    ledger.note(&object("a"), 1, tally(on_ring(), 2, 1));
    let both = [(on_ring(), 1), (off_ring(), 4)];
    let both = both.map(|(fingerprint, items)| KeyUse { fingerprint, items });
    ledger.note(&object("b"), 1, Tally::of(both.to_vec(), 0));
    let usage = sum(&ledger);
    let expected =
        [(on_ring(), KeyUsage { objects: 2, items: 3 }), (off_ring(), KeyUsage { objects: 1, items: 4 })];
    assert_eq!(usage.by_key, BTreeMap::from(expected));
    assert_eq!((usage.objects, usage.items, usage.undecryptable_items, usage.complete), (3, 8, 1, false));
    ledger.forget(&object("b"));
    ledger.forget(&object("c"));
    let usage = sum(&ledger);
    assert_eq!((usage.objects, usage.items, usage.complete), (1, 3, true));
    assert_eq!(usage.by_key.keys().collect::<Vec<_>>(), [&on_ring()]);
}

#[test]
fn a_changed_object_counts_nothing_until_it_is_tried_and_what_is_said_of_its_past_is_void() {
    let ledger = ledger(&["a"]);
    ledger.note(&object("a"), 1, tally(on_ring(), 2, 0));
    ledger.expect(object("a"), 1);
    assert_eq!(sum(&ledger).items, 2);
    ledger.expect(object("a"), 2);
    ledger.note(&object("a"), 1, tally(on_ring(), 2, 0));
    assert_eq!((sum(&ledger).items, sum(&ledger).complete), (0, false));
    assert_eq!(ledger.tally(&object("a"), 1), None);
    ledger.forget(&object("a"));
    ledger.note(&object("a"), 2, tally(on_ring(), 2, 0));
    assert_eq!(sum(&ledger).objects, 0, "what is gone does not come back");
}

#[test]
fn need_is_known_only_when_this_process_has_tried_every_item_of_the_whole_cluster() {
    let needs = |ledger: &Ledger| sum(ledger).need;
    let opened = || tally(on_ring(), 1, 0);
    let whole = ledger(&["a", "b"]);
    whole.note(&object("a"), 1, opened());
    assert_eq!(needs(&whole), None, "b was not tried");
    whole.note(&object("b"), 1, from_status(opened()));
    assert!(sum(&whole).complete);
    assert_eq!(needs(&whole), None, "of b only the status says so");
    whole.note(&object("b"), 1, opened());
    assert_eq!(needs(&whole), Some(Need { used: BTreeSet::from([on_ring()]), ..Need::default() }));
    whole.note(&object("b"), 1, from_status(tally(off_ring(), 9, 0)));
    assert_eq!(sum(&whole).items, 2, "a status does not replace what was seen");
    whole.note(&object("a"), 1, tally(on_ring(), 0, 1));
    assert!(needs(&whole).unwrap().undecryptable);
    whole.note(&object("a"), 1, tally(off_ring(), 1, 0));
    assert_eq!(needs(&whole), None, "the key that opened a is not on the ring any more");

    let part = Ledger::new(false);
    part.listed();
    assert_eq!(needs(&part), Some(Need { partial: true, ..Need::default() }), "others may need any key");
    assert_eq!(needs(&Ledger::new(true)), None, "nothing was listed");
}

#[test]
fn an_item_that_was_tried_in_vain_is_known_before_all_are_tried_and_whatever_comes_and_goes() {
    let ledger = ledger(&["a", "b"]);
    let undecryptable = Some(Need { undecryptable: true, ..Need::default() });
    ledger.note(&object("a"), 1, from_status(tally(on_ring(), 0, 1)));
    assert_eq!(sum(&ledger).need, None, "only a status says so");
    ledger.note(&object("a"), 1, tally(on_ring(), 1, 1));
    assert_eq!(sum(&ledger).need, undecryptable);
    ledger.note(&object("b"), 1, tally(on_ring(), 1, 0));
    ledger.expect(object("c"), 1);
    ledger.watch_failed();
    assert_eq!(sum(&ledger).need, undecryptable);
    ledger.forget(&object("a"));
    assert_eq!(sum(&ledger).need, None, "c was not tried");
}

#[test]
fn while_a_list_is_read_nothing_is_known_to_be_all() {
    let ledger = ledger(&["a"]);
    ledger.note(&object("a"), 1, tally(on_ring(), 1, 0));
    let before = sum(&ledger);
    assert!(before.need.is_some());
    ledger.listing();
    assert_eq!(sum(&ledger), Usage { need: None, ..before.clone() }, "what is shown stays");
    ledger.listed();
    assert_eq!(sum(&ledger), before);
    ledger.listing();
    ledger.expect(object("missed"), 1);
    ledger.listed();
    assert_eq!(sum(&ledger).need, None, "one that was missed is not tried yet");
}

#[test]
fn objects_are_to_be_opened_for_a_whole_view_only_where_this_process_has_not() {
    let ledger = ledger(&["own", "told", "new"]);
    ledger.note(&object("own"), 1, tally(on_ring(), 1, 0));
    ledger.note(&object("told"), 1, from_status(tally(on_ring(), 1, 0)));
    let wanted = || ["own", "told", "new", "gone"].map(|name| ledger.wants_opening(&object(name)));
    assert_eq!(wanted(), [false; 4]);
    ledger.want_whole_view();
    assert_eq!(wanted(), [false, true, true, false]);
}

#[tokio::test]
async fn the_sum_is_published_after_a_change_and_when_the_ring_loses_a_key() {
    let (ledger, rings) = (ledger(&["a"]), watch::Sender::new(Some(Arc::new(ring()))));
    ledger.note(&object("a"), 1, tally(on_ring(), 1, 0));
    let mut published = ledger.subscribe();
    let metrics = UsageMetrics::default();
    let follow = async {
        published.wait_for(|usage| usage.need.is_some()).await.unwrap();
        ledger.expect(object("b"), 1);
        published.wait_for(|usage| usage.objects == 2 && usage.need.is_none()).await.unwrap();
        ledger.note(&object("b"), 1, tally(on_ring(), 1, 0));
        published.wait_for(|usage| usage.need.is_some()).await.unwrap();
        ledger.watch_failed();
        published.wait_for(|usage| usage.need.is_none() && usage.complete).await.unwrap();
        ledger.lock().watch_failed = None;
        ledger.listed();
        published.wait_for(|usage| usage.need.is_some()).await.unwrap();
        rings.send_replace(Some(Arc::default()));
        published.wait_for(|usage| usage.need.is_none()).await.unwrap();
    };
    tokio::select! {
        () = ledger.publish(rings.subscribe(), &metrics) => panic!("it never ends"),
        () = follow => {}
    }
}

#[test]
fn after_a_failure_of_the_watch_nothing_is_known_to_be_all_for_a_while() {
    let ledger = ledger(&[]);
    let now = Instant::now();
    assert_eq!(ledger.lock().doubt(now), None);
    ledger.watch_failed();
    let failed = ledger.lock().watch_failed.unwrap();
    assert_eq!(ledger.lock().doubt(failed), Some(DOUBT));
    assert_eq!(ledger.lock().doubt(failed + DOUBT / 2), Some(DOUBT / 2));
    assert_eq!(ledger.lock().doubt(failed + DOUBT), None);
}

#[test]
fn the_page_shows_every_key_of_the_ring_and_those_that_are_gone_leave_it() {
    let (metrics, ledger) = (UsageMetrics::default(), ledger(&["a"]));
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let page = || {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        samples.collect::<BTreeSet<_>>()
    };
    let expected = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
    let items = |key: Fingerprint, items: u32| format!("key_items{{fingerprint=\"{key}\"}} {items}");
    let led = ring().led_by(None);
    ledger.note(&object("a"), 1, tally(off_ring(), 4, 0));
    metrics.note(&sum(&ledger), &led);
    assert_eq!(page(), expected(&[items(on_ring(), 0), items(off_ring(), 4), "stale_items 0".to_owned()]));
    ledger.note(&object("a"), 1, tally(on_ring(), 3, 0));
    metrics.note(&sum(&ledger), &led);
    assert_eq!(page(), expected(&[items(on_ring(), 3), "stale_items 0".to_owned()]));
    assert_eq!(sum(&ledger).stale_items(Some(&off_ring())), 3);
    assert_eq!(sum(&ledger).stale_items(Some(&on_ring())), 0);
}
