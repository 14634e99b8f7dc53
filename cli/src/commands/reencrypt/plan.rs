//! Decisions: which items are stale, and which objects are sent together. No input or output.

use std::collections::BTreeMap;
use std::ops::Range;

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::manifest::Item;
use sealed_secrets_core::manifest::receipts::Found;
use sealed_secrets_core::receipt::{place, short_fingerprint};
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::workflow::{Binding, BoundItems};

/// Maximum number of items of one request, so that an interrupted run loses little work.
const ITEMS: usize = 100;
/// Maximum number of bytes of ciphertext of one request; the controller accepts bodies of 2 MiB.
const BYTES: usize = 256 << 10;

/// Items of an object that may be stale.
pub(super) struct Job {
    /// Index of the file, and of the object in it.
    pub(super) file: usize,
    pub(super) object: usize,
    /// The object with these items only.
    pub(super) sealed: SealedSecret,
}

/// The new ciphertexts of stale items by key, or the reason why the object stays as it is.
pub(super) type Renewed = Result<BTreeMap<String, String>, String>;

/// The results of one request, and the key of the new ciphertexts, if it is certain.
pub(super) struct RenewedBatch {
    pub(super) key: Option<Fingerprint>,
    pub(super) objects: Vec<Renewed>,
}

impl Job {
    /// The job of an object; `None` if all its items are fresh by their receipts, or it has none. With `is_all`, receipts do not
    /// count.
    pub(super) fn of(
        (file, object): (usize, usize),
        bound: &BoundItems,
        newest: Option<&Fingerprint>,
        is_all: bool,
    ) -> Option<Self> {
        let Binding { scope, namespace, name } = &bound.binding;
        let fresh = newest.filter(|_| !is_all).map(|newest| Fresh {
            fingerprint: short_fingerprint(newest.as_str()),
            scope: *scope,
            place: place(*scope, namespace, name),
        });
        let is_fresh = |item: &&Item| fresh.as_ref().is_some_and(|fresh| fresh.is_named_by(item));
        let mut stale = bound.items.iter().filter(|item| !is_fresh(item)).peekable();
        stale.peek()?;
        Some(Self { file, object, sealed: bound.sealed_secret(stale) })
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        self.sealed.spec.encrypted_data.len()
    }

    fn bytes(&self) -> usize {
        self.sealed.spec.encrypted_data.iter().map(|(key, text)| key.len() + text.len()).sum()
    }
}

/// The receipts of an object's fresh items: those of the newest key, and of the scope and place of the object.
struct Fresh<'k> {
    fingerprint: &'k str,
    scope: Scope,
    place: String,
}

impl Fresh<'_> {
    /// True if the receipt of the item is valid and such a one.
    fn is_named_by(&self, item: &Item) -> bool {
        let Found::Valid(receipt) = &item.receipt else { return false };
        receipt.fingerprint() == self.fingerprint
            && receipt.scope() == self.scope
            && receipt.place() == self.place
    }
}

