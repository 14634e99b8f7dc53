//! RSA-OAEP labels, which bind a sealed item to its scope.

use std::fmt;

use sealed_secrets_crds::{Scope, SealedSecret};

/// RSA-OAEP label of an item, which decrypts only under the label that it was sealed with.
///
/// The bytes follow docs/compatibility.md, section 4.2: `namespace/name` for strict, `namespace` for namespace-wide, empty for
/// cluster-wide. The key of the item within the Secret is not part of the label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label(String);

impl Label {
    /// Returns the label of an object with this namespace and name in `scope`.
    #[must_use]
    pub fn new(scope: Scope, namespace: &str, name: &str) -> Self {
        match scope {
            Scope::Strict => Self(format!("{namespace}/{name}")),
            Scope::NamespaceWide => Self(namespace.to_owned()),
            Scope::ClusterWide => Self(String::new()),
        }
    }

    /// Returns the label for decrypting the items of this object. It uses scope, namespace and name of the object itself, never
    /// those of its template.
    #[must_use]
    pub fn of(sealed: &SealedSecret) -> Self {
        let metadata = &sealed.metadata;
        let scope = Scope::from_annotations(metadata.annotations.as_ref());
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self::new(scope, &text(&metadata.namespace), &text(&metadata.name))
    }

    /// Returns the label bytes for the OAEP padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_binds_exactly_its_namespace_and_name() {
        assert_eq!(Label::new(Scope::Strict, "shop", "db").as_bytes(), b"shop/db");
        assert_eq!(Label::new(Scope::NamespaceWide, "shop", "db").as_bytes(), b"shop");
        assert_eq!(Label::new(Scope::ClusterWide, "shop", "db").as_bytes(), b"");
    }
}
