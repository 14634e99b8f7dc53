//! `edit` changes a file in the user's editor.

mod editor;
mod memory;
mod report;

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use editor::Editor;
use sealed_secrets_core::manifest::merge::{Markers, Merged, ThreeWay, merge};
use sealed_secrets_core::manifest::{EditedText, EditorText, HEADER_MARK, SealedObject};
use sealed_secrets_core::receipt::Receipt;
use zeroize::Zeroizing;

use super::set::warn_of_line_end;
use crate::error::{Error, FileError, FileProblem};
use crate::private_folder::PrivateFolder;
use crate::workflow::{
    ATTEMPTS, Binding, Certificates, Destination, Destinations, ObjectFlags, Sealer, SealingFlags,
    expect_editable, given, is_stdin, merge_texts, parse, refused_size, sealed_secrets, shown_object,
};
use crate::{interrupt, io};

/// Lines that explain the text to its reader.
const HEADER: [&str; 3] = [
    "<sealed N> stands for a ciphertext. Keep it, or type a new value over it, which is sealed when you save. Its key may be renamed, and it may",
    "be moved or copied to where namespace, name and scope are the same. A new line adds an item, and a deleted line removes one.",
    "Put values into quotes; several lines go into a block, after |. Lines that begin with #~ are dropped.",
];
/// An editor that returns earlier has probably opened a window and not waited.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// Change a SealedSecret file in an editor; no value is shown, and what you type is sealed
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal edit [OPTIONS] <FILE>",
    long_about = "Change a SealedSecret file in an editor; no value is shown, and what you type is sealed. The editor shows each value as <sealed N>.\n\
                  A value typed over it is sealed when you save; keys can be renamed, items added and removed, and all other text changed.\n\
                  The text is in memory only. The editor is $KUBE_EDITOR, $VISUAL, $EDITOR or vi; a graphical\n\
                  editor must be started with its wait flag.",
    after_help = "Examples:\n  \
                  kubeseal edit deploy/prod/db.yaml\n  \
                  KUBE_EDITOR='code --wait' kubeseal edit db.yaml"
)]
pub(crate) struct Edit {
    /// The file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: String,
    /// Folder for the text that is edited
    #[arg(
        long,
        value_name = "DIR",
        value_hint = clap::ValueHint::DirPath,
        help = "Edit in this folder instead of $XDG_RUNTIME_DIR or /dev/shm"
    )]
    tmpdir: Option<String>,
    /// The name, where a template fills it in
    #[arg(long, value_name = "[NAMESPACE/]NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    #[command(flatten)]
    sealing: SealingFlags,
}

