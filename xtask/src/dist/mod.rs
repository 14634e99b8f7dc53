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
use crate::licenses::with_licenses;

pub(crate) const KUBESEAL: &str = "kubeseal";
const CONTROLLER: &str = "controller";
const CHECKSUMS: &str = "SHA256SUMS";
/// What images and archives are made for.
const PLATFORMS: [&str; 2] = ["linux-amd64", "linux-arm64"];
/// What a release has for each platform.
const OF_A_PLATFORM: [(&str, &str); 5] = [
    (CONTROLLER, "oci.tar"),
    (CONTROLLER, "spdx.json"),
    (CONTROLLER, "tar.gz"),
    (KUBESEAL, "spdx.json"),
    (KUBESEAL, "tar.gz"),
];

/// Make everything that a release consists of, for this machine's platform
///
/// What was made on another platform and lies in the folder is taken into krew.yaml and SHA256SUMS.
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
    let (source, target) = (workspace::root(), program::target_folder());
    program::build(KUBESEAL, &source, &target).await?;
    let programs = program::build(image::PACKAGE, &source, &target).await?;
    let others = of_other_platforms(&arguments.folder)?;
    for artefact in artefacts(&programs, others).await? {
        let file = arguments.folder.join(&artefact.name);
        write(&file, &artefact.content)?;
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything, the checksums last: what is made from the folder with the programs, and what `others` made.
async fn artefacts(programs: &Path, others: Vec<Artefact>) -> Result<Vec<Artefact>> {
    let kubectl = ControlPlanePrograms::prepare()?.kubectl;
    let mut artefacts = others;
    artefacts.extend(of_this_platform(programs).await?);
    artefacts.push(manifests::krew(&artefacts));
    artefacts.push(manifests::install(&kubectl).await?);
    artefacts.push(chart::package()?);
    artefacts.sort_by(|one, other| one.name.cmp(&other.name));
    artefacts.push(checksums(&artefacts));
    Ok(artefacts)
}

async fn of_this_platform(programs: &Path) -> Result<[Artefact; OF_A_PLATFORM.len()]> {
    let platform = platform()?;
    let controller = read(&programs.join(CONTROLLER))?;
    let artefact = |program, kind, content| Artefact::new(name(program, &platform, kind), content);
    Ok([
        artefact(CONTROLLER, "oci.tar", pack_program(&controller, &workspace::root())?.archive),
        artefact(CONTROLLER, "spdx.json", bill_of_materials(image::PACKAGE).await?),
        artefact(CONTROLLER, "tar.gz", controller_archive(&controller)?),
        artefact(KUBESEAL, "spdx.json", bill_of_materials(KUBESEAL).await?),
        artefact(KUBESEAL, "tar.gz", kubeseal::archive(&programs.join(KUBESEAL)).await?),
    ])
}

/// What was made on machines of other platforms, as far as it lies in the folder.
fn of_other_platforms(folder: &Path) -> Result<Vec<Artefact>> {
    let own = platform()?;
    let others = PLATFORMS.into_iter().filter(|platform| *platform != own);
    let names =
        others.flat_map(|platform| OF_A_PLATFORM.map(|(program, kind)| name(program, platform, kind)));
    let there = names.filter(|name| folder.join(name).is_file());
    there.map(|name| Ok(Artefact { content: read(&folder.join(&name))?, name })).collect()
}

/// What a file of a program for one platform is called.
fn name(program: &str, platform: &str, kind: &str) -> String {
    format!("{program}-{VERSION}-{platform}.{kind}")
}

fn controller_archive(controller: &[u8]) -> Result<Vec<u8>> {
    let archive = Archive::default().with_program("controller", controller);
    with_licenses(archive, "", &workspace::root())?.tar_gz()
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
