//! Cheap requests to the API server, over one connection that stays open.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use sealed_secrets_tests::{Error, Result};
use serde_json::Value;

/// A client of one namespace for measurements.
#[derive(Clone)]
pub(super) struct View {
    client: Client,
    namespace: String,
}

/// Requests that the API server has served so far, without its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requests {
    /// GETs of single objects.
    pub(super) reads: f64,
    /// POST, PUT and PATCH.
    pub(super) writes: f64,
}

impl View {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    pub(super) fn sealed_secrets(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret");
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) async fn count_secrets(&self) -> Result<usize> {
        self.count("api/v1", "secrets").await
    }

    pub(super) async fn count_events(&self) -> Result<usize> {
        self.count("api/v1", "events").await
    }

    pub(super) async fn count_sealed_secrets(&self) -> Result<usize> {
        self.count("apis/bitnami.com/v1alpha1", "sealedsecrets").await
    }

    /// The number of SealedSecrets whose current generation is in a Secret, by their status.
    pub(super) async fn count_synced(&self) -> Result<usize> {
        let objects = self.sealed_secrets().list(&ListParams::default()).await?;
        Ok(objects.iter().filter(|object| is_synced(object)).count())
    }

    /// Counts objects with a list of limit 1: the response holds the number of the remaining ones.
    async fn count(&self, group: &str, plural: &str) -> Result<usize> {
        let path = format!("/{group}/namespaces/{}/{plural}?limit=1", self.namespace);
        let request =
            http::Request::get(path).body(Vec::new()).map_err(|error| Error::Invalid(error.to_string()))?;
        let list: Value = self.client.request(request).await?;
        let more = list.pointer("/metadata/remainingItemCount").and_then(Value::as_u64).unwrap_or_default();
        let listed = list.get("items").and_then(Value::as_array).map_or(0, Vec::len);
        Ok(listed + usize::try_from(more).unwrap_or(usize::MAX))
    }

    /// Reads the counts of requests for Secrets, SealedSecrets and Events from the API server's metrics.
    pub(super) async fn requests(&self) -> Result<Requests> {
        let request = http::Request::get("/metrics")
            .body(Vec::new())
            .map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(requests_in(&self.client.request_text(request).await?))
    }
}

impl std::ops::Sub for Requests {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { reads: self.reads - before.reads, writes: self.writes - before.writes }
    }
}

fn is_synced(object: &DynamicObject) -> bool {
    let status = |path: &str| object.data.pointer(path);
    let generation = object.metadata.generation.map(Value::from);
    status("/status/conditions/0/status").and_then(Value::as_str) == Some("True")
        && status("/status/observedGeneration") == generation.as_ref()
}

fn requests_in(metrics: &str) -> Requests {
    let mut requests = Requests::default();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
        let Some((labels, count)) = line.rsplit_once("} ") else { continue };
        let labels = labels_in(labels);
        let label = |name: &str| labels.get(name).copied().unwrap_or_default();
        let count: f64 = count.parse().unwrap_or_default();
        match (label("resource"), label("verb")) {
            // The event of a young key is offered again at a start, and exists: nothing is written.
            ("events", "POST") if label("code") == "409" => {}
            ("secrets" | "sealedsecrets" | "events", "GET") => requests.reads += count,
            ("secrets" | "sealedsecrets" | "events", "POST" | "PUT" | "PATCH" | "APPLY") => {
                requests.writes += count;
            }
            _ => {}
        }
    }
    requests
}

fn labels_in(labels: &str) -> BTreeMap<&str, &str> {
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name, value.trim_end_matches('"'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_of_controllers_are_counted() {
        let metrics = "# TYPE apiserver_request_total counter\n\
            apiserver_request_total{code=\"201\",resource=\"secrets\",scope=\"resource\",verb=\"POST\"} 10\n\
            apiserver_request_total{code=\"200\",resource=\"sealedsecrets\",subresource=\"status\",verb=\"PUT\"} 5\n\
            apiserver_request_total{code=\"200\",resource=\"secrets\",verb=\"GET\"} 2\n\
            apiserver_request_total{code=\"200\",resource=\"secrets\",verb=\"LIST\"} 100\n\
            apiserver_request_total{code=\"200\",resource=\"leases\",verb=\"PUT\"} 100\n";
        let requests = requests_in(metrics);
        assert!((requests.writes - 15.0).abs() < 0.1 && (requests.reads - 2.0).abs() < 0.1, "{requests:?}");
    }
}
