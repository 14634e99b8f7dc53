//! `set` adds or replaces an item.

use std::path::Path;

use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::receipts::{ItemReceipt, write_receipts};
use sealed_secrets_core::names::{KEY_RULE, refused_key};
use zeroize::Zeroizing;

use super::tips::suggest;
use crate::error::{Error, FileError, FileProblem};
use crate::io::Input;
use crate::workflow::{
    Binding, Certificates, Destination, Destinations, Edited, ObjectFlags, STDIN, Sealer, SealingFlags,
    empty_stdin, generated, given, is_stdin, length_of_generated, parse, refused_size, select, write_edited,
};
use crate::{interrupt, io, prompt};

/// Add an item to a SealedSecret file, or replace it; the rest of the file is unchanged
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal set [OPTIONS] <FILE>... <KEY>",
    long_about = "Add an item to a SealedSecret file, or replace it; the rest of the file is unchanged.\n\
                  The value comes from a hidden prompt if stdin is a terminal, else from stdin, byte for byte.\n\
                  It is sealed with the certificate of --cert, of .kubeseal.yaml or of the cluster; several files get the same value.",
    after_help = "Examples:\n  \
                  kubeseal set deploy/prod/db.yaml password               ask for the value\n  \
                  kubeseal set deploy/*/db.yaml password --generate       the same random value in all files\n  \
                  kubeseal set db.yaml ca.crt --from-file ca.pem          the bytes of a file\n  \
                  vault read -field=x secret/y | tr -d '\\n' | kubeseal set db.yaml password"
)]
pub(crate) struct Set {
    /// The files (`-`: from stdin to stdout), and then the key of the item
    #[arg(required = true, num_args = 1.., value_names = ["FILE", "KEY"], value_hint = clap::ValueHint::FilePath)]
    words: Vec<String>,
    /// Take the value from this file (`-` is stdin)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "generate"])]
    from_file: Option<String>,
    /// Ask for the value on the terminal, which does not show it
    #[arg(long, conflicts_with = "generate")]
    prompt: bool,
    /// Make a random value of letters and digits, 32 unless a length from 16 to 1024 is given, and do not show it
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    generate: Option<String>,
    /// The SealedSecret, where a file holds several
    #[arg(long, value_name = "[NAMESPACE/]NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    #[command(flatten)]
    sealing: SealingFlags,
}

/// Splits the words into files and KEY.
///
/// # Errors
/// When there is no FILE, or KEY is invalid. It is not quoted, since it may be a value.
pub(super) fn files_and_key<'w>(words: &'w [String], verb: &str) -> Result<(&'w [String], &'w str), Error> {
    let (key, files) =
        words.split_last().ok_or_else(|| Error::Argument("FILE and KEY are missing".to_owned()))?;
    if files.is_empty() {
        let missing = if Path::new(key).is_file() { "KEY is" } else { "FILE or KEY is" };
        return Err(Error::Argument(format!("{missing} missing: kubeseal {verb} FILE… KEY")));
    }
    if refused_key(key).is_none() {
        return Ok((files, key));
    }
    let is_swapped = Path::new(key).is_file() && !files.iter().any(|file| Path::new(file).exists());
    let problem = match verb {
        _ if is_swapped => format!("FILE comes first, then KEY: kubeseal {verb} FILE… KEY"),
        "set" if key.contains('=') => {
            "KEY=VALUE is not accepted, since command lines end up in the shell history; use: kubeseal set FILE KEY (it asks, or reads \
             stdin)"
                .to_owned()
        }
        _ => format!("the last argument is KEY, and this one is invalid (the arguments are FILE… KEY): {KEY_RULE}"),
    };
    Err(Error::Argument(problem))
}

/// Adds the hint that a value comes from stdin to the error of an unknown option, in place of the most similar option.
pub(super) fn with_hint(mut error: clap::Error) -> clap::Error {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => option.clone(),
        _ => return error,
    };
    if ["stdin", "value", "literal", "text", "data"].iter().any(|word| option.contains(word)) {
        let tip = "a value comes from stdin without an option: COMMAND | kubeseal set FILE KEY; on a terminal it is asked for";
        suggest(&mut error, tip.to_owned());
    }
    error
}

