//! Helm and the files of the chart.

use std::fs;
use std::path::PathBuf;

use sealed_secrets_tests::{Output, Tool, workspace};

/// The variable that makes the tests write the expected files instead of comparing them.
const UPDATE: &str = "UPDATE_CHART";

pub(crate) const CHART: &str = "deploy/helm/sealed-secrets";

pub(crate) fn chart() -> PathBuf {
    workspace::root().join(CHART)
}

pub(crate) fn data() -> PathBuf {
    workspace::root().join("tests/tests/data/chart")
}

/// The output of `helm template` for the chart with these values, under the original's usual release name.
pub(crate) fn template(values: &str) -> Output {
    let arguments =
        ["template", "sealed-secrets-controller", CHART, "--namespace", "kube-system", "--values", "-"];
    Tool::helm().unwrap().run(&arguments, values).unwrap()
}

/// Asserts that the file has exactly this content; with `UPDATE_CHART=1` writes it.
pub(crate) fn assert_recorded(file: &PathBuf, expected: &str) {
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(file, expected).unwrap();
    }
    let recorded = fs::read_to_string(file).unwrap_or_default();
    let hint = "if that is meant: UPDATE_CHART=1 cargo test -p sealed-secrets-tests --test chart";
    assert!(recorded == expected, "{} is not what it would be; {hint}\n{expected}", file.display());
}
