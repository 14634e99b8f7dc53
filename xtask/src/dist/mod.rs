//! `cargo xtask dist`: the files of a release.

mod artefact;
mod bill_of_materials;
mod chart;
mod foreign;
mod kubeseal;
mod manifests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Result, workspace};

use self::artefact::{Artefact, PLATFORMS, name};
use self::bill_of_materials::bill_of_materials;
use self::foreign::ForeignProgram;
use crate::archive::{Archive, sha256};
use crate::files::{read, write};
use crate::image::{CONTROLLER, KUBESEAL, Program, architecture, program};
use crate::licenses::with_licenses;

const CHECKSUMS: &str = "SHA256SUMS";
/// The files of a release for each platform.
const OF_A_PLATFORM: [(&str, &str); 6] = [
    (CONTROLLER.name, "oci.tar"),
    (CONTROLLER.name, "spdx.json"),
    (CONTROLLER.name, "tar.gz"),
    (KUBESEAL.name, "oci.tar"),
    (KUBESEAL.name, "spdx.json"),
    (KUBESEAL.name, "tar.gz"),
];

/// Make all files of a release for this machine's platform
///
/// Files of other platforms that are already in the folder are listed in krew.yaml and SHA256SUMS.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder for the files
    #[arg(default_value = "target/dist")]
    folder: PathBuf,
    /// Also pack a build of kubeseal for macOS or Windows; may be repeated
    #[arg(long = "kubeseal", value_name = "PLATFORM=FILE")]
    foreign: Vec<ForeignProgram>,
}

/// Builds both programs as for a release, and writes all files.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (source, target) = (workspace::root(), program::target_folder());
    program::build(KUBESEAL.package, &source, &target).await?;
    let programs = program::build(CONTROLLER.package, &source, &target).await?;
    let mut others = of_other_platforms(&arguments.folder)?;
    for foreign in &arguments.foreign {
        others.extend(foreign.artefacts(&programs.join(KUBESEAL.name)).await?);
    }
    for artefact in artefacts(&programs, others).await? {
        let file = arguments.folder.join(&artefact.name);
        write(&file, &artefact.content)?;
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// All files, the checksums last: those made from the folder with the programs, and `others` of other platforms.
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
    let (platform, target, root) = (platform()?, program::platform()?, workspace::root());
    let kubeseal = programs.join(KUBESEAL.name);
    let controller = read(&programs.join(CONTROLLER.name))?;
    let artefact = |of: &Program, kind, content| Artefact::new(name(of.name, &platform, kind), content);
    Ok([
        artefact(&CONTROLLER, "oci.tar", CONTROLLER.pack(&controller, &root)?.archive),
        artefact(&CONTROLLER, "spdx.json", bill_of_materials(&CONTROLLER, &target).await?),
        artefact(&CONTROLLER, "tar.gz", controller_archive(&controller)?),
        artefact(&KUBESEAL, "oci.tar", KUBESEAL.pack(&read(&kubeseal)?, &root)?.archive),
        artefact(&KUBESEAL, "spdx.json", bill_of_materials(&KUBESEAL, &target).await?),
        artefact(&KUBESEAL, "tar.gz", kubeseal::archive(KUBESEAL.name, &kubeseal, &kubeseal).await?),
    ])
}

/// The files in the folder that were made on machines of other platforms.
fn of_other_platforms(folder: &Path) -> Result<Vec<Artefact>> {
    let own = platform()?;
    let others = PLATFORMS.into_iter().filter(|platform| *platform != own);
    let names =
        others.flat_map(|platform| OF_A_PLATFORM.map(|(program, kind)| name(program, platform, kind)));
    let there = names.filter(|name| folder.join(name).is_file());
    there.map(|name| Ok(Artefact { content: read(&folder.join(&name))?, name })).collect()
}

fn controller_archive(controller: &[u8]) -> Result<Vec<u8>> {
    let archive = Archive::default().with_program(CONTROLLER.name, controller);
    with_licenses(archive, "", &workspace::root())?.tar_gz()
}

/// The input of `sha256sum --check`.
fn checksums(artefacts: &[Artefact]) -> Artefact {
    let line = |artefact: &Artefact| format!("{}  {}\n", sha256(&artefact.content), artefact.name);
    Artefact::new(CHECKSUMS, artefacts.iter().map(line).collect::<String>())
}

/// This machine's platform, as in file names.
fn platform() -> Result<String> {
    Ok(format!("linux-{}", architecture()?))
}

#[cfg(test)]
mod tests;
