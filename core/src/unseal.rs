//! SealedSecret to Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sealed_secrets_crds::names::{
    SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND, SKIP_SET_OWNER_REFERENCES_ANNOTATION,
};
use sealed_secrets_crds::{SealedSecret, SecretTemplate};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::envelope::{Envelope, FramingError};
use crate::keyring::KeyRing;
use crate::label::Label;
use crate::template::{Budget, Rendered, Sources, TemplateError, render_secret};

/// Go's `StdEncoding`: padding required, surplus bits in the last character ignored.
const GO_STD_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Plaintext items by key. Wiped when dropped; deliberately without `Debug`.
pub type OpenedItems = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Whether the deprecated field `spec.data` (one ciphertext for a whole Secret) may be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum V1Data {
    /// As upstream's controller does by default.
    #[default]
    Accepted,
    /// As with `--accept-deprecated-v1-data=false`.
    Refused,
}

/// Why one item does not open. Display is the sentence upstream uses.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Not the standard, padded alphabet; the offset is that of the first byte at fault.
    #[error("illegal base64 data at input byte {0}")]
    NotBase64(usize),
    /// Not framed as an item, so no key was tried.
    #[error("no key could decrypt secret")]
    Framing(FramingError),
    /// Every key of the ring was tried.
    #[error("no key could decrypt secret")]
    NoKey,
}

/// The items of an object that do not open, by key. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemErrors(BTreeMap<String, OpenError>);

impl ItemErrors {
    /// Keys and causes, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OpenError)> {
        self.0.iter().map(|(key, cause)| (key.as_str(), cause))
    }

    /// Upstream's text: equal sentences grouped, `sentence (key, key)`, one line each.
    fn sentences(&self) -> Vec<String> {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (key, cause) in self.iter() {
            groups.entry(cause.to_string()).or_default().push(key);
        }
        let sentence = |(text, keys): (String, Vec<&str>)| format!("{text} ({})", keys.join(", "));
        // "no key" first: health checks match the beginning of the message.
        groups.into_iter().rev().map(sentence).collect()
    }

    fn details(&self) -> impl Iterator<Item = String> {
        self.iter().filter_map(|(key, cause)| match cause {
            OpenError::Framing(framing) => Some(format!("spec.encryptedData[{key:?}]: {framing}")),
            OpenError::NotBase64(_) | OpenError::NoKey => None,
        })
    }
}

impl fmt::Display for ItemErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.sentences().into_iter().chain(self.details()).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

/// Why an object does not become a Secret. No variant carries plaintext.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnsealError {
    /// Some items do not open.
    #[error("{0}")]
    Items(ItemErrors),
    /// The deprecated `spec.data` does not open.
    #[error("{0}")]
    V1(OpenError),
    /// The deprecated `spec.data` opens to something else than a Secret.
    #[error("the deprecated 'data' field does not hold a Secret as JSON")]
    V1NotASecret,
    /// Upstream's words.
    #[error("cannot use the field 'encryptedData' and the deprecated field 'data' at the same time")]
    BothFields,
    /// Upstream's words.
    #[error("using deprecated 'data' field, use 'encryptedData' or flip the feature flag")]
    V1Refused,
    /// A template of `spec.template.data` fails.
    #[error("spec.{0}")]
    Template(#[from] TemplateError),
}

/// Opens one item: base64 text as it stands in `spec.encryptedData`. CR and LF within it are ignored, as Go does.
///
/// # Errors
/// When it is not base64, not an item, or no key of the ring opens it under this label.
pub fn open_value(ring: &KeyRing, label: &Label, text: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let bytes = decode(text)?;
    let envelope = Envelope::parse(&bytes).map_err(OpenError::Framing)?;
    ring.open(&envelope, label, None).map(|(plaintext, _)| plaintext).ok_or(OpenError::NoKey)
}

/// Opens every item of `spec.encryptedData` under the object's own label.
///
/// # Errors
/// Names every item that does not open; then none is returned.
pub fn open_items(sealed: &SealedSecret, ring: &KeyRing) -> Result<OpenedItems, ItemErrors> {
    let label = Label::of(sealed);
    let mut opened = OpenedItems::new();
    let mut failed = BTreeMap::new();
    for (key, text) in &sealed.spec.encrypted_data {
        match open_value(ring, &label, text) {
            Ok(plaintext) => drop(opened.insert(key.clone(), plaintext)),
            Err(cause) => drop(failed.insert(key.clone(), cause)),
        }
    }
    if failed.is_empty() { Ok(opened) } else { Err(ItemErrors(failed)) }
}

/// What rendering templates may cost, and where it takes time and randomness from.
pub struct Renderer<'a> {
    /// Limits on the templates of one object.
    pub budget: &'a Budget,
    /// Clock, time zones and randomness.
    pub sources: &'a mut dyn Sources,
}

