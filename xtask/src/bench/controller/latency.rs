//! Latency, from the API server's response to a write until the controller's result can be read.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use sealed_secrets_tests::{Error, Result};
use serde_json::json;

use super::workload::Workload;

const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// The latencies of all objects of a workload, measured one after the other on an idle controller.
pub(super) struct Latency {
    pub(super) median: Duration,
    pub(super) worst_of_hundred: Duration,
}

/// Creates the objects and measures when a running controller has decrypted each.
///
/// # Errors
/// When one does not become a Secret.
pub(super) async fn measure(workload: &Workload) -> Result<Latency> {
    let (sealed_secrets, secrets) = (workload.view().sealed_secrets(), workload.view().secrets());
    let mut took = Vec::new();
    for object in workload.objects() {
        sealed_secrets.create(&PostParams::default(), object).await?;
        let name = object.name_any();
        let made = async || Ok(secrets.get_metadata_opt(&name).await?.is_some());
        took.push(time_until(&format!("{name} becomes a Secret"), TIMEOUT, made).await?);
    }
    Ok(Latency::of(took))
}

/// Edits the Secrets of decrypted objects and measures when a running controller has restored each.
///
/// # Errors
/// When one stays as it was edited.
pub(super) async fn measure_repairs(workload: &Workload) -> Result<Latency> {
    const ITEM: &str = "item-0";
    const FORGED: &str = "forged";
    let secrets = workload.view().secrets();
    let edit = Patch::Merge(json!({"stringData": {ITEM: FORGED}}));
    let mut took = Vec::new();
    for object in workload.objects() {
        let name = object.name_any();
        secrets.patch(&name, &PatchParams::default(), &edit).await?;
        let is_put_back = |secret: Secret| {
            secret.data.is_some_and(|data| data.get(ITEM).is_some_and(|value| value.0 != FORGED.as_bytes()))
        };
        let put_back = async || Ok(is_put_back(secrets.get(&name).await?));
        took.push(time_until(&format!("{name} is put back"), TIMEOUT, put_back).await?);
    }
    Ok(Latency::of(took))
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Self {
        Self { median: percentile(&mut took, 50), worst_of_hundred: percentile(&mut took, 99) }
    }
}

/// The time until `is_so` returns true.
///
/// # Errors
/// When it does not return true within `timeout`, or fails.
pub(super) async fn time_until(
    what: &str,
    timeout: Duration,
    is_so: impl AsyncFn() -> Result<bool>,
) -> Result<Duration> {
    let acknowledged = Instant::now();
    while !is_so().await? {
        if acknowledged.elapsed() > timeout {
            return Err(Error::Deadline { what: what.to_owned(), seconds: timeout.as_secs() });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(acknowledged.elapsed())
}

/// The percentile: the smallest value that so many percent of the values do not exceed.
fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 50), Duration::from_millis(100));
        assert_eq!(percentile(&mut values, 99), Duration::from_millis(198));
        assert_eq!(percentile(&mut [], 50), Duration::ZERO);
    }
}
