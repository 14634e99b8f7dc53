//! Content of the project file.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::manifest::documents;
use sealed_secrets_core::names::{
    LABEL_VALUE_RULE, QUALIFIED_NAME_RULE, is_label_value, is_qualified_name, refused_namespace,
};
use sealed_secrets_crds::{PolicyDuration, Scope};

use super::reader::{Field, Mistake};

/// The whole file.
#[derive(Default)]
pub(super) struct Content {
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) rules: Vec<Rule>,
    pub(super) receipts: bool,
    pub(super) ignores: Vec<Ignore>,
}

/// Rules of the linter that do not apply to some files.
#[derive(Debug)]
pub(super) struct Ignore {
    /// `None` for all files.
    path: Option<GlobMatcher>,
    /// None for all rules.
    rules: Vec<String>,
}

impl Ignore {
    pub(super) fn covers(&self, file: &Path, rule: &str) -> bool {
        self.path.as_ref().is_none_or(|path| path.is_match(file))
            && (self.rules.is_empty() || self.rules.iter().any(|ignored| ignored == rule))
    }
}

/// A cluster and its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Its line in the project file.
    pub(crate) line: usize,
    /// File or address.
    pub(crate) certificate: Option<String>,
    /// The only key that is accepted.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Age of the certificate from which on it is reported.
    pub(crate) max_age: Option<PolicyDuration>,
    pub(crate) context: Option<String>,
    pub(crate) controller_namespace: Option<String>,
    pub(crate) controller_name: Option<String>,
}

/// Settings of files.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `None` for all files.
    path: Option<GlobMatcher>,
    pub(crate) cluster: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) scope: Option<Scope>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Rule {
    /// True if the rule is for this file, whose path is relative to the project file.
    pub(super) fn matches(&self, file: &Path) -> bool {
        self.path.as_ref().is_none_or(|path| path.is_match(file))
    }
}

impl Content {
    /// Parses a project file.
    ///
    /// # Errors
    /// At the first mistake.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Mistake> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let good = bytes.iter().take(error.valid_up_to());
            (good.filter(|byte| **byte == b'\n').count() + 1, "not UTF-8 text; save it as UTF-8".to_owned())
        })?;
        let documents = documents(text).map_err(|error| (error.line, error.cause.to_string()))?;
        let root = match documents.as_slice() {
            [] => return Ok(Self { receipts: true, ..Self::default() }),
            [document] => Field::root(document),
            [_, second, ..] => return Err(Field::root(second).mistake("must be one document")),
        };
        let mut content = Self { receipts: true, ..Self::default() };
        for (key, field) in root.fields(&["clusters", "rules", "lint", "receipts"])? {
            match key.as_str() {
                "clusters" => content.clusters = clusters(field)?,
                "rules" => {
                    content.rules = field.elements()?.into_iter().map(rule).collect::<Result<_, _>>()?;
                }
                "receipts" => content.receipts = field.boolean()?,
                _ => content.ignores = lint(field)?,
            }
        }
        content.expect_known_clusters(root)?;
        Ok(content)
    }

    fn expect_known_clusters(&self, root: Field<'_>) -> Result<(), Mistake> {
        for (_, rules) in root.entries()?.into_iter().filter(|(key, _)| key == "rules") {
            for (rule, field) in self.rules.iter().zip(rules.elements()?) {
                if let Some(name) = rule.cluster.as_ref().filter(|name| !self.clusters.contains_key(*name)) {
                    return Err(field.mistake(format!("the cluster {name:?} is not among clusters")));
                }
            }
        }
        Ok(())
    }
}

fn clusters(field: Field<'_>) -> Result<BTreeMap<String, Cluster>, Mistake> {
    field.entries()?.into_iter().map(|(name, field)| Ok((name, cluster(field)?))).collect()
}

