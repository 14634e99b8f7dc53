//! Both kubeseals in equal folders: exit code, stdout, stderr and every file, with ciphertext masked.

mod case;
mod differences;
mod documented;
mod files;
mod offline;
mod online;
mod serving;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sealed_secrets_tests::{Edition, Kubeseal};
use tempfile::TempDir;

use case::{Case, Verdict};
use offline::OFFLINE;
use online::ONLINE;

/// The result of an invocation, ciphertext masked.
#[derive(Debug, PartialEq)]
struct Trace {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, String>,
}

/// Masks every item of a sealing key of 2048 or 4096 bits.
fn masked(text: &str) -> String {
    let is_base64 = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    let mut output = String::new();
    for piece in text.split_inclusive(|character| !is_base64(character)) {
        let word = piece.trim_end_matches(|character| !is_base64(character));
        let item = word.len() > 300 && (word.starts_with("AQ") || word.starts_with("Ag"));
        output.push_str(if item { "<item>" } else { word });
        output.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    output
}

/// The environment of both programs: the files in their folder, the cluster and the controller.
struct Setting<'a> {
    files: Vec<(&'static str, String)>,
    kubeconfig: Option<&'a Path>,
    arguments: Vec<&'a str>,
}

impl Setting<'_> {
    fn program(&self, edition: Edition) -> Kubeseal {
        let kubeseal = Kubeseal::of(edition).unwrap();
        self.kubeconfig.map_or(kubeseal.clone(), |file| kubeseal.with_kubeconfig(file.to_owned()))
    }
}

fn trace(edition: Edition, case: &Case, setting: &Setting<'_>) -> Trace {
    let folder = TempDir::new().unwrap();
    for (name, content) in &setting.files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let kubeseal = setting.program(edition);
    let mut kubeseal = kubeseal.in_folder(folder.path().to_owned());
    for (name, value) in case.variables {
        kubeseal = kubeseal.with_variable(name, value);
    }
    let arguments: Vec<&str> =
        setting.arguments.iter().copied().chain(case.line.split_whitespace()).collect();
    let output = kubeseal.run(&arguments, case.input).unwrap();
    Trace {
        code: output.status.code(),
        stdout: masked(&output.stdout),
        stderr: masked(&output.stderr),
        files: contents(folder.path()),
    }
}

fn contents(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, masked(&String::from_utf8_lossy(&std::fs::read(&path).unwrap())))
        })
        .collect()
}

/// Both results, without the files that are equal.
fn shown(upstream: &Trace, ours: &Trace) -> String {
    let changed = |own: &Trace, other: &Trace| -> BTreeMap<String, String> {
        let differing = own.files.iter().filter(|(name, text)| other.files.get(*name) != Some(text));
        differing.map(|(name, text)| (name.clone(), text.clone())).collect()
    };
    let one = |own: &Trace, other: &Trace| {
        format!("{:?}\n{}{}{:#?}", own.code, own.stdout, own.stderr, changed(own, other))
    };
    format!("\n-- upstream: {}\n-- ours: {}", one(upstream, ours), one(ours, upstream))
}

/// The unexpected result of a case, if any.
fn judge(case: &Case, upstream: &Trace, ours: &Trace, given: &BTreeMap<String, String>) -> Option<String> {
    match case.verdict {
        Verdict::Same if upstream == ours => None,
        Verdict::Same => Some(format!("differs{}", shown(upstream, ours))),
        Verdict::Differs { difference, .. } if upstream == ours => {
            Some(format!("no longer differs: {difference:?}"))
        }
        Verdict::Differs { code, .. } if code != 0 && ours.files != *given => {
            Some(format!("a failure that changes files{}", shown(upstream, ours)))
        }
        Verdict::Differs { code, says, .. } => {
            let said = ours.stdout.contains(says)
                || ours.stderr.contains(says)
                || ours.files.values().any(|text| text.contains(says));
            (ours.code != Some(code) || !said)
                .then(|| format!("wanted {code} and {says:?}{}", shown(upstream, ours)))
        }
    }
}

fn compare<'a>(cases: impl IntoIterator<Item = &'a Case>, setting: &Setting<'_>) {
    let mut report = String::new();
    let given = setting.files.iter().map(|(name, text)| ((*name).to_owned(), masked(text))).collect();
    for case in cases {
        let traces = (trace(Edition::Upstream, case, setting), trace(Edition::Ours, case, setting));
        if let Some(fault) = judge(case, &traces.0, &traces.1, &given) {
            writeln!(report, "kubeseal {} {:?}: {fault}\n", case.line, case.variables).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn both_kubeseals_do_the_same_without_a_cluster() {
    let mut files = files::files();
    files.push(("v1.yaml", files::v1_file(files::CERTIFICATE)));
    compare(OFFLINE, &Setting { files, kubeconfig: None, arguments: Vec::new() });
}

#[test]
fn the_table_has_at_least_eighty_different_invocations_and_twenty_of_them_online() {
    let line = |case: &Case| format!("{} {:?} {}", case.line, case.variables, case.input);
    let lines = |cases: &[Case]| cases.iter().map(line).collect::<std::collections::BTreeSet<_>>().len();
    assert!(lines(OFFLINE) + lines(ONLINE) >= 80, "{} and {}", lines(OFFLINE), lines(ONLINE));
    assert!(lines(ONLINE) >= 20, "{}", lines(ONLINE));
}