impl Set {
    /// Adds or replaces the item in each file.
    ///
    /// # Errors
    /// When a file or the value cannot be used; then no file is changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let (files, key) = files_and_key(&self.words, "set")?;
        let length = self.generate.as_deref().map(|text| length_of_generated(Some(text))).transpose()?;
        self.expect_one_reader(files)?;
        interrupt::handle()?;
        let stdin = files.iter().any(|file| file == STDIN).then(|| Input::read(None)).transpose()?;
        let run = Run { set: self, key, destinations: Destinations::default(), stdin };
        let mut destinations = Vec::new();
        for file in files {
            let destination = run.destination(file)?;
            run.check(file, &destination)?;
            destinations.push((file.as_str(), destination));
        }
        let mut certificates = Certificates::new(&self.sealing);
        let load = |(file, destination)| Ok((file, certificates.of(&destination)?));
        let sealers: Vec<_> = destinations.into_iter().map(load).collect::<Result<_, Error>>()?;
        let value = self.value(key, length)?;
        if let Some(reason) = refused_size(key, &value) {
            return Err(Error::Value(reason));
        }
        write_edited(files, |file| {
            let sealer = sealers.iter().find(|(name, _)| *name == file).map(|(_, sealer)| sealer);
            let sealer = sealer.ok_or_else(|| FileProblem::NoSuchFile.of(file))?;
            run.edited(file, sealer, &value)
        })
    }

    fn reads_stdin(&self) -> bool {
        let is_default = self.from_file.is_none() && self.generate.is_none() && !self.prompt;
        self.from_file.as_deref().is_some_and(is_stdin) || (is_default && !prompt::is_possible())
    }

    fn expect_one_reader(&self, files: &[String]) -> Result<(), Error> {
        let from_stdin = files.iter().filter(|file| *file == STDIN).count();
        if from_stdin + usize::from(self.reads_stdin()) > 1 {
            return Err(Error::Argument(
                "stdin can be read once, as one FILE or as the value; use --from-file or --generate for the value".to_owned(),
            ));
        }
        Ok(())
    }

    fn value(&self, key: &str, length: Option<usize>) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(length) = length {
            return Ok(generated(length));
        }
        if self.reads_stdin() {
            let value = Zeroizing::new(io::read_stdin_value("the value")?);
            if value.is_empty() {
                return Err(empty_stdin(key));
            }
            warn_of_line_end(key, &value);
            return Ok(value);
        }
        match &self.from_file {
            Some(file) => io::read_named(file).map(Zeroizing::new),
            None => Ok(Zeroizing::new(prompt::hidden(key)?.as_bytes().to_vec())),
        }
    }
}

/// Warns of a value that is empty, or one line with a line break at its end.
pub(super) fn warn_of_line_end(key: &str, value: &[u8]) {
    if value.strip_suffix(b"\n").is_some_and(|line| !line.contains(&b'\n')) {
        io::warn(&format!("{key}: the value ends with a newline"));
    }
    if value.is_empty() {
        io::warn(&format!("{key}: the value is empty"));
    }
}

/// One run over several files.
struct Run<'s> {
    set: &'s Set,
    key: &'s str,
    destinations: Destinations,
    stdin: Option<Input>,
}

impl Run<'_> {
    fn destination(&self, file: &str) -> Result<Destination, Error> {
        self.destinations.of(Path::new(file), self.set.sealing.cluster_name.as_deref())
    }

    fn text(&self, file: &str) -> Result<Zeroizing<String>, Error> {
        match &self.stdin {
            Some(input) if file == STDIN => Ok(input.text.clone()),
            _ => io::read_editable(file).map_err(|error| match error {
                Error::File { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
                    self.no_such_file(file)
                }
                other => other,
            }),
        }
    }

    fn no_such_file(&self, file: &str) -> Error {
        // A number behind --generate is a FILE, since the length is optional.
        let is_length = file.parse::<usize>().is_ok() && self.set.generate.as_deref() == Some("");
        let problem = if is_length { FileProblem::NoSuchLength } else { FileProblem::NoSuchFile };
        problem.of(file)
    }

    /// Checks a file before anything is asked.
    fn check(&self, file: &str, destination: &Destination) -> Result<(), Error> {
        let manifest = parse(file, &self.text(file)?)?;
        let object = select(file, &manifest, self.name())?;
        if object.has_template_item(self.key) {
            io::warn(&format!(
                "{file}: spec.template.data has {}, too: the controller takes the sealed item, and the template has no effect",
                self.key
            ));
        }
        Binding::of(file, &object, self.name(), &self.set.object, destination).map(drop)
    }

    fn name(&self) -> Option<&str> {
        given(self.set.name.as_ref())
    }

    fn edited(&self, file: &str, sealer: &Sealer, value: &[u8]) -> Result<Edited, Error> {
        let before = self.text(file)?;
        let manifest = parse(file, &before)?;
        let object = select(file, &manifest, self.name())?;
        let destination = self.destination(file)?;
        let binding = Binding::of(file, &object, self.name(), &self.set.object, &destination)?;
        let is_there = object.items().iter().any(|item| item.key == self.key);
        let (item, receipt) = binding.seal(sealer, value)?;
        let failed = |error| FileError::of_edit(file, error);
        let path = ["spec", "encryptedData", self.key].map(str::to_owned).to_vec();
        let after = apply(&before, &[Change { object: object.index, path, value: item }]).map_err(failed)?;
        let receipt = Some(receipt).filter(|_| destination.has_receipts && !self.set.sealing.no_receipt);
        let receipt = ItemReceipt { object: object.index, key: self.key.to_owned(), receipt };
        let after = write_receipts(&after, &[receipt]).map_err(failed)?;
        let done = if is_there { "replaced in" } else { "added to" };
        let line = self.line(file, &after)?;
        let report = format!(":{line}: {} {done} {}, {}", self.key, binding.describe(), sealer.describe());
        Ok(Edited { before, after, report })
    }

    /// The line of the item after the edit.
    fn line(&self, file: &str, after: &str) -> Result<usize, Error> {
        let manifest = parse(file, after)?;
        let items = select(file, &manifest, self.name())?.items();
        Ok(items.iter().find(|item| item.key == self.key).map_or(1, |item| item.line))
    }
}
