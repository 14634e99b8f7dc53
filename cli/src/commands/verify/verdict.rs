//! Verdicts on SealedSecrets.

use http::StatusCode;
use sealed_secrets_core::decryption::{Decryption, DecryptionError, Step, V1Data};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::names::shown_key;

use crate::service_proxy::Answer;
use crate::workflow::BoundItems;

const DOES_NOT_DECRYPT: &str = "does not decrypt";

/// The verdict on a SealedSecret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Decrypts,
    /// The problems, each with its line in the file, if it is that of an item.
    DoesNotDecrypt(Vec<(Option<usize>, String)>),
    /// The reason why there is none.
    Unknown(String),
}

impl Verdict {
    pub(super) fn decrypts(&self) -> Option<bool> {
        match self {
            Self::Decrypts => Some(true),
            Self::DoesNotDecrypt(_) => Some(false),
            Self::Unknown(_) => None,
        }
    }

    pub(super) fn message(&self) -> Option<String> {
        match self {
            Self::Decrypts => None,
            Self::DoesNotDecrypt(problems) => {
                Some(problems.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; "))
            }
            Self::Unknown(reason) => Some(reason.clone()),
        }
    }
}

/// The verdict of a controller.
pub(super) fn of_answer(answer: &Answer) -> Verdict {
    match answer.status {
        StatusCode::OK => Verdict::Decrypts,
        StatusCode::CONFLICT => Verdict::DoesNotDecrypt(vec![(None, DOES_NOT_DECRYPT.to_owned())]),
        _ => Verdict::Unknown(answer.failure()),
    }
}

/// The verdict of private keys, which names the items.
pub(super) fn of_keys(bound: &BoundItems, ring: &KeyRing) -> Verdict {
    let mut sealed = bound.sealed_secret(bound.items.iter());
    sealed.spec.data.clone_from(&bound.v1_data);
    let finished = Decryption::new(&sealed, ring, V1Data::Accepted, &[]).map(|mut decryption| {
        loop {
            match decryption.advance(&mut usize::MAX.clone()) {
                Step::Finished(finished) => break finished.outcome.map(drop),
                Step::Unfinished(rest) => decryption = rest,
            }
        }
    });
    match finished {
        Ok(Ok(())) => Verdict::Decrypts,
        Ok(Err(DecryptionError::Items(errors))) => Verdict::DoesNotDecrypt(
            errors
                .iter()
                .map(|(key, cause)| {
                    (line_of(bound, key), format!("{} {DOES_NOT_DECRYPT}: {cause}", shown_key(key)))
                })
                .collect(),
        ),
        Ok(Err(error)) | Err(error) => {
            Verdict::DoesNotDecrypt(vec![(None, format!("{DOES_NOT_DECRYPT}: {error}"))])
        }
    }
}

fn line_of(bound: &BoundItems, key: &str) -> Option<usize> {
    bound.items.iter().find(|item| item.key == key).map(|item| item.line)
}
