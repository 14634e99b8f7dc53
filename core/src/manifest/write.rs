//! Writes Secrets and SealedSecrets, byte for byte as upstream does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_crds::names::{SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};
use sealed_secrets_crds::{SealedSecret, SecretTemplate};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::emit::emit;

/// Output format of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON, indented by two spaces.
    #[default]
    Json,
    /// YAML, each document after `---`.
    Yaml,
}

/// The word is not the name of a format; upstream's wording.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unsupported output format: {0}")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word.to_ascii_lowercase().as_str() {
            "" | "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err(UnknownFormat(word.to_owned())),
        }
    }
}

/// Writes a SealedSecret with a final newline: name, namespace, labels and annotations of its metadata, and the whole spec; no
/// status.
#[must_use]
pub fn sealed_secret_text(sealed: &SealedSecret, format: Format) -> String {
    let object = SealedObject {
        kind: SEALED_SECRET_KIND,
        api_version: SEALED_SECRET_API_VERSION,
        metadata: Metadata::of(&sealed.metadata),
        spec: SealedSpec {
            template: Template::of(&sealed.spec.template),
            data: sealed.spec.data.as_ref(),
            encrypted_data: &sealed.spec.encrypted_data,
        },
    };
    object_text(&object, format)
}

/// Writes a Secret with a final newline: name, namespace, labels and annotations of its metadata, and its content. The text
/// contains the plaintext (as base64).
#[must_use]
pub fn secret_text(secret: &Secret, format: Format) -> String {
    object_text(&SecretObject::of(secret), format)
}

// Fields are declared in upstream's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SealedObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata<'a>,
    spec: SealedSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SealedSpec<'a> {
    template: Template<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a ByteString>,
    encrypted_data: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Template<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a BTreeMap<String, Option<String>>>,
}

impl<'a> Template<'a> {
    fn of(template: &'a SecretTemplate) -> Self {
        Self {
            metadata: template.metadata.as_ref().map(Metadata::of),
            type_: template.type_.as_deref(),
            immutable: template.immutable,
            data: template.data.as_ref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretObject<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a BTreeMap<String, ByteString>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<&'a str>,
}

impl<'a> SecretObject<'a> {
    fn of(secret: &'a Secret) -> Self {
        Self {
            kind: "Secret",
            api_version: "v1",
            metadata: Metadata::of(&secret.metadata),
            immutable: secret.immutable,
            data: secret.data.as_ref().filter(|data| !data.is_empty()),
            type_: secret.type_.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Metadata<'a> {
    fn of(metadata: &'a ObjectMeta) -> Self {
        Self {
            name: filled(metadata.name.as_ref()),
            generate_name: filled(metadata.generate_name.as_ref()),
            namespace: filled(metadata.namespace.as_ref()),
            labels: metadata.labels.as_ref().filter(|labels| !labels.is_empty()),
            annotations: metadata.annotations.as_ref().filter(|annotations| !annotations.is_empty()),
        }
    }
}

fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Writes a `v1` List of Secrets as YAML with a final newline, each as in [`secret_text`]. The text contains the plaintexts.
#[must_use]
pub fn secret_list_text(secrets: &[Secret]) -> String {
    let items = secrets.iter().map(SecretObject::of).collect();
    object_text(&SecretList { kind: "List", api_version: "v1", items }, Format::Yaml)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretList<'a> {
    kind: &'static str,
    api_version: &'static str,
    items: Vec<SecretObject<'a>>,
}

/// Writes any object that serializes to a mapping with string keys, with a final newline.
#[must_use]
pub fn object_text(object: &impl Serialize, format: Format) -> String {
    match format {
        Format::Json => {
            // Serializing these types cannot fail: all keys are strings.
            let json = serde_json::to_string_pretty(object).unwrap_or_default();
            html_escaped(&json) + "\n"
        }
        Format::Yaml => match serde_json::to_value(object) {
            Ok(Value::Object(mapping)) => format!("---\n{}", emit(&mapping)),
            _ => String::new(),
        },
    }
}

/// Escapes the characters that Go's JSON encoder escapes for HTML and JavaScript, and those that YAML readers reject. They occur
/// only inside strings.
fn html_escaped(json: &str) -> String {
    let mut output = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a String does not fail.
                let _ = write!(output, "\\u{:04x}", u32::from(character));
            }
            other => output.push(other),
        }
    }
    output
}
