//! Both kubeseals in equal folders: exit code, stdout, stderr and every file, with ciphertext masked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sealed_secrets_tests::{Cluster, Edition, Kubeseal};
use tempfile::TempDir;

use crate::differential_cases::{Case, OFFLINE, ONLINE, Verdict, files};

/// What an invocation left behind, ciphertext masked.
#[derive(Debug, PartialEq)]
struct Trace {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, String>,
}

/// Replaces every item of a sealing key of 2048 or 4096 bits.
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

fn trace(kubeseal: Kubeseal, case: &Case, extra: &[&str]) -> Trace {
    let folder = TempDir::new().unwrap();
    for (name, content) in files() {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let mut kubeseal = kubeseal.in_folder(folder.path().to_owned());
    for (name, value) in case.variables {
        kubeseal = kubeseal.with_variable(name, value);
    }
    let arguments: Vec<&str> = extra.iter().copied().chain(case.line.split_whitespace()).collect();
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

/// Both traces, without the files that are equal.
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

/// What is wrong with a case, if anything.
fn judge(case: &Case, upstream: &Trace, ours: &Trace) -> Option<String> {
    match case.verdict {
        Verdict::Same if upstream == ours => None,
        Verdict::Same => Some(format!("differs{}", shown(upstream, ours))),
        Verdict::Differs { why, .. } if upstream == ours => Some(format!("no longer differs, though {why}")),
        Verdict::Differs { code, says, .. } => {
            let said = ours.stdout.contains(says)
                || ours.stderr.contains(says)
                || ours.files.values().any(|text| text.contains(says));
            (ours.code != Some(code) || !said)
                .then(|| format!("wanted {code} and {says:?}{}", shown(upstream, ours)))
        }
    }
}

fn compare(cases: &[Case], kubeconfig: Option<&Path>, extra: &[&str]) {
    let program = |edition| {
        let kubeseal = Kubeseal::of(edition).unwrap();
        kubeconfig.map_or(kubeseal.clone(), |file| kubeseal.with_kubeconfig(file.to_owned()))
    };
    let (original, ours) = (program(Edition::Upstream), program(Edition::Ours));
    let mut report = String::new();
    for case in cases {
        let traces = (trace(original.clone(), case, extra), trace(ours.clone(), case, extra));
        if let Some(fault) = judge(case, &traces.0, &traces.1) {
            writeln!(report, "kubeseal {} {:?}: {fault}\n", case.line, case.variables).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn both_kubeseals_do_the_same_without_a_cluster() {
    compare(OFFLINE, None, &[]);
}

#[tokio::test]
async fn both_kubeseals_do_the_same_with_a_cluster() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let _serving = installation.start(Edition::Upstream, &[]).await.unwrap();
    let kubeconfig = cluster.kubeconfig();
    let namespace = installation.namespace().to_owned();
    let compared = tokio::task::spawn_blocking(move || {
        compare(ONLINE, Some(&kubeconfig), &["--controller-namespace", &namespace]);
    });
    compared.await.unwrap();
}

#[test]
fn the_table_has_at_least_eighty_invocations() {
    assert!(OFFLINE.len() + ONLINE.len() >= 80, "{}", OFFLINE.len() + ONLINE.len());
}
