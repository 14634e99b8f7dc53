//! The controller's metrics, named as upstream's.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::api_requests::ApiRequests;
use crate::key_metrics::KeyMetrics;
use crate::process::Process;
use crate::unsynced::Unsynced;
use crate::usage::UsageMetrics;

pub(crate) const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
const PREFIX: &str = "sealed_secrets_controller";
/// Seconds, those of Prometheus' Go client.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    revision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnsealError {
    reason: &'static str,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Info {
    namespace: String,
    name: String,
    condition: &'static str,
    ss_app_kubernetes_io_instance: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct InNamespace {
    pub(crate) namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    code: u16,
    method: &'static str,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Question {
    method: &'static str,
    path: String,
}

/// Every metric of the process, with the registry that renders them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    unseal_requests: Counter,
    unseal_errors: Family<UnsealError, Counter>,
    condition_info: Family<Info, Gauge>,
    unsynced: Unsynced,
    secret_repairs: Family<InNamespace, Counter>,
    http_requests: Family<Answer, Counter>,
    http_durations: Family<Question, Histogram, fn() -> Histogram>,
    keys: KeyMetrics,
    usage: UsageMetrics,
    api_requests: Arc<ApiRequests>,
    omit_names: bool,
    /// The instances of SealedSecrets on the page that have one: the label may be another one by the time they go.
    instances: Mutex<HashMap<(String, String), String>>,
}

impl Metrics {
    /// `omit_names` keeps names of SealedSecrets off the page.
    pub(crate) fn new(omit_names: bool) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let metrics = Self {
            registry: Registry::default(),
            unseal_requests: Counter::default(),
            unseal_errors: Family::default(),
            condition_info: Family::default(),
            unsynced: Unsynced::default(),
            secret_repairs: Family::default(),
            http_requests: Family::default(),
            http_durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            keys: KeyMetrics::default(),
            usage: UsageMetrics::default(),
            api_requests: Arc::default(),
            omit_names,
            instances: Mutex::default(),
        };
        metrics.register(registry.sub_registry_with_prefix(PREFIX));
        Self { registry, ..metrics }
    }

    fn register(&self, registry: &mut Registry) {
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { revision: env!("CARGO_PKG_VERSION") }).set(0);
        let help = "Condition of a SealedSecret: 1 True, 0 Unknown, -1 False";
        // The encoder appends `_total` to counters.
        registry.register("build_info", "Build information", build);
        registry.register("condition_info", help, self.condition_info.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request",
            self.http_durations.clone(),
        );
        registry.register("http_requests", "Requests answered", self.http_requests.clone());
        let help = "Secrets put back after somebody had edited or deleted them";
        registry.register("secret_repairs", help, self.secret_repairs.clone());
        let help = "Failed attempts by reason and namespace";
        registry.register("unseal_errors", help, self.unseal_errors.clone());
        let help = "Attempts to unseal a SealedSecret";
        registry.register("unseal_requests", help, self.unseal_requests.clone());
        self.unsynced.register(registry);
        self.keys.register(registry);
        self.usage.register(registry);
        self.api_requests.register(registry);
    }

    /// Those of requests to the API server.
    pub(crate) fn api_requests(&self) -> &Arc<ApiRequests> {
        &self.api_requests
    }

    /// Those of what is sealed to which key.
    pub(crate) fn usage(&self) -> &UsageMetrics {
        &self.usage
    }

    /// Those of the sealing keys.
    pub(crate) fn keys(&self) -> &KeyMetrics {
        &self.keys
    }

    /// Counts an answered HTTP request; `path` is one that is served.
    pub(crate) fn answered(&self, path: &str, method: &'static str, code: u16, after: Duration) {
        let path = path.to_owned();
        self.http_requests.get_or_create(&Answer { code, method, path: path.clone() }).inc();
        self.http_durations.get_or_create(&Question { method, path }).observe(after.as_secs_f64());
    }

    /// Notes whether the condition Synced of this SealedSecret is True.
    pub(crate) fn condition(&self, object: &DynamicObject, synced: bool) {
        let name = (object.namespace().unwrap_or_default(), object.name_any());
        self.unsynced.note(&name, synced);
        if self.omit_names {
            return;
        }
        let instance = object.labels().get(INSTANCE_LABEL).cloned().unwrap_or_default();
        let before = self.note_instance(&name, &instance);
        if before != instance {
            self.condition_info.remove(&synced_of(name.clone(), before));
        }
        self.condition_info.get_or_create(&synced_of(name, instance)).set(if synced { 1 } else { -1 });
    }

    /// Takes the SealedSecret of this namespace and name, which is gone, off the page.
    pub(crate) fn forget(&self, name: &(String, String)) {
        self.unsynced.note(name, true);
        let instance = self.note_instance(name, "");
        self.condition_info.remove(&synced_of(name.clone(), instance));
    }

    /// Notes under which instance a SealedSecret is on the page, and returns the one before.
    fn note_instance(&self, name: &(String, String), instance: &str) -> String {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if instance.is_empty() {
            instances.remove(name)
        } else {
            instances.insert(name.clone(), instance.to_owned())
        };
        before.unwrap_or_default()
    }

    pub(crate) fn repaired(&self, namespace: &str) {
        self.secret_repairs.get_or_create(&InNamespace { namespace: namespace.to_owned() }).inc();
    }

    pub(crate) fn attempted(&self) {
        self.unseal_requests.inc();
    }

    pub(crate) fn failed(&self, reason: &'static str, namespace: &str) {
        self.unseal_errors.get_or_create(&UnsealError { reason, namespace: namespace.to_owned() }).inc();
    }

    /// The page, in the text format of Prometheus 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut page, &self.registry);
        classic(&page)
    }
}

