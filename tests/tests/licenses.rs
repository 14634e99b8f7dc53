//! Licence obligations for programs that contain the work of others.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealed_secrets_tests::workspace;
use serde_json::Value;

const FILE: &str = "deploy/licenses/THIRD-PARTY.txt";
const UPDATE: &str = "UPDATE_LICENSES";
/// The targets of releases.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
const BEGINNINGS: [&str; 6] = ["copying", "copyright", "licence", "license", "notice", "unlicense"];

const INTRODUCTION: &str = "\
The programs of sealed-secrets-rs, `kubeseal` and `controller`, are under the Apache License 2.0 (LICENSE).
They have the work of others inside, named here with their licences and notices.

The GNU C Library, as the system has it that the programs were built on, is linked into them statically.
It is under the GNU Lesser General Public License 2.1 or later (LGPL-2.1.txt); its source is at
https://sourceware.org/glibc. To link a program with another version of it, build the source of the program
(https://github.com/sealed-secrets-rs/sealed-secrets-rs) with that one installed: `cargo xtask dist`.

The Rust Standard Library, Copyright (c) The Rust Project Contributors, is under the Apache License 2.0 or
the MIT license. Every Rust toolchain has the notices of its parts: share/doc/rust/COPYRIGHT-library.html.

The following crates are from https://crates.io. The texts after the list are those in the crates.
";

/// A crate that is part of a program.
struct Part {
    name: String,
    license: String,
    folder: PathBuf,
}

/// Name and version of every third-party crate in our two programs, without macros and build scripts, by Cargo.
fn linked() -> BTreeSet<String> {
    let mut command = cargo("tree");
    command.args(["--package", "kubeseal", "--package", "sealed-secrets-controller"]);
    command.args(PLATFORMS.iter().flat_map(|platform| ["--target", platform]));
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let tree = output(&mut command);
    let lines = tree.lines().filter(|line| !line.is_empty() && !line.contains(" (/"));
    lines.map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

fn parts() -> Vec<Part> {
    let linked = linked();
    let metadata: Value =
        serde_json::from_str(&output(cargo("metadata").args(["--format-version", "1"]))).unwrap();
    let text = |package: &Value, field: &str| package[field].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let known: BTreeMap<_, _> = packages
        .map(|package| (format!("{} v{}", text(package, "name"), text(package, "version")), package))
        .collect();
    let part = |name: &String| Part {
        name: name.replace(" v", " "),
        license: text(known[name], "license").replace('/', " OR "),
        folder: Path::new(&text(known[name], "manifest_path")).parent().unwrap().to_owned(),
    };
    linked.iter().map(part).collect()
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--locked", "--offline"]).current_dir(workspace::root());
    cargo
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The texts of licences and notices anywhere in a folder, in the order of their paths.
fn texts(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        if path.is_dir() {
            texts.extend(self::texts(&path));
        } else if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).replace('\r', "");
            texts.push(text.trim_matches('\n').trim_end().to_owned());
        }
    }
    texts
}

/// The expected file: texts that differ only in white space occur once.
fn third_party() -> String {
    let mut page = format!("{INTRODUCTION}\n");
    let mut bearers = BTreeMap::<String, (String, BTreeSet<String>)>::new();
    for Part { name, license, folder } in parts() {
        writeln!(page, "{name}: {license}").unwrap();
        let texts = texts(&folder);
        // The text of the Apache licence is in our own licence file.
        assert!(!texts.is_empty() || license.contains("Apache-2.0"), "{name} has no text of {license}");
        for text in texts {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            bearers.entry(words).or_insert((text, BTreeSet::new())).1.insert(name.clone());
        }
    }
    let mut sections: Vec<_> = bearers.into_values().map(|(text, names)| (names, text)).collect();
    sections.sort();
    for (names, text) in sections {
        let names: Vec<_> = names.into_iter().collect();
        write!(page, "\n{}\n{}\n\n{text}\n", "=".repeat(80), names.join(", ")).unwrap();
    }
    page
}

#[test]
fn every_crate_that_is_linked_into_a_program_is_listed_with_its_licence() {
    let (file, expected) = (workspace::root().join(FILE), third_party());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let hint = format!("run {UPDATE}=1 cargo test -p sealed-secrets-tests --test licenses");
    assert!(fs::read_to_string(&file).unwrap() == expected, "{FILE} is not of these crates: {hint}");
}
