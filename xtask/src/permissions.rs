//! Comparison of the granted permissions with those that a full run of the tests used.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use sealed_secrets_tests::permissions::{Request, grants_to_accounts, missing, requests, unused};
use sealed_secrets_tests::{Access, Error, Result, leader_election_manifests_in, shipped_manifests};

/// The name of the shipped service account.
const ACCOUNT: &str = "sealed-secrets-controller";

/// User agents of the original's programs, which tests run with the same account.
const ORIGINAL: [&str; 2] = ["controller/", "kubeseal/"];

/// Fails for a granted rule that no test used, and for a request that no rule allows.
///
/// # Errors
/// [`Error::Invalid`] with all differences.
pub(crate) fn judge(access: &Access) -> Result<()> {
    let requests = requests_of_the_run(access)?;
    let shipped = [shipped_manifests()?, leader_election_manifests_in("kube-system")?].concat();
    let grants = grants_to_accounts(&shipped);
    let mut complaints = String::new();
    for grant in unused(&grants, &requests) {
        // Writing to a string cannot fail.
        let _ = writeln!(complaints, "{}: nobody needs {}", grant.role, grant.permission);
    }
    for permission in missing(&grants, &requests) {
        let _ = writeln!(complaints, "no role grants {permission}");
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!("the shipped permissions:\n{complaints}")))
}

/// The requests of our controllers to the shared control plane and to control planes of single tests.
fn requests_of_the_run(access: &Access) -> Result<BTreeSet<Request>> {
    let run = access.folder().parent().unwrap_or(access.folder());
    let io = |action: String| move |source| Error::Io { action, source };
    let planes = fs::read_dir(run).map_err(io(format!("read {}", run.display())))?;
    let mut all = BTreeSet::new();
    for plane in planes.flatten() {
        let log = plane.path().join(Access::AUDIT_LOG);
        if log.is_file() {
            let written = fs::read(&log).map_err(io(format!("read {}", log.display())))?;
            // The API server is still writing: the last line may be incomplete.
            let end = written.iter().rposition(|byte| *byte == b'\n').unwrap_or_default();
            let whole = String::from_utf8_lossy(written.get(..end).unwrap_or_default());
            all.extend(requests(&whole)?);
        }
    }
    all.retain(|request| {
        request.account == ACCOUNT && !ORIGINAL.iter().any(|agent| request.agent.starts_with(agent))
    });
    Ok(all)
}
