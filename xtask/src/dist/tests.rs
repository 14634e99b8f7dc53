//! The release, made of the programs as they are built for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use flate2::read::GzDecoder;
use sealed_secrets_tests::programs::helm;
use serde_json::Value;

use super::*;
use crate::files::read_text;
use crate::test::step;

/// Small programs: what is packed is kubeseal as it is called, since a debug build is too large to compress in a test.
fn programs() -> tempfile::TempDir {
    let kubeseal = workspace::built_program(KUBESEAL).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("controller"), "a controller").unwrap();
    let script = folder.path().join(KUBESEAL);
    write(&script, format!("#!/bin/sh\nexec '{}' \"$@\"\n", kubeseal.display())).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The release in a folder, and its files by name.
async fn release(programs: &Path) -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for artefact in artefacts(programs).await.unwrap() {
        write(&folder.path().join(&artefact.name), &artefact.content).unwrap();
        files.insert(artefact.name, artefact.content);
    }
    (folder, files)
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

#[tokio::test]
async fn a_release_is_complete_and_each_part_is_what_the_others_say() {
    let arguments = ["build", "--locked", "--bin", KUBESEAL];
    assert!(step::quietly(&mut step::cargo(&arguments)).await.unwrap().success);
    let programs = programs();
    let (folder, files) = release(programs.path()).await;
    let platform = platform().unwrap();
    let archive = format!("kubeseal-{VERSION}-{platform}.tar.gz");
    let expected = [
        "SHA256SUMS".to_owned(),
        format!("controller-{VERSION}-{platform}.oci.tar"),
        format!("controller-{VERSION}-{platform}.tar.gz"),
        format!("controller-{VERSION}.spdx.json"),
        "install.yaml".to_owned(),
        archive.clone(),
        format!("kubeseal-{VERSION}.spdx.json"),
        "krew.yaml".to_owned(),
        format!("sealed-secrets-{VERSION}.tgz"),
    ];
    assert_eq!(files.keys().collect::<BTreeSet<_>>(), expected.iter().collect());
    checksums_are_those_of_sha256sum(folder.path());
    kubeseal_comes_with_manual_and_completions(&unpacked(&files[&archive]));
    krew_names_the_archive(&text(&files, "krew.yaml"), &archive, &files[&archive]);
    install_is_what_kustomize_applies(&text(&files, "install.yaml"));
    helm_reads_the_chart(&folder.path().join(format!("sealed-secrets-{VERSION}.tgz")));
    let bill = |name: &str| serde_json::from_slice(&files[&format!("{name}-{VERSION}.spdx.json")]).unwrap();
    bill_lists_what_is_linked(&bill("kubeseal"), &["kubeseal", "clap", "rsa"], &["kube-runtime", "axum"]);
    bill_lists_what_is_linked(&bill("controller"), &["aws-lc-rs", "kube-runtime", "axum"], &["clap_mangen"]);
}

fn checksums_are_those_of_sha256sum(folder: &Path) {
    let mut command = Command::new("sha256sum");
    let output = command.args(["--check", "--strict", CHECKSUMS]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": OK").count(), 8, "{said}");
}

fn kubeseal_comes_with_manual_and_completions(archive: &BTreeMap<String, Vec<u8>>) {
    assert!(text(archive, "man/kubeseal.1").contains(".TH kubeseal 1"));
    assert!(text(archive, "completions/kubeseal.bash").contains("complete -F"));
    assert!(text(archive, "completions/_kubeseal").starts_with("#compdef kubeseal"));
    assert!(text(archive, "completions/kubeseal.fish").contains("complete -c kubeseal"));
    assert_eq!(text(archive, "LICENSE"), read_text(&workspace::root().join("LICENSE")).unwrap());
    assert!(text(archive, KUBESEAL).starts_with("#!/bin/sh\nexec "));
}

fn krew_names_the_archive(manifest: &str, name: &str, archive: &[u8]) {
    let field = |key: &str| {
        let lines = manifest.lines().map(|line| line.trim_start_matches([' ', '-']));
        let mut values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        values.next().unwrap().to_owned()
    };
    assert_eq!(field("sha256"), sha256(archive));
    assert!(field("uri").ends_with(&format!("/v{VERSION}/{name}")));
    let files = unpacked(archive);
    assert!(files.contains_key(&field("bin")) && files.contains_key(&field("from")));
}

/// What kubectl makes of the folder is compared with what tests apply in `the_tests_apply_what_kubectl_applies`.
fn install_is_what_kustomize_applies(manifest: &str) {
    let kinds: BTreeSet<_> = manifest.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    for kind in ["ClusterRole", "CustomResourceDefinition", "Deployment", "Service", "ServiceAccount"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    assert!(manifest.contains(&format!("image: ghcr.io/sealed-secrets-rs/controller:{VERSION}\n")));
}

/// From the package as from the folder.
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

/// Every crate is in Cargo.lock in this version; some that must be there are, and some that must not be are not.
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
    for name in linked {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    for name in not_linked.iter().chain(&["insta", "proptest", "ring", "serde_derive", "cc"]) {
        assert!(!names.contains(name), "{name} is no part of the program");
    }
    let identifiers: BTreeSet<_> = packages.iter().map(|part| part["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), packages.len());
    for relation in bill["relationships"].as_array().unwrap() {
        let end = relation["relatedSpdxElement"].as_str().unwrap();
        assert!(identifiers.contains(end), "{relation}");
    }
}
