//! SealedSecrets.

use std::sync::LazyLock;

use regex::Regex;
use sealed_secrets_crds::Scope;
use sealed_secrets_crds::names::{
    CLUSTER_WIDE_ANNOTATION, KUBECFG_LAST_APPLIED_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION,
    NAMESPACE_WIDE_ANNOTATION, SEALED_SECRET_API_VERSION,
};

use super::rules::{
    CONTRADICTORY_SCOPE, DEPRECATED_DATA, LAST_APPLIED, MISPLACED_DATA, NO_NAMESPACE, NOT_CIPHERTEXT,
    OTHER_KEY, OTHER_PLACE, REJECTED, Rule, SHADOWED, STALE_RECEIPT, TEMPLATE_NAME, TEMPLATE_SECRET,
};
use super::{Expectations, Finding, ciphertext};
use crate::manifest::receipts::Found;
use crate::manifest::{Field, FileObject, Item, Node, SealedObject};
use crate::names::{INVALID_KEY, is_qualified_name, refused_key, refused_name, refused_namespace, shown_key};
use crate::receipt::{place, short_fingerprint};

/// Names of fields that hold secrets.
static SECRET_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("(?i)(passw|passphrase|secret|token|api[-_.]?key|credential|private[-_.]?key)").ok()
});
/// A password in a URL that no template fills in.
static URL_PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[a-z][a-z0-9+.-]*://[^\s:/@{}]*:[^\s/@{}]+@").ok());
const SCOPES: [&str; 2] = [CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION];

/// Findings of a SealedSecret.
pub(super) fn check(
    object: &FileObject<'_>,
    sealed: &SealedObject<'_>,
    expectations: &Expectations,
) -> Vec<Finding> {
    let items = sealed.items();
    let place = place_of(sealed, expectations);
    let mut checker = Checker { object, sealed, items: &items, expectations, place, findings: Vec::new() };
    checker.check_names();
    checker.check_scope();
    checker.check_namespace();
    checker.check_fields();
    checker.check_template();
    for item in &items {
        checker.check_item(item);
    }
    checker.findings
}

/// The key of an item; `None` for an invalid one, which may be a value at the wrong place.
fn valid_key(key: &str) -> Option<&str> {
    Some(key).filter(|key| refused_key(key).is_none())
}

/// Scope and place in which the items decrypt, as far as the file and the expectations say them.
fn place_of(sealed: &SealedObject<'_>, expectations: &Expectations) -> Option<(Scope, String)> {
    let (Field::Literal(scope), Field::Literal(name)) = (sealed.scope(), sealed.name()) else { return None };
    let namespace = match sealed.namespace() {
        Field::Literal(namespace) => namespace,
        Field::Absent => expectations.namespace.clone()?,
        Field::Templated => return None,
    };
    Some((scope, place(scope, &namespace, &name)))
}

struct Checker<'c> {
    object: &'c FileObject<'c>,
    sealed: &'c SealedObject<'c>,
    items: &'c [Item],
    expectations: &'c Expectations,
    place: Option<(Scope, String)>,
    findings: Vec<Finding>,
}

impl<'c> Checker<'c> {
    fn add(&mut self, rule: &'static Rule, line: usize, item: Option<&str>, message: impl Into<String>) {
        let (object, item) = (self.object.shown_name(), item.map(str::to_owned));
        self.findings.push(Finding { rule, line, object, item, message: message.into() });
    }

