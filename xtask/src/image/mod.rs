//! `cargo xtask image`: the controller's image, built without a container engine.

mod layout;
pub(crate) mod program;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::{Error, Result, shared_build, workspace};
use serde_json::{Value, json};

pub(crate) use self::layout::Packed;
use self::layout::{Image, pack};
use crate::archive::Archive;
use crate::files::{cannot, read, read_text, write};
use crate::licenses::with_licenses;

pub(crate) const PACKAGE: &str = "sealed-secrets-controller";
const PROGRAM: &str = "controller";
const REPOSITORY: &str = "ghcr.io/sealed-secrets-rs/controller";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Build the controller's image for this machine's architecture, as an OCI archive
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Output file; the default is target/image/controller.oci.tar
    file: Option<PathBuf>,
    /// Build a second time in another folder, and fail unless the digests are the same
    #[arg(long)]
    twice: bool,
}

/// Builds the program and packs it.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (source, target) = (workspace::root(), program::target_folder());
    let packed = make(&source, &target).await?;
    let file = arguments.file.clone().unwrap_or_else(workspace::image);
    write(&file, &packed.archive)?;
    println!("{} {} KiB {}", file.display(), packed.archive.len() / 1024, packed.digest);
    if arguments.twice {
        compare_with_second_build(&packed.digest).await?;
        println!("The second build, in another folder, has the same digest.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the image for the tests. The sources are copied to one folder and built there, independent of the clone: the names of
/// folders are among the compiler's flags, and other flags would rebuild every crate.
pub(crate) async fn for_tests() -> Result<()> {
    let (folder, _lock) = shared_build("image")?;
    let source = folder.join("source");
    std::fs::create_dir_all(&source).map_err(cannot("create a folder for the sources"))?;
    sources::copy_to(&source).await?;
    let packed = make(&source, &folder.join("target")).await?;
    write(&workspace::image(), &packed.archive)
}

async fn make(source: &Path, target: &Path) -> Result<Packed> {
    let programs = program::build(PACKAGE, source, target).await?;
    pack_program(&read(&programs.join(PROGRAM))?, source)
}

/// Builds the sources of this folder in another one, from scratch, and compares the digests.
///
/// # Errors
/// [`Error::Invalid`] with both digests when they differ.
async fn compare_with_second_build(digest: &str) -> Result<()> {
    let folder = tempfile::tempdir_in(program::target_folder()).map_err(cannot("create a folder"))?;
    sources::copy_to(folder.path()).await?;
    let second = make(folder.path(), &folder.path().join("target")).await?.digest;
    if second == digest {
        return Ok(());
    }
    Err(Error::Invalid(format!("the digests differ: first {digest}, second {second}")))
}

/// Packs a static controller with the other files of its root file system.
pub(crate) fn pack_program(controller: &[u8], source: &Path) -> Result<Packed> {
    let root = Archive::default().with_program("usr/local/bin/controller", controller);
    let mut root = with_licenses(root, "usr/share/doc/sealed-secrets-rs/", source)?;
    for file in ["etc/group", "etc/nsswitch.conf", "etc/passwd"] {
        root = root.with_file(file, read_text(&source.join("deploy/image").join(file))?);
    }
    let name = format!("{REPOSITORY}:{VERSION}");
    pack(&Image { name: &name, architecture: architecture()?, settings: settings(), root })
}

/// The settings with which a runtime starts it; the same as in deploy/Dockerfile.
fn settings() -> Value {
    json!({
        "User": "1001",
        "Env": ["PATH=/usr/local/bin"],
        "ExposedPorts": { "8080/tcp": {}, "8081/tcp": {} },
        "Entrypoint": [PROGRAM],
        "WorkingDir": "/",
        "Labels": {
            "org.opencontainers.image.title": "sealed-secrets-rs controller",
            "org.opencontainers.image.description": "Decrypts SealedSecrets into Secrets inside the cluster",
            "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            "org.opencontainers.image.version": VERSION,
        },
    })
}

/// This machine's architecture by Go's name.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(Error::Invalid(format!("no image is made for {other}"))),
    }
}

#[cfg(test)]
mod tests;
