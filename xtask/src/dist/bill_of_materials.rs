//! What a program is made of: SPDX 2.3, from what Cargo resolved.

use std::collections::{BTreeMap, BTreeSet};

use sealed_secrets_tests::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Artefact;
use crate::archive::sha256;
use crate::files::cannot;
use crate::image::{VERSION, program};
use crate::test::step;

/// The same release is to have the same bill, so no time is told.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// None for what becomes part of the program, else `build` or `dev`.
    kind: Option<String>,
}

/// The bill of the program that the workspace's package `name` is.
pub(super) async fn bill_of_materials(name: &str) -> Result<Artefact> {
    let metadata = metadata().await?;
    let bill = bill(&metadata, name, &libc().await?)?;
    let name = name.trim_start_matches("sealed-secrets-");
    Ok(Artefact::new(format!("{name}-{VERSION}.spdx.json"), format!("{bill:#}\n")))
}

async fn metadata() -> Result<Metadata> {
    let mut command = step::cargo(&["metadata", "--format-version=1", "--locked", "--filter-platform"]);
    let output = command.arg(program::platform()?).output().await.map_err(cannot("start cargo"))?;
    if !output.status.success() {
        return Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Error::Invalid(format!("cargo metadata: {error}")))
}

/// The C library that is linked in, such as `glibc 2.36`.
async fn libc() -> Result<String> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().await;
    let output = output.map_err(cannot("start getconf"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn bill(metadata: &Metadata, name: &str, libc: &str) -> Result<Value> {
    let nodes: BTreeMap<_, _> = metadata.resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata.packages.iter().find(|package| package.name == name);
    let root = root.ok_or_else(|| Error::Invalid(format!("no package {name} in this workspace")))?;
    let parts = parts(&nodes, &root.id);
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let packages = parts.iter().filter_map(|id| packages.get(id).map(|package| (*id, *package)));
    let packages: BTreeMap<_, _> = packages.collect();
    let mut listed: Vec<_> = packages.values().map(|package| describe(package)).collect();
    let (libc_name, libc_version) = libc.split_once(' ').unwrap_or((libc, ""));
    listed.push(describe_libc(libc_name, libc_version));
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", &reference(root))];
    relations.push(relation(&reference(root), "STATIC_LINK", "SPDXRef-libc"));
    for package in packages.values() {
        for dependency in direct(&nodes, &package.id).into_iter().filter_map(|id| packages.get(id)) {
            relations.push(relation(&reference(package), "DEPENDS_ON", &reference(dependency)));
        }
    }
    Ok(document(&root.name, &listed, &relations))
}

fn document(name: &str, packages: &[Value], relations: &[Value]) -> Value {
    let content = sha256(json!([packages, relations]).to_string().as_bytes());
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{name}-{VERSION}"),
        "documentNamespace": format!("{}/spdx/{name}-{VERSION}-{content}", env!("CARGO_PKG_REPOSITORY")),
        "creationInfo": { "created": NO_TIME, "creators": [format!("Tool: cargo-xtask-dist-{VERSION}")] },
        "packages": packages,
        "relationships": relations,
    })
}

/// Everything that becomes part of the package `root`, itself included.
fn parts<'a>(nodes: &BTreeMap<&'a String, &'a Node>, root: &'a String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(direct(nodes, id));
        }
    }
    found
}

fn direct<'a>(nodes: &BTreeMap<&'a String, &'a Node>, id: &String) -> Vec<&'a String> {
    let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
    let linked = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
    dependencies.filter(linked).map(|dependency| &dependency.pkg).collect()
}

/// An identifier, in the letters that SPDX permits.
fn reference(package: &Package) -> String {
    let permitted = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    format!("SPDXRef-{}-{}", package.name, package.version).chars().map(permitted).collect()
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn describe(package: &Package) -> Value {
    let Package { name, version, license, .. } = package;
    // A slash is how Cargo used to write it.
    let license = license.as_deref().unwrap_or("NOASSERTION").replace('/', " OR ");
    let mut described = part(&reference(package), name, version, &license);
    described["externalRefs"] = json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
    }]);
    described
}

fn describe_libc(name: &str, version: &str) -> Value {
    part("SPDXRef-libc", name, version, "LGPL-2.1-or-later")
}

fn part(reference: &str, name: &str, version: &str, license: &str) -> Value {
    json!({
        "SPDXID": reference,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
    })
}
