//! Scope of a SealedSecret: strict, namespace-wide or cluster-wide, by its annotations.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};

/// Scope of a sealed item: the names and namespaces under which it decrypts. Part of the label that is bound into the ciphertext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Decrypts only under the same name and namespace.
    #[default]
    Strict,
    /// Decrypts under any name in the same namespace.
    NamespaceWide,
    /// Decrypts under any name in any namespace.
    ClusterWide,
}

impl Scope {
    /// All scopes, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::NamespaceWide, Self::ClusterWide];

    /// Reads the scope from an object's annotations. Only the literal `"true"` counts, and cluster-wide wins
    /// (docs/compatibility.md, section 4.2).
    #[must_use]
    pub fn from_annotations(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let is_annotated =
            |name: &str| annotations.and_then(|all| all.get(name)).is_some_and(|value| value == "true");
        if is_annotated(CLUSTER_WIDE_ANNOTATION) {
            Self::ClusterWide
        } else if is_annotated(NAMESPACE_WIDE_ANNOTATION) {
            Self::NamespaceWide
        } else {
            Self::Strict
        }
    }

    /// Returns the annotation that selects this scope, `None` for [`Scope::Strict`].
    #[must_use]
    pub fn annotation(self) -> Option<&'static str> {
        match self {
            Self::Strict => None,
            Self::NamespaceWide => Some(NAMESPACE_WIDE_ANNOTATION),
            Self::ClusterWide => Some(CLUSTER_WIDE_ANNOTATION),
        }
    }

    /// Replaces all scope annotations by the annotation of this scope.
    pub fn write_to(self, annotations: &mut BTreeMap<String, String>) {
        annotations.remove(CLUSTER_WIDE_ANNOTATION);
        annotations.remove(NAMESPACE_WIDE_ANNOTATION);
        if let Some(name) = self.annotation() {
            annotations.insert(name.to_owned(), "true".to_owned());
        }
    }

    /// Returns the name of this scope in flags and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::NamespaceWide => "namespace-wide",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The word is not the name of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScopeError(String);

impl fmt::Display for ParseScopeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "must be one of: strict, namespace-wide, cluster-wide; not {:?}", self.0)
    }
}

impl std::error::Error for ParseScopeError {}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        // Upstream's flag has the empty word as its default.
        match word {
            "" | "strict" => Ok(Self::Strict),
            "namespace-wide" => Ok(Self::NamespaceWide),
            "cluster-wide" => Ok(Self::ClusterWide),
            other => Err(ParseScopeError(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_annotation_means_strict() {
        assert_eq!(Scope::from_annotations(None), Scope::Strict);
    }

    #[test]
    fn only_the_literal_true_counts() {
        for value in ["True", "1", "yes", "", " true"] {
            let stored = annotations(&[(CLUSTER_WIDE_ANNOTATION, value), (NAMESPACE_WIDE_ANNOTATION, value)]);
            assert_eq!(Scope::from_annotations(Some(&stored)), Scope::Strict, "{value:?}");
        }
    }

    #[test]
    fn cluster_wide_wins_over_namespace_wide() {
        let stored = annotations(&[(NAMESPACE_WIDE_ANNOTATION, "true"), (CLUSTER_WIDE_ANNOTATION, "true")]);
        assert_eq!(Scope::from_annotations(Some(&stored)), Scope::ClusterWide);
    }

    #[test]
    fn a_scope_reads_back_as_it_was_written_over_any_other() {
        for before in Scope::ALL {
            for after in Scope::ALL {
                let mut stored = annotations(&[("other", "kept")]);
                before.write_to(&mut stored);
                after.write_to(&mut stored);
                assert_eq!(Scope::from_annotations(Some(&stored)), after);
                assert_eq!(stored.get("other").map(String::as_str), Some("kept"));
            }
        }
    }

    #[test]
    fn every_scope_is_parsed_from_its_own_word() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("cluster".parse::<Scope>().is_err());
    }
}
