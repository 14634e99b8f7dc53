//! scrypt (RFC 7914) in a quarter of the memory that it usually takes: of the blocks it looks up, one of four is kept, and those
//! between are made again. So it takes nearly twice as long.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use zeroize::Zeroizing;

/// The part of a block that Salsa20/8 mixes.
type Lane = [u32; 16];
type Block = Zeroizing<Vec<Lane>>;

/// One of so many blocks is kept.
const KEPT_OF: usize = 4;

/// The parameters of RFC 7914, section 2.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    /// The logarithm of N to base 2, at least 2.
    pub(super) log_n: u32,
    pub(super) r: usize,
    pub(super) p: usize,
}

impl Cost {
    /// Bytes that the work takes at the same time, without what is given and returned.
    pub(super) const fn memory(self) -> usize {
        let block = self.r * 128;
        ((1 << self.log_n) / KEPT_OF + 2 * self.p + 4) * block
    }
}

/// Fills `output` from a password and a salt.
pub(super) fn scrypt(password: &[u8], salt: &[u8], cost: Cost, output: &mut [u8]) {
    let mut bytes = Zeroizing::new(vec![0; cost.p * cost.r * 128]);
    derive(PBKDF2_HMAC_SHA256, NonZeroU32::MIN, salt, password, &mut bytes);
    let mut kept = Zeroizing::new(Vec::with_capacity((1 << cost.log_n) / KEPT_OF * 2 * cost.r));
    for part in bytes.chunks_exact_mut(cost.r * 128) {
        let mut block = Zeroizing::new(part.as_chunks().0.iter().map(lane_of).collect::<Vec<_>>());
        kept.clear();
        mix(&mut block, cost.log_n, &mut kept);
        let mixed = block.iter().flatten().flat_map(|word| word.to_le_bytes());
        part.iter_mut().zip(mixed).for_each(|(byte, mixed)| *byte = mixed);
    }
    derive(PBKDF2_HMAC_SHA256, NonZeroU32::MIN, &bytes, password, output);
}

fn lane_of(bytes: &[u8; 64]) -> Lane {
    let mut words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// scryptROMix of section 5.
fn mix(block: &mut Block, log_n: u32, kept: &mut Vec<Lane>) {
    let n = 1_usize << log_n;
    let columns = block.len();
    let (mut other, mut spare) = (block.clone(), block.clone());
    for number in 0..n {
        if number % KEPT_OF == 0 {
            kept.extend_from_slice(block);
        }
        advance(block, &mut spare);
    }
    for _ in 0..n {
        let number = block.last().map_or(0, |lane| lane[0] as usize % n);
        let near = kept.chunks_exact(columns).nth(number / KEPT_OF).unwrap_or_default();
        other.iter_mut().zip(near).for_each(|(lane, near)| *lane = *near);
        for _ in 0..number % KEPT_OF {
            advance(&mut other, &mut spare);
        }
        block.iter_mut().zip(other.iter()).for_each(|(lane, other)| add(lane, other));
        advance(block, &mut spare);
    }
}

/// scryptBlockMix of section 4.
fn advance(block: &mut Block, spare: &mut Block) {
    let mut mixed = block.last().copied().unwrap_or_default();
    let (even, odd) = spare.split_at_mut(block.len() / 2);
    for ([first, second], (even, odd)) in block.as_chunks().0.iter().zip(even.iter_mut().zip(odd)) {
        add(&mut mixed, first);
        salsa20_8(&mut mixed);
        *even = mixed;
        add(&mut mixed, second);
        salsa20_8(&mut mixed);
        *odd = mixed;
    }
    std::mem::swap(block, spare);
}

fn add(lane: &mut Lane, other: &Lane) {
    lane.iter_mut().zip(other).for_each(|(word, other)| *word ^= other);
}

/// Section 3.
fn salsa20_8(lane: &mut Lane) {
    let mut x = *lane;
    for _ in 0..4 {
        quarter::<0, 4, 8, 12>(&mut x);
        quarter::<5, 9, 13, 1>(&mut x);
        quarter::<10, 14, 2, 6>(&mut x);
        quarter::<15, 3, 7, 11>(&mut x);
        quarter::<0, 1, 2, 3>(&mut x);
        quarter::<5, 6, 7, 4>(&mut x);
        quarter::<10, 11, 8, 9>(&mut x);
        quarter::<15, 12, 13, 14>(&mut x);
    }
    lane.iter_mut().zip(x).for_each(|(word, mixed)| *word = word.wrapping_add(mixed));
}

#[expect(clippy::indexing_slicing, reason = "all positions are below 16")]
fn quarter<const A: usize, const B: usize, const C: usize, const D: usize>(x: &mut Lane) {
    x[B] ^= x[A].wrapping_add(x[D]).rotate_left(7);
    x[C] ^= x[B].wrapping_add(x[A]).rotate_left(9);
    x[D] ^= x[C].wrapping_add(x[B]).rotate_left(13);
    x[A] ^= x[D].wrapping_add(x[C]).rotate_left(18);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::functions::crypto::hex;

    #[test]
    fn the_known_answers_of_rfc_7914_are_given() {
        let cost = |log_n, r, p| Cost { log_n, r, p };
        for (password, salt, cost, expected) in [
            ("", "", cost(4, 1, 1), "77d6576238657b203b19ca42c18a0497"),
            ("password", "NaCl", cost(10, 8, 16), "fdbabe1c9d3472007856e7190d01e9fe"),
            ("pleaseletmein", "SodiumChloride", cost(14, 8, 1), "7023bdcb3afd7348461c06cd81fd38eb"),
        ] {
            let mut output = [0; 64];
            scrypt(password.as_bytes(), salt.as_bytes(), cost, &mut output);
            assert!(hex(&output).starts_with(expected), "{password}");
        }
    }
}