/// What an object opens to.
pub struct Unsealed {
    /// The Secret.
    pub secret: Secret,
    /// Keys of its data that another rendering would change, because their templates use the clock or randomness.
    pub volatile: BTreeSet<String>,
}

/// The Secret that a SealedSecret describes (compatibility 4.4): labels, annotations, type and immutable of the template, the
/// opened items with the rendered templates, and the name and namespace of the SealedSecret. It is owned by the SealedSecret
/// when that has a uid and the template does not ask otherwise; ownerReferences and finalizers of a template are ignored.
///
/// # Errors
/// When anything in it does not open or render; there is no partial result.
pub fn unseal(
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, UnsealError> {
    let mut unsealed = match (&sealed.spec.data, sealed.spec.encrypted_data.is_empty(), v1_data) {
        (None, _, _) => {
            let items = open_items(sealed, ring).map_err(UnsealError::Items)?;
            from_items(&sealed.spec.template, items, renderer)?
        }
        (Some(_), _, V1Data::Refused) => return Err(UnsealError::V1Refused),
        (Some(_), false, V1Data::Accepted) => return Err(UnsealError::BothFields),
        (Some(item), true, V1Data::Accepted) => {
            Unsealed { secret: from_v1(sealed, &item.0, ring)?, volatile: BTreeSet::new() }
        }
    };
    let metadata = &mut unsealed.secret.metadata;
    metadata.name.clone_from(&sealed.metadata.name);
    metadata.namespace.clone_from(&sealed.metadata.namespace);
    metadata.owner_references = owner_references(sealed);
    Ok(unsealed)
}

fn from_items(
    template: &SecretTemplate,
    items: OpenedItems,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, UnsealError> {
    let Rendered { data, volatile } = match template.data.as_ref().filter(|templates| !templates.is_empty()) {
        Some(templates) => render_secret(templates, &items, renderer.budget, renderer.sources)?,
        None => Rendered { data: items, volatile: BTreeSet::new() },
    };
    // The plaintext leaves its wiped buffers here: the API type has none.
    let data =
        data.into_iter().map(|(key, mut value)| (key, ByteString(std::mem::take(&mut *value)))).collect();
    let secret = Secret {
        metadata: kept_metadata(template.metadata.clone().unwrap_or_default()),
        type_: template.type_.clone().filter(|kind| !kind.is_empty()),
        immutable: template.immutable,
        data: Some(data),
        string_data: None,
    };
    Ok(Unsealed { secret, volatile })
}

fn from_v1(sealed: &SealedSecret, item: &[u8], ring: &KeyRing) -> Result<Secret, UnsealError> {
    let envelope = Envelope::parse(item).map_err(|framing| UnsealError::V1(OpenError::Framing(framing)))?;
    let opened = ring.open(&envelope, &Label::of(sealed), None);
    let (plaintext, _) = opened.ok_or(UnsealError::V1(OpenError::NoKey))?;
    // The cause is dropped: serde_json quotes what it read.
    let secret: Secret = serde_json::from_slice(&plaintext).map_err(|_| UnsealError::V1NotASecret)?;
    Ok(Secret { metadata: kept_metadata(secret.metadata), ..secret })
}

fn kept_metadata(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta { labels: metadata.labels, annotations: metadata.annotations, ..ObjectMeta::default() }
}

fn owner_references(sealed: &SealedSecret) -> Option<Vec<OwnerReference>> {
    let template = sealed.spec.template.metadata.as_ref();
    let annotation = template
        .and_then(|metadata| metadata.annotations.as_ref()?.get(SKIP_SET_OWNER_REFERENCES_ANNOTATION));
    if annotation.is_some_and(|value| value == "true") {
        return None;
    }
    let owner = OwnerReference {
        api_version: SEALED_SECRET_API_VERSION.to_owned(),
        kind: SEALED_SECRET_KIND.to_owned(),
        name: sealed.metadata.name.clone().unwrap_or_default(),
        uid: sealed.metadata.uid.clone().filter(|uid| !uid.is_empty())?,
        controller: Some(true),
        block_owner_deletion: None,
    };
    Some(vec![owner])
}

/// Go's base64: CR and LF are ignored.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, OpenError> {
    let kept = |(_, byte): &(usize, u8)| !matches!(byte, b'\r' | b'\n');
    let characters = || text.bytes().enumerate().filter(kept);
    let bytes: Vec<u8> = characters().map(|(_, byte)| byte).collect();
    GO_STD_ENCODING.decode(bytes).map_err(|cause| {
        let at = match cause {
            base64::DecodeError::InvalidByte(at, _)
            | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            _ => usize::MAX,
        };
        OpenError::NotBase64(characters().nth(at).map_or(text.len(), |(offset, _)| offset))
    })
}
