//! Password hashes and derived passwords.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::scrypt::{Cost, scrypt};
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;

/// The cost that Go's `bcrypt.DefaultCost` and sprig use.
const BCRYPT_COST: u32 = 10;
/// bcrypt reads no more bytes than this; Go refuses longer passwords.
const BCRYPT_MOST_BYTES: usize = 72;
/// The state of the cipher.
const BCRYPT_MEMORY: usize = 16 << 10;

/// The parameters of the master password algorithm.
const MASTER_KEY: Cost = Cost { log_n: 15, r: 8, p: 2 };

/// Go's error texts take the place of the hash, as in sprig.
fn bcrypt_hash(cx: &mut Cx, password: &[u8]) -> Outcome<String> {
    if password.len() > BCRYPT_MOST_BYTES {
        return Ok(
            "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned()
        );
    }
    let mut salt = [0; 16];
    cx.fill_random(&mut salt);
    let parts = cx.slowly(BCRYPT_MEMORY, || bcrypt::hash_with_salt(password, BCRYPT_COST, salt))?;
    let parts = parts.map_err(|_| Failure::function("the password cannot be hashed"))?;
    Ok(parts.format_for_version(bcrypt::Version::TwoA))
}

pub(super) fn bcrypt(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let hash = bcrypt_hash(cx, args.text(0))?;
    cx.text(hash)
}

pub(super) fn htpasswd(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let user = args.text(0);
    cx.work(user.len())?;
    if user.contains(&b':') {
        return cx.joined(&[b"invalid username: ", user]);
    }
    let hash = bcrypt_hash(cx, args.text(1))?;
    cx.joined(&[user, b":", hash.as_bytes()])
}

/// Character classes of the master password algorithm.
fn class(letter: char) -> &'static str {
    match letter {
        'V' => "AEIOU",
        'C' => "BCDFGHJKLMNPQRSTVWXYZ",
        'v' => "aeiou",
        'c' => "bcdfghjklmnpqrstvwxyz",
        'A' => "AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        'a' => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        'n' => "0123456789",
        'o' => "@&%?,=[]_:-+*$#!'^~;()/.",
        _ => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

fn templates(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

/// The master password algorithm: scrypt for the key, HMAC-SHA-256 for the site.
pub(super) fn derive(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    const NAMESPACE: &[u8] = b"com.lyndir.masterpassword";
    let Some(templates) = templates(args.text(1)) else {
        return cx.joined(&[b"cannot find password template ", args.text(1)]);
    };
    let (user, site) = (args.text(3), args.text(4));
    cx.work(user.len().saturating_add(site.len()))?;
    cx.meter.affords(user.len().saturating_add(site.len()).saturating_add(MASTER_KEY.memory()))?;
    let salt = [NAMESPACE, &length_of(user), user].concat();
    let mut key = Zeroizing::new([0; 64]);
    cx.slowly(MASTER_KEY.memory(), || scrypt(args.text(2), &salt, MASTER_KEY, key.as_mut_slice()))?;
    let counter = u32::try_from(args.int(0)).unwrap_or(0).to_be_bytes();
    let message = [NAMESPACE, &length_of(site), site, &counter].concat();
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), &message);
    let choose = |byte: u8, count: usize| usize::from(byte) % count.max(1);
    let mut bytes = seed.as_ref().iter().copied();
    let template =
        templates.get(choose(bytes.next().unwrap_or(0), templates.len())).copied().unwrap_or_default();
    let derived: String = template
        .chars()
        .zip(bytes)
        .filter_map(|(letter, byte)| class(letter).chars().nth(choose(byte, class(letter).len())))
        .collect();
    cx.text(derived)
}

fn length_of(text: &[u8]) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()
}
