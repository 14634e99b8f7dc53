//! `keys list` prints the `SealingKey`s. It does not read the key Secrets.

use std::cmp::Reverse;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase};
use serde_json::{Value, json};

use crate::api::ApiServer;
use crate::error::{Error, KeysError, Refusal};
use crate::options::ClusterOptions;
use crate::report::{ReportFormat, age, table};
use crate::session::Session;
use crate::{io, report};

const NOTHING: &str = "-";

/// List the sealing keys, with the phase of each and the number of items that need it
#[derive(Debug, Args)]
#[command(
    long_about = "List the sealing keys of the cluster, newest first: the phase of each key (PHASE), the number of the\n\
                  cluster's items that only this key decrypts (ITEMS), and the time since its creation (AGE). Reads the SealingKey\n\
                  objects, which hold no secrets.",
    after_help = "Example:\n  kubeseal keys list -o wide"
)]
pub(crate) struct List {
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ListFormat,
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ListFormat {
    #[default]
    Text,
    Wide,
    Json,
    Yaml,
}

impl List {
    /// Prints the `SealingKey`s.
    ///
    /// # Errors
    /// When the `SealingKey`s cannot be read.
    pub(super) fn run(&self) -> Result<(), Error> {
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let keys = sealing_keys(api)?;
        if keys.is_empty() {
            let namespace = &api.namespace;
            io::log(&format!(
                "no sealing keys in namespace {namespace}; set the controller's namespace with --controller-namespace"
            ));
        }
        let now = Timestamp::now();
        if let Some(warning) = expired_primary(&keys, now) {
            io::log(&warning);
        }
        let text = table(&rows(&keys, now, matches!(self.output, ListFormat::Wide)));
        let format = match self.output {
            ListFormat::Text | ListFormat::Wide => ReportFormat::Text,
            ListFormat::Json => ReportFormat::Json,
            ListFormat::Yaml => ReportFormat::Yaml,
        };
        report::write(format, &json!({"keys": keys.iter().map(value).collect::<Vec<_>>()}), &text)
    }
}

/// The `SealingKey`s, newest first.
///
/// # Errors
/// When they cannot be read.
pub(super) fn sealing_keys(api: &ApiServer) -> Result<Vec<SealingKey>, KeysError> {
    let listed = api.runtime.block_on(api.sealing_keys().list(&ListParams::default()));
    let refused =
        |error| KeysError::of("list sealing keys", "SealingKey", &api.namespace, Refusal::from(error));
    let mut keys = listed.map_err(refused)?.items;
    keys.sort_by_key(|key| (Reverse(made(key)), key.name_any()));
    Ok(keys)
}

/// The creation time of the key; for an unreadable key that of the object.
pub(super) fn made(key: &SealingKey) -> Option<Timestamp> {
    let not_before = key.status.as_ref().and_then(|status| status.not_before.as_ref());
    not_before.or(key.metadata.creation_timestamp.as_ref()).map(|time| time.0)
}

/// Warns if the certificate of the primary key has expired: kubeseal refuses to seal with it.
fn expired_primary(keys: &[SealingKey], now: Timestamp) -> Option<String> {
    let phase = |key: &SealingKey| key.status.as_ref()?.phase;
    let primary = keys.iter().find(|key| phase(key) == Some(SealingKeyPhase::Primary))?;
    let not_after = primary.status.as_ref()?.not_after.as_ref()?.0;
    let warning = || {
        let name = primary.name_any();
        format!(
            "warning: the certificate of {name}, which is offered for sealing, expired on {not_after}; kubeseal does not seal with it. Request a new key with `kubeseal keys rotate`"
        )
    };
    (not_after < now).then(warning)
}

fn rows(keys: &[SealingKey], now: Timestamp, wide: bool) -> Vec<Vec<String>> {
    let further: &[&str] = if wide { &["FINGERPRINT", "NOT-AFTER", "MESSAGE"] } else { &[] };
    let head = ["NAME", "PHASE", "ITEMS", "AGE"].iter().chain(further).map(|&word| word.to_owned()).collect();
    let body = keys.iter().map(|key| {
        let mut row = row(key, now);
        if wide {
            row.extend(further_cells(key));
        }
        row
    });
    std::iter::once(head).chain(body).collect()
}

fn row(key: &SealingKey, now: Timestamp) -> Vec<String> {
    let status = key.status.clone().unwrap_or_default();
    let phase = status.phase.map(SealingKeyPhase::as_str);
    let items = status.usage.map(|usage| usage.items.to_string());
    let age = made(key).map(|made| age(now.duration_since(made)));
    vec![
        key.name_any(),
        phase.unwrap_or(NOTHING).to_owned(),
        items.unwrap_or(NOTHING.into()),
        age.unwrap_or(NOTHING.into()),
    ]
}

fn further_cells(key: &SealingKey) -> [String; 3] {
    let status = key.status.clone().unwrap_or_default();
    let not_after = status.not_after.map(|time| time.0.to_string());
    [status.fingerprint, not_after, status.message].map(|cell| cell.unwrap_or(NOTHING.into()))
}

fn value(key: &SealingKey) -> Value {
    let status = key.status.clone().unwrap_or_default();
    json!({
        "name": key.name_any(),
        "phase": status.phase,
        "state": key.spec.state,
        "decryptUntil": key.spec.decrypt_until,
        "fingerprint": status.fingerprint,
        "notBefore": status.not_before,
        "notAfter": status.not_after,
        "items": status.usage.map(|usage| usage.items),
        "objects": status.usage.map(|usage| usage.objects),
        "message": status.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, status: &Value) -> SealingKey {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey",
            "metadata": {"name": name, "creationTimestamp": "2026-11-01T00:00:00Z"}, "spec": {}, "status": status
        }))
        .unwrap()
    }

    #[test]
    fn the_table_says_what_each_key_does_and_how_old_it_is() {
        let primary = json!({"phase": "Primary", "notBefore": "2026-11-20T23:59:00Z", "usage": {"objects": 0, "items": 0}});
        let old = json!({"phase": "DecryptOnly", "notBefore": "2026-10-22T00:00:00Z", "usage": {"objects": 1, "items": 412}});
        let keys = [
            key("sealed-secrets-keym4d9w", &primary),
            key("sealed-secrets-keyx7k2p", &old),
            key("new", &json!({})),
        ];
        let wanted = "NAME                     PHASE        ITEMS  AGE\n\
                      sealed-secrets-keym4d9w  Primary      0      1m\n\
                      sealed-secrets-keyx7k2p  DecryptOnly  412    30d\n\
                      new                      -            -      20d\n";
        assert_eq!(table(&rows(&keys, "2026-11-21T00:00:00Z".parse().unwrap(), false)), wanted);
    }

    #[test]
    fn a_primary_that_has_expired_is_warned_of_and_another_key_is_not() {
        let ends = |phase: &str| json!({"phase": phase, "notAfter": "2026-01-01T00:00:00Z"});
        let warning_at = |keys: &[SealingKey], now: &str| expired_primary(keys, now.parse().unwrap());
        let keys = [key("old", &ends("DecryptOnly")), key("new", &ends("Primary"))];
        let warning = warning_at(&keys, "2026-01-01T00:00:01Z").unwrap();
        assert!(
            warning.contains("certificate of new, ") && warning.contains("kubeseal keys rotate"),
            "{warning}"
        );
        assert_eq!(warning_at(&keys, "2026-01-01T00:00:00Z"), None);
        assert_eq!(warning_at(&keys[..1], "2027-01-01T00:00:00Z"), None);
    }

    #[test]
    fn the_wide_table_adds_fingerprint_end_and_message() {
        let status =
            json!({"phase": "Unreadable", "notAfter": "2036-01-01T00:00:00Z", "message": "no key in it"});
        let rows = rows(&[key("k", &status)], Timestamp::UNIX_EPOCH, true);
        assert_eq!(rows[0][4..], ["FINGERPRINT", "NOT-AFTER", "MESSAGE"]);
        assert_eq!(rows[1][4..], ["-", "2036-01-01T00:00:00Z", "no key in it"]);
    }
}
