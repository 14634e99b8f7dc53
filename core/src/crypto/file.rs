//! Reads certificates and keys from files: PEM in UTF-8 or UTF-16, DER, or base64 of these.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;
use rustls_pki_types::PrivateKeyDer;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509CertificationRequest};
use zeroize::Zeroizing;

use super::PublicKey;

/// Padding is optional: copied text may have lost it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Object identifiers in DER: PKCS#7 signedData (RFC 2315) and PBES2 (RFC 8018).
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const PBES2: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// Minimum length of a key or certificate in DER, in bytes.
const MIN_DER_LENGTH: usize = 64;

/// Unexpected content of a file, as a predicate for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// Nothing but whitespace.
    Empty,
    /// An X.509 certificate.
    Certificate,
    /// A private key.
    PrivateKey,
    /// A password-protected private key.
    EncryptedKey,
    /// A private key in OpenSSH's own format.
    OpenSshKey,
    /// A public key without a certificate.
    PublicKey,
    /// A certificate signing request (PKCS#10).
    CertificateRequest,
    /// Certificates in PKCS#7.
    Pkcs7,
    /// A keystore in PKCS#12.
    Pkcs12,
    /// HTML.
    WebPage,
    /// JSON, or YAML with certificates or keys in fields.
    Manifest,
    /// A PEM block without an end, or with invalid base64.
    DamagedPem,
    /// Anything else.
    Unknown,
}

impl fmt::Display for FileContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "is empty",
            Self::Certificate => "holds a certificate",
            Self::PrivateKey => "holds a private key",
            Self::EncryptedKey => "holds an encrypted private key",
            Self::OpenSshKey => "holds a private key in OpenSSH's own form",
            Self::PublicKey => "holds a bare public key",
            Self::CertificateRequest => "holds a request for a certificate",
            Self::Pkcs7 => {
                "holds a PKCS#7 bundle, whose certificates `openssl pkcs7 -print_certs` writes as PEM"
            }
            Self::Pkcs12 => "holds a PKCS#12 keystore, whose content `openssl pkcs12 -nodes` writes as PEM",
            Self::WebPage => "holds a web page",
            Self::Manifest => "holds JSON or YAML",
            Self::DamagedPem => "holds a PEM block that is cut short or damaged",
            Self::Unknown => "holds neither PEM nor DER",
        })
    }
}

/// Decodes the text of a file: UTF-8 or UTF-16, without the byte order mark if it has one. `None` if it is neither.
#[must_use]
pub fn text_of_file(bytes: &[u8]) -> Option<Zeroizing<String>> {
    if let Some(word) = word_of_utf16(bytes) {
        return text_of_utf16(bytes, word);
    }
    let text = str::from_utf8(bytes).ok()?;
    Some(Zeroizing::new(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).to_owned()))
}