impl Edit {
    /// Runs the editor until the file is written, or the text is unchanged.
    ///
    /// # Errors
    /// When the file, the certificate, the editor or the edited text cannot be used; then the file is not changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        if is_stdin(&self.file) {
            return Err(Error::Argument("FILE is the file that is edited; stdin cannot be".to_owned()));
        }
        let editor = Editor::of_environment()?;
        interrupt::handle()?;
        let before = io::read_editable(&self.file)?;
        expect_sealed_secrets(&self.file, &before)?;
        let destination =
            Destinations::default().of(Path::new(&self.file), self.sealing.cluster_name.as_deref())?;
        let sealer = Certificates::new(&self.sealing).of(&destination)?;
        let editor_text =
            EditorText::of(&before).map_err(|error| FileError::of_manifest(&self.file, error))?;
        let run = Run { edit: self, editor_text, destination, sealer: &sealer };
        run.until_written(&editor, &before)
    }

    /// The name of the file without its folder.
    fn name(&self) -> &str {
        Path::new(&self.file).file_name().and_then(|name| name.to_str()).unwrap_or("sealed.yaml")
    }

    /// Writes the result. If the file has changed meanwhile, both changes are merged item by item.
    fn write(&self, before: &str, result: &str) -> Result<(), Unwritten> {
        let failure = match self.write_merged(before, result) {
            Ok(true) => return Ok(()),
            Ok(false) => FileProblem::EditConflict.of(&self.file),
            Err(error) => error,
        };
        match self.keep(result) {
            Ok(copy) => {
                io::log(&format!("{}: what you saved is sealed in {copy}", self.file));
                Err(Unwritten::Kept(failure))
            }
            Err(cause) => Err(Unwritten::Lost(Error::Editor(format!(
                "{failure}; what you saved is in no file, since no other can be written: {cause}"
            )))),
        }
    }

    /// Writes a result whose file cannot be written to another one for its owner only: beside the file, else in memory.
    fn keep(&self, result: &str) -> Result<String, Error> {
        let beside = format!("{}.edited", self.file);
        if io::write_for_owner(&beside, result.as_bytes()).is_ok() {
            return Ok(beside);
        }
        let folder = memory::create_folder(self.tmpdir.as_deref())?;
        let copy = folder.write(self.name(), result.as_bytes())?.display().to_string();
        folder.keep();
        Ok(copy)
    }

    /// Returns false if there is a conflict.
    fn write_merged(&self, before: &str, result: &str) -> Result<bool, Error> {
        let (mut current, mut after) = (Zeroizing::new(before.to_owned()), result.to_owned());
        for _ in 0..ATTEMPTS {
            if io::replace_if_unchanged(&self.file, &current, &after)? {
                return Ok(true);
            }
            current = io::read_editable(&self.file)?;
            let versions = ThreeWay { base: before, ours: result, theirs: &current };
            let markers = Markers { size: 7, has_base: false };
            let Merged { text, is_clean, .. } =
                merge(versions, &markers, |texts| merge_texts(texts, markers.size))?;
            if !is_clean {
                return Ok(false);
            }
            after = text;
        }
        Err(FileProblem::Restless.of(&self.file))
    }
}

/// Expects SealedSecrets in the form that commands can edit.
fn expect_sealed_secrets(file: &str, text: &str) -> Result<(), Error> {
    let manifest = parse(file, text)?;
    sealed_secrets(file, &manifest)?.iter().try_for_each(|object| expect_editable(file, object))
}

/// Ciphertexts with their receipts.
type Ciphertexts = Vec<(String, Option<Receipt>)>;
/// Places of the values that were sealed, by object and key.
type ItemPlaces = BTreeMap<(String, String), String>;

/// The file as it was saved, with sealed values.
struct Saved {
    text: String,
    places: ItemPlaces,
}

/// The reason why a result is not in its file.
enum Unwritten {
    /// It is in another file, which was reported.
    Kept(Error),
    /// It is in no file.
    Lost(Error),
}

/// One run of the editor, or several.
struct Run<'e> {
    edit: &'e Edit,
    editor_text: EditorText,
    destination: Destination,
    sealer: &'e Sealer,
}

