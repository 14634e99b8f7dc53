//! `cargo xtask image`: the images of the controller and of kubeseal, built without a container engine.

mod contents;
mod layout;
pub(crate) mod program;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::{Error, Result, shared_build, workspace};

pub(crate) use self::contents::{CONTROLLER, KUBESEAL, Program, VERSION, architecture};
pub(crate) use self::layout::Packed;
use crate::files::{cannot, read, write};

/// Build the controller's image for this machine's architecture, as an OCI archive
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Output file; the default is target/image/controller.oci.tar, or kubeseal.oci.tar
    file: Option<PathBuf>,
    /// Build the image of kubeseal: the static program, without a shell
    #[arg(long)]
    kubeseal: bool,
    /// Build a second time in another folder, and fail unless the digests are the same
    #[arg(long)]
    twice: bool,
}

/// Builds the program and packs it.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let of = if arguments.kubeseal { KUBESEAL } else { CONTROLLER };
    let (source, target) = (workspace::root(), program::target_folder());
    let packed = make(&of, &source, &target).await?;
    let file = arguments.file.clone().unwrap_or_else(|| workspace::image(of.name));
    write(&file, &packed.archive)?;
    println!("{} {} KiB {}", file.display(), packed.archive.len() / 1024, packed.digest);
    if arguments.twice {
        compare_with_second_build(&of, &packed.digest).await?;
        println!("The second build, in another folder, has the same digest.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the controller's image for the tests. The sources are copied to one folder and built there, independent of the clone: the
/// names of folders are among the compiler's flags, and other flags would rebuild every crate.
pub(crate) async fn for_tests() -> Result<()> {
    let (folder, _lock) = shared_build("image")?;
    let source = folder.join("source");
    std::fs::create_dir_all(&source).map_err(cannot("create a folder for the sources"))?;
    sources::copy_to(&source).await?;
    let packed = make(&CONTROLLER, &source, &folder.join("target")).await?;
    write(&workspace::image(CONTROLLER.name), &packed.archive)
}

async fn make(of: &Program, source: &Path, target: &Path) -> Result<Packed> {
    let programs = program::build(of.package, source, target).await?;
    of.pack(&read(&programs.join(of.name))?, source)
}

/// Builds the sources of this folder in another one, from scratch, and compares the digests.
///
/// # Errors
/// [`Error::Invalid`] with both digests when they differ.
async fn compare_with_second_build(of: &Program, digest: &str) -> Result<()> {
    let folder = tempfile::tempdir_in(program::target_folder()).map_err(cannot("create a folder"))?;
    sources::copy_to(folder.path()).await?;
    let second = make(of, folder.path(), &folder.path().join("target")).await?.digest;
    if second == digest {
        return Ok(());
    }
    Err(Error::Invalid(format!("the digests differ: first {digest}, second {second}")))
}

#[cfg(test)]
mod tests;
