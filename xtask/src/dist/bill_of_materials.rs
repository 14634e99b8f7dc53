//! The bill of materials of a program: SPDX 2.3, from Cargo's resolved dependencies.

use std::collections::{BTreeMap, BTreeSet};

use sealed_secrets_tests::{Error, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::archive::sha256;
use crate::files::cannot;
use crate::image::{Program, VERSION};
use crate::test::step;

/// A fixed creation time, so that the same release has the same bill.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// A crate that is part of the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    name: String,
    version: String,
    license: String,
}

/// A linked library that is not a crate.
struct Library {
    reference: &'static str,
    name: &'static str,
    version: String,
    license: &'static str,
}

/// The parts of a program, and which one needs which. The first line of the tree is the program itself.
struct Tree {
    root: Part,
    parts: BTreeSet<Part>,
    needs: BTreeSet<(Part, Part)>,
}

/// The bill of a program that is built for one of Cargo's targets.
pub(super) async fn bill_of_materials(program: &Program, target: &str) -> Result<Vec<u8>> {
    let tree = parse(&cargo_tree(program.package, target).await?).ok_or_else(|| {
        Error::Invalid(format!("cargo tree says something else of {} than it used to", program.package))
    })?;
    let bill = document(program.name, &tree, &libraries(target).await?);
    Ok(format!("{bill:#}\n").into_bytes())
}

/// Lines such as `2<TAB>serde v1.0.229<TAB>MIT OR Apache-2.0`; the first number is the depth. Without macros and build scripts,
/// which leave no code in the program.
async fn cargo_tree(package: &str, target: &str) -> Result<String> {
    let arguments = ["tree", "--locked", "--package", package, "--target", target];
    let shape = ["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "\t{p}\t{l}"];
    let output = step::cargo(&arguments).args(shape).output().await.map_err(cannot("start cargo"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn parse(tree: &str) -> Option<Tree> {
    let mut above = BTreeMap::<usize, Part>::new();
    let (mut parts, mut needs) = (BTreeSet::new(), BTreeSet::new());
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split('\t');
        let depth: usize = fields.next()?.parse().ok()?;
        let mut words = fields.next()?.split(' ');
        let (name, version) = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
        // A star marks a package that occurred before. In old manifests a slash means OR.
        let license = fields.next()?.trim_end_matches("(*)").trim().replace('/', " OR ");
        let part = Part { name, version, license };
        if let Some(dependent) = depth.checked_sub(1).and_then(|depth| above.get(&depth)) {
            needs.insert((dependent.clone(), part.clone()));
        }
        above.insert(depth, part.clone());
        parts.insert(part);
    }
    Some(Tree { root: above.get(&0)?.clone(), parts, needs })
}

/// The libraries that are linked statically: on Linux also the C library.
async fn libraries(target: &str) -> Result<Vec<Library>> {
    let mut libraries = vec![Library {
        reference: "SPDXRef-rust-std",
        name: "rust-std",
        version: second_word("rustc", "--version").await?,
        license: "MIT OR Apache-2.0",
    }];
    if target.contains("-linux-") {
        libraries.push(Library {
            reference: "SPDXRef-glibc",
            name: "glibc",
            version: second_word("getconf", "GNU_LIBC_VERSION").await?,
            license: "LGPL-2.1-or-later",
        });
    }
    Ok(libraries)
}

/// The second word of a program's output, such as the version in `glibc 2.36`.
async fn second_word(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().await;
    let output = output.map_err(cannot(format!("start {program}")))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let word = printed.split_whitespace().nth(1).map(str::to_owned);
    word.ok_or_else(|| Error::Program(format!("{program} {argument} tells no version: {printed:?}")))
}

fn document(name: &str, tree: &Tree, libraries: &[Library]) -> Value {
    let mut packages: Vec<_> = tree.parts.iter().map(describe_crate).collect();
    packages.extend(libraries.iter().map(describe_library));
    let root = reference(&tree.root);
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", &root)];
    relations.extend(libraries.iter().map(|library| relation(&root, "STATIC_LINK", library.reference)));
    let needs = tree.needs.iter();
    relations.extend(needs.map(|(one, other)| relation(&reference(one), "DEPENDS_ON", &reference(other))));
    let content = sha256(json!([packages, relations]).to_string().as_bytes());
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("{name}-{VERSION}"),
        "documentNamespace": format!("{}/spdx/{name}-{VERSION}-{content}", env!("CARGO_PKG_REPOSITORY")),
        "creationInfo": { "created": NO_TIME, "creators": [format!("Tool: cargo-xtask-dist-{VERSION}")] },
        "packages": packages,
        "relationships": relations,
    })
}

/// An identifier with only the characters that SPDX permits.
fn reference(part: &Part) -> String {
    let permitted = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    format!("SPDXRef-{}-{}", part.name, part.version).chars().map(permitted).collect()
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn describe_crate(part: &Part) -> Value {
    let Part { name, version, license } = part;
    let purl = json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
    });
    describe(&reference(part), name, version, license, &[purl])
}

fn describe_library(library: &Library) -> Value {
    describe(library.reference, library.name, &library.version, library.license, &[])
}

fn describe(reference: &str, name: &str, version: &str, license: &str, elsewhere: &[Value]) -> Value {
    json!({
        "SPDXID": reference,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
        "externalRefs": elsewhere,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0\ta v0.1.0 (/source/a)\tApache-2.0\n1\tb v1.2.3\tMIT/Apache-2.0\n2\tc v2.0.0+x\tMIT\n\
                        1\tc v2.0.0+x\tMIT (*)\n";

    #[test]
    fn the_depth_determines_the_dependency() {
        let tree = parse(TREE).unwrap();
        assert_eq!(tree.root.name, "a");
        let needs: Vec<_> =
            tree.needs.iter().map(|(one, other)| (one.name.as_str(), other.name.as_str())).collect();
        assert_eq!(needs, [("a", "b"), ("a", "c"), ("b", "c")]);
    }

    #[test]
    fn a_crate_listed_twice_is_one_component_with_its_licence() {
        let tree = parse(TREE).unwrap();
        let parts: Vec<_> =
            tree.parts.iter().map(|part| (part.name.as_str(), part.license.as_str())).collect();
        assert_eq!(parts, [("a", "Apache-2.0"), ("b", "MIT OR Apache-2.0"), ("c", "MIT")]);
    }

    #[test]
    fn another_shape_of_the_tree_is_noticed() {
        assert!(parse("a v0.1.0").is_none() && parse("").is_none());
    }
}
