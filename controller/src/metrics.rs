//! The controller's metrics, named as upstream's.

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

/// Every metric of the process, with the registry that renders them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    unseal_requests: Counter,
    unseal_errors: Family<UnsealError, Counter>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("sealed_secrets_controller");
        let unseal_requests = Counter::default();
        let unseal_errors = Family::default();
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { revision: env!("CARGO_PKG_VERSION") }).set(0);
        // The encoder appends `_total` to counters.
        registry.register("build_info", "Build information", build);
        registry.register("unseal_requests", "Attempts to unseal a SealedSecret", unseal_requests.clone());
        registry.register("unseal_errors", "Failed attempts by reason and namespace", unseal_errors.clone());
        Self { registry, unseal_requests, unseal_errors }
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
