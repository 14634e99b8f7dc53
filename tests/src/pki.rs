//! The certificates of a control plane.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

use crate::error::{Error, Result};

/// A certificate and its private key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// All keys and certificates of one control plane. They live as long as the run.
pub(crate) struct Pki {
    /// The certificate authority's certificate, PEM.
    pub(crate) authority: String,
    /// The API server's serving certificate.
    pub(crate) server: Identity,
    /// A client in the group `system:masters`, which has all permissions.
    pub(crate) admin: Identity,
    /// The key that signs the tokens of service accounts, PEM.
    pub(crate) token_key: String,
    /// The key that verifies the tokens of service accounts, PEM.
    pub(crate) token_public_key: String,
}

impl Pki {
    /// Generates all keys and certificates for a server at `address`.
    pub(crate) fn generate(address: IpAddr) -> Result<Self> {
        Self::try_generate(address)
            .map_err(|error| Error::Invalid(format!("cannot make certificates: {error}")))
    }

    fn try_generate(address: IpAddr) -> std::result::Result<Self, rcgen::Error> {
        let authority = authority()?;
        let names = [
            address.to_string(),
            Ipv4Addr::LOCALHOST.to_string(),
            "localhost".into(),
            "kubernetes.default.svc".into(),
        ];
        let token_key = KeyPair::generate()?;
        Ok(Self {
            authority: authority.pem(),
            server: server(&authority, names.to_vec())?,
            admin: client(&authority, "admin", "system:masters")?,
            token_key: token_key.serialize_pem(),
            token_public_key: token_key.public_key_pem(),
        })
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> std::result::Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(authority: &Authority, names: Vec<String>) -> std::result::Result<Identity, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(authority, &params)
}

fn client(authority: &Authority, user: &str, group: &str) -> std::result::Result<Identity, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue(authority, &params)
}

fn issue(authority: &Authority, params: &CertificateParams) -> std::result::Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok(Identity { certificate: params.signed_by(&key, authority)?.pem(), key: key.serialize_pem() })
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_has_a_key_of_its_own() {
        let pki = Pki::generate(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_ne!(pki.server.key, pki.admin.key);
        assert_ne!(pki.admin.key, pki.token_key);
        assert!(pki.token_public_key.starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
