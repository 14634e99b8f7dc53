//! Private keys.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::encoding::base64;
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;

const FAILED: Failure = Failure::function("the key cannot be created");

/// Bytes of heap that generating an RSA key takes.
pub(super) const RSA_MEMORY: usize = 128 << 10;

/// Bytes of the header before the PKCS#1 key in a PKCS#8 key of 2048 bits or more.
const PKCS8_HEADER: usize = 26;

pub(super) fn generate(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let pem = match args.text(0) {
        b"" | b"rsa" => cx.slowly(RSA_MEMORY, || new_rsa(KeySize::Rsa4096).map(|key| rsa_pem(&key)))??,
        b"ecdsa" => new_ecdsa()?,
        b"ed25519" => new_ed25519()?,
        b"dsa" => return Err(Failure::function("DSA keys are obsolete: use ecdsa or ed25519")),
        other => return cx.joined(&[b"Unknown type ", other]),
    };
    cx.text(pem.as_str())
}

/// A new RSA key as PKCS#8.
pub(super) fn new_rsa(size: KeySize) -> Outcome<Zeroizing<Vec<u8>>> {
    let key = RsaKeyPair::generate(size).map_err(|_| FAILED)?;
    let der = key.as_der().map_err(|_| FAILED)?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

/// PEM of an RSA key given as PKCS#8, in PKCS#1 as Go writes it.
pub(super) fn rsa_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    pem("RSA PRIVATE KEY", pkcs8.get(PKCS8_HEADER..).unwrap_or_default())
}

fn new_ecdsa() -> Outcome<Zeroizing<String>> {
    // RFC 5915: version, private key, the curve's name, public key.
    const BEFORE_PRIVATE: &[u8] = &[0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
    const BEFORE_PUBLIC: &[u8] = &[
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00,
    ];
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| FAILED)?;
    let private = key.private_key().as_be_bytes().map_err(|_| FAILED)?;
    let public = key.public_key().as_ref();
    let der = Zeroizing::new([BEFORE_PRIVATE, private.as_ref(), BEFORE_PUBLIC, public].concat());
    Ok(pem("EC PRIVATE KEY", &der))
}

fn new_ed25519() -> Outcome<Zeroizing<String>> {
    let key = Ed25519KeyPair::generate().map_err(|_| FAILED)?;
    let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&key).map_err(|_| FAILED)?;
    Ok(pem("PRIVATE KEY", der.as_ref()))
}

/// RFC 7468 text of `der`.
pub(super) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(base64(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 32 + 128));
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}
