//! The values of a new Secret, as `kubectl create secret` reads them, and from prompts and random numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;

use clap::Args;
use sealed_secrets_core::names::{KEY_RULE, refused_key};
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::flags::list;
use crate::workflow::{MAXIMUM_SIZE, empty_stdin, generated, is_stdin, length_of_generated};
use crate::{io, prompt};

/// The values by their keys.
pub(super) type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The sources of values.
#[derive(Debug, Args)]
pub(super) struct ValueFlags {
    /// Ask for the value on the terminal, which does not show it
    #[arg(long, value_name = "KEY")]
    pub(super) prompt: Vec<String>,
    /// Take the value from a file (`-` is stdin), or those of all files in a folder; without KEY the name of the file is the key
    #[arg(long, value_name = "[KEY=]FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    pub(super) from_file: Vec<String>,
    /// Take keys and values from lines KEY=VALUE of a file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) from_env_file: Vec<String>,
    /// A value that is not secret: command lines end up in the shell history
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) from_literal: Vec<String>,
    /// Make a random value of letters and digits, 32 unless a length from 16 to 1024 is given, and do not show it
    #[arg(long, value_name = "KEY[=LENGTH]")]
    pub(super) generate: Vec<String>,
}

/// One flag with one or more values.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Literal {
        key: String,
        value: Zeroizing<String>,
    },
    File {
        key: String,
        file: String,
    },
    /// A file whose name is the key, or a folder of such files.
    Named(String),
    EnvFile(String),
    Prompt(String),
    Generated {
        key: String,
        length: usize,
    },
}

/// The sources of all values, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Parses the flags. Reads nothing.
    ///
    /// # Errors
    /// When a key is invalid or given twice, stdin would be read twice, or a prompt has no terminal. No value is quoted.
    pub(super) fn parse(flags: &ValueFlags) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for text in &flags.from_literal {
            sources.push(literal(text)?);
        }
        for file in split(&flags.from_file, "--from-file")? {
            sources.push(file_source(&file)?);
        }
        sources.extend(split(&flags.from_env_file, "--from-env-file")?.into_iter().map(Source::EnvFile));
        for text in &flags.generate {
            let (key, length) =
                text.split_once('=').map_or((text.as_str(), None), |(key, length)| (key, Some(length)));
            let length = length.filter(|length| !length.is_empty());
            sources.push(Source::Generated { key: key.to_owned(), length: length_of_generated(length)? });
        }
        sources.extend(flags.prompt.iter().cloned().map(Source::Prompt));
        let sources = Self { sources };
        sources.check()?;
        Ok(sources)
    }

    fn check(&self) -> Result<(), Error> {
        let mut keys = BTreeSet::new();
        for source in &self.sources {
            let Some(key) = source.key() else { continue };
            expect_key(key, source.flag())?;
            if !keys.insert(key) {
                return Err(twice(key));
            }
        }
        if self.sources.iter().filter(|source| source.reads_stdin()).count() > 1 {
            return Err(Error::Argument(
                "stdin can be read once; name a file for the other values".to_owned(),
            ));
        }
        let asks = self
            .sources
            .iter()
            .find_map(|source| if let Source::Prompt(key) = source { Some(key) } else { None });
        match asks {
            Some(key) if !prompt::is_possible() => Err(Error::NoTerminal(key.clone())),
            _ if self.sources.is_empty() => Err(Error::Argument(
                "there are no values: add --prompt KEY, --from-file [KEY=]FILE, --generate KEY or --from-literal KEY=VALUE"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Reads files and stdin, then asks.
    ///
    /// # Errors
    /// When a value cannot be read, a key is invalid or there twice, or all together are too long.
    pub(super) fn read(&self) -> Result<Values, Error> {
        let mut values = Values::new();
        for source in &self.sources {
            source.read(&mut |key, value| add(&mut values, key, value))?;
        }
        expect_size(&values)?;
        Ok(values)
    }
}

/// Checks the size of the values.
///
/// # Errors
/// When the values have more than 1 MiB.
pub(super) fn expect_size(values: &Values) -> Result<(), Error> {
    if values.values().map(|value| value.len()).sum::<usize>() > MAXIMUM_SIZE {
        return Err(Error::Value(
            "the values have more than 1 MiB together, the most that a Secret can hold".to_owned(),
        ));
    }
    Ok(())
}

fn add(values: &mut Values, key: String, value: Zeroizing<Vec<u8>>) -> Result<(), Error> {
    if values.contains_key(&key) {
        return Err(twice(&key));
    }
    values.insert(key, value);
    Ok(())
}

fn twice(key: &str) -> Error {
    Error::Argument(format!("the key {key} is given twice; leave one out"))
}

fn expect_key(key: &str, flag: &str) -> Result<(), Error> {
    match refused_key(key) {
        // The key is not quoted: it may be a value.
        Some(_) => Err(Error::Argument(format!("{flag}: the key is invalid: {KEY_RULE}"))),
        None => Ok(()),
    }
}

fn literal(text: &str) -> Result<Source, Error> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        Error::Argument("--from-literal: expected KEY=VALUE; for a secret value use --prompt KEY".to_owned())
    })?;
    Ok(Source::Literal { key: key.to_owned(), value: Zeroizing::new(value.to_owned()) })
}

