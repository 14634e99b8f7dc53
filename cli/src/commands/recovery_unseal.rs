//! `--recovery-unseal` decrypts without a cluster.

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::{Format, positions_of, secret_text};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, V1Data, unseal};
use sealed_secrets_crds::SealedSecret;
use zeroize::Zeroizing;

use crate::commands::validate;
use crate::error::Error;
use crate::io;
use crate::io::Input;
use crate::options::RecoveryUnsealOptions;
use crate::template_sources::TemplateSources;
use crate::workflow::key_ring;

/// Decrypts the SealedSecrets of the input with private keys, and writes the Secrets.
///
/// # Errors
/// When a key cannot be read or a SealedSecret cannot be decrypted; then nothing is written.
pub(super) fn run(options: &RecoveryUnsealOptions) -> Result<(), Error> {
    let input = Input::read(options.input.as_deref())?;
    let ring = key_ring(&options.private_keys)?;
    let sealed = validate::sealed_secrets(&input)?;
    if ring.is_empty() {
        return Err(Error::NoRecoveryKey);
    }
    let mut text = Zeroizing::new(String::new());
    let places = positions_of(&input.documents()?);
    for (mut sealed, place) in sealed.into_iter().zip(&places) {
        with_namespace(&mut sealed, options.namespace.as_deref());
        let unsealed_text = unsealed_text(&sealed, &ring, options.output.format);
        let unsealed_text = unsealed_text.map_err(|cause| match places.len() {
            1 => cause,
            _ => cause.at(&input.name, *place, &sealed.metadata),
        });
        text.push_str(&unsealed_text?);
    }
    io::write_plaintext(options.output.file.as_deref(), text.as_bytes())
}

/// Sets the namespace of the flag, for which a file without a namespace was sealed.
fn with_namespace(sealed: &mut SealedSecret, given: Option<&str>) {
    let namespace = &mut sealed.metadata.namespace;
    if namespace.as_deref().is_none_or(str::is_empty) {
        *namespace = given.map(str::to_owned);
    }
}

fn unsealed_text(sealed: &SealedSecret, ring: &KeyRing, format: Format) -> Result<Zeroizing<String>, Error> {
    let mut template_sources = TemplateSources::from_now();
    let mut renderer = Renderer { budget: &Budget::default(), sources: &mut template_sources };
    let unsealed = unseal(sealed, ring, V1Data::Accepted, &mut renderer)?;
    Ok(Zeroizing::new(secret_text(&unsealed.secret, format)))
}
