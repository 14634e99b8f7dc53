//! `keys restore` creates the keys of a backup that the cluster does not have.

use std::collections::BTreeSet;

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::PostParams;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::manifest::secrets_of;
use sealed_secrets_core::text::prefix;
use sealed_secrets_crds::names::{DEFAULT_KEY_PREFIX, SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use serde_json::{Value, json};

use super::stored::{key_secrets, label, portable, usable_key};
use crate::api::ApiServer;
use crate::error::{Error, KeysError, Refusal};
use crate::io::Input;
use crate::options::ClusterOptions;
use crate::report::{ReportFormat, table};
use crate::session::Session;
use crate::{io, report};

/// Longest beginning of a name before its number, so that both together are no longer than a name may be.
const MAX_PREFIX_LENGTH: usize = 230;

/// Maximum number of names that are tried for one key.
const MAX_NAMES: u32 = 100;

/// Restore the keys of a backup, in the same cluster or another one
#[derive(Debug, Args)]
#[command(
    long_about = "Create the key Secrets of a backup that the controller's namespace does not have. A key that exists already,\n\
                  under any name, is not changed; if another key has its name, the restored key gets a new one. Labels are kept, so\n\
                  an active key decrypts within seconds, and the newest key seals. Every key is checked before the first is written.",
    after_help = "Examples:\n  kubeseal keys restore sealing-keys.yaml --dry-run\n  age -d sealing-keys.yaml.age | kubeseal keys restore -"
)]
pub(crate) struct Restore {
    /// The backup: Secrets or a List of them, YAML or JSON; - for stdin
    #[arg(value_name = "FILE")]
    file: String,
    /// Print what would be done, and have the API server check it
    #[arg(long)]
    dry_run: bool,
    /// Skip Secrets that hold no usable key
    #[arg(long)]
    skip_invalid: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReportFormat,
    /// Prefix of the names of key Secrets: the controller's --key-prefix
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_KEY_PREFIX)]
    key_prefix: String,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Restore {
    /// Creates the keys of the backup that the cluster does not have.
    ///
    /// # Errors
    /// When the file has an unusable key (then nothing is written), or the API server refuses one.
    pub(super) fn run(&self) -> Result<(), Error> {
        let backup = self.backup()?;
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let mut done = Vec::new();
        for key in &backup {
            let outcome = self.restore(api, key)?;
            done.push(RestoreResult { key, outcome });
        }
        if self.dry_run {
            io::log("dry run: nothing was written");
        }
        let value = json!({"keys": done.iter().map(|done| done.value(self.dry_run)).collect::<Vec<_>>()});
        let rows: Vec<_> = done.iter().map(|done| done.row(self.dry_run)).collect();
        report::write(self.output, &value, &table(&rows))
    }

    /// The usable keys of the file.
    fn backup(&self) -> Result<Vec<BackupKey>, Error> {
        let input = Input::read_source(&self.file)?;
        let secrets =
            secrets_of(&input.documents()?).map_err(|cause| Error::Read(input.name.clone(), cause))?;
        let mut keys = Vec::new();
        for secret in secrets {
            let name = secret.name_any();
            match usable_key(&secret) {
                Ok(key) => keys.push(BackupKey { fingerprint: key.fingerprint().clone(), secret }),
                Err(cause) if self.skip_invalid => {
                    io::warn(&format!("Secret {name} is skipped: {cause}"));
                }
                Err(cause) => return Err(KeysError::Invalid { name, cause }.into()),
            }
        }
        if keys.is_empty() { Err(KeysError::EmptyBackup(input.name).into()) } else { Ok(keys) }
    }

    fn restore(&self, api: &ApiServer, key: &BackupKey) -> Result<Outcome, KeysError> {
        let mut taken = BTreeSet::new();
        for _ in 0..MAX_NAMES {
            let present: Vec<Present> = key_secrets(api, &self.key_prefix)?.iter().map(Present::of).collect();
            let name = match plan_restore(key, &present, &taken) {
                Step::Leave(name) => return Ok(Outcome::AlreadyThere(name)),
                Step::Create(name) => name,
            };
            let parameters = PostParams { dry_run: self.dry_run, ..PostParams::default() };
            let secret = self.secret_named(key, &name, &api.namespace);
            let created = async { api.secrets().create(&parameters, &secret).await.map_err(without_words) };
            match api.run(created) {
                Ok(_) if name == key.secret.name_any() => return Ok(Outcome::Restored),
                Ok(_) => return Ok(Outcome::Renamed(name)),
                // Another Secret has the name, or another restore runs at the same time.
                Err(Refusal::Conflict(_)) => taken.insert(name),
                Err(refusal) => {
                    return Err(KeysError::of("create a key Secret", "Secret", &api.namespace, refusal));
                }
            };
        }
        Err(KeysError::NoFreeName(key.secret.name_any()))
    }

    /// The Secret to create, with the label without which the controller ignores it, unless its name is the prefix.
    fn secret_named(&self, key: &BackupKey, name: &str, namespace: &str) -> Secret {
        let mut secret = portable(key.secret.clone(), namespace);
        secret.metadata.name = Some(name.to_owned());
        if name != self.key_prefix {
            let labels = secret.metadata.labels.get_or_insert_default();
            labels.entry(SEALING_KEY_LABEL.to_owned()).or_insert_with(|| SEALING_KEY_ACTIVE.to_owned());
        }
        secret
    }
}

