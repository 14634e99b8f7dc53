//! Metrics of the leader election.

use std::fmt::Error;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::leadership::Leadership;

/// Reads the leadership at each collection: the end of a term needs no timer to be shown.
#[derive(Debug)]
pub(crate) struct LeadershipMetrics {
    prefix: &'static str,
    leadership: Leadership,
}

impl LeadershipMetrics {
    pub(crate) fn new(prefix: &'static str, leadership: Leadership) -> Self {
        Self { prefix, leadership }
    }
}

impl Collector for LeadershipMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let leads = ConstGauge::new(i64::from(self.leadership.may_write(Instant::now())));
        let terms = ConstCounter::new(self.leadership.terms());
        let metric_name = |name: &str| format!("{}_{name}", self.prefix);
        let help = "1 while this replica leads, or works without an election; 0 while it follows";
        leads.encode(encoder.encode_descriptor(
            &metric_name("leader"),
            help,
            None,
            leads.metric_type(),
        )?)?;
        // The encoder appends `_total` to counters.
        let help = "Terms of this replica as leader that have begun";
        terms.encode(encoder.encode_descriptor(
            &metric_name("leader_terms"),
            help,
            None,
            terms.metric_type(),
        )?)
    }
}
