//! Fuzzing runs, and the kept corpora.

#[path = "../../fuzz/corpus.rs"]
mod corpus;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use crate::files::{cannot, read, read_text, write};

/// Limits of one input: seconds, MiB and bytes.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=4096"];
/// Options that keep the fewest inputs with the coverage of all. Hit counts are ignored: with them, a corpus is several times as
/// large.
const SMALLEST: [&str; 2] = ["-set_cover_merge=1", "-use_counters=0"];
/// Size limit of a corpus in bytes, so that tests run it in a second.
const MAX_SIZE: usize = 300 << 10;

/// Fuzz a target, and write the smallest set of inputs with the same coverage to fuzz/corpus
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Target; fuzz/README.md lists them
    target: String,
    /// Duration in minutes
    #[arg(long, default_value_t = 10)]
    minutes: u32,
}

/// Folders of one target, with one input in each file.
struct Folders {
    /// The present corpus.
    kept: PathBuf,
    /// Inputs found since `cargo clean`.
    found: PathBuf,
    /// The next corpus.
    smallest: PathBuf,
}

/// Fuzzes a target, and rebuilds its corpus from the present one and the inputs found.
pub(crate) async fn run(Arguments { target, minutes }: &Arguments) -> Result<ExitCode> {
    let folders = Folders::of(target)?;
    folders.unpack(&corpus::file(target))?;
    let time = format!("-max_total_time={}", u64::from(*minutes) * 60);
    let mut options = vec![OsString::from(time), "-use_value_profile=1".into()];
    options.extend(dictionary(target));
    if !fuzz(target, &[&folders.found, &folders.kept], &options).await? {
        println!("fuzz/README.md says what to do with a failure.");
        return Ok(ExitCode::FAILURE);
    }
    let all = [&folders.smallest, &folders.kept, &folders.found];
    if !fuzz(target, &all, &SMALLEST.map(OsString::from)).await? {
        return Ok(ExitCode::FAILURE);
    }
    write(&corpus::file(target), packed(&folders.smallest)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the target. Returns true if it succeeded.
async fn fuzz(target: &str, inputs: &[&PathBuf], options: &[OsString]) -> Result<bool> {
    // Not `cargo +nightly`: Cargo's own path may lead to a cargo that is not rustup's.
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", "run", "--sanitizer", "none", target]).args(inputs);
    command.arg("--").args(LIMITS).args(options).current_dir(workspace::root());
    let ended = command.status().await.map_err(cannot("start rustup"))?;
    Ok(ended.success())
}

/// The option with the target's dictionary, if it has one.
fn dictionary(target: &str) -> Option<OsString> {
    let file = workspace::root().join("fuzz/dictionaries").join(target);
    file.is_file().then(|| format!("-dict={}", file.display()).into())
}

impl Folders {
    fn of(target: &str) -> Result<Self> {
        let root = workspace::root();
        if !root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file() {
            return Err(Error::Missing(format!("there is no target {target}: fuzz/README.md lists them")));
        }
        let inputs = root.join("fuzz/target/inputs").join(target);
        let [kept, found, smallest] = ["kept", "found", "smallest"].map(|name| inputs.join(name));
        fs::create_dir_all(&found).map_err(cannot(format!("create {}", found.display())))?;
        Ok(Self { kept, found, smallest })
    }

    fn unpack(&self, corpus: &Path) -> Result<()> {
        empty(&self.kept)?;
        empty(&self.smallest)?;
        let corpus = if corpus.exists() { read_text(corpus)? } else { String::new() };
        let mut inputs = corpus.lines().map(corpus::input_of).enumerate();
        inputs.try_for_each(|(number, input)| write(&self.kept.join(number.to_string()), input))
    }
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(cannot(format!("empty {}", folder.display())))?;
    }
    fs::create_dir_all(folder).map_err(cannot(format!("create {}", folder.display())))
}

/// The inputs of a folder as lines, the shortest first, up to the size limit.
fn packed(folder: &Path) -> Result<String> {
    let files = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let files = files.map_err(cannot(format!("read {}", folder.display())))?;
    let mut inputs = files.iter().map(|file| read(&file.path())).collect::<Result<Vec<_>>>()?;
    inputs.sort_by(|one, other| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    let lines = inputs.iter().map(|input| input.escape_ascii().to_string() + "\n");
    let within_limit = lines.scan(0, |bytes, line| {
        *bytes += line.len();
        (*bytes <= MAX_SIZE).then_some(line)
    });
    Ok(within_limit.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_corpus_is_packed_as_it_was_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let [kept, found, smallest] = ["kept", "found", "smallest"].map(|name| folder.path().join(name));
        let folders = Folders { kept, found, smallest };
        let every_byte: Vec<u8> = (0..=u8::MAX).collect();
        let corpus = format!("\n#\n\\\\n\\r\\n\\x00\\xff\n{}\n", every_byte.escape_ascii());
        let file = folder.path().join("corpus");
        write(&file, &corpus).unwrap();
        folders.unpack(&file).unwrap();
        assert_eq!(read(&folders.kept.join("2")).unwrap(), b"\\n\r\n\0\xff");
        assert_eq!(read(&folders.kept.join("3")).unwrap(), every_byte);
        assert_eq!(packed(&folders.kept).unwrap(), corpus);
    }

    #[test]
    fn every_corpus_is_written_as_it_would_be_packed() {
        for file in fs::read_dir(workspace::root().join("fuzz/fuzz_targets")).unwrap() {
            let file = file.unwrap().path();
            let target = file.file_stem().unwrap().to_str().unwrap();
            let text = read_text(&corpus::file(target)).unwrap();
            let lines: BTreeSet<_> = text.lines().collect();
            corpus::replay(target, |input| assert!(lines.contains(&*input.escape_ascii().to_string())));
        }
    }
}
