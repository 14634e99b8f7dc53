//! The controller's metrics, with upstream's names.

pub(crate) mod keys;
pub(crate) mod leadership;
pub(crate) mod process;
pub(crate) mod series;
pub(crate) mod unsynced;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::api::requests::ApiRequests;
use crate::error::Class;
use crate::leadership::Leadership;
use crate::metrics::keys::KeyMetrics;
use crate::metrics::leadership::LeadershipMetrics;
use crate::metrics::process::Process;
use crate::metrics::series::{InNamespace, Series};
use crate::metrics::unsynced::Unsynced;
use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::watch::raw::INSTANCE_LABEL;
use crate::usage::UsageMetrics;
const PREFIX: &str = "sealed_secrets_controller";
/// Bucket bounds in seconds, the defaults of Prometheus' Go client.
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
struct ResponseLabels {
    code: u16,
    method: &'static str,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
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
    http_requests: Family<ResponseLabels, Counter>,
    http_durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    keys: KeyMetrics,
    usage: UsageMetrics,
    api_requests: Arc<ApiRequests>,
    omit_names: bool,
    series: Series,
}

impl Metrics {
    /// Creates the metrics of a replica. `omit_names` omits the names of SealedSecrets.
    pub(crate) fn new(omit_names: bool, leadership: &Leadership) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        registry.register_collector(Box::new(LeadershipMetrics::new(PREFIX, leadership.clone())));
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
            series: Series::default(),
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
        let help = "Secrets restored after they had been edited or deleted";
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

    /// Returns the metrics of requests to the API server.
    pub(crate) fn api_requests(&self) -> &Arc<ApiRequests> {
        &self.api_requests
    }

    /// Returns the metrics of key usage.
    pub(crate) fn usage(&self) -> &UsageMetrics {
        &self.usage
    }

    /// Returns the metrics of the sealing keys.
    pub(crate) fn keys(&self) -> &KeyMetrics {
        &self.keys
    }

    /// Counts an answered HTTP request; `path` must be a route.
    pub(crate) fn answered(&self, path: &str, method: &'static str, code: u16, after: Duration) {
        let path = path.to_owned();
        self.http_requests.get_or_create(&ResponseLabels { code, method, path: path.clone() }).inc();
        self.http_durations.get_or_create(&RequestLabels { method, path }).observe(after.as_secs_f64());
    }

    /// Records whether the condition Synced of this SealedSecret is True.
    pub(crate) fn condition(&self, object: &impl ResourceExt, synced: bool) {
        let name = ObjectKey::of(object);
        self.unsynced.note(&self.series.label(&name.namespace), &name, synced);
        let instance = object.labels().get(INSTANCE_LABEL).cloned().unwrap_or_default();
        let change = self.series.note(&name, &instance);
        if let Some(before) = change.leaves {
            self.condition_info.remove(&synced_of(name.clone(), before));
        }
        if change.is_shown && !self.omit_names {
            self.condition_info.get_or_create(&synced_of(name, instance)).set(if synced { 1 } else { -1 });
        }
    }

    /// Takes the SealedSecret of this namespace and name, which is gone, off the page, and with the last one its namespace.
    pub(crate) fn forget(&self, name: &ObjectKey) {
        let label = self.series.label(&name.namespace);
        self.unsynced.note(&label, name, true);
        let change = self.series.forget(name);
        if let Some(instance) = change.leaves {
            self.condition_info.remove(&synced_of(name.clone(), instance));
        }
        if change.ends_namespace && label == name.namespace {
            self.secret_repairs.remove(&InNamespace { namespace: label.clone() });
            for reason in Class::METRICS {
                self.unseal_errors.remove(&UnsealError { reason, namespace: label.clone() });
            }
        }
    }

    /// Removes the samples of objects, and keeps the counters: a replica that does not lead knows no objects.
    pub(crate) fn forget_objects(&self) {
        self.series.forget_objects();
        self.condition_info.clear();
        self.unsynced.clear();
        self.api_requests.forget_lists_and_watches();
    }

    pub(crate) fn repaired(&self, namespace: &str) {
        self.secret_repairs.get_or_create(&InNamespace { namespace: self.series.label(namespace) }).inc();
    }

    pub(crate) fn attempted(&self) {
        self.unseal_requests.inc();
    }

    pub(crate) fn failed(&self, reason: &'static str, namespace: &str) {
        let namespace = self.series.label(namespace);
        self.unseal_errors.get_or_create(&UnsealError { reason, namespace }).inc();
    }

    /// Returns the page in the text format of Prometheus 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut page, &self.registry);
        classic(&page)
    }
}

/// Converts `OpenMetrics` to the older format, in which the description of a counter has the same name as its samples.
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

/// Returns the name in `# TYPE name counter`.
fn counter(line: &str) -> Option<&str> {
    line.strip_prefix("# TYPE ")?.strip_suffix(" counter")
}

