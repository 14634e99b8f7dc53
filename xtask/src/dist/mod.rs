//! What a release consists of.

mod bill_of_materials;
mod chart;
mod kubeseal;
mod manifests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Result, workspace};

use self::bill_of_materials::bill_of_materials;
use crate::archive::{Archive, sha256};
use crate::files::{read, write};
use crate::image::{self, VERSION, architecture, pack_program, program};

pub(crate) const KUBESEAL: &str = "kubeseal";
const CHECKSUMS: &str = "SHA256SUMS";

/// Make everything that a release consists of, for this machine's platform
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to
    #[arg(default_value = "target/dist")]
    folder: PathBuf,
}

/// A file of the release.
pub(crate) struct Artefact {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

impl Artefact {
    pub(crate) fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), content: content.into() }
    }
}

/// Builds both programs as they are shipped, and writes all artefacts.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let packages = [KUBESEAL, image::PACKAGE];
    let programs = program::build(&packages, &workspace::root(), &program::target_folder()).await?;
    for artefact in artefacts(&programs).await? {
        let file = arguments.folder.join(&artefact.name);
        write(&file, &artefact.content)?;
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything, the checksums last, from the folder with the programs.
async fn artefacts(programs: &Path) -> Result<Vec<Artefact>> {
    let kubectl = ControlPlanePrograms::prepare()?.kubectl;
    let controller = read(&programs.join("controller"))?;
    let kubeseal = kubeseal::archive(&programs.join(KUBESEAL)).await?;
    let platform = platform()?;
    let mut artefacts = vec![
        manifests::krew(&kubeseal, &platform),
        kubeseal,
        Artefact::new(format!("controller-{VERSION}-{platform}.tar.gz"), controller_archive(&controller)?),
        Artefact::new(
            format!("controller-{VERSION}-{platform}.oci.tar"),
            pack_program(&controller, &workspace::root())?.archive,
        ),
        manifests::install(&kubectl).await?,
        chart::package()?,
        bill_of_materials(KUBESEAL).await?,
        bill_of_materials(image::PACKAGE).await?,
    ];
    artefacts.sort_by(|one, other| one.name.cmp(&other.name));
    artefacts.push(checksums(&artefacts));
    Ok(artefacts)
}

fn controller_archive(controller: &[u8]) -> Result<Vec<u8>> {
    let license = read(&workspace::root().join("LICENSE"))?;
    Archive::default().with_program("controller", controller).with_file("LICENSE", license).tar_gz()
}

/// What `sha256sum --check` reads.
fn checksums(artefacts: &[Artefact]) -> Artefact {
    let line = |artefact: &Artefact| format!("{}  {}\n", sha256(&artefact.content), artefact.name);
    Artefact::new(CHECKSUMS, artefacts.iter().map(line).collect::<String>())
}

/// This machine's platform as names of files tell it.
fn platform() -> Result<String> {
    Ok(format!("linux-{}", architecture()?))
}

#[cfg(test)]
mod tests;
