//! `unseal` decrypts files with a backup of the sealing keys.

use clap::{Args, ValueEnum};
use sealed_secrets_core::decryption::{DecryptionError, decrypt_value};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::manifest::receipts::Found;
use sealed_secrets_core::manifest::{Field, Format, Item, SealedObject, secret_text};
use sealed_secrets_core::names::shown_key;
use sealed_secrets_core::receipt::short_fingerprint;
use sealed_secrets_core::template::{Budget, TemplateError};
use sealed_secrets_core::unseal::{Renderer, UnsealError, V1Data, unseal};
use sealed_secrets_crds::{Scope, SealedSecret};
use zeroize::Zeroizing;

use crate::error::{Error, FileError, FileProblem};
use crate::io;
use crate::io::Input;
use crate::template_sources::TemplateSources;
use crate::workflow::{
    Binding, Destination, Destinations, ObjectFlags, STDIN, given, is_stdin, key_files, parse, private_keys,
    select, shown_object,
};

/// Decrypt SealedSecret files with a backup of the sealing keys, and print the Secrets
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal unseal [OPTIONS] --private-key <FILE> <FILE>...\n       \
                      kubeseal unseal --raw <FILE> --private-key <FILE> [--name NAME] [-n NAMESPACE] [--scope SCOPE]",
    long_about = "Decrypt SealedSecret files with a backup of the sealing keys, without a cluster, and print the Secrets on stdout.\n\
                  The values are printed in the clear; nothing is written to a file. Unless everything can be decrypted, nothing is printed.",
    after_help = "Examples:\n  \
                  kubeseal unseal db.yaml --private-key sealing-keys.yaml\n  \
                  kubeseal unseal db.yaml --private-key sealing-keys.yaml --item password\n  \
                  kubeseal unseal --raw item.txt --private-key key.pem --name db -n shop"
)]
pub(crate) struct UnsealFiles {
    /// The files (`-` is stdin)
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath, required_unless_present = "raw")]
    files: Vec<String>,
    /// Decrypt with the keys of this file: a backup of `kubeseal keys backup`, key Secrets or a bare key; repeatable
    #[arg(long, value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    private_key: Vec<String>,
    /// Print the bytes of this item only
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Decrypt the bare ciphertext in this file, as `kubeseal --raw` prints it (`-` is stdin)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "item", "output"], value_hint = clap::ValueHint::FilePath)]
    raw: Option<String>,
    /// The SealedSecret, where a file holds several; with --raw the name it was sealed for
    #[arg(long, value_name = "[NAMESPACE/]NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", alias = "format")]
    output: SecretFormat,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SecretFormat {
    #[default]
    Yaml,
    Json,
}

impl UnsealFiles {
    /// Decrypts the files, or one value, and prints the result.
    ///
    /// # Errors
    /// When a key or a file cannot be read, or an item cannot be decrypted; then nothing is printed.
    pub(super) fn run(&self) -> Result<(), Error> {
        self.check()?;
        if let Some(file) = &self.raw {
            let label = self.label()?;
            let text = Input::read_source(file)?.text;
            return io::write_plaintext(
                None,
                &raw_value(file, &private_keys(&self.private_key)?, &label, text.trim())?,
            );
        }
        let ring = private_keys(&self.private_key)?;
        let destinations = Destinations::default();
        let mut output = Zeroizing::new(Vec::new());
        for file in &self.files {
            let destination = destinations.of(std::path::Path::new(file), None)?;
            output.extend_from_slice(&self.unsealed(file, &ring, &destination)?);
        }
        io::write_plaintext(None, &output)
    }

    fn check(&self) -> Result<(), Error> {
        self.object.namespace()?;
        self.object.scope()?;
        let all = self.files.iter().chain(&self.raw).filter(|file| is_stdin(file)).count();
        let keys = key_files(&self.private_key)?;
        let keys = keys.iter().filter(|file| *file != STDIN && is_stdin(file)).count();
        if all + keys > 1 {
            return Err(Error::Argument(
                "stdin can be read once, as one FILE or as the private key".to_owned(),
            ));
        }
        if self.item.is_some() && self.files.len() > 1 {
            return Err(Error::Argument("--item is for one FILE".to_owned()));
        }
        Ok(())
    }

    fn name(&self) -> Option<&str> {
        given(self.name.as_ref())
    }

    /// The label of a bare ciphertext.
    fn label(&self) -> Result<Label, Error> {
        let scope = self.object.scope()?.unwrap_or_default();
        let (of_name, name) = match self.name().and_then(|name| name.split_once('/')) {
            Some((namespace, name)) => (Some(namespace), Some(name)),
            None => (None, self.name()),
        };
        let namespace = self.object.namespace()?.or(of_name);
        match (scope, namespace, name) {
            (Scope::Strict | Scope::NamespaceWide, None, _) => Err(Error::Argument(format!(
                "--raw: the scope {scope} needs the namespace: add -n NAMESPACE"
            ))),
            (Scope::Strict, _, None) => {
                Err(Error::Argument("--raw: the scope strict needs the name: add --name NAME".to_owned()))
            }
            _ => Ok(Label::new(scope, namespace.unwrap_or_default(), name.unwrap_or_default())),
        }
    }

