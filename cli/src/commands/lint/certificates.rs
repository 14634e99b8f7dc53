//! Certificates of the project file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::lint::{BAD_CERTIFICATE, ExpectedKey, Finding, OLD_CERTIFICATE, is_suppressed};

use crate::certificate;
use crate::io;
use crate::project::{Cluster, Project};
use crate::workflow::Destination;

/// Keys of clusters, each certificate read once.
#[derive(Default)]
pub(super) struct ClusterKeys {
    loaded: BTreeMap<String, Option<SealingCertificate>>,
    checked: BTreeSet<String>,
}

impl ClusterKeys {
    /// The key that the items of a file should be sealed with.
    pub(super) fn of(&mut self, destination: &Destination) -> Option<ExpectedKey> {
        let (_, cluster) = destination.cluster()?;
        let certificate = destination.certificate().and_then(|path| self.read(&path));
        let fingerprint = certificate.as_ref().map(|certificate| certificate.fingerprint().clone());
        let pinned = cluster.fingerprint.clone();
        let fingerprint = pinned.or(fingerprint)?;
        let key = certificate.filter(|certificate| *certificate.fingerprint() == fingerprint);
        Some(ExpectedKey { fingerprint, key: key.map(|certificate| certificate.public_key().clone()) })
    }

    /// Reads a certificate of a file; `None` for an address, and if it cannot be read.
    fn read(&mut self, path: &str) -> Option<SealingCertificate> {
        if path.contains("://") {
            return None;
        }
        let read = || certificate::parse(&io::read_found(path).ok()?, path).ok();
        self.loaded.entry(path.to_owned()).or_insert_with(read).clone()
    }

    /// Findings about the certificates of the file's project, when it is asked about first.
    pub(super) fn check(&mut self, destination: &Destination) -> Vec<(String, Finding)> {
        let Some(project) = destination.project().filter(|project| !self.checked.contains(&project.name))
        else {
            return Vec::new();
        };
        self.checked.insert(project.name.clone());
        let findings = project.clusters().filter_map(|(name, cluster)| problem(project, name, cluster));
        let findings = findings.filter(|finding| !is_suppressed(project.text(), finding));
        findings.map(|finding| (project.name.clone(), finding)).collect()
    }
}

fn problem(project: &Project, name: &str, cluster: &Cluster) -> Option<Finding> {
    let path = project.certificate(cluster).filter(|path| !path.contains("://"))?;
    let at =
        |rule, message: String| Some(Finding { rule, line: cluster.line, object: None, item: None, message });
    let bad = |reason: String| at(BAD_CERTIFICATE, format!("the certificate of {name}: {reason}"));
    let certificate = match io::read_found(&path).and_then(|bytes| certificate::parse(&bytes, &path)) {
        Ok(certificate) => certificate,
        Err(error) => return bad(error.to_string()),
    };
    let now = Timestamp::now();
    if cluster.fingerprint.as_ref().is_some_and(|pinned| pinned != certificate.fingerprint()) {
        return bad(format!(
            "{path} has the fingerprint {}, which is not the pinned one",
            certificate.fingerprint()
        ));
    }
    if certificate.not_after() < now {
        return bad(format!("{path} has expired"));
    }
    let age =
        cluster.max_age.map(|age| SignedDuration::from_secs(age.as_seconds())).filter(|age| !age.is_zero());
    let is_old = age.is_some_and(|age| now.duration_since(certificate.not_before()) > age);
    if is_old {
        let days = now.duration_since(certificate.not_before()).as_hours() / 24;
        return at(OLD_CERTIFICATE, format!("the certificate of {name}: {path} is {days} days old"));
    }
    None
}
