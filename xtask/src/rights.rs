//! The rights that are shipped beside those that a full run of the tests used.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use sealed_secrets_tests::rights::{Request, grants_to_accounts, requests, unused};
use sealed_secrets_tests::{Access, Error, Result, shipped_manifests};

/// The account that is shipped.
const ACCOUNT: &str = "sealed-secrets-controller";

/// How the original's controller, which tests run with the same account, calls itself.
const ORIGINAL: &str = "controller/";

/// Fails for a rule that nobody used, and for a request that no rule allowed.
///
/// # Errors
/// [`Error::Invalid`] with all of them.
pub(crate) fn judge(access: &Access) -> Result<()> {
    let log = access.audit_log();
    let text = fs::read_to_string(&log)
        .map_err(|source| Error::Io { action: format!("read {}", log.display()), source })?;
    let ours = |request: &Request| request.account == ACCOUNT && !request.agent.starts_with(ORIGINAL);
    let requests: BTreeSet<_> = requests(&text)?.into_iter().filter(ours).collect();
    let mut complaints = String::new();
    for grant in unused(&grants_to_accounts(&shipped_manifests()?), &requests) {
        // Writing to a text cannot fail.
        let _ = writeln!(complaints, "{}: nobody needs {}", grant.role, grant.right);
    }
    let missing: BTreeSet<_> = requests.iter().filter(|request| !request.allowed).collect();
    for request in missing {
        let _ = writeln!(complaints, "no role grants {} in {:?}", request.right, request.namespace);
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(format!("the shipped rights:\n{complaints}")))
    }
}
