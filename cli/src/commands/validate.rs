//! `--validate` asks the controller whether it can decrypt.

use http::StatusCode;
use sealed_secrets_core::manifest::{Format, sealed_secret_text, sealed_secrets_of};
use sealed_secrets_crds::SealedSecret;

use crate::error::Error;
use crate::io::Input;
use crate::options::ValidateOptions;
use crate::service_proxy::ServiceProxy;
use crate::session::Session;

/// Asks the controller to decrypt each SealedSecret of the input.
///
/// # Errors
/// At the first SealedSecret that the controller cannot decrypt, or when there is none.
pub(super) fn run(options: &ValidateOptions, session: &Session) -> Result<(), Error> {
    let input = Input::read(options.input.as_deref())?;
    let sealed = sealed_secrets(&input)?;
    let proxy = ServiceProxy::connect(session)?;
    sealed.iter().try_for_each(|sealed| validate(&proxy, sealed))
}

/// Parses the SealedSecrets of the input, at least one.
pub(super) fn sealed_secrets(input: &Input) -> Result<Vec<SealedSecret>, Error> {
    let documents = input.documents()?;
    let sealed = sealed_secrets_of(&documents).map_err(|cause| Error::Read(input.name.clone(), cause))?;
    if sealed.is_empty() { Err(Error::NoSealedSecrets(input.name.clone())) } else { Ok(sealed) }
}

fn validate(proxy: &ServiceProxy, sealed: &SealedSecret) -> Result<(), Error> {
    let body = sealed_secret_text(sealed, Format::Json).into_bytes();
    let answer = proxy.post("/v1/verify", body).map_err(Error::Validate)?;
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::CONFLICT => Err(Error::CannotDecrypt(sealed.metadata.name.clone().unwrap_or_default())),
        _ => Err(Error::Validate(proxy.failure(&answer))),
    }
}