fn cluster(cluster: Field<'_>) -> Result<Cluster, Mistake> {
    let known = ["certificate", "fingerprint", "maxAge", "context", "controllerNamespace", "controllerName"];
    let mut read = Cluster { line: cluster.line(), ..Cluster::default() };
    for (key, field) in cluster.fields(&known)? {
        match key.as_str() {
            "certificate" => read.certificate = Some(field.text()?),
            "fingerprint" => read.fingerprint = Some(field.parsed(str::parse)?),
            "maxAge" => read.max_age = Some(field.parsed(str::parse)?),
            "context" => read.context = Some(field.text()?),
            "controllerNamespace" => read.controller_namespace = Some(field.text()?),
            _ => read.controller_name = Some(field.text()?),
        }
    }
    let is_open =
        read.certificate.as_deref().is_some_and(|text| text.to_ascii_lowercase().starts_with("http:"));
    if is_open && read.fingerprint.is_none() {
        return Err(cluster.mistake(
            "a certificate from an http address needs its fingerprint, as `kubeseal cert show` prints it: anybody on the network could replace it",
        ));
    }
    Ok(read)
}

fn rule(rule: Field<'_>) -> Result<Rule, Mistake> {
    let mut read = Rule {
        path: None,
        cluster: None,
        namespace: None,
        scope: None,
        annotations: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    for (key, field) in rule.fields(&["path", "cluster", "namespace", "scope", "annotations", "labels"])? {
        match key.as_str() {
            "path" => read.path = Some(field.parsed(glob)?),
            "cluster" => read.cluster = Some(field.text()?),
            "namespace" => read.namespace = Some(field.parsed(namespace)?),
            "scope" => read.scope = Some(field.parsed(str::parse)?),
            "annotations" => read.annotations = texts(field, |_| None)?,
            _ => read.labels = texts(field, |value| (!is_label_value(value)).then_some(LABEL_VALUE_RULE))?,
        }
    }
    Ok(read)
}

fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).build().map(|glob| glob.compile_matcher())
}

