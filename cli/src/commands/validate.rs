//! `--validate`: ask the controller whether it can decrypt.

use http::StatusCode;
use sealed_secrets_core::manifest::{Format, sealed_secret_text, sealed_secrets_of};
use sealed_secrets_crds::SealedSecret;

use crate::cluster::Cluster;
use crate::commands::output;
use crate::error::Error;
use crate::flags::Flags;
use crate::io::Input;

/// # Errors
/// At the first SealedSecret that the controller cannot decrypt, or when there is none.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    if output::file(flags).is_some() {
        return Err(Error::NoOutputFile("--validate"));
    }
    let input = Input::read(flags.text("secret-file"))?;
    let sealed = sealed_secrets(&input)?;
    let cluster = Cluster::connect(flags)?;
    sealed.iter().try_for_each(|sealed| validate(&cluster, sealed))
}

/// The SealedSecrets of the input; at least one.
pub(super) fn sealed_secrets(input: &Input) -> Result<Vec<SealedSecret>, Error> {
    let documents = input.documents()?;
    let sealed = sealed_secrets_of(&documents).map_err(|cause| Error::Read(input.name.clone(), cause))?;
    if sealed.is_empty() { Err(Error::NoSealedSecrets(input.name.clone())) } else { Ok(sealed) }
}

fn validate(cluster: &Cluster, sealed: &SealedSecret) -> Result<(), Error> {
    let body = sealed_secret_text(sealed, Format::Json).into_bytes();
    let answer = cluster.post("/v1/verify", body).map_err(Error::Validate)?;
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::CONFLICT => Err(Error::CannotDecrypt(sealed.metadata.name.clone().unwrap_or_default())),
        _ => Err(Error::Validate(answer.failure())),
    }
}