/// Splits values at commas, as kubectl does.
fn split(texts: &[String], flag: &str) -> Result<Vec<String>, Error> {
    let lists = texts.iter().map(|text| list(text));
    let lists: Result<Vec<_>, _> = lists.collect();
    Ok(lists.map_err(|cause| Error::Argument(format!("{flag}: {cause}")))?.concat())
}

fn file_source(text: &str) -> Result<Source, Error> {
    let refused = |why: &str| Err(Error::Argument(format!("--from-file: {why}")));
    match text.split_once('=') {
        None if is_stdin(text) => refused("stdin has no name that could be the key; write --from-file KEY=-"),
        None => Ok(Source::Named(text.to_owned())),
        Some((_, file)) if file.contains('=') => refused("neither key nor file name can contain ="),
        Some(("", _)) => refused("the key before = is missing"),
        Some((_, "")) => refused("the file after = is missing"),
        Some((key, file)) => Ok(Source::File { key: key.to_owned(), file: file.to_owned() }),
    }
}

impl Source {
    /// The key, if it is known before anything is read.
    fn key(&self) -> Option<&str> {
        match self {
            Self::Literal { key, .. }
            | Self::File { key, .. }
            | Self::Prompt(key)
            | Self::Generated { key, .. } => Some(key),
            Self::Named(file) if !Path::new(file).is_dir() => Path::new(file).file_name()?.to_str(),
            Self::Named(_) | Self::EnvFile(_) => None,
        }
    }

    fn flag(&self) -> &'static str {
        match self {
            Self::Literal { .. } => "--from-literal",
            Self::File { .. } => "--from-file",
            Self::Named(_) => "--from-file (KEY=FILE gives the file another key)",
            Self::EnvFile(_) => "--from-env-file",
            Self::Prompt(_) => "--prompt",
            Self::Generated { .. } => "--generate",
        }
    }

    fn reads_stdin(&self) -> bool {
        match self {
            Self::File { file, .. } | Self::EnvFile(file) => is_stdin(file),
            _ => false,
        }
    }

    fn read(
        &self,
        add: &mut impl FnMut(String, Zeroizing<Vec<u8>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Literal { key, value } => {
                if std::io::stderr().is_terminal() {
                    io::warn(&format!(
                        "{key} was on the command line; command lines end up in the shell history, so use --prompt or --from-file for secret values"
                    ));
                }
                add(key.clone(), Zeroizing::new(value.as_bytes().to_vec()))
            }
            Self::File { file, .. } if Path::new(file).is_dir() => Err(Error::Argument(format!(
                "--from-file: {file} is a folder, whose files have their own names as keys; leave the key out"
            ))),
            Self::File { key, file } => {
                let value = bytes(file)?;
                if value.is_empty() && is_stdin(file) {
                    return Err(empty_stdin(key));
                }
                add(key.clone(), value)
            }
            Self::Named(file) if Path::new(file).is_dir() => read_folder(file, add),
            Self::Named(file) => add(self.key().unwrap_or_default().to_owned(), bytes(file)?),
            Self::EnvFile(file) => read_env_file(file, &bytes(file)?, add),
            Self::Prompt(key) => add(key.clone(), Zeroizing::new(prompt::hidden(key)?.as_bytes().to_vec())),
            Self::Generated { key, length } => add(key.clone(), generated(*length)),
        }
    }
}

fn bytes(file: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = if is_stdin(file) { io::read_stdin_value("a value") } else { io::read_named(file) };
    bytes.map(Zeroizing::new)
}

/// Reads the regular files of a folder; others, such as links, are passed over as by kubectl.
fn read_folder(
    folder: &str,
    add: &mut impl FnMut(String, Zeroizing<Vec<u8>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |cause| Error::File { operation: "open", path: folder.to_owned(), cause };
    let mut entries: Vec<_> =
        fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        let path = entry.path().display().to_string();
        let name = entry.file_name().into_string().ok().filter(|name| refused_key(name).is_none());
        let name = name.ok_or_else(|| {
            FileProblem::Field(format!("the name of the file cannot be a key: {KEY_RULE}")).of(&path)
        })?;
        add(name, bytes(&path)?)?;
    }
    Ok(())
}

/// Reads lines `KEY=VALUE`. Unlike kubectl, a line without `=` is an error instead of a variable of the environment.
fn read_env_file(
    file: &str,
    content: &[u8],
    add: &mut impl FnMut(String, Zeroizing<Vec<u8>>) -> Result<(), Error>,
) -> Result<(), Error> {
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        let problem = |text: String| FileProblem::Field(text).at(file, number);
        let line = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
            .map_err(|_| FileProblem::NotUtf8.at(file, number))?;
        let line = if number == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| problem("expected KEY=VALUE".to_owned()))?;
        if !is_variable(key) {
            return Err(problem("the text before = is not the name of a variable: letters, digits, _, - and ., not first a digit".to_owned()));
        }
        add(key.to_owned(), Zeroizing::new(value.as_bytes().to_vec()))?;
    }
    Ok(())
}

/// True for names of environment variables, by kubectl's rule.
fn is_variable(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit()) && refused_key(key).is_none()
}