/// As [`text_of_file`], without a copy in the common case of UTF-8 without a mark.
#[must_use]
pub fn text_of_whole_file(bytes: Vec<u8>) -> Option<Zeroizing<String>> {
    if word_of_utf16(&bytes).is_some() || bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) {
        return text_of_file(&Zeroizing::new(bytes));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Composes a word of UTF-16 from two bytes.
type Word = fn([u8; 2]) -> u16;

/// The byte order of a text in UTF-16: by its mark, or as its first character is ASCII. `None` for other texts.
fn word_of_utf16(bytes: &[u8]) -> Option<Word> {
    match bytes {
        [0xff, 0xfe, ..] | [1..=0xff, 0, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, 1..=0xff, ..] => Some(u16::from_be_bytes),
        _ => None,
    }
}

fn text_of_utf16(bytes: &[u8], word: Word) -> Option<Zeroizing<String>> {
    let (words, rest) = bytes.as_chunks::<2>();
    let characters = char::decode_utf16(words.iter().map(|bytes| word(*bytes)));
    // Allocates the maximum length, so that no reallocation leaves a copy of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(words.len() * 3));
    for character in characters {
        text.push(character.ok()?);
    }
    if !rest.is_empty() {
        return None;
    }
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Some(text)
}

/// Returns the DER of the first PEM block with one of these labels, or, for a file without PEM blocks, its DER or base64-encoded
/// DER.
///
/// # Errors
/// Returns an error if the file has no such block, and is neither DER nor base64.
pub(super) fn der_of_file(bytes: &[u8], labels: &[&str]) -> Result<Zeroizing<Vec<u8>>, FileContent> {
    let Some(text) = text_of_file(bytes) else {
        let is_der = bytes.first() == Some(&0x30);
        return if is_der { Ok(Zeroizing::new(bytes.to_vec())) } else { Err(FileContent::Unknown) };
    };
    if text.trim().is_empty() {
        return Err(FileContent::Empty);
    }
    if let Some(block) = labels.iter().find_map(|label| block(&text, label)) {
        return from_base64(block?).ok_or(FileContent::DamagedPem);
    }
    match from_base64(&text) {
        Some(decoded) if decoded.len() >= MIN_DER_LENGTH => der_of_file(&decoded, labels),
        _ => Err(content_of_text(&text)),
    }
}

/// Returns the body of the first block with this label. The inner result is an error if the block has no end.
fn block<'a>(text: &'a str, label: &str) -> Option<Result<&'a str, FileContent>> {
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let end = format!("-----END {label}-----");
    Some(after.split_once(&end).map(|(body, _)| body).ok_or(FileContent::DamagedPem))
}

/// Decodes base64 over any number of lines, whose line breaks may be written as `\n`.
fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            characters.next().filter(|next| matches!(next, 'n' | 'r'))?;
        } else if !character.is_whitespace() {
            digits.push(character);
        }
    }
    BASE64.decode(digits.as_bytes()).ok().map(Zeroizing::new)
}

/// Classifies a text without a PEM block of the requested kind.
fn content_of_text(text: &str) -> FileContent {
    let start = text.trim_start();
    let Some(label) =
        text.split_once("-----BEGIN ").and_then(|(_, after)| Some(after.split_once("-----")?.0))
    else {
        return match start.chars().next() {
            Some('<') => FileContent::WebPage,
            Some('{' | '[') => FileContent::Manifest,
            _ if start.starts_with("ssh-") => FileContent::PublicKey,
            _ if text.contains("tls.crt:") || text.contains("apiVersion:") => FileContent::Manifest,
            _ => FileContent::Unknown,
        };
    };
    match label {
        "OPENSSH PRIVATE KEY" => FileContent::OpenSshKey,
        "ENCRYPTED PRIVATE KEY" => FileContent::EncryptedKey,
        "PKCS7" | "CMS" => FileContent::Pkcs7,
        _ if label.ends_with("PRIVATE KEY") => FileContent::PrivateKey,
        _ if label.ends_with("PUBLIC KEY") => FileContent::PublicKey,
        _ if label.ends_with("CERTIFICATE REQUEST") => FileContent::CertificateRequest,
        _ if label.ends_with("CERTIFICATE") => FileContent::Certificate,
        _ => FileContent::Unknown,
    }
}

/// Classifies DER.
pub(super) fn content_of_der(der: &[u8]) -> FileContent {
    let head = der.get(..MIN_DER_LENGTH).unwrap_or(der);
    let has = |identifier: &[u8]| memmem::find(head, identifier).is_some();
    // PFX (RFC 7292) is a sequence that begins with version 3.
    let is_keystore =
        head.get(..8).is_some_and(|head| memmem::find(head, &[0x02, 0x01, 0x03, 0x30]).is_some());
    if X509Certificate::from_der(der).is_ok() {
        FileContent::Certificate
    } else if is_keystore {
        FileContent::Pkcs12
    } else if has(SIGNED_DATA) {
        FileContent::Pkcs7
    } else if has(PBES2) {
        FileContent::EncryptedKey
    } else if PublicKey::from_spki_der(der).is_ok() {
        FileContent::PublicKey
    } else if X509CertificationRequest::from_der(der).is_ok() {
        FileContent::CertificateRequest
    } else if PrivateKeyDer::try_from(der).is_ok() {
        FileContent::PrivateKey
    } else {
        FileContent::Unknown
    }
}