    fn unsealed(
        &self,
        file: &str,
        ring: &KeyRing,
        destination: &Destination,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text = if file == STDIN { Input::read(None)?.text } else { Input::read_target(file)?.text };
        let manifest = parse(file, &text)?;
        if let Some(key) = &self.item {
            let object = select(file, &manifest, self.name())?;
            return self.opened_item(file, ring, &object, key, destination);
        }
        let all = manifest.sealed_secrets();
        let chosen = match self.name() {
            None if !all.is_empty() => all,
            wanted => vec![select(file, &manifest, wanted)?],
        };
        let mut output = Zeroizing::new(Vec::new());
        for object in &chosen {
            output.extend_from_slice(self.secret(file, ring, object, destination)?.as_bytes());
        }
        Ok(output)
    }

    fn opened_item(
        &self,
        file: &str,
        ring: &KeyRing,
        object: &SealedObject<'_>,
        key: &str,
        destination: &Destination,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let binding = Binding::of(file, object, self.name(), &self.object, destination)?;
        let item = object.items().into_iter().find(|item| item.key == key && !item.is_templated);
        let Some(item) = item else {
            return Err(FileProblem::NoSuchItem(shown_object(object)).at(file, object.line()));
        };
        let opened = decrypt_value(ring, &binding.label(), item.ciphertext.as_deref().unwrap_or_default());
        opened.map_err(|cause| {
            let other = self.other_key(ring, std::slice::from_ref(&item));
            FileProblem::Field(format!("{}: {cause}{other}", shown_key(key))).at(file, item.line)
        })
    }

    /// The key of a receipt that the files of private keys do not hold, and those that they hold; empty if there is none.
    fn other_key(&self, ring: &KeyRing, items: &[Item]) -> String {
        let held: Vec<&str> = ring.iter().map(|key| short_fingerprint(key.fingerprint().as_str())).collect();
        let named = items.iter().find_map(|item| match &item.receipt {
            Found::Valid(receipt) if !held.contains(&receipt.fingerprint()) => Some(receipt.fingerprint()),
            _ => None,
        });
        named.map_or_else(String::new, |named| {
            let files = self.private_key.join(", ");
            format!("; sealed with {named}, and {files} holds {}; make a newer backup", held.join(", "))
        })
    }

    fn secret(
        &self,
        file: &str,
        ring: &KeyRing,
        object: &SealedObject<'_>,
        destination: &Destination,
    ) -> Result<Zeroizing<String>, Error> {
        if let Some(line) = object.templated_line() {
            return Err(FileProblem::TemplatedSpec.at(file, line));
        }
        let binding = Binding::of(file, object, self.name(), &self.object, destination)?;
        let mut sealed = object.read().map_err(|error| FileError::of_field(file, &error))?;
        bind(&mut sealed, object, binding);
        let mut sources = TemplateSources::from_now();
        let mut renderer = Renderer { budget: &Budget::default(), sources: &mut sources };
        let unsealed = unseal(&sealed, ring, V1Data::Accepted, &mut renderer).map_err(|cause| {
            let other = match &cause {
                UnsealError::Decryption(_) => self.other_key(ring, &object.items()),
                _ => String::new(),
            };
            let text = format!("{}: {}{other}", shown_object(object), text_of(cause));
            FileProblem::Field(text).at(file, object.line())
        })?;
        let format = match self.output {
            SecretFormat::Yaml => Format::Yaml,
            SecretFormat::Json => Format::Json,
        };
        Ok(Zeroizing::new(secret_text(&unsealed.secret, format)))
    }
}

/// Decrypts a bare ciphertext.
fn raw_value(file: &str, ring: &KeyRing, label: &Label, text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    decrypt_value(ring, label, text).map_err(|cause| FileProblem::Field(cause.to_string()).of(file))
}

/// Sets the place of an object, of which a file may say nothing, or a template says it.
fn bind(sealed: &mut SealedSecret, object: &SealedObject<'_>, binding: Binding) {
    let filled = |text: String, field: Field<String>, own: Option<String>| {
        Some(text).filter(|text| !text.is_empty()).or_else(|| own.filter(|_| field != Field::Templated))
    };
    let metadata = &mut sealed.metadata;
    metadata.name = filled(binding.name, object.name(), metadata.name.take());
    metadata.namespace = filled(binding.namespace, object.namespace(), metadata.namespace.take());
    binding.scope.write_to(metadata.annotations.get_or_insert_default());
}

/// The cause in one line, without invalid keys: they may be values at the wrong place.
fn text_of(cause: UnsealError) -> String {
    let text = match cause {
        UnsealError::Decryption(DecryptionError::Items(items)) => items.without_invalid_keys().to_string(),
        UnsealError::Template(error) => {
            let key = shown_key(&error.key).to_owned();
            UnsealError::Template(TemplateError { key, ..error }).to_string()
        }
        cause => cause.to_string(),
    };
    text.lines().collect::<Vec<_>>().join("; ")
}
