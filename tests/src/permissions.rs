//! Comparison of granted permissions with used permissions: roles, and the API server's audit log.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::manifests::kind_of;

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The resource, with its subresource and group: `sealedsecrets/status.bitnami.com`.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.verb, self.resource)
    }
}

/// A permission and the role that grants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Kind and name of the role.
    pub role: String,
    /// True for a Role, whose permissions are limited to its own namespace.
    pub in_namespace: bool,
    /// The granted permission.
    pub permission: Permission,
}

/// The permissions that the roles and bindings among these objects grant to service accounts.
#[must_use]
pub fn grants_to_accounts(objects: &[Value]) -> BTreeSet<Grant> {
    let roles = objects.iter().filter(|object| ["Role", "ClusterRole"].contains(&kind_of(object)));
    roles.filter(|role| is_bound_to_an_account(role, objects)).flat_map(grants_of).collect()
}

fn is_bound_to_an_account(role: &Value, objects: &[Value]) -> bool {
    let name = role.pointer("/metadata/name");
    objects.iter().any(|binding| {
        let mut subjects = binding.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let of_this_kind = binding.pointer("/roleRef/kind").and_then(Value::as_str) == Some(kind_of(role));
        of_this_kind
            && binding.pointer("/roleRef/name") == name
            && subjects.any(|subject| kind_of(subject) == "ServiceAccount")
    })
}

fn grants_of(role: &Value) -> Vec<Grant> {
    let name = role.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let name = format!("{} {name}", kind_of(role));
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    let permissions = rules.flat_map(|rule| {
        let list = |field: &str| {
            let texts = rule.get(field).and_then(Value::as_array).into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut permissions = Vec::new();
        for group in list("apiGroups") {
            for resource in list("resources") {
                let resource = named(&resource, &group);
                let each = |verb| Permission { resource: resource.clone(), verb };
                permissions.extend(list("verbs").into_iter().map(each));
            }
        }
        permissions
    });
    let in_namespace = kind_of(role) == "Role";
    permissions.map(|permission| Grant { role: name.clone(), in_namespace, permission }).collect()
}

fn named(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// A request that a service account made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The account's namespace.
    pub home: String,
    /// The account's name.
    pub account: String,
    /// The user agent.
    pub agent: String,
    /// The namespace; empty for the whole cluster.
    pub namespace: String,
    /// The permission that the request needs.
    pub permission: Permission,
    /// True if the API server allowed it.
    pub allowed: bool,
}

impl Grant {
    /// Returns true if this grant allows the request.
    #[must_use]
    pub fn covers(&self, request: &Request) -> bool {
        self.permission == request.permission && (!self.in_namespace || request.namespace == request.home)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Object>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    subresource: String,
    api_group: String,
    namespace: String,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision", default)]
    decision: String,
}

/// The requests of service accounts about resources in an audit log of one JSON object a line.
///
/// # Errors
/// [`Error::Invalid`] for a line that is not an audit event.
pub fn requests(log: &str) -> Result<BTreeSet<Request>> {
    let mut requests = BTreeSet::new();
    for line in log.lines() {
        let event: Event = serde_json::from_str(line)
            .map_err(|error| Error::Invalid(format!("the audit log: {error}: {line}")))?;
        requests.extend(request(event));
    }
    Ok(requests)
}

fn request(event: Event) -> Option<Request> {
    let account = event.user.username.strip_prefix("system:serviceaccount:")?;
    let (home, account) = account.split_once(':')?;
    let object = event.object_ref?;
    let separator = if object.subresource.is_empty() { "" } else { "/" };
    let resource = format!("{}{separator}{}", object.resource, object.subresource);
    Some(Request {
        home: home.to_owned(),
        account: account.to_owned(),
        agent: event.user_agent,
        namespace: object.namespace,
        permission: Permission { resource: named(&resource, &object.api_group), verb: event.verb },
        allowed: event.annotations.decision == "allow",
    })
}

/// The grants that no request used.
#[must_use]
pub fn unused<'a>(grants: &'a BTreeSet<Grant>, requests: &BTreeSet<Request>) -> Vec<&'a Grant> {
    let used = |grant: &&Grant| requests.iter().any(|request| request.allowed && grant.covers(request));
    grants.iter().filter(|grant| !used(grant)).collect()
}

/// The permissions that were requested, denied and not granted by any role. A granted permission may be denied in a test that revokes it.
#[must_use]
pub fn missing<'a>(grants: &BTreeSet<Grant>, requests: &'a BTreeSet<Request>) -> BTreeSet<&'a Permission> {
    let granted = |request: &&Request| grants.iter().any(|grant| grant.covers(request));
    requests
        .iter()
        .filter(|request| !request.allowed && !granted(request))
        .map(|one| &one.permission)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(verb: &str, namespace: &str, decision: &str) -> String {
        json!({
            "verb": verb,
            "user": {"username": "system:serviceaccount:home:controller"},
            "userAgent": "agent",
            "objectRef": {"resource": "sealedsecrets", "subresource": "status", "apiGroup": "bitnami.com", "namespace": namespace},
            "annotations": {"authorization.k8s.io/decision": decision},
        })
        .to_string()
    }

    fn objects(kind: &str, verbs: &[&str]) -> Vec<Value> {
        let granted =
            json!({"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets/status"], "verbs": verbs});
        let role = json!({"kind": kind, "metadata": {"name": "r"}, "rules": [granted]});
        let subject = json!({"kind": "ServiceAccount", "name": "controller", "namespace": "home"});
        let binding = json!({
            "kind": format!("{kind}Binding"), "metadata": {"name": "b"},
            "roleRef": {"kind": kind, "name": "r"}, "subjects": [subject],
        });
        vec![role, binding]
    }

    #[test]
    fn a_rule_that_no_request_needed_is_unused() {
        let grants = grants_to_accounts(&objects("ClusterRole", &["update", "patch"]));
        let requests = requests(&event("update", "shop", "allow")).unwrap();
        let unused: Vec<_> =
            unused(&grants, &requests).iter().map(|grant| grant.permission.to_string()).collect();
        assert_eq!(unused, ["patch sealedsecrets/status.bitnami.com"]);
    }

    #[test]
    fn a_role_is_not_used_by_requests_in_other_namespaces() {
        let grants = grants_to_accounts(&objects("Role", &["update"]));
        assert_eq!(unused(&grants, &requests(&event("update", "shop", "allow")).unwrap()).len(), 1);
        assert_eq!(unused(&grants, &requests(&event("update", "home", "allow")).unwrap()).len(), 0);
    }

    #[test]
    fn a_forbidden_request_used_no_permission() {
        let grants = grants_to_accounts(&objects("ClusterRole", &["update"]));
        assert_eq!(unused(&grants, &requests(&event("update", "shop", "forbid")).unwrap()).len(), 1);
    }

    #[test]
    fn a_denied_request_is_missing_unless_it_is_granted_there() {
        let asked = requests(&event("update", "shop", "forbid")).unwrap();
        assert_eq!(missing(&grants_to_accounts(&objects("ClusterRole", &["get"])), &asked).len(), 1);
        assert_eq!(missing(&grants_to_accounts(&objects("Role", &["update"])), &asked).len(), 1);
        assert_eq!(missing(&grants_to_accounts(&objects("ClusterRole", &["update"])), &asked).len(), 0);
    }

    #[test]
    fn a_role_that_is_bound_to_people_only_is_not_judged() {
        let mut objects = objects("Role", &["update"]);
        objects[1]["subjects"][0]["kind"] = "Group".into();
        assert_eq!(grants_to_accounts(&objects), BTreeSet::new());
    }
}