fn synced_of(ObjectKey { namespace, name }: ObjectKey, instance: String) -> Info {
    Info { namespace, name, condition: "Synced", ss_app_kubernetes_io_instance: instance }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kube::api::DynamicObject;

    use super::*;
    use crate::leadership::candidate::Tenure;
    use crate::metrics::series::{MAX_NAMESPACES, MAX_OBJECTS};

    fn object() -> DynamicObject {
        let object = serde_json::json!({
            "metadata": {"namespace": "shop", "name": "db", "labels": {"app.kubernetes.io/instance": "blue"}}
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_page_is_written_as_upstream_writes_it() {
        let metrics = Metrics::new(false, &Leadership::unelected());
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
        let metrics = Metrics::new(true, &Leadership::unelected());
        metrics.condition(&object(), true);
        assert!(!metrics.render().contains("db"));
    }

    #[test]
    fn objects_that_are_not_synced_are_counted_by_namespace_even_without_names() {
        const COUNT: &str = r#"sealed_secrets_controller_unsynced_objects{namespace="shop"}"#;
        for omit_names in [false, true] {
            let metrics = Metrics::new(omit_names, &Leadership::unelected());
            let mut other = object();
            other.metadata.name = Some("cache".to_owned());
            let count = || {
                let page = metrics.render();
                page.lines().find_map(|line| line.strip_prefix(COUNT)).map(|count| count.trim().to_owned())
            };
            metrics.condition(&object(), true);
            assert_eq!(count(), None);
            for object in [object(), object(), other.clone()] {
                metrics.condition(&object, false);
            }
            assert_eq!(count().as_deref(), Some("2"));
            metrics.condition(&other, true);
            assert_eq!(count().as_deref(), Some("1"));
            metrics.forget(&ObjectKey::new("shop", "db"));
            assert_eq!(count(), None);
        }
    }

    #[test]
    fn an_object_that_is_gone_leaves_the_page() {
        let metrics = Metrics::new(false, &Leadership::unelected());
        metrics.condition(&object(), true);
        metrics.forget(&ObjectKey::new("shop", "db"));
        assert!(!metrics.render().contains("db"));
    }

    #[test]
    fn a_namespace_without_objects_leaves_the_page() {
        let metrics = Metrics::new(false, &Leadership::unelected());
        metrics.condition(&object(), false);
        metrics.repaired("shop");
        for reason in Class::METRICS {
            metrics.failed(reason, "shop");
        }
        metrics.forget(&ObjectKey::new("shop", "db"));
        assert!(!metrics.render().contains("shop"));
    }

    fn numbered(namespace: usize, name: usize) -> DynamicObject {
        let mut object = object();
        object.metadata.namespace = Some(format!("team-{namespace}"));
        object.metadata.name = Some(format!("db-{name}"));
        object
    }

    fn lines(page: &str, family: &str) -> usize {
        page.lines().filter(|line| line.starts_with(&format!("sealed_secrets_controller_{family}{{"))).count()
    }

    #[test]
    fn the_page_does_not_grow_with_the_namespaces_and_objects_that_tenants_make() {
        let metrics = Metrics::new(false, &Leadership::unelected());
        for namespace in 0..MAX_NAMESPACES + 10 {
            metrics.condition(&numbered(namespace, 0), false);
            metrics.failed("unseal", &format!("team-{namespace}"));
            metrics.repaired(&format!("team-{namespace}"));
        }
        for name in 0..MAX_OBJECTS {
            metrics.condition(&numbered(0, name), false);
        }
        let page = metrics.render();
        assert_eq!(lines(&page, "condition_info"), MAX_OBJECTS);
        for family in ["unseal_errors_total", "secret_repairs_total", "unsynced_objects"] {
            assert_eq!(lines(&page, family), MAX_NAMESPACES + 1, "{family}");
            let others = |line: &&str| line.contains(family) && line.contains("namespace=\"_other\"");
            assert!(page.lines().find(others).is_some_and(|line| line.ends_with(" 10")), "{family}");
        }
    }

    #[test]
    fn an_object_without_a_series_gets_one_when_others_are_gone() {
        let metrics = Metrics::new(false, &Leadership::unelected());
        for namespace in 0..=MAX_NAMESPACES {
            metrics.condition(&numbered(namespace, 0), false);
        }
        let last = numbered(MAX_NAMESPACES, 0);
        assert!(metrics.render().contains("_other"));
        metrics.forget(&ObjectKey::of(&last));
        metrics.forget(&ObjectKey::of(&numbered(0, 0)));
        assert!(!metrics.render().contains("_other"));
        metrics.condition(&last, false);
        let label = format!("unsynced_objects{{namespace=\"{}\"}} 1", last.namespace().unwrap());
        assert!(metrics.render().contains(&label));
    }

    #[test]
    fn the_end_of_a_term_takes_objects_off_the_page_and_leaves_the_counters() {
        let metrics = Metrics::new(false, &Leadership::elected());
        metrics.condition(&object(), false);
        metrics.repaired("shop");
        metrics.forget_objects();
        let page = metrics.render();
        assert!(!page.contains("condition_info{") && !page.contains("unsynced_objects{"), "{page}");
        assert!(page.contains("secret_repairs_total{namespace=\"shop\"} 1"), "{page}");
    }

    #[test]
    fn a_replica_exports_whether_it_leads_and_its_number_of_terms() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        let metrics = Metrics::new(false, &leadership);
        let lines = || {
            metrics
                .render()
                .lines()
                .filter(|line| line.contains("_leader"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let shows = |leads, terms| {
            let samples =
                [format!("{PREFIX}_leader {leads}"), format!("{PREFIX}_leader_terms_total {terms}")];
            let page = lines();
            assert!(samples.iter().all(|sample| page.contains(sample)), "{page:?}");
        };
        shows(0, 0);
        leadership.publish(Tenure::LeadsUntil(now + Duration::from_mins(1)), None, now);
        shows(1, 1);
        leadership.publish(Tenure::LeadsUntil(now), None, now);
        shows(0, 1);
    }

    #[test]
    fn an_object_with_another_instance_is_on_the_page_once() {
        let metrics = Metrics::new(false, &Leadership::unelected());
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
