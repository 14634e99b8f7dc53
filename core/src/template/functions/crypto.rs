//! Digests and AES.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::encoding::{base64, decode_base64};
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;

const AES_FAILED: Failure = Failure::function("the text cannot be decrypted with this password");

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| DIGITS.get(usize::from(half))).collect()
}

fn digested(cx: &mut Cx, args: &Args, algorithm: &'static Algorithm) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    cx.text(hex(digest(algorithm, args.text(0)).as_ref()))
}

pub(super) fn sha1sum(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    digested(cx, args, &SHA1_FOR_LEGACY_USE_ONLY)
}

pub(super) fn sha256sum(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    digested(cx, args, &SHA256)
}

pub(super) fn sha512sum(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    digested(cx, args, &SHA512)
}

/// Adler-32 (RFC 1950, section 9), in decimal.
pub(super) fn adler32sum(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1_u32, 0_u32);
    cx.pieces(args.text(0), |piece| {
        (low, high) = piece.iter().fold((low, high), |(low, high), byte| {
            let low = (low + u32::from(*byte)) % MODULUS;
            (low, (high + low) % MODULUS)
        });
        Ok(())
    })?;
    cx.text(((high << 16) | low).to_string())
}

/// Truncates or zero-pads the password's bytes to a key.
fn key(password: &[u8]) -> Outcome<UnboundCipherKey> {
    let mut key = Zeroizing::new([0; 32]);
    for (slot, byte) in key.iter_mut().zip(password) {
        *slot = *byte;
    }
    UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| AES_FAILED)
}

/// AES-256-CBC with PKCS#7 padding. The result is base64 of the initialization vector and the ciphertext.
pub(super) fn encrypt_aes(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut iv = [0; 16];
    cx.fill_random(&mut iv);
    cx.work(args.text(1).len().saturating_mul(4))?;
    cx.meter.affords(args.text(1).len().saturating_mul(5))?;
    let mut text = Zeroizing::new(args.text(1).to_vec());
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key(args.text(0))?).map_err(|_| AES_FAILED)?;
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut *text, context).map_err(|_| AES_FAILED)?;
    cx.text(base64(&[iv.as_slice(), &text].concat()))
}

pub(super) fn decrypt_aes(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let sealed = decode_base64(cx, args.text(1))?.map_err(|_| Failure::function("not base64"))?;
    let (iv, ciphertext) = sealed.split_first_chunk::<16>().ok_or(AES_FAILED)?;
    cx.work(ciphertext.len().saturating_mul(2))?;
    cx.meter.affords(sealed.len().saturating_mul(3))?;
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key(args.text(0))?).map_err(|_| AES_FAILED)?;
    let context = DecryptionContext::Iv128(FixedLength::from(*iv));
    let plain = key.decrypt(&mut text, context).map_err(|_| AES_FAILED)?.to_vec();
    cx.text(plain)
}