    fn node(&self, path: &[&str]) -> Option<&'c Node> {
        path.iter().try_fold(self.object.node(), |node, key| node.get(key))
    }

    /// The line of the key at this path, or of the object.
    fn line(&self, path: &[&str]) -> usize {
        let key = path.split_last().and_then(|(last, parents)| {
            let entries = self.node(parents)?.entries();
            entries.iter().find(|(name, _)| name.text() == Some(last)).map(|(name, _)| name)
        });
        key.map_or_else(|| self.object.line(), |key| self.object.line_of(key))
    }

    fn line_of(&self, node: &Node) -> usize {
        self.object.line_of(node)
    }

    fn check_names(&mut self) {
        let api_version = self.node(&["apiVersion"]);
        match api_version {
            Some(node)
                if !self.object.is_templated(node) && node.text() != Some(SEALED_SECRET_API_VERSION) =>
            {
                self.add(
                    REJECTED,
                    self.line(&["apiVersion"]),
                    None,
                    format!("apiVersion must be {SEALED_SECRET_API_VERSION}"),
                );
            }
            None => self.add(
                REJECTED,
                self.sealed.line(),
                None,
                format!("apiVersion {SEALED_SECRET_API_VERSION} is missing"),
            ),
            _ => {}
        }
        for (key, refused) in
            [("name", refused_name as fn(&str) -> Option<String>), ("namespace", refused_namespace)]
        {
            let Some(node) = self.node(&["metadata", key]).filter(|node| !self.object.is_templated(node))
            else {
                continue;
            };
            if let Some(refusal) = node.text().and_then(refused) {
                self.add(REJECTED, self.line(&["metadata", key]), None, refusal);
            }
        }
    }

    fn check_scope(&mut self) {
        let own = |name: &str| self.node(&["metadata", "annotations", name]);
        let of_template = |name: &str| self.node(&["spec", "template", "metadata", "annotations", name]);
        let [cluster, namespace] = SCOPES.map(own);
        let is_true = |node: Option<&Node>| node.is_some_and(|node| node.text() == Some("true"));
        let mut found = Vec::new();
        let line = |metadata: &[&str], name| self.line(&[metadata, &["annotations", name]].concat());
        if is_true(cluster) && is_true(namespace) {
            found.push((
                line(&["metadata"], CLUSTER_WIDE_ANNOTATION),
                "both scope annotations are \"true\"; cluster-wide wins".to_owned(),
            ));
        }
        for (name, node) in SCOPES.into_iter().zip([cluster, namespace]) {
            let is_odd = |node: &&Node| {
                !self.object.is_templated(node) && !matches!(node.text(), Some("true" | "false"))
            };
            if node.is_some_and(|node| is_odd(&node)) {
                found.push((line(&["metadata"], name), format!("{name} is neither \"true\" nor \"false\"")));
            }
            if is_true(of_template(name)) && node.is_none() {
                found.push((
                    line(&["spec", "template", "metadata"], name),
                    format!("{name} is in the template only, where it has no effect"),
                ));
            }
        }
        for (line, message) in found {
            self.add(CONTRADICTORY_SCOPE, line, None, message);
        }
    }

    fn check_namespace(&mut self) {
        let needs_one = matches!(self.sealed.scope(), Field::Literal(Scope::Strict | Scope::NamespaceWide));
        let is_named = self.items.iter().any(|item| matches!(item.receipt, Found::Valid(_)));
        if needs_one
            && self.sealed.namespace() == Field::Absent
            && self.expectations.namespace.is_none()
            && !is_named
        {
            self.add(
                NO_NAMESPACE,
                self.sealed.line(),
                None,
                "a namespace that the scope needs is declared nowhere",
            );
        }
    }

    fn check_fields(&mut self) {
        if let Some(line) = self.sealed.v1_data_line() {
            self.add(DEPRECATED_DATA, line, None, "spec.data is deprecated");
        }
        let misplaced =
            [&["data"][..], &["stringData"], &["spec", "stringData"], &["spec", "template", "stringData"]];
        for path in misplaced {
            if self.node(path).is_some_and(|node| !node.entries().is_empty()) {
                self.add(
                    MISPLACED_DATA,
                    self.line(path),
                    None,
                    format!("{} is not a field of a SealedSecret", path.join(".")),
                );
            }
        }
        for metadata in [&["metadata"][..], &["spec", "template", "metadata"]] {
            for name in [KUBECTL_LAST_APPLIED_ANNOTATION, KUBECFG_LAST_APPLIED_ANNOTATION] {
                let path = [metadata, &["annotations", name]].concat();
                if self.node(&path).is_some() {
                    self.add(
                        LAST_APPLIED,
                        self.line(&path),
                        None,
                        format!("the annotation {name} holds plaintext"),
                    );
                }
            }
        }
    }

    fn check_template(&mut self) {
        for (key, own) in [("name", self.sealed.name()), ("namespace", self.sealed.namespace())] {
            let Some(node) = self.node(&["spec", "template", "metadata", key]) else { continue };
            let (Field::Literal(own), false) = (own, self.object.is_templated(node)) else { continue };
            if node.text().is_some_and(|text| !text.is_empty() && text != own) {
                self.add(
                    TEMPLATE_NAME,
                    self.line_of(node),
                    None,
                    format!("spec.template.metadata.{key} has no effect"),
                );
            }
        }
        let entries = |path: &[&str]| self.node(path).map(Node::entries).unwrap_or_default();
        let data = entries(&["spec", "template", "data"]);
        let annotations = entries(&["spec", "template", "metadata", "annotations"]);
        for (key, _) in data {
            let name = key.text().unwrap_or_default();
            if self.items.iter().any(|item| item.key == name) {
                let message = format!("spec.template.data has {}, and an item has, too", shown_key(name));
                self.add(SHADOWED, self.line_of(key), valid_key(name), message);
            }
        }
        for (key, value) in data.iter().chain(annotations) {
            let name = key.text().unwrap_or_default();
            if self.seems_secret(name, value) && !name.ends_with("last-applied-configuration") {
                let described = Some(name).filter(|name| is_qualified_name(name)).or(valid_key(name));
                let message =
                    format!("{} in spec.template seems to be a secret", described.unwrap_or(INVALID_KEY));
                self.add(TEMPLATE_SECRET, self.line_of(key), described, message);
            }
        }
    }

    fn seems_secret(&self, name: &str, value: &Node) -> bool {
        let Some(text) = value.text().filter(|_| !self.object.is_templated(value)) else { return false };
        let matches = |pattern: &LazyLock<Option<Regex>>, text: &str| {
            pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
        };
        // The prefix of an annotation names a program, such as sealedsecrets.bitnami.com.
        let name = name.rsplit('/').next().unwrap_or_default();
        let is_literal =
            !text.is_empty() && !text.contains("{{") && !matches!(text, "null" | "~" | "true" | "false");
        (is_literal && matches(&SECRET_NAME, name))
            || (text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----"))
            || matches(&URL_PASSWORD, text)
    }

    fn check_item(&mut self, item: &Item) {
        if item.is_templated {
            return;
        }
        if let Some(refusal) = refused_key(&item.key) {
            self.add(REJECTED, item.line, None, refusal.split(": ").last().unwrap_or_default());
        }
        let item_key = valid_key(&item.key);
        let Some(text) = &item.ciphertext else {
            self.add(NOT_CIPHERTEXT, item.line, item_key, "the item is not ciphertext: it is not a string");
            return;
        };
        if let Some(reason) = ciphertext::refused(text) {
            self.add(NOT_CIPHERTEXT, item.line, item_key, format!("the item is not ciphertext: {reason}"));
            return;
        }
        self.check_receipt(item, item_key);
        self.check_key(item, text, item_key);
    }

    fn check_receipt(&mut self, item: &Item, item_key: Option<&str>) {
        let receipt = match &item.receipt {
            Found::None => return,
            Found::Stale => {
                return self.add(STALE_RECEIPT, item.line, item_key, "the receipt is of another ciphertext");
            }
            Found::Valid(receipt) => receipt,
        };
        let Some((scope, own)) = &self.place else { return };
        if receipt.scope() != *scope || receipt.place() != own {
            let message = format!(
                "the item is sealed for {} ({}), and the object is {own} ({scope})",
                receipt.place(),
                receipt.scope()
            );
            self.add(OTHER_PLACE, item.line, item_key, message);
        }
    }

    fn check_key(&mut self, item: &Item, text: &str, item_key: Option<&str>) {
        let Some(expected) = &self.expectations.key else { return };
        let wanted = short_fingerprint(expected.fingerprint.as_str());
        match &item.receipt {
            Found::Valid(receipt) if receipt.fingerprint() != wanted => {
                let message = format!(
                    "the item is sealed with the key {}, and the certificate has {wanted}",
                    receipt.fingerprint()
                );
                self.add(OTHER_KEY, item.line, item_key, message);
            }
            Found::Valid(_) => {}
            _ => {
                if expected.key.as_ref().is_some_and(|key| ciphertext::is_of_other_key(text, key)) {
                    self.add(
                        OTHER_KEY,
                        item.line,
                        item_key,
                        "the item cannot be sealed with the key of the certificate",
                    );
                }
            }
        }
    }
}
