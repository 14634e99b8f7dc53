//! Measures dependence of the time of a private-key operation on the ciphertext, as dudect does: two classes of input in random
//! order, and Welch's t-test over the times.
//!
//! Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017. The threshold of 4.5 is theirs.

#![cfg(test)]

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use rustix::time::{ClockId, clock_gettime};
use sealed_secrets_core::crypto::KeyPair;
use sha2::{Digest as _, Sha256};

const KEY: &str = include_str!("data/rsa2048-pkcs1.pem");
/// Length of a ciphertext under that key, in bytes.
const BLOCK: usize = 256;
const SAMPLES: usize = 30_000;
/// Number of different ciphertexts per class.
const POOL: usize = 64;
const THRESHOLD: f64 = 4.5;
/// Percentages of the samples to evaluate, the fastest first: interruptions cause the slowest ones.
const CROPS: [usize; 4] = [50, 75, 90, 99];

/// Returns a ciphertext whose padding fails late: its first byte is right and the label hash is wrong.
fn with_right_first_byte(random: &mut StdRng) -> Vec<u8> {
    let public: RsaPublicKey = RsaPrivateKey::from_pkcs1_pem(KEY).unwrap().to_public_key();
    let mut encrypt =
        || public.encrypt(random, Oaep::<Sha256>::new_with_label(*b"another label"), b"message").unwrap();
    // Distinguishes the classes for the control.
    std::iter::repeat_with(&mut encrypt).find(|block| block[0] != 0).unwrap()
}

/// Returns a ciphertext whose padding fails in its first byte, the case that Manger's attack must distinguish.
fn with_wrong_first_byte(random: &mut StdRng) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    random.fill_bytes(&mut block[1..]);
    block
}

/// Held while one measurement runs: the processors of a machine may share their units.
static ALONE: Mutex<()> = Mutex::new(());

/// Returns the largest |t| between the times of both classes.
fn largest_t(operation: impl Fn(&[u8])) -> f64 {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let random = &mut StdRng::seed_from_u64(1);
    let pools: [Vec<_>; 2] = [
        (0..POOL).map(|_| with_right_first_byte(random)).collect(),
        (0..POOL).map(|_| with_wrong_first_byte(random)).collect(),
    ];
    // The address of a block affects the time, and the classes are at different addresses: all are read from one buffer.
    let mut input = [0; BLOCK];
    let mut times: Vec<(Duration, usize)> = (0..SAMPLES)
        .map(|_| {
            let class = random.random_range(0..2);
            input.copy_from_slice(&pools[class][random.random_range(0..POOL)]);
            let start = time_of_this_thread();
            operation(black_box(&input));
            (time_of_this_thread().saturating_sub(start), class)
        })
        .collect();
    times.sort();
    let judged = CROPS.map(|percent| welch(&times[..SAMPLES * percent / 100]).abs());
    judged.into_iter().fold(0.0, f64::max)
}

/// Processor time, which is little affected by the load of the machine.
fn time_of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Returns Welch's t of two classes.
fn welch(times: &[(Duration, usize)]) -> f64 {
    let [one, other] = [0, 1].map(|class| {
        let times = || times.iter().filter(move |(_, of)| *of == class).map(|(time, _)| time.as_secs_f64());
        let count = f64::from(u32::try_from(times().count()).unwrap());
        let mean = times().sum::<f64>() / count;
        let variance = times().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (one.0 - other.0) / (one.1 + other.1).sqrt()
}

#[test]
fn the_time_of_a_private_key_operation_does_not_depend_on_the_ciphertext() {
    let key = KeyPair::from_pem(KEY.as_bytes()).unwrap();
    let t = largest_t(|block| {
        black_box(key.decrypt_oaep(b"label", block));
    });
    assert!(t < THRESHOLD, "|t| = {t:.1}");
}

/// Positive control: a padding check that ends at a wrong first byte saves hashing. Here the other class takes 1024 blocks of a hash
/// longer, a few percent of the operation, and the measurement must detect it on every machine. A quiet and fast one detects 16.
#[test]
fn the_measurement_finds_a_padding_check_that_ends_early() {
    let key = KeyPair::from_pem(KEY.as_bytes()).unwrap();
    let hashed = vec![0; 1024 * 64];
    let t = largest_t(|block| {
        black_box(key.decrypt_oaep(b"label", block));
        let has_right_first_byte = block[0] != 0;
        if has_right_first_byte {
            black_box(Sha256::digest(black_box(&hashed)));
        }
    });
    assert!(t > THRESHOLD, "|t| = {t:.1}");
}
