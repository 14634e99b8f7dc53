//! The chart and Helm.

use std::fs;
use std::path::PathBuf;

use sealed_secrets_tests::{Output, Tool, workspace};

/// Set to anything, it makes the tests write what they would compare with.
const UPDATE: &str = "UPDATE_CHART";

pub(crate) const CHART: &str = "deploy/helm/sealed-secrets";

pub(crate) fn chart() -> PathBuf {
    workspace::root().join(CHART)
}

pub(crate) fn data() -> PathBuf {
    workspace::root().join("tests/tests/data/chart")
}

/// What `helm template` says of the chart with these values, named as the original is usually installed.
pub(crate) fn template(values: &str) -> Output {
    let arguments =
        ["template", "sealed-secrets-controller", CHART, "--namespace", "kube-system", "--values", "-"];
    Tool::helm().unwrap().run(&arguments, values).unwrap()
}

/// The file says exactly this; with `UPDATE_CHART=1` it is made to.
pub(crate) fn assert_recorded(file: &PathBuf, expected: &str) {
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(file, expected).unwrap();
    }
    let recorded = fs::read_to_string(file).unwrap_or_default();
    let hint = "if that is meant: UPDATE_CHART=1 cargo test -p sealed-secrets-tests --test chart";
    assert!(recorded == expected, "{} is not what it would be; {hint}\n{expected}", file.display());
}