/// `OpenMetrics` to the older format: counters are described under the very name that their samples have.
fn classic(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let counters: HashSet<&str> = lines.iter().filter_map(|line| counter(line)).collect();
    let mut text = String::with_capacity(page.len());
    for line in lines.into_iter().filter(|line| *line != "# EOF") {
        let described = line.strip_prefix("# ").and_then(|rest| rest.split(' ').nth(1));
        match described.filter(|name| counters.contains(name)) {
            Some(name) => text.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The name in `# TYPE name counter`.
fn counter(line: &str) -> Option<&str> {
    line.strip_prefix("# TYPE ")?.strip_suffix(" counter")
}

fn synced_of((namespace, name): (String, String), instance: String) -> Info {
    Info { namespace, name, condition: "Synced", ss_app_kubernetes_io_instance: instance }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> DynamicObject {
        let object = serde_json::json!({
            "metadata": {"namespace": "shop", "name": "db", "labels": {"app.kubernetes.io/instance": "blue"}}
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_page_is_written_as_upstream_writes_it() {
        let metrics = Metrics::new(false);
        metrics.attempted();
        metrics.failed("unseal", "shop");
        metrics.condition(&object(), false);
        metrics.answered("/v1/cert.pem", "get", 200, Duration::from_millis(7));
        let page = metrics.render();
        for line in [
            "# TYPE sealed_secrets_controller_unseal_requests_total counter",
            "sealed_secrets_controller_unseal_requests_total 1",
            r#"sealed_secrets_controller_unseal_errors_total{reason="unseal",namespace="shop"} 1"#,
            r#"sealed_secrets_controller_condition_info{namespace="shop",name="db",condition="Synced",ss_app_kubernetes_io_instance="blue"} -1"#,
            r#"sealed_secrets_controller_http_requests_total{code="200",method="get",path="/v1/cert.pem"} 1"#,
            r#"sealed_secrets_controller_http_request_duration_seconds_bucket{le="0.005",method="get",path="/v1/cert.pem"} 0"#,
            r#"sealed_secrets_controller_http_request_duration_seconds_bucket{le="0.01",method="get",path="/v1/cert.pem"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(
            !page.contains("# EOF")
                && page.contains(&format!("build_info{{revision=\"{}\"}} 0", env!("CARGO_PKG_VERSION")))
        );
    }

    #[test]
    fn names_stay_off_the_page_where_that_is_asked_for() {
        let metrics = Metrics::new(true);
        metrics.condition(&object(), true);
        assert!(!metrics.render().contains("db"));
    }

    #[test]
    fn what_is_not_synced_is_counted_by_namespace_also_without_names() {
        const COUNT: &str = r#"sealed_secrets_controller_unsynced_objects{namespace="shop"}"#;
        for omit_names in [false, true] {
            let metrics = Metrics::new(omit_names);
            let mut other = object();
            other.metadata.name = Some("cache".to_owned());
            let counted = || {
                let page = metrics.render();
                page.lines().find_map(|line| line.strip_prefix(COUNT)).map(|count| count.trim().to_owned())
            };
            metrics.condition(&object(), true);
            assert_eq!(counted(), None);
            for object in [object(), object(), other.clone()] {
                metrics.condition(&object, false);
            }
            assert_eq!(counted().as_deref(), Some("2"));
            metrics.condition(&other, true);
            assert_eq!(counted().as_deref(), Some("1"));
            metrics.forget(&("shop".to_owned(), "db".to_owned()));
            assert_eq!(counted(), None);
        }
    }

    #[test]
    fn an_object_that_is_gone_leaves_the_page() {
        let metrics = Metrics::new(false);
        metrics.condition(&object(), true);
        metrics.forget(&("shop".to_owned(), "db".to_owned()));
        assert!(!metrics.render().contains("db"));
    }

    #[test]
    fn an_object_with_another_instance_is_on_the_page_once() {
        let metrics = Metrics::new(false);
        for instance in [Some("green"), None, Some("blue")] {
            let mut object = object();
            object.metadata.labels =
                instance.map(|instance| [(INSTANCE_LABEL.to_owned(), instance.to_owned())].into());
            metrics.condition(&object, true);
            let page = metrics.render();
            let lines: Vec<_> = page.lines().filter(|line| line.contains("name=\"db\"")).collect();
            let label = format!("instance=\"{}\"", instance.unwrap_or_default());
            assert!(lines.len() == 1 && lines[0].contains(&label), "{lines:?}");
        }
    }
}
