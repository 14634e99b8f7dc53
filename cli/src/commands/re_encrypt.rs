//! `--re-encrypt` has the controller encrypt every item again with its newest key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{Format, positions_of, sealed_secret_text, sealed_secrets_of};
use sealed_secrets_crds::SealedSecret;

use crate::commands::validate;
use crate::error::Error;
use crate::io;
use crate::io::Input;
use crate::options::ReEncryptOptions;
use crate::service_proxy::ServiceProxy;
use crate::session::Session;

/// Replaces ciphertext only: items of the response that the input does not have are ignored. The output keeps the format of the input
/// and goes to `-w`, else back to the file of `-f`, else to stdout.
///
/// # Errors
/// When there is nothing to re-encrypt, or the controller refuses; then nothing is written.
pub(super) fn run(options: &ReEncryptOptions, session: &Session) -> Result<(), Error> {
    let input = Input::read(options.input.as_deref())?;
    let sealed = validate::sealed_secrets(&input)?;
    let proxy = ServiceProxy::connect(session)?;
    let places = positions_of(&input.documents()?);
    let mut changes = Vec::new();
    for ((object, sealed), place) in sealed.iter().enumerate().zip(places) {
        let renewed = re_encrypt(&proxy, object, sealed);
        changes.extend(renewed.map_err(|cause| cause.at(&input.name, place, &sealed.metadata))?);
    }
    let edited = apply(&input.text, &changes).map_err(|cause| Error::Edit(input.name.clone(), cause))?;
    match (options.output.as_deref(), &options.input) {
        (None, Some(_)) => io::replace_edited(&input, &edited),
        (output, _) => io::write(output, edited.as_bytes()),
    }
}

fn re_encrypt(proxy: &ServiceProxy, object: usize, sealed: &SealedSecret) -> Result<Vec<Change>, Error> {
    let body = sealed_secret_text(sealed, Format::Json).into_bytes();
    let answer = proxy.post("/v1/rotate", body).map_err(Error::ReEncrypt)?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::CONFLICT => return Err(Error::CannotRotate),
        _ => return Err(Error::ReEncrypt(proxy.failure(&answer))),
    }
    let unreadable = || Error::ReEncrypt("the controller's answer is not a SealedSecret".to_owned());
    let text = String::from_utf8(answer.body).map_err(|_| unreadable())?;
    let documents = sealed_secrets_core::manifest::documents(&text).map_err(|_| unreadable())?;
    let renewed = sealed_secrets_of(&documents).ok().and_then(|mut all| all.pop()).ok_or_else(unreadable)?;
    let missing = |what: String| Error::ReEncrypt(format!("the controller's answer lacks {what}"));
    let items = sealed.spec.encrypted_data.keys().map(|key| {
        let value = renewed.spec.encrypted_data.get(key).cloned();
        let path = vec!["spec".to_owned(), "encryptedData".to_owned(), key.clone()];
        Ok(Change { object, path, value: value.ok_or_else(|| missing(format!("the item {key:?}")))? })
    });
    // The deprecated format has one ciphertext for all items. Upstream's controller responds in the new format.
    let v1 = sealed.spec.data.iter().map(|_| {
        let value = renewed.spec.data.as_ref().map(|data| STANDARD.encode(&data.0));
        let path = vec!["spec".to_owned(), "data".to_owned()];
        let value = value
            .ok_or_else(|| missing("spec.data; seal the Secret again, using encryptedData".to_owned()))?;
        Ok(Change { object, path, value })
    });
    items.chain(v1).collect()
}
