//! Tests of the release files, made from the test builds of the programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use flate2::read::GzDecoder;
use sealed_secrets_tests::programs::helm;
use sealed_secrets_tests::tar_files;
use serde_json::Value;

use super::*;
use crate::files::read_text;
use crate::image::VERSION;
use crate::licenses::{self, LICENSES};
use crate::test::step;

/// The programs to pack; kubeseal is a script that runs the built program: a debug build is too large to compress in a test.
fn programs() -> tempfile::TempDir {
    let kubeseal = workspace::built_program(KUBESEAL.name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("controller"), "a controller").unwrap();
    let script = folder.path().join(KUBESEAL.name);
    write(&script, format!("#!/bin/sh\nexec '{}' \"$@\"\n", kubeseal.display())).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    folder
}

fn other_platform() -> &'static str {
    let own = platform().unwrap();
    PLATFORMS.into_iter().find(|platform| *platform != own).unwrap()
}

fn other_archive() -> String {
    name(KUBESEAL.name, other_platform(), "tar.gz")
}

/// Files of a folder with an archive of another platform, and an archive of another version.
fn made_elsewhere() -> Vec<Artefact> {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(other_archive()), "made elsewhere").unwrap();
    write(&folder.path().join(other_archive().replace(VERSION, "0.0.1")), "old").unwrap();
    of_other_platforms(folder.path()).unwrap()
}

/// The artefacts of a program for Windows.
async fn for_windows(programs: &Path) -> [Artefact; 2] {
    let file = programs.join("program");
    write(&file, "for Windows").unwrap();
    let program: ForeignProgram = format!("windows-amd64={}", file.display()).parse().unwrap();
    program.artefacts(&programs.join(KUBESEAL.name)).await.unwrap()
}

/// The release in a folder, and its files by name.
async fn release(programs: &Path, others: Vec<Artefact>) -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for artefact in artefacts(programs, others).await.unwrap() {
        write(&folder.path().join(&artefact.name), &artefact.content).unwrap();
        files.insert(artefact.name, artefact.content);
    }
    (folder, files)
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    tar_files(GzDecoder::new(archive)).unwrap()
}

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

#[tokio::test]
async fn a_release_is_complete_and_its_parts_agree() {
    let arguments = ["build", "--locked", "--bin", KUBESEAL.name];
    assert!(step::quietly(&mut step::cargo(&arguments)).await.unwrap().success);
    let programs = programs();
    let mut others = made_elsewhere();
    others.extend(for_windows(programs.path()).await);
    let (folder, files) = release(programs.path(), others).await;
    let platform = platform().unwrap();
    let archive = format!("kubeseal-{VERSION}-{platform}.tar.gz");
    let of_windows = format!("kubeseal-{VERSION}-windows-amd64.tar.gz");
    let expected = [
        "SHA256SUMS".to_owned(),
        format!("controller-{VERSION}-{platform}.oci.tar"),
        format!("controller-{VERSION}-{platform}.spdx.json"),
        format!("controller-{VERSION}-{platform}.tar.gz"),
        "install.yaml".to_owned(),
        archive.clone(),
        other_archive(),
        format!("kubeseal-{VERSION}-{platform}.oci.tar"),
        format!("kubeseal-{VERSION}-{platform}.spdx.json"),
        of_windows.clone(),
        format!("kubeseal-{VERSION}-windows-amd64.spdx.json"),
        "krew.yaml".to_owned(),
        format!("sealed-secrets-{VERSION}.tgz"),
    ];
    assert_eq!(files.keys().collect::<BTreeSet<_>>(), expected.iter().collect());
    checksums_are_those_of_sha256sum(folder.path());
    kubeseal_comes_with_manual_and_completions(&unpacked(&files[&archive]));
    licences_are_inside(&unpacked(&files[&format!("controller-{VERSION}-{platform}.tar.gz")]));
    kubeseal_for_windows_is_packed(&unpacked(&files[&of_windows]));
    let krew = text(&files, "krew.yaml");
    krew_names(&krew, [&archive, &other_archive(), &of_windows], &files);
    for (number, archive) in [(0, &archive), (2, &of_windows)] {
        let entry = krew.split("- selector:").skip(1).nth(number).unwrap();
        krew_takes_out_what_the_archive_has(entry, &unpacked(&files[archive]));
    }
    install_is_what_kustomize_applies(&text(&files, "install.yaml"));
    helm_reads_the_chart(&folder.path().join(format!("sealed-secrets-{VERSION}.tgz")));
    let bill =
        |program: &str| serde_json::from_slice(&files[&name(program, &platform, "spdx.json")]).unwrap();
    let of_windows = &files[&name(KUBESEAL.name, "windows-amd64", "spdx.json")];
    bill_has_no_c_library(&serde_json::from_slice(of_windows).unwrap());
    bill_lists_what_is_linked(&bill("kubeseal"), &["kubeseal", "clap", "rsa"], &["kube-runtime", "axum"]);
    bill_lists_what_is_linked(&bill("controller"), &["aws-lc-rs", "kube-runtime", "axum"], &["clap_mangen"]);
}

