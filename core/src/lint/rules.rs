//! The rules of the linter.

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that could not be checked, or is of interest.
    Note,
    /// Something that may be a mistake.
    Warning,
    /// A leak, or an object that does not work.
    Error,
}

impl Severity {
    /// Returns the word for reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule of the linter.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `KS` and three digits.
    pub id: &'static str,
    /// The weight of its findings.
    pub severity: Severity,
    /// The problem, as a noun phrase.
    pub summary: &'static str,
    /// The remedy; empty for notes that need none.
    pub help: &'static str,
}

const fn rule(id: &'static str, severity: Severity, summary: &'static str, help: &'static str) -> Rule {
    Rule { id, severity, summary, help }
}

use Severity::{Error, Note, Warning};

/// A Secret with values.
pub const PLAIN_SECRET: &Rule = &rule(
    "KS001",
    Error,
    "a Secret that is not sealed",
    "seal it (kubeseal seal -i FILE), delete the file, and change the values if it was ever pushed",
);
/// `literals` of a secretGenerator.
pub const LITERALS: &Rule = &rule(
    "KS002",
    Error,
    "literal values in a secretGenerator",
    "seal them with `kubeseal create generic`, or generate from files that Git ignores",
);
/// A key Secret.
pub const PRIVATE_KEY: &Rule = &rule(
    "KS003",
    Error,
    "a private sealing key, which decrypts everything that is sealed with it",
    "take it out; if it was ever pushed, revoke the key (kubeseal keys revoke NAME) and change all values",
);
/// A manifest that cannot be parsed.
pub const UNREADABLE: &Rule = &rule(
    "KS004",
    Error,
    "an unreadable manifest of a Secret or SealedSecret",
    "correct the line; a merge conflict is resolved by keeping one of its sides",
);
/// A duplicate key or object.
pub const DUPLICATE: &Rule = &rule(
    "KS005",
    Error,
    "a duplicate key or object",
    "remove one of the two: readers disagree on which one counts",
);
/// An item that is not ciphertext.
pub const NOT_CIPHERTEXT: &Rule = &rule(
    "KS010",
    Error,
    "an item that is not ciphertext",
    "seal the value: kubeseal set FILE KEY. If it was plaintext and ever pushed, change it",
);
/// An item for another key.
pub const OTHER_KEY: &Rule = &rule(
    "KS011",
    Warning,
    "an item that is not sealed with the certificate of its cluster",
    "re-encrypt it (kubeseal --re-encrypt -f FILE), or set it again",
);
/// An item for another place.
pub const OTHER_PLACE: &Rule = &rule(
    "KS012",
    Error,
    "an item that is sealed for another scope, namespace or name",
    "the ciphertext decrypts only where it is sealed for: put that name, namespace and scope back, or seal again: kubeseal set FILE KEY",
);
/// A receipt of another ciphertext.
pub const STALE_RECEIPT: &Rule = &rule(
    "KS013",
    Note,
    "a receipt of another ciphertext",
    "the receipt is ignored; setting the item again renews it",
);
/// A missing namespace.
pub const NO_NAMESPACE: &Rule = &rule(
    "KS020",
    Warning,
    "a namespace that the scope needs is declared nowhere",
    "add metadata.namespace, or a namespace to the rule in .kubeseal.yaml",
);
/// Annotations of several scopes.
pub const CONTRADICTORY_SCOPE: &Rule = &rule(
    "KS021",
    Error,
    "contradictory scope annotations",
    "keep one annotation with the value \"true\" in metadata.annotations of the SealedSecret",
);
/// A name of the template.
pub const TEMPLATE_NAME: &Rule = &rule(
    "KS022",
    Warning,
    "a name or namespace in spec.template.metadata without effect",
    "remove it: the Secret has the name and namespace of its SealedSecret",
);
/// The deprecated form.
pub const DEPRECATED_DATA: &Rule =
    &rule("KS023", Warning, "the deprecated spec.data", "recreate the SealedSecret with spec.encryptedData");
/// A name that the API server rejects.
pub const REJECTED: &Rule = &rule(
    "KS024",
    Error,
    "a name, key or apiVersion that the API server rejects",
    "correct it as the message says",
);
/// A key in two places.
pub const SHADOWED: &Rule = &rule(
    "KS025",
    Warning,
    "a key of spec.template.data that an item has, too",
    "remove one of them: the item wins",
);
/// A value in the template.
pub const TEMPLATE_SECRET: &Rule = &rule(
    "KS030",
    Warning,
    "spec.template seems to hold a secret",
    "seal the value (kubeseal set FILE KEY) and refer to it with {{ .KEY }}; or ignore the rule for this file",
);
/// An annotation with plaintext.
pub const LAST_APPLIED: &Rule = &rule(
    "KS031",
    Error,
    "a last-applied annotation, which holds plaintext",
    "remove the annotation, and change the values if the file was ever pushed",
);
/// Fields that a SealedSecret does not have.
pub const MISPLACED_DATA: &Rule = &rule(
    "KS032",
    Error,
    "data or stringData where a SealedSecret has none",
    "seal the values (kubeseal set FILE KEY) and remove the field; change them if the file was ever pushed",
);
/// A kustomization that moves objects.
pub const MOVED: &Rule = &rule(
    "KS040",
    Error,
    "a kustomization that moves a bound SealedSecret",
    "seal the items for the new place, or with --scope, or leave the SealedSecret out of the transformation",
);
/// An unusable certificate.
pub const BAD_CERTIFICATE: &Rule = &rule(
    "KS050",
    Error,
    "a certificate of the project file that cannot be used",
    "fetch it again: kubeseal cert fetch -w FILE",
);
/// An old certificate.
pub const OLD_CERTIFICATE: &Rule = &rule(
    "KS051",
    Warning,
    "a certificate that is older than maxAge",
    "fetch the current one: kubeseal cert fetch -w FILE",
);
/// A file that was not checked.
pub const SKIPPED: &Rule = &rule("KS060", Note, "a file that was not checked", "");

/// All rules, by their numbers.
pub const RULES: [&Rule; 22] = [
    PLAIN_SECRET,
    LITERALS,
    PRIVATE_KEY,
    UNREADABLE,
    DUPLICATE,
    NOT_CIPHERTEXT,
    OTHER_KEY,
    OTHER_PLACE,
    STALE_RECEIPT,
    NO_NAMESPACE,
    CONTRADICTORY_SCOPE,
    TEMPLATE_NAME,
    DEPRECATED_DATA,
    REJECTED,
    SHADOWED,
    TEMPLATE_SECRET,
    LAST_APPLIED,
    MISPLACED_DATA,
    MOVED,
    BAD_CERTIFICATE,
    OLD_CERTIFICATE,
    SKIPPED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_order_and_each_error_has_a_remedy() {
        assert!(RULES.is_sorted_by(|a, b| a.id < b.id));
        assert!(RULES.iter().all(|rule| rule.severity == Note || !rule.help.is_empty()));
    }
}
