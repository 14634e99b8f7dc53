//! X.509 certificates: authorities, self-signed ones and those that an authority signs.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::rsa::KeySize;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SanType, SerialNumber, date_time_ymd,
};
use zeroize::Zeroizing;

use super::encoding::decode_base64;
use super::keys::{RSA_MEMORY, new_rsa, rsa_pem};
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::Value;
use crate::template::value::certificate::Certificate;

const FAILED: Failure = Failure::function("the certificate cannot be created");
const BAD_KEY: Failure = Failure::function("the private key is not PEM of a kind that is known");

const NOT_PEM: Failure = Failure::function("not PEM");

type Pem = Zeroizing<String>;

/// `genCA name days [key]`
pub(super) fn ca(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let memory = memory_for(text_bytes(args))?;
    let mut parameters = parameters(cx, args, args.int(1))?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let given = given_key(cx, args, 2)?;
    signed_by_itself(cx, parameters, given, memory)
}

/// `genSelfSignedCert name addresses names days [key]`
pub(super) fn self_signed(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let memory = memory_for(text_bytes(args))?;
    let mut parameters = parameters(cx, args, args.int(3))?;
    parameters.subject_alt_names = alternative_names(cx, args)?;
    let given = given_key(cx, args, 4)?;
    signed_by_itself(cx, parameters, given, memory)
}

/// The most bytes of all texts from which a certificate is made.
const MAX_LENGTH: usize = 64 << 10;

/// Bytes of heap that parsing, encoding and signing take at the same time for texts of so many bytes.
fn memory_for(bytes: usize) -> Outcome<usize> {
    /// Copies, parsed and encoded forms of each text, and PEM of both; a byte that is not UTF-8 becomes three.
    const COPIES: usize = 40;
    if bytes > MAX_LENGTH {
        return Err(Failure::budget("the texts for a certificate are too long"));
    }
    Ok(RSA_MEMORY + bytes * COPIES)
}

/// Bytes of all texts among the arguments, also of those in lists.
fn text_bytes(args: &Args) -> usize {
    args.from(0).iter().map(text_bytes_of).sum()
}

/// Texts in lists of lists do not count: they are refused, and there may be exponentially many.
fn text_bytes_of(value: &Value) -> usize {
    let bytes = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
    match value {
        Value::List(list) => list.items.borrow().iter().map(bytes).sum(),
        Value::Certificate(authority) => authority.certificate.len().saturating_add(authority.key.len()),
        other => bytes(other),
    }
}

fn signed_by_itself(
    cx: &mut Cx,
    parameters: CertificateParams,
    given: Option<Pem>,
    memory: usize,
) -> Outcome<Value> {
    let texts = cx.slowly(memory, move || {
        let (key, pem) = key_pair(given)?;
        let certificate = parameters.self_signed(&key).map_err(|_| FAILED)?;
        Ok((certificate.pem(), pem))
    })?;
    made(cx, texts?)
}

/// `genSignedCert name addresses names days authority [key]`
pub(super) fn signed(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let Value::Certificate(authority) = args.any(4) else {
        return Err(FAILED);
    };
    let memory = memory_for(text_bytes(args))?;
    let mut parameters = parameters(cx, args, args.int(3))?;
    parameters.subject_alt_names = alternative_names(cx, args)?;
    parameters.use_authority_key_identifier_extension = true;
    let given = given_key(cx, args, 5)?;
    cx.work(authority.certificate.len().saturating_add(authority.key.len()))?;
    let authority_key = Pem::new(as_text(&authority.key)?.to_owned());
    let authority = as_text(&authority.certificate)?.to_owned();
    let texts = cx.slowly(memory, move || {
        let (key, pem) = key_pair(given)?;
        let authority_key = KeyPair::from_pem(&authority_key).map_err(|_| BAD_KEY)?;
        let issuer = Issuer::from_ca_cert_pem(&authority, authority_key).map_err(|_| FAILED)?;
        let certificate = parameters.signed_by(&key, &issuer).map_err(|_| FAILED)?;
        Ok((certificate.pem(), pem))
    })?;
    made(cx, texts?)
}

