//! From the API server's answer to a create until the Secret can be read.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::PostParams;
use sealed_secrets_tests::{Error, Result};

use super::workload::Workload;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// Of all objects of a workload, created one after the other while a controller is idle.
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
        let acknowledged = Instant::now();
        while secrets.get_metadata_opt(&object.name_any()).await?.is_none() {
            if acknowledged.elapsed() > PATIENCE {
                let what = format!("{} becomes a Secret", object.name_any());
                return Err(Error::Deadline { what, seconds: PATIENCE.as_secs() });
            }
            tokio::time::sleep(PAUSE).await;
        }
        took.push(acknowledged.elapsed());
    }
    Ok(Latency { median: percentile(&mut took, 50), worst_of_hundred: percentile(&mut took, 99) })
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
