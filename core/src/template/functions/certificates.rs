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
use super::keys::{new_rsa, rsa_pem};
use super::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{Bytes, Value};

const FAILED: Failure = Failure::function("the certificate cannot be made");
const BAD_KEY: Failure = Failure::function("the private key is not PEM of a kind that is known");

/// Sprig's certificate: two PEM texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) certificate: Bytes,
    pub(crate) key: Bytes,
}

/// `genCA name days [key]`
pub(super) fn ca(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut parameters = parameters(cx, &args.string(0), args.int(1))?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let (key, pem) = key_pair(args, 2)?;
    let certificate = parameters.self_signed(&key).map_err(|_| FAILED)?;
    made(cx, &certificate.pem(), &pem)
}

/// `genSelfSignedCert name addresses names days [key]`
pub(super) fn self_signed(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut parameters = parameters(cx, &args.string(0), args.int(3))?;
    parameters.subject_alt_names = alternative_names(args)?;
    let (key, pem) = key_pair(args, 4)?;
    let certificate = parameters.self_signed(&key).map_err(|_| FAILED)?;
    made(cx, &certificate.pem(), &pem)
}

/// `genSignedCert name addresses names days authority [key]`
pub(super) fn signed(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let Value::Certificate(authority) = args.any(4) else {
        return Err(FAILED);
    };
    let mut parameters = parameters(cx, &args.string(0), args.int(3))?;
    parameters.subject_alt_names = alternative_names(args)?;
    parameters.use_authority_key_identifier_extension = true;
    let (key, pem) = key_pair(args, 5)?;
    let authority_key = KeyPair::from_pem(as_text(&authority.key)?).map_err(|_| BAD_KEY)?;
    let issuer =
        Issuer::from_ca_cert_pem(as_text(&authority.certificate)?, authority_key).map_err(|_| FAILED)?;
    let certificate = parameters.signed_by(&key, &issuer).map_err(|_| FAILED)?;
    made(cx, &certificate.pem(), &pem)
}

/// `buildCustomCert certificate key`, both PEM in base64.
pub(super) fn build_custom(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let decoded = |position| decode_base64(args.text(position)).map_err(|_| Failure::function("not base64"));
    let (certificate, key) = (decoded(0)?, Zeroizing::new(decoded(1)?));
    let (_, block) = x509_parser::pem::parse_x509_pem(&certificate)
        .map_err(|_| Failure::function("not a PEM certificate"))?;
    block.parse_x509().map_err(|_| Failure::function("not a certificate"))?;
    KeyPair::from_pem(as_text(&key)?).map_err(|_| BAD_KEY)?;
    let certificate = String::from_utf8(certificate).map_err(|_| FAILED)?;
    made(cx, &certificate, as_text(&key)?)
}

fn as_text(bytes: &[u8]) -> Outcome<&str> {
    str::from_utf8(bytes).map_err(|_| Failure::function("not PEM"))
}

fn made(cx: &mut Cx, certificate: &str, key: &str) -> Outcome<Value> {
    let certificate = Certificate { certificate: cx.bytes(certificate)?, key: cx.bytes(key)? };
    Ok(Value::Certificate(certificate.into()))
}

fn parameters(cx: &mut Cx, name: &str, days: i64) -> Outcome<CertificateParams> {
    let mut serial = [0; 16];
    cx.fill_random(&mut serial);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
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

fn alternative_names(args: &Args) -> Outcome<Vec<SanType>> {
    const NOT_TEXT: Failure = Failure::function("addresses and names must be strings");
    let text = |value: &Value| match value {
        Value::Text(text) => as_text(text).map(str::to_owned),
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

/// The key given as argument, or a new one of 2048 bits; and its PEM.
fn key_pair(args: &Args, position: usize) -> Outcome<(KeyPair, Zeroizing<String>)> {
    if !args.from(position).is_empty() {
        let pem = Zeroizing::new(args.string(position));
        let key = KeyPair::from_pem(&pem).map_err(|_| BAD_KEY)?;
        return Ok((key, pem));
    }
    let pkcs8 = new_rsa(KeySize::Rsa2048)?;
    let der = pkcs8.as_slice().into();
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(|_| FAILED)?;
    Ok((key, rsa_pem(&pkcs8)))
}
