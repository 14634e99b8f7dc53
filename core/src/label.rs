//! What binds a sealed item to its place.

use std::fmt;

use sealed_secrets_crds::{Scope, SealedSecret};

/// The RSA-OAEP label of an item: it opens only under the label that it was sealed with.
///
/// Bytes as in compatibility 4.1: strict `namespace/name`, namespace-wide `namespace`, cluster-wide empty. The key of the
/// item within the Secret is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label(String);

impl Label {
    /// The label for an object of this namespace and name under `scope`.
    #[must_use]
    pub fn new(scope: Scope, namespace: &str, name: &str) -> Self {
        match scope {
            Scope::Strict => Self(format!("{namespace}/{name}")),
            Scope::NamespaceWide => Self(namespace.to_owned()),
            Scope::ClusterWide => Self(String::new()),
        }
    }

    /// The label that the controller opens this object's items with: scope, namespace and name of the object itself, never
    /// of its template.
    #[must_use]
    pub fn of(sealed: &SealedSecret) -> Self {
        let metadata = &sealed.metadata;
        let scope = Scope::from_annotations(metadata.annotations.as_ref());
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self::new(scope, &text(&metadata.namespace), &text(&metadata.name))
    }

    /// The bytes that go into the OAEP padding.
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
    fn each_scope_binds_exactly_what_it_names() {
        assert_eq!(Label::new(Scope::Strict, "shop", "db").as_bytes(), b"shop/db");
        assert_eq!(Label::new(Scope::NamespaceWide, "shop", "db").as_bytes(), b"shop");
        assert_eq!(Label::new(Scope::ClusterWide, "shop", "db").as_bytes(), b"");
    }
}