fn checksums_are_those_of_sha256sum(folder: &Path) {
    let mut command = Command::new("sha256sum");
    let output = command.args(["--check", "--strict", CHECKSUMS]).current_dir(folder).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed.matches(": OK").count(), 12, "{printed}");
}

fn kubeseal_comes_with_manual_and_completions(archive: &BTreeMap<String, Vec<u8>>) {
    assert!(text(archive, "man/kubeseal.1").contains(".TH kubeseal 1"));
    assert!(text(archive, "completions/kubeseal.bash").contains("complete -F"));
    assert!(text(archive, "completions/_kubeseal").starts_with("#compdef kubeseal"));
    assert!(text(archive, "completions/kubeseal.fish").contains("complete -c kubeseal"));
    licences_are_inside(archive);
    assert!(text(archive, KUBESEAL.name).starts_with("#!/bin/sh\nexec "));
}

fn kubeseal_for_windows_is_packed(archive: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(text(archive, "kubeseal.exe"), "for Windows");
    assert!(text(archive, "man/kubeseal.1").contains(".TH kubeseal 1"));
    licences_are_inside(archive);
}

fn licences_are_inside(archive: &BTreeMap<String, Vec<u8>>) {
    for file in LICENSES {
        let expected = read_text(&workspace::root().join(file)).unwrap();
        assert!(text(archive, licenses::name(file)) == expected, "{file}");
    }
}

/// The values of a field, in the order of the lines.
fn values<'a>(manifest: &'a str, field: &str) -> Vec<&'a str> {
    let lines = manifest.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(": ")).collect()
}

fn krew_names(manifest: &str, archives: [&str; 3], files: &BTreeMap<String, Vec<u8>>) {
    let mut archives = archives;
    archives.sort_unstable();
    let digests = archives.map(|archive| sha256(&files[archive]));
    assert_eq!(values(manifest, "sha256"), digests);
    assert_eq!(values(manifest, "os"), ["linux", "linux", "windows"]);
    assert_eq!(values(manifest, "arch"), ["amd64", "arm64", "amd64"]);
    for (uri, archive) in values(manifest, "uri").into_iter().zip(archives) {
        assert!(uri.ends_with(&format!("/v{VERSION}/{archive}")), "{uri}");
    }
}

fn krew_takes_out_what_the_archive_has(manifest: &str, archive: &BTreeMap<String, Vec<u8>>) {
    let taken: BTreeSet<_> = values(manifest, "from").into_iter().collect();
    for file in &taken {
        assert!(archive.contains_key(*file), "{file}");
    }
    assert!(taken.contains("LICENSE") && values(manifest, "bin").iter().all(|bin| taken.contains(bin)));
}

/// The manifest has the objects of the kustomization. `the_tests_apply_the_same_as_kubectl` compares them with kubectl's reading
/// of it.
fn install_is_what_kustomize_applies(manifest: &str) {
    let kinds: BTreeSet<_> = manifest.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    for kind in ["ClusterRole", "CustomResourceDefinition", "Deployment", "Service", "ServiceAccount"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    assert!(manifest.contains(&format!("image: ghcr.io/sealed-secrets-rs/controller:{VERSION}\n")));
}

/// Renders the chart from the package and from the folder.
fn helm_reads_the_chart(package: &Path) {
    let render = |chart: &Path| {
        let mut helm = Command::new(helm().unwrap());
        let output = helm.args(["template", "release"]).arg(chart).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = workspace::root().join("deploy/helm/sealed-secrets");
    assert_eq!(render(package), render(&folder));
}

/// kubeseal for Windows is linked with Rust's library alone.
fn bill_has_no_c_library(bill: &Value) {
    let packages = bill["packages"].as_array().unwrap();
    let has = |name: &str| packages.iter().any(|part| part["name"] == name);
    assert!(has("kubeseal") && has("rust-std") && has("windows-sys") && !has("glibc"));
}

/// Every crate is in Cargo.lock in this version; the bill lists the required ones and none of the forbidden ones.
fn bill_lists_what_is_linked(bill: &Value, linked: &[&str], not_linked: &[&str]) {
    let lock = read_text(&workspace::root().join("Cargo.lock")).unwrap();
    let packages = bill["packages"].as_array().unwrap();
    let crates = packages.iter().filter(|part| part["externalRefs"][0].is_object());
    let mut names = BTreeSet::new();
    for part in crates {
        let (name, version) = (part["name"].as_str().unwrap(), part["versionInfo"].as_str().unwrap());
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&locked), "{name} {version}");
        assert_ne!(part["licenseDeclared"], "", "{name}");
        names.insert(name);
    }
    let linked_statically =
        |name: &str| packages.iter().any(|part| part["name"] == name && part["versionInfo"] != "");
    assert!(linked_statically("glibc") && linked_statically("rust-std"));
    for name in linked {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    for name in not_linked.iter().chain(&["insta", "proptest", "ring", "serde_derive", "cc"]) {
        assert!(!names.contains(name), "{name} is not part of the program");
    }
    let identifiers: BTreeSet<_> = packages.iter().map(|part| part["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), packages.len());
    for relation in bill["relationships"].as_array().unwrap() {
        let end = relation["relatedSpdxElement"].as_str().unwrap();
        assert!(identifiers.contains(end), "{relation}");
    }
}