/// Replaces the words of an answer about a key Secret that was not created: a webhook or policy may quote the private key, and many
/// people may read the log of a restore. The name of a webhook and a missing permission stay.
fn without_words(error: kube::Error) -> kube::Error {
    let kube::Error::Api(mut status) = error else { return error };
    if !status.message.starts_with("secrets is forbidden: User ") {
        let denied = status.message.split_once("\" denied the request").map(|(webhook, _)| webhook);
        let webhook = denied.and_then(|text| text.strip_prefix("admission webhook \""));
        let refuser =
            webhook.map_or("the API server".to_owned(), |name| format!("the admission webhook {name}"));
        status.message =
            format!("{refuser} refuses the Secret; its answer may quote the private key, so it is not shown");
    }
    kube::Error::Api(status)
}

/// A key of the file.
struct BackupKey {
    fingerprint: Fingerprint,
    secret: Secret,
}

/// A key Secret of the cluster.
struct Present {
    name: String,
    fingerprint: Option<String>,
}

impl Present {
    fn of(secret: &Secret) -> Self {
        let key = sealed_secrets_core::keyring::RingKey::from_secret(
            secret,
            sealed_secrets_core::keyring::OrderBy::default(),
        );
        Self { name: secret.name_any(), fingerprint: key.ok().map(|key| key.fingerprint().to_string()) }
    }
}

/// The planned step for a key of the file.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The Secret of this name already holds the key.
    Leave(String),
    /// Create the Secret under this name.
    Create(String),
}

/// Keeps a key that exists; adds a number to a name that is taken.
fn plan_restore(key: &BackupKey, present: &[Present], taken: &BTreeSet<String>) -> Step {
    let same =
        present.iter().find(|present| present.fingerprint.as_deref() == Some(key.fingerprint.as_str()));
    if let Some(same) = same {
        return Step::Leave(same.name.clone());
    }
    let is_free =
        |name: &String| !taken.contains(name) && present.iter().all(|present| present.name != *name);
    let name = key.secret.name_any();
    let prefix = prefix(&name, MAX_PREFIX_LENGTH);
    let numbered = (2..).map(|number: u64| format!("{prefix}-{number}"));
    let free = std::iter::once(name.clone()).filter(|name| !name.is_empty()).chain(numbered).find(is_free);
    Step::Create(free.unwrap_or_default())
}

/// The result for one key.
enum Outcome {
    Restored,
    Renamed(String),
    AlreadyThere(String),
}

struct RestoreResult<'a> {
    key: &'a BackupKey,
    outcome: Outcome,
}

impl RestoreResult<'_> {
    fn row(&self, dry_run: bool) -> Vec<String> {
        let restored = if dry_run { "would be restored" } else { "restored" };
        let name = self.key.secret.name_any();
        let outcome = match &self.outcome {
            Outcome::Restored => restored.to_owned(),
            Outcome::Renamed(new) => format!("{restored} as {new}, because the name is taken"),
            Outcome::AlreadyThere(there) if *there == name => "already there".to_owned(),
            Outcome::AlreadyThere(there) => format!("already there as {there}"),
        };
        vec![name, label(&self.key.secret).to_owned(), self.key.fingerprint.to_string(), outcome]
    }

    fn value(&self, dry_run: bool) -> Value {
        let (outcome, name) = match &self.outcome {
            Outcome::Restored => ("restored", self.key.secret.name_any()),
            Outcome::Renamed(new) => ("renamed", new.clone()),
            Outcome::AlreadyThere(there) => ("already there", there.clone()),
        };
        json!({
            "backupName": self.key.secret.name_any(), "name": name, "label": label(&self.key.secret),
            "fingerprint": self.key.fingerprint.as_str(), "outcome": outcome, "dryRun": dry_run,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> BackupKey {
        let secret = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        BackupKey { fingerprint: fingerprint('A').parse().unwrap(), secret }
    }

    fn fingerprint(letter: char) -> String {
        format!("SHA256:{}", letter.to_string().repeat(42)) + "A"
    }

    fn present(names: &[(&str, char)]) -> Vec<Present> {
        names
            .iter()
            .map(|&(name, letter)| Present { name: name.to_owned(), fingerprint: Some(fingerprint(letter)) })
            .collect()
    }

    fn plan(name: &str, there: &[(&str, char)], taken: &[&str]) -> Step {
        plan_restore(&key(name), &present(there), &taken.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn no_word_of_an_answer_about_the_restored_key_is_repeated() {
        for (message, expected) in [
            (
                "admission webhook \"w.example.com\" denied the request: QUOTED",
                "the admission webhook w.example.com refuses",
            ),
            (
                "secrets \"k\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: QUOTED",
                "the API server refuses",
            ),
            ("QUOTED \" denied the request", "the API server refuses"),
            ("secrets is forbidden: User \"u\" cannot create resource", "User \"u\" cannot create"),
        ] {
            let status = kube::core::Status::failure(message, "Forbidden").with_code(403);
            let message = Refusal::from(without_words(kube::Error::Api(Box::new(status)))).to_string();
            assert!(message.contains(expected) && !message.contains("QUOTED"), "{message}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_keeps_its_name() {
        assert_eq!(plan("k", &[("other", 'B')], &[]), Step::Create("k".into()));
    }

    #[test]
    fn a_key_that_is_there_under_any_name_stays() {
        assert_eq!(plan("k", &[("k", 'B'), ("other", 'A')], &[]), Step::Leave("other".into()));
    }

    #[test]
    fn a_name_that_another_key_or_another_secret_has_is_not_taken_from_it() {
        assert_eq!(plan("k", &[("k", 'B')], &[]), Step::Create("k-2".into()));
        assert_eq!(plan("k", &[("k", 'B'), ("k-2", 'C')], &["k-3"]), Step::Create("k-4".into()));
    }

    #[test]
    fn the_longest_name_still_has_room_for_a_number() {
        let long = "k".repeat(253);
        let Step::Create(name) = plan(&long, &[(&long, 'B')], &[]) else { panic!() };
        assert!(name.len() <= 253 && name.ends_with("-2"));
    }
}