impl Run<'_> {
    /// Runs the editor until its text is written or kept, or nothing was changed.
    fn until_written(&self, editor: &Editor, before: &str) -> Result<(), Error> {
        let (file, name) = (&self.edit.file, self.edit.name());
        let folder = memory::create_folder(self.edit.tmpdir.as_deref())?;
        let initial = self.with_header();
        let path = folder.write(name, initial.as_bytes())?;
        loop {
            let begun = Instant::now();
            editor.edit(&path, file)?;
            let edited = read(&folder, name, file)?;
            let saved = if *edited == *initial { None } else { Some(self.sealed(&edited)) };
            match saved {
                Some(Ok(saved)) if saved.text != before => match self.edit.write(before, &saved.text) {
                    Ok(()) => return self.report(before, &saved),
                    Err(Unwritten::Kept(error)) => return Err(error),
                    Err(Unwritten::Lost(error)) => reopen(error)?,
                },
                Some(Err(error)) => reopen(error)?,
                None | Some(Ok(_)) => {
                    report_no_changes(file, begun.elapsed());
                    return Ok(());
                }
            }
        }
    }

    fn report(&self, before: &str, saved: &Saved) -> Result<(), Error> {
        report::report(&self.edit.file, before, &saved.text, |object, key| {
            let place = saved.places.get(&(object.to_owned(), key.to_owned()))?;
            Some((place.clone(), self.sealer.describe()))
        })
    }

    /// The text for the editor. JSON has no comments.
    fn with_header(&self) -> String {
        let text = self.editor_text.text();
        let (mark, rest) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
        if rest.trim_start().starts_with('{') {
            return text.to_owned();
        }
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let header = HEADER.map(|line| format!("{HEADER_MARK} {line}{newline}"));
        format!("{mark}{}{rest}", header.concat())
    }

    /// Seals the values of a text that was saved.
    fn sealed(&self, edited: &str) -> Result<Saved, Error> {
        let file = &self.edit.file;
        let text = self
            .editor_text
            .read(edited)
            .map_err(|error| FileProblem::Edited(error.to_string()).at(file, error.line()))?;
        let manifest = parse(file, edited)?;
        let objects = manifest.sealed_secrets();
        if objects.is_empty() {
            return Err(FileProblem::NoSealedSecret.of(file));
        }
        if let Some(line) = objects.iter().find_map(SealedObject::v1_data_line) {
            return Err(FileProblem::V1Data.at(file, line));
        }
        let (sealed, places) = self.seal_all(&text, &objects)?;
        let text = text.finish(&sealed).map_err(|error| FileError::of_edit(file, error))?;
        Ok(Saved { text, places })
    }

    fn seal_all(
        &self,
        text: &EditedText,
        objects: &[SealedObject<'_>],
    ) -> Result<(Ciphertexts, ItemPlaces), Error> {
        let file = &self.edit.file;
        let (mut sealed, mut places) = (Ciphertexts::new(), ItemPlaces::new());
        for new in text.new_values() {
            let object = objects.iter().find(|object| object.index == new.object);
            let object = object.ok_or_else(|| FileProblem::NoSealedSecret.at(file, new.line))?;
            if let Some(reason) = refused_size(&new.key, new.value.as_bytes()) {
                return Err(FileProblem::Edited(reason).at(file, new.line));
            }
            let name = given(self.edit.name.as_ref());
            let binding = Binding::of(file, object, name, &self.edit.object, &self.destination)?;
            warn_of_line_end(&new.key, new.value.as_bytes());
            let (item, receipt) = binding.seal(self.sealer, new.value.as_bytes())?;
            let has_receipt = self.destination.has_receipts && !self.edit.sealing.no_receipt;
            sealed.push((item, Some(receipt).filter(|_| has_receipt)));
            places.insert((shown_object(object), new.key.clone()), binding.describe());
        }
        Ok((sealed, places))
    }
}

fn report_no_changes(file: &str, took: Duration) {
    io::log(&format!("{file}: no changes"));
    if took < SUSPICIOUS {
        io::log("a graphical editor must be started with its wait flag, e.g. KUBE_EDITOR='code --wait'");
    }
}

/// Reads the text that the editor has saved.
fn read(folder: &PrivateFolder, name: &str, file: &str) -> Result<Zeroizing<String>, Error> {
    let bytes = folder.read(name)?;
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(FileProblem::NotUtf8.of(file)),
    }
}

/// Waits for Enter on a terminal.
///
/// # Errors
/// The error itself if there is no terminal, or stdin is at its end.
fn reopen(error: Error) -> Result<(), Error> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(error);
    }
    io::log(&format!("error: {error}"));
    io::log("press Enter to edit this text again, or Ctrl-C to give up");
    match stdin.lock().read_line(&mut String::new()) {
        Ok(length) if length > 0 => Ok(()),
        _ => Err(error),
    }
}