fn namespace(text: &str) -> Result<String, String> {
    refused_namespace(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn texts(
    field: Field<'_>,
    refused_value: impl Fn(&str) -> Option<&'static str>,
) -> Result<BTreeMap<String, String>, Mistake> {
    let text = |(key, field): (String, Field<'_>)| {
        if !is_qualified_name(&key) {
            return Err(field.mistake(format!("{key:?}: {QUALIFIED_NAME_RULE}")));
        }
        let value = field.text()?;
        refused_value(&value).map_or(Ok((key, value)), |rule| Err(field.mistake(rule)))
    };
    field.entries()?.into_iter().map(text).collect()
}

fn lint(field: Field<'_>) -> Result<Vec<Ignore>, Mistake> {
    let fields = field.fields(&["ignore"])?;
    let elements = fields.into_iter().map(|(_, ignore)| ignore.elements()).collect::<Result<Vec<_>, _>>()?;
    elements.into_iter().flatten().map(ignore).collect()
}

fn ignore(field: Field<'_>) -> Result<Ignore, Mistake> {
    let mut read = Ignore { path: None, rules: Vec::new() };
    for (key, field) in field.fields(&["path", "rules"])? {
        if key == "path" {
            read.path = Some(field.parsed(glob)?);
        } else {
            let rules = field.elements()?.into_iter().map(|rule| rule.parsed(rule_id));
            read.rules = rules.collect::<Result<_, _>>()?;
        }
    }
    Ok(read)
}

fn rule_id(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("KS").filter(|digits| digits.len() == 3);
    let is_id = digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    if is_id { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a rule such as KS030")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";

    fn parse(text: &str) -> Content {
        Content::parse(text.as_bytes()).map_err(|(line, cause)| format!("{line}: {cause}")).unwrap()
    }

    fn refused(text: &str) -> (usize, String) {
        Content::parse(text.as_bytes()).err().unwrap()
    }

    #[test]
    fn every_field_is_read() {
        let content = parse(&format!(
            "clusters:\n  prod: {{certificate: clusters/prod.pem, fingerprint: \"{FINGERPRINT}\", maxAge: 40d, context: prod-eu, \
             controllerNamespace: kube-system, controllerName: sealed-secrets-controller}}\n  stage: {{context: stage}}\n\
             rules:\n- {{path: \"**/prod/**\", cluster: prod, namespace: shop, scope: strict, annotations: {{a.io/wave: \"-1\"}}}}\n\
             - {{path: \"**\", cluster: stage, labels: {{team: shop}}}}\n\
             lint: {{ignore: [{{path: \"charts/**\", rules: [KS030]}}]}}\nreceipts: false\n"
        ));
        let prod = &content.clusters["prod"];
        assert_eq!(
            (prod.certificate.as_deref(), prod.context.as_deref()),
            (Some("clusters/prod.pem"), Some("prod-eu"))
        );
        assert_eq!(prod.max_age.map(PolicyDuration::as_seconds), Some(40 * 86_400));
        assert_eq!(prod.fingerprint.as_ref().map(Fingerprint::as_str), Some(FINGERPRINT));
        assert_eq!(prod.controller_namespace.as_deref(), Some("kube-system"));
        assert_eq!(prod.controller_name.as_deref(), Some("sealed-secrets-controller"));
        let rule = &content.rules[0];
        assert_eq!((rule.cluster.as_deref(), rule.namespace.as_deref()), (Some("prod"), Some("shop")));
        assert_eq!((rule.scope, rule.annotations["a.io/wave"].as_str()), (Some(Scope::Strict), "-1"));
        assert_eq!(content.rules[1].labels["team"], "shop");
        assert!(!content.receipts);
    }

    #[test]
    fn every_field_is_optional() {
        for text in ["", "# nothing\n", "{}", "clusters: {a: {}}\nrules: [{}]\nlint: {}\n"] {
            assert!(parse(text).receipts, "{text}");
        }
        assert!(parse("rules: [{}]").rules[0].matches(Path::new("any/file")));
    }

    #[test]
    fn one_star_stays_in_its_folder_and_two_cross_them() {
        let matches = |glob: &str, path: &str| {
            parse(&format!("rules: [{{path: \"{glob}\"}}]")).rules[0].matches(Path::new(path))
        };
        assert!(matches("*.yaml", "db.yaml") && !matches("*.yaml", "a/db.yaml"));
        assert!(matches("**/prod/**", "prod/db.yaml") && matches("**/prod/**", "a/b/prod/c/db.yaml"));
        assert!(!matches("**/prod/**", "preprod/db.yaml") && matches("**", "a/b"));
        assert!(
            matches("deploy/{a,b}/*.yaml", "deploy/b/x.yaml") && !matches("deploy/*.yaml", "deploy/b/x.yaml")
        );
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let cases = [
            (
                "clusters: {}\nclusterz: {}\n",
                2,
                "unknown field \"clusterz\"; the fields here are clusters, rules",
            ),
            ("clusters:\n  a:\n    cert: x\n", 3, "unknown field \"cert\""),
            ("rules:\n- path: '**'\n  cluster: prod\n", 2, "the cluster \"prod\" is not among clusters"),
            ("rules:\n- path: '{a'\n", 2, "error parsing glob"),
            ("rules:\n- path: 'a'\n- namespace: Shop\n", 3, "a namespace has at most"),
            ("rules:\n- scope: wide\n", 2, "must be one of: strict"),
            ("rules:\n- labels: {a: -x}\n", 2, "the value of a label"),
            ("rules:\n- annotations: {-a: x}\n", 2, "a key is a name of"),
            ("rules:\n- annotations: {a: on}\n", 2, "must be a text; put it in quotes"),
            ("clusters:\n  a: {fingerprint: x}\n", 2, "expected a fingerprint"),
            ("clusters:\n  a: {maxAge: 40 days}\n", 2, "such as 30d"),
            ("clusters:\n  a: {certificate: 'HTTP://a/b'}\n", 2, "needs its fingerprint"),
            ("receipts: perhaps\n", 1, "must be true or false"),
            ("lint: {ignore: [{path: a, rules: [KS1]}]}\n", 1, "is not a rule such as KS030"),
            ("lint: {ignore: [{path: '{a'}]}\n", 1, "error parsing glob"),
            ("rules: {}\n", 1, "must be a list"),
            ("clusters: []\n", 1, "must be a mapping"),
            ("a: b: c\n", 1, "not valid YAML"),
            ("receipts: true\nreceipts: true\n", 2, "duplicate key"),
            ("{}\n---\nrules: []\n", 3, "must be one document"),
        ];
        for (text, line, cause) in cases {
            let found = refused(text);
            assert!(found.0 == line && found.1.contains(cause), "{text}: {found:?}");
        }
        assert_eq!(Content::parse(b"a: b\nc: \xff\n").err().unwrap().0, 2);
    }
}
