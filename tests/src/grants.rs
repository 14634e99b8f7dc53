//! Waiting for bindings: the API server's authorizer applies a binding some time after it is stored.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::poll::until;

const PATIENCE: Duration = Duration::from_secs(30);

/// Returns when a service account that `binding` (a `RoleBinding` or `ClusterRoleBinding`) names has the permissions of the last rule
/// of its role. No two of the shipped roles have that rule in common.
pub(crate) async fn until_granted(client: &Client, binding: &Value) -> Result<()> {
    let binding = Binding::read(binding)?;
    let Some((account, rule)) = binding.account.zip(binding.role.last_rule(client).await?) else {
        return Ok(());
    };
    let review = review(&account, &binding.namespace, rule);
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let granted = async || {
        let answer = reviews.create(&PostParams::default(), &review).await.ok()?;
        answer.status?.allowed.then_some(())
    };
    until(&format!("{account} has its permissions"), PATIENCE, granted).await
}

struct Binding {
    namespace: String,
    account: Option<String>,
    role: RoleOf,
}

enum RoleOf {
    Namespace(String, String),
    Cluster(String),
}

impl Binding {
    /// Parses a binding; a `ClusterRoleBinding` has no namespace.
    fn read(object: &Value) -> Result<Self> {
        let invalid = |error: serde_json::Error| Error::Invalid(format!("a binding: {error}"));
        let (metadata, role, subjects) = if object["kind"] == "RoleBinding" {
            let binding: RoleBinding = serde_json::from_value(object.clone()).map_err(invalid)?;
            (binding.metadata, binding.role_ref, binding.subjects)
        } else {
            let binding: ClusterRoleBinding = serde_json::from_value(object.clone()).map_err(invalid)?;
            (binding.metadata, binding.role_ref, binding.subjects)
        };
        let namespace = metadata.namespace.unwrap_or_default();
        let mut subjects = subjects.unwrap_or_default().into_iter();
        let account = subjects.find(|subject| subject.kind == "ServiceAccount").map(|subject| {
            format!("system:serviceaccount:{}:{}", subject.namespace.unwrap_or_default(), subject.name)
        });
        let role = match role.kind.as_str() {
            "Role" => RoleOf::Namespace(namespace.clone(), role.name),
            _ => RoleOf::Cluster(role.name),
        };
        Ok(Self { namespace, account, role })
    }
}

impl RoleOf {
    async fn last_rule(&self, client: &Client) -> Result<Option<PolicyRule>> {
        let rules = match self {
            Self::Namespace(namespace, name) => {
                let role = Api::<Role>::namespaced(client.clone(), namespace).get_opt(name).await?;
                role.and_then(|role| role.rules)
            }
            Self::Cluster(name) => {
                let role = Api::<ClusterRole>::all(client.clone()).get_opt(name).await?;
                role.and_then(|role| role.rules)
            }
        };
        Ok(rules.unwrap_or_default().pop())
    }
}

fn review(account: &str, namespace: &str, rule: PolicyRule) -> SubjectAccessReview {
    let first = |list: Option<Vec<String>>| list.and_then(|list| list.into_iter().next());
    let resource = first(rule.resources).unwrap_or_default();
    let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        verb: rule.verbs.into_iter().next(),
        group: first(rule.api_groups),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        name: first(rule.resource_names),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(account.to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}