/// `buildCustomCert certificate key`, both PEM in base64.
pub(super) fn build_custom(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let memory = memory_for(text_bytes(args))?;
    let mut decoded = |position| {
        let decoded = decode_base64(cx, args.text(position))?.map_err(|_| Failure::function("not base64"))?;
        String::from_utf8(decoded).map_err(|_| NOT_PEM)
    };
    let (certificate, key) = (decoded(0)?, Pem::new(decoded(1)?));
    let texts = cx.slowly(memory, move || {
        let (_, block) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())
            .map_err(|_| Failure::function("not a PEM certificate"))?;
        block.parse_x509().map_err(|_| Failure::function("not a certificate"))?;
        KeyPair::from_pem(&key).map_err(|_| BAD_KEY)?;
        Ok((certificate, key))
    })?;
    made(cx, texts?)
}

fn as_text(bytes: &[u8]) -> Outcome<&str> {
    str::from_utf8(bytes).map_err(|_| NOT_PEM)
}

/// Makes a value of the texts of a certificate and its key.
fn made(cx: &mut Cx, (certificate, key): (String, Pem)) -> Outcome<Value> {
    let certificate = Certificate { certificate: cx.bytes(certificate)?, key: cx.bytes(key.as_str())? };
    Ok(Value::Certificate(certificate.into()))
}

fn parameters(cx: &mut Cx, args: &Args, days: i64) -> Outcome<CertificateParams> {
    cx.meter.allocate(args.text(0).len())?;
    cx.work(args.text(0).len())?;
    let mut serial = [0; 16];
    cx.fill_random(&mut serial);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, args.string(0));
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = u64::try_from(cx.now().unix()).map_err(|_| FAILED)?;
    // Beyond the year 9999 a certificate cannot say when it ends.
    let days = u64::try_from(days)
        .ok()
        .filter(|days| *days <= 2_900_000)
        .ok_or(Failure::function("the days are out of range"))?;
    let epoch = date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(now);
    parameters.not_after = epoch + Duration::from_secs(now + days * 86_400);
    parameters.key_usages = vec![KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.is_ca = IsCa::ExplicitNoCa;
    Ok(parameters)
}

fn alternative_names(cx: &mut Cx, args: &Args) -> Outcome<Vec<SanType>> {
    const NOT_TEXT: Failure = Failure::function("addresses and names must be strings");
    let mut text = |value: &Value| match value {
        Value::Text(text) => {
            cx.meter.allocate(text.len().saturating_add(size_of::<SanType>()))?;
            cx.work(text.len())?;
            as_text(text).map(str::to_owned)
        }
        _ => Err(NOT_TEXT),
    };
    let mut names = Vec::new();
    for address in args.list(1) {
        let address: IpAddr = text(&address)?.parse().map_err(|_| Failure::function("not an IP address"))?;
        names.push(SanType::IpAddress(address));
    }
    for name in args.list(2) {
        let name = text(&name)?.try_into().map_err(|_| Failure::function("not a DNS name"))?;
        names.push(SanType::DnsName(name));
    }
    Ok(names)
}

fn given_key(cx: &mut Cx, args: &Args, position: usize) -> Outcome<Option<Pem>> {
    cx.work(args.text(position).len())?;
    Ok((!args.from(position).is_empty()).then(|| Pem::new(args.string(position))))
}

/// The key given, or a new one of 2048 bits; and its PEM.
fn key_pair(given: Option<Pem>) -> Outcome<(KeyPair, Pem)> {
    if let Some(pem) = given {
        let key = KeyPair::from_pem(&pem).map_err(|_| BAD_KEY)?;
        return Ok((key, pem));
    }
    let pkcs8 = new_rsa(KeySize::Rsa2048)?;
    let der = pkcs8.as_slice().into();
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(|_| FAILED)?;
    Ok((key, rsa_pem(&pkcs8)))
}
