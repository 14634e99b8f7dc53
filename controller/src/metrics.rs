//! The controller's metrics, named as upstream's.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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
struct InNamespace {
    namespace: String,
}

/// Every metric of the process, with the registry that renders them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    unseal_requests: Counter,
    unseal_errors: Family<UnsealError, Counter>,
    condition_info: Family<Info, Gauge>,
    secret_repairs: Family<InNamespace, Counter>,
    omit_names: bool,
}

impl Metrics {
    /// `omit_names` keeps names of SealedSecrets off the page.
    pub(crate) fn new(omit_names: bool) -> Self {
        let mut registry = Registry::with_prefix("sealed_secrets_controller");
        let unseal_requests = Counter::default();
        let unseal_errors = Family::default();
        let condition_info = Family::default();
        let secret_repairs = Family::default();
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { revision: env!("CARGO_PKG_VERSION") }).set(0);
        // The encoder appends `_total` to counters.
        registry.register("build_info", "Build information", build);
        registry.register("unseal_requests", "Attempts to unseal a SealedSecret", unseal_requests.clone());
        registry.register("unseal_errors", "Failed attempts by reason and namespace", unseal_errors.clone());
        registry.register(
            "condition_info",
            "Condition of a SealedSecret: 1 True, 0 Unknown, -1 False",
            condition_info.clone(),
        );
        registry.register(
            "secret_repairs",
            "Secrets put back after somebody had edited or deleted them",
            secret_repairs.clone(),
        );
        Self { registry, unseal_requests, unseal_errors, condition_info, secret_repairs, omit_names }
    }

    /// Notes whether the condition Synced of this SealedSecret is True.
    pub(crate) fn condition(&self, object: &DynamicObject, synced: bool) {
        if !self.omit_names {
            self.condition_info.get_or_create(&synced_of(object)).set(if synced { 1 } else { -1 });
        }
    }

    /// Takes a SealedSecret that is gone off the page.
    pub(crate) fn forget(&self, object: &DynamicObject) {
        self.condition_info.remove(&synced_of(object));
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

    /// The page, in the `OpenMetrics` text format.
    pub(crate) fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }
}

fn synced_of(object: &DynamicObject) -> Info {
    Info {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        condition: "Synced",
        ss_app_kubernetes_io_instance: object
            .labels()
            .get("app.kubernetes.io/instance")
            .cloned()
            .unwrap_or_default(),
    }
}
