//! The rights that are shipped beside those that a full run of the tests used.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use sealed_secrets_tests::rights::{Request, grants_to_accounts, missing, requests, unused};
use sealed_secrets_tests::{Access, Error, Result, shipped_manifests};

/// The account that is shipped.
const ACCOUNT: &str = "sealed-secrets-controller";

/// How the original's programs, which tests run with the same account, call themselves.
const ORIGINAL: [&str; 2] = ["controller/", "kubeseal/"];

/// Fails for a rule that no test used, and for what was asked for and no rule allows.
///
/// # Errors
/// [`Error::Invalid`] with all of them.
pub(crate) fn judge(access: &Access) -> Result<()> {
    let requests = requests_of_the_run(access)?;
    let grants = grants_to_accounts(&shipped_manifests()?);
    let mut complaints = String::new();
    for grant in unused(&grants, &requests) {
        // Writing to a text cannot fail.
        let _ = writeln!(complaints, "{}: nobody needs {}", grant.role, grant.right);
    }
    for right in missing(&grants, &requests) {
        let _ = writeln!(complaints, "no role grants {right}");
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!("the shipped rights:\n{complaints}")))
}

/// What our controllers asked of the shared control plane and of those that tests had for themselves.
fn requests_of_the_run(access: &Access) -> Result<BTreeSet<Request>> {
    let run = access.folder().parent().unwrap_or(access.folder());
    let io = |action: String| move |source| Error::Io { action, source };
    let planes = fs::read_dir(run).map_err(io(format!("read {}", run.display())))?;
    let mut all = BTreeSet::new();
    for plane in planes.flatten() {
        let log = plane.path().join(Access::AUDIT_LOG);
        if log.is_file() {
            let written = fs::read(&log).map_err(io(format!("read {}", log.display())))?;
            // The API server still writes: the last line may be a part of one.
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
