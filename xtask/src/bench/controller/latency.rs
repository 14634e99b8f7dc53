//! From the API server's answer to a write until what the controller makes of it can be read.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use sealed_secrets_tests::{Error, Result};
use serde_json::json;

use super::workload::Workload;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// Of all objects of a workload, one after the other while a controller is idle.
pub(super) struct Latency {
    pub(super) median: Duration,
    pub(super) worst_of_hundred: Duration,
}

/// Creates the objects and watches a running controller open them.
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
        took.push(time_until(&format!("{name} becomes a Secret"), made).await?);
    }
    Ok(Latency::of(took))
}

/// Edits the Secrets of objects that are open and watches a running controller put them back.
///
/// # Errors
/// When one stays as it was edited.
pub(super) async fn measure_repairs(workload: &Workload) -> Result<Latency> {
    const INTRUDER: &str = "intruder";
    let secrets = workload.view().secrets();
    let edit = Patch::Merge(json!({"stringData": {INTRUDER: "x"}}));
    let mut took = Vec::new();
    for object in workload.objects() {
        let name = object.name_any();
        secrets.patch(&name, &PatchParams::default(), &edit).await?;
        let put_back =
            async || Ok(!secrets.get(&name).await?.data.unwrap_or_default().contains_key(INTRUDER));
        took.push(time_until(&format!("{name} is put back"), put_back).await?);
    }
    Ok(Latency::of(took))
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Self {
        Self { median: percentile(&mut took, 50), worst_of_hundred: percentile(&mut took, 99) }
    }
}

async fn time_until(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<Duration> {
    let acknowledged = Instant::now();
    while !is_so().await? {
        if acknowledged.elapsed() > PATIENCE {
            return Err(Error::Deadline { what: what.to_owned(), seconds: PATIENCE.as_secs() });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(acknowledged.elapsed())
}

/// The smallest value that so many percent do not exceed.
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
