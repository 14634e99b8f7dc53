//! `inspect` shows what files hold.

use clap::Args;
use sealed_secrets_core::item_form::item_form;
use sealed_secrets_core::manifest::receipts::Found;
use sealed_secrets_core::manifest::{Field, Item, SealedObject};
use sealed_secrets_core::names::{INVALID_KEY, refused_key};
use sealed_secrets_core::receipt::{Receipt, digest};
use serde_json::{Value, json};

use crate::error::Error;
use crate::escape;
use crate::report::{self, ReportFormat};
use crate::workflow::{SealedFile, files_with_sealed_secrets, shown_object};

const NOTHING: &str = "-";
const TEMPLATED: &str = "{{…}}";

/// Show the SealedSecrets of files: their items, the key and the place of each; needs no key
#[derive(Debug, Args)]
#[command(
    long_about = "Show the SealedSecrets of files, without a key and without a cluster: the length of each value, the length of the key\n\
                  that sealed it, the fingerprint of that key if the item has a valid receipt, and a hash of the ciphertext.\n\
                  A folder stands for its YAML and JSON files; in a Git work tree, files that Git ignores are passed over.",
    after_help = "Examples:\n  \
                  kubeseal inspect deploy/prod/db.yaml\n  \
                  kubeseal inspect -o json . | jq -r '.objects[].items[].fingerprint' | sort | uniq -c"
)]
pub(crate) struct Inspect {
    /// Files and folders (`-` is stdin)
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", alias = "format")]
    output: ReportFormat,
}

impl Inspect {
    /// Prints the SealedSecrets of the files.
    ///
    /// # Errors
    /// When a file cannot be read, a path has no SealedSecret, or stdout cannot be written.
    pub(super) fn run(&self) -> Result<(), Error> {
        let (files, failed) = files_with_sealed_secrets(&self.paths)?;
        let mut text = String::new();
        let mut objects = Vec::new();
        for file in &files {
            for object in file.manifest.sealed_secrets() {
                text += &text_of(file, &object);
                objects.push(value_of(file, &object));
            }
        }
        report::write(self.output, &json!({ "objects": objects }), &text)?;
        failed.map_or(Ok(()), Err)
    }
}

fn text_of(file: &SealedFile, object: &SealedObject<'_>) -> String {
    let scope = match object.scope() {
        Field::Literal(scope) => scope.to_string(),
        _ => TEMPLATED.to_owned(),
    };
    let type_ = match object.secret_type() {
        Field::Literal(type_) => type_,
        Field::Templated => TEMPLATED.to_owned(),
        Field::Absent => "Opaque".to_owned(),
    };
    let rows: Vec<[String; 5]> = object.items().iter().map(row).collect();
    let widths: Vec<usize> = (0..5)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let head = format!("{}:{}: {} {scope} {type_}", file.path, object.line(), shown_object(object));
    let mut text = escape::line(&head) + "\n";
    for row in &rows {
        // Numbers end in one column.
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 1 { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.extend(["  ", line.trim_end(), "\n"]);
    }
    if object.v1_data_line().is_some() {
        text += "  spec.data, the old form: one ciphertext for all values\n";
    }
    text
}

/// Key, length of the value, kind of key, fingerprint and digest of an item.
fn row(item: &Item) -> [String; 5] {
    let key = match shown_key(item) {
        Some(key) => key.to_owned(),
        None if item.is_templated => TEMPLATED.to_owned(),
        None => INVALID_KEY.to_owned(),
    };
    let Some(form) = item.ciphertext.as_deref().filter(|_| !item.is_templated).and_then(item_form) else {
        let what = if item.is_templated { "filled in by a template" } else { "not ciphertext" };
        return [key, NOTHING.to_owned(), what.to_owned(), NOTHING.to_owned(), NOTHING.to_owned()];
    };
    let fingerprint = match &item.receipt {
        Found::Valid(receipt) => receipt.fingerprint().to_owned(),
        Found::Stale | Found::None => NOTHING.to_owned(),
    };
    let digest = item.ciphertext.as_deref().map(digest).unwrap_or_default();
    [key, format!("{} B", form.value_bytes), format!("RSA-{}", form.key_bits), fingerprint, digest]
}

fn value_of(file: &SealedFile, object: &SealedObject<'_>) -> Value {
    let literal = |field: Field<String>| match field {
        Field::Literal(text) => Some(text),
        Field::Absent | Field::Templated => None,
    };
    let scope = match object.scope() {
        Field::Literal(scope) => Some(scope.to_string()),
        _ => None,
    };
    let type_ = match object.secret_type() {
        Field::Absent => Some("Opaque".to_owned()),
        field => literal(field),
    };
    json!({
        "file": file.path,
        "line": object.line(),
        "namespace": literal(object.namespace()),
        "name": literal(object.name()),
        "scope": scope,
        "type": type_,
        "items": object.items().iter().map(item_value).collect::<Vec<_>>(),
    })
}

/// An item for programs. A text that is not ciphertext has no digest: it may be a value, and the hash of a value tells it.
fn item_value(item: &Item) -> Value {
    let ciphertext = item.ciphertext.as_deref().filter(|_| !item.is_templated);
    let form = ciphertext.and_then(item_form);
    let (receipt, valid) = match &item.receipt {
        Found::Valid(receipt) => ("valid", Some(receipt)),
        Found::Stale => ("stale", None),
        Found::None => ("none", None),
    };
    json!({
        "key": shown_key(item),
        "line": item.line,
        "bytes": form.map(|form| form.value_bytes),
        "keyBits": form.map(|form| form.key_bits),
        "digest": ciphertext.filter(|_| form.is_some()).map(digest),
        "receipt": receipt,
        "fingerprint": valid.map(Receipt::fingerprint),
        "place": valid.map(Receipt::place),
    })
}

/// The key, if it is literal and valid. An invalid one may be a value at the wrong place.
fn shown_key(item: &Item) -> Option<&str> {
    Some(item.key.as_str()).filter(|key| !item.is_templated && refused_key(key).is_none())
}