/// Divides jobs into requests of consecutive ones. A job that is larger than the limits has a request of its own.
pub(super) fn batches(jobs: &[Job]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let (mut items, mut bytes) = (0, 0);
    for (index, job) in jobs.iter().enumerate() {
        (items, bytes) = (items + job.len(), bytes + job.bytes());
        match batches.last_mut() {
            Some(last) if items <= ITEMS && bytes <= BYTES => last.end = index + 1,
            _ => {
                batches.push(index..index + 1);
                (items, bytes) = (job.len(), job.bytes());
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::receipt::Receipt;
    use sealed_secrets_crds::SealedSecretSpec;

    use super::*;

    const NEW: &str = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";
    const OLD: &str = "SHA256:AAAt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";

    fn binding(scope: Scope) -> Binding {
        Binding { scope, namespace: "shop".to_owned(), name: "db".to_owned() }
    }

    fn item(key: &str, receipt: Found) -> Item {
        Item {
            key: key.to_owned(),
            line: 1,
            ciphertext: Some("AgX".to_owned()),
            is_templated: false,
            receipt,
        }
    }

    fn valid(key: &str, scope: Scope, name: &str) -> Found {
        Found::Valid(Receipt::new(&key.parse().unwrap(), scope, "shop", name, "AgX"))
    }

    fn stale_keys(items: Vec<Item>, newest: Option<&str>, is_all: bool) -> Vec<String> {
        let bound = BoundItems { binding: binding(Scope::Strict), items, v1_data: None };
        let newest = newest.map(|newest| newest.parse().unwrap());
        let job = Job::of((0, 0), &bound, newest.as_ref(), is_all);
        job.map(|job| job.sealed.spec.encrypted_data.into_keys().collect()).unwrap_or_default()
    }

    fn all_kinds() -> Vec<Item> {
        vec![
            item("a-fresh", valid(NEW, Scope::Strict, "db")),
            item("b-old-key", valid(OLD, Scope::Strict, "db")),
            item("c-other-name", valid(NEW, Scope::Strict, "web")),
            item("d-other-scope", valid(NEW, Scope::NamespaceWide, "db")),
            item("e-edited", Found::Stale),
            item("f-without", Found::None),
        ]
    }

    #[test]
    fn only_a_valid_receipt_of_the_newest_key_and_of_this_place_and_scope_makes_an_item_fresh() {
        let others = ["b-old-key", "c-other-name", "d-other-scope", "e-edited", "f-without"];
        assert_eq!(stale_keys(all_kinds(), Some(NEW), false), others);
        assert_eq!(stale_keys(all_kinds(), None, false).len(), 6, "without a key nothing is known");
        assert_eq!(stale_keys(all_kinds(), Some(NEW), true).len(), 6, "--all relies on no receipt");
        assert_eq!(stale_keys(all_kinds().into_iter().take(1).collect(), Some(NEW), false).len(), 0);
    }

    #[test]
    fn an_object_is_sent_with_its_place_and_scope_and_nothing_else() {
        for (scope, annotation) in [
            (Scope::Strict, None),
            (Scope::NamespaceWide, Some("sealedsecrets.bitnami.com/namespace-wide")),
            (Scope::ClusterWide, Some("sealedsecrets.bitnami.com/cluster-wide")),
        ] {
            let bound =
                BoundItems { binding: binding(scope), items: vec![item("a", Found::None)], v1_data: None };
            let sealed = Job::of((0, 0), &bound, None, false).unwrap().sealed;
            assert_eq!(sealed.metadata.name.as_deref(), Some("db"));
            assert_eq!(sealed.metadata.namespace.as_deref(), Some("shop"));
            let annotations = sealed.metadata.annotations.unwrap_or_default();
            let annotations: Vec<_> = annotations.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(annotations, annotation.map(|name| (name, "true")).into_iter().collect::<Vec<_>>());
        }
    }

    fn job(items: usize, bytes: usize) -> Job {
        let encrypted_data = (0..items).map(|index| (format!("{index:04}"), "x".repeat(bytes))).collect();
        let spec = SealedSecretSpec { encrypted_data, ..SealedSecretSpec::default() };
        Job { file: 0, object: 0, sealed: SealedSecret::new("db", spec) }
    }

    #[test]
    fn a_request_has_at_most_a_hundred_items_and_a_quarter_of_a_mebibyte_unless_one_object_has_more() {
        let batched = |jobs: &[Job]| batches(jobs).into_iter().map(|range| range.len()).collect::<Vec<_>>();
        assert_eq!(batched(&[]), [0; 0]);
        assert_eq!(batched(&(0..25).map(|_| job(10, 10)).collect::<Vec<_>>()), [10, 10, 5]);
        assert_eq!(batched(&[job(60, 1), job(60, 1), job(150, 1), job(1, 1)]), [1, 1, 1, 1]);
        let large = || job(1, 100 << 10);
        assert_eq!(batched(&[large(), large(), large(), job(1, 3 << 20), large()]), [2, 1, 1, 1]);
    }
}
