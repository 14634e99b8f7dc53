//! Tests of the counts, of their completeness, and of their publication.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealed_secrets_core::crypto::Fingerprint;

use super::sum::KeyUsage;
use super::*;
use crate::fuzzed::KEY;
use crate::keystore::fixtures::ring_key;

fn object(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

const V1: ObjectVersion = ObjectVersion::numbered(1);
const V2: ObjectVersion = ObjectVersion::numbered(2);

/// A ring with one key.
fn ring() -> KeyRing {
    KeyRing::new(vec![ring_key(KEY, None)])
}

fn on_ring() -> Fingerprint {
    ring().newest().unwrap().fingerprint().clone()
}

fn off_ring() -> Fingerprint {
    format!("SHA256:{}", "A".repeat(43)).parse().unwrap()
}

fn object_usage(key: Fingerprint, items: u32, undecryptable: u32) -> ObjectKeyUsage {
    ObjectKeyUsage::of(vec![KeyUse { fingerprint: key, items }], undecryptable)
}

fn from_status(object_usage: ObjectKeyUsage) -> ObjectKeyUsage {
    ObjectKeyUsage { source: Source::Status, ..object_usage }
}

/// Returns an index of the whole cluster in which these objects were listed, in version 1.
fn key_usage(names: &[&str]) -> KeyUsageIndex {
    let key_usage = KeyUsageIndex::new(true);
    for name in names {
        key_usage.expect(object(name), V1);
    }
    key_usage.listed();
    key_usage
}

fn sum(key_usage: &KeyUsageIndex) -> Usage {
    key_usage.sum(&ring()).0
}

#[test]
fn items_are_counted_by_key_and_objects_that_need_several_count_for_each() {
    let key_usage = key_usage(&["a", "b", "c"]);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 2, 1));
    let both = [(on_ring(), 1), (off_ring(), 4)];
    let both = both.map(|(fingerprint, items)| KeyUse { fingerprint, items });
    key_usage.note(&object("b"), V1, ObjectKeyUsage::of(both.to_vec(), 0));
    let usage = sum(&key_usage);
    let expected =
        [(on_ring(), KeyUsage { objects: 2, items: 3 }), (off_ring(), KeyUsage { objects: 1, items: 4 })];
    assert_eq!(usage.by_key, BTreeMap::from(expected));
    assert_eq!((usage.objects, usage.items, usage.undecryptable_items, usage.complete), (3, 8, 1, false));
    key_usage.forget(&object("b"));
    key_usage.forget(&object("c"));
    let usage = sum(&key_usage);
    assert_eq!((usage.objects, usage.items, usage.complete), (1, 3, true));
    assert_eq!(usage.by_key.keys().collect::<Vec<_>>(), [&on_ring()]);
}

#[test]
fn a_changed_object_counts_nothing_until_it_is_tried_and_usage_of_former_versions_is_void() {
    let key_usage = key_usage(&["a"]);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 2, 0));
    key_usage.expect(object("a"), V1);
    assert_eq!(sum(&key_usage).items, 2);
    key_usage.expect(object("a"), V2);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 2, 0));
    assert_eq!((sum(&key_usage).items, sum(&key_usage).complete), (0, false));
    assert_eq!(key_usage.get(&object("a"), V1), None);
    key_usage.forget(&object("a"));
    key_usage.note(&object("a"), V2, object_usage(on_ring(), 2, 0));
    assert_eq!(sum(&key_usage).objects, 0, "what is gone does not come back");
}

#[test]
fn a_report_exists_only_when_this_process_has_tried_every_item_of_the_cluster() {
    let report = |key_usage: &KeyUsageIndex| sum(key_usage).report;
    let decrypted = || object_usage(on_ring(), 1, 0);
    let all_watched = key_usage(&["a", "b"]);
    all_watched.note(&object("a"), V1, decrypted());
    assert_eq!(report(&all_watched), None, "b was not tried");
    all_watched.note(&object("b"), V1, from_status(decrypted()));
    assert!(sum(&all_watched).complete);
    assert_eq!(report(&all_watched), None, "of b only the status says so");
    all_watched.note(&object("b"), V1, decrypted());
    assert_eq!(
        report(&all_watched),
        Some(UsageReport { used: BTreeSet::from([on_ring()]), ..UsageReport::default() })
    );
    all_watched.note(&object("b"), V1, from_status(object_usage(off_ring(), 9, 0)));
    assert_eq!(sum(&all_watched).items, 2, "a status does not replace what was seen");
    all_watched.note(&object("a"), V1, object_usage(on_ring(), 0, 1));
    assert!(report(&all_watched).unwrap().undecryptable);
    all_watched.note(&object("a"), V1, object_usage(off_ring(), 1, 0));
    assert_eq!(report(&all_watched), None, "the key that decrypted a is not on the ring any more");

    let part = KeyUsageIndex::new(false);
    part.listed();
    assert_eq!(
        report(&part),
        Some(UsageReport { partial: true, ..UsageReport::default() }),
        "others may need any key"
    );
    assert_eq!(report(&KeyUsageIndex::new(true)), None, "nothing was listed");
}

#[test]
fn an_item_that_was_tried_in_vain_is_known_before_all_are_tried_and_whatever_comes_and_goes() {
    let key_usage = key_usage(&["a", "b"]);
    let undecryptable = Some(UsageReport { undecryptable: true, ..UsageReport::default() });
    key_usage.note(&object("a"), V1, from_status(object_usage(on_ring(), 0, 1)));
    assert_eq!(sum(&key_usage).report, None, "only a status says so");
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 1, 1));
    assert_eq!(sum(&key_usage).report, undecryptable);
    key_usage.note(&object("b"), V1, object_usage(on_ring(), 1, 0));
    key_usage.expect(object("c"), V1);
    key_usage.watch_failed();
    assert_eq!(sum(&key_usage).report, undecryptable);
    key_usage.forget(&object("a"));
    assert_eq!(sum(&key_usage).report, None, "c was not tried");
}

#[test]
fn while_a_list_is_read_nothing_is_known_to_be_all() {
    let key_usage = key_usage(&["a"]);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 1, 0));
    let before = sum(&key_usage);
    assert!(before.report.is_some());
    key_usage.listing();
    assert_eq!(sum(&key_usage), Usage { report: None, ..before.clone() }, "what is shown stays");
    key_usage.listed();
    assert_eq!(sum(&key_usage), before);
    key_usage.listing();
    key_usage.expect(object("missed"), V1);
    key_usage.listed();
    assert_eq!(sum(&key_usage).report, None, "one that was missed is not tried yet");
}

#[test]
fn while_an_object_is_overlooked_nothing_is_known_to_be_all_until_the_next_list() {
    let key_usage = key_usage(&["a"]);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 1, 0));
    key_usage.record_untracked();
    let usage = sum(&key_usage);
    assert!(!usage.complete && usage.report.is_none());
    key_usage.listing();
    key_usage.listed();
    let usage = sum(&key_usage);
    assert!(usage.complete && usage.report.is_some());
}

#[test]
fn objects_need_decryption_for_a_report_only_where_this_process_has_not_tried_them() {
    let key_usage = key_usage(&["own", "seen", "new"]);
    key_usage.note(&object("own"), V1, object_usage(on_ring(), 1, 0));
    key_usage.note(&object("seen"), V1, from_status(object_usage(on_ring(), 1, 0)));
    let wanted = || ["own", "seen", "new", "gone"].map(|name| key_usage.needs_decryption(&object(name)));
    assert_eq!(wanted(), [false; 4]);
    key_usage.request_report();
    assert_eq!(wanted(), [false, true, true, false]);
}

#[tokio::test]
async fn the_sum_is_published_after_a_change_and_when_the_ring_loses_a_key() {
    let (key_usage, rings) = (key_usage(&["a"]), watch::Sender::new(Some(Arc::new(ring()))));
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 1, 0));
    let mut published = key_usage.subscribe();
    let metrics = UsageMetrics::default();
    let follow = async {
        published.wait_for(|usage| usage.report.is_some()).await.unwrap();
        key_usage.expect(object("b"), V1);
        published.wait_for(|usage| usage.objects == 2 && usage.report.is_none()).await.unwrap();
        key_usage.note(&object("b"), V1, object_usage(on_ring(), 1, 0));
        published.wait_for(|usage| usage.report.is_some()).await.unwrap();
        key_usage.watch_failed();
        published.wait_for(|usage| usage.report.is_none() && usage.complete).await.unwrap();
        key_usage.state.lock().watch_failed = None;
        key_usage.listed();
        published.wait_for(|usage| usage.report.is_some()).await.unwrap();
        rings.send_replace(Some(Arc::default()));
        published.wait_for(|usage| usage.report.is_none()).await.unwrap();
    };
    tokio::select! {
        () = key_usage.publish(rings.subscribe(), &metrics) => panic!("it never ends"),
        () = follow => {}
    }
}

#[test]
fn after_a_failure_of_the_watch_nothing_is_known_to_be_all_for_a_while() {
    let key_usage = key_usage(&[]);
    let now = Instant::now();
    assert_eq!(key_usage.state.lock().watch_grace_left(now), None);
    key_usage.watch_failed();
    let failed = key_usage.state.lock().watch_failed.unwrap();
    assert_eq!(key_usage.state.lock().watch_grace_left(failed), Some(WATCH_GRACE));
    assert_eq!(key_usage.state.lock().watch_grace_left(failed + WATCH_GRACE / 2), Some(WATCH_GRACE / 2));
    assert_eq!(key_usage.state.lock().watch_grace_left(failed + WATCH_GRACE), None);
}

#[test]
fn the_page_shows_every_key_of_the_ring_and_those_that_are_gone_leave_it() {
    let (metrics, key_usage) = (UsageMetrics::default(), key_usage(&["a"]));
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
    let ring_without_primary = ring().with_primary(None);
    key_usage.note(&object("a"), V1, object_usage(off_ring(), 4, 0));
    metrics.note(&sum(&key_usage), &ring_without_primary);
    assert_eq!(page(), expected(&[items(on_ring(), 0), items(off_ring(), 4), "stale_items 0".to_owned()]));
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 3, 0));
    metrics.note(&sum(&key_usage), &ring_without_primary);
    assert_eq!(page(), expected(&[items(on_ring(), 3), "stale_items 0".to_owned()]));
    assert_eq!(sum(&key_usage).stale_items(Some(&off_ring())), 3);
    assert_eq!(sum(&key_usage).stale_items(Some(&on_ring())), 0);
}

#[test]
fn after_a_term_ends_usage_is_complete_only_when_everything_was_listed_and_decrypted_again() {
    let key_usage = key_usage(&["a"]);
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 2, 0));
    assert!(sum(&key_usage).complete);
    key_usage.reset(&UsageMetrics::default());
    assert!(!sum(&key_usage).complete, "nothing was listed");
    key_usage.expect(object("a"), V1);
    key_usage.listed();
    assert!(!sum(&key_usage).complete, "what is listed was not opened");
    key_usage.note(&object("a"), V1, object_usage(on_ring(), 2, 0));
    assert!(sum(&key_usage).complete);
}
