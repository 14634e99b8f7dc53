//! Processor time and memory of a process, from `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use sealed_secrets_tests::{Error, Result};

/// The kernel's unit of processor time, the same on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// The interval between two readings of `/proc`.
const PAUSE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_mins(5);

/// Processor time of a process so far, in user and kernel mode.
///
/// # Errors
/// When it has ended.
pub(super) fn cpu(process: u32) -> Result<Duration> {
    let ended = || Error::Program(format!("process {process} has ended"));
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).map_err(|_| ended())?;
    cpu_in(&stat).ok_or_else(ended)
}

/// The peak memory of a process, in bytes.
///
/// # Errors
/// When it has ended.
pub(super) fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    peak_in(&status).ok_or_else(|| Error::Program(format!("process {process} has ended")))
}

/// Waits until `process` has used no processor time for a second, and returns its processor time.
///
/// # Errors
/// When it ends or never becomes idle.
pub(super) async fn until_idle(process: u32) -> Result<Duration> {
    until_resting(&format!("process {process}"), 2, || cpu(process)).await
}

/// Waits until everything in this isolation is idle: the control plane collects garbage for some seconds.
///
/// # Errors
/// When that never happens.
pub(super) async fn until_quiet() -> Result<()> {
    until_resting("the control plane", 2, || Ok(everybodys_cpu())).await.map(drop)
}

async fn until_resting(what: &str, times: u32, used: impl Fn() -> Result<Duration>) -> Result<Duration> {
    let deadline = Instant::now() + TIMEOUT;
    let (mut before, mut rested) = (used()?, 0);
    while Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
        let now = used()?;
        rested = if now.saturating_sub(before) <= PAUSE / 10 { rested + 1 } else { 0 };
        if rested == times {
            return Ok(now);
        }
        before = now;
    }
    Err(Error::Deadline { what: format!("{what} rests"), seconds: TIMEOUT.as_secs() })
}

fn everybodys_cpu() -> Duration {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| cpu(name.to_str()?.parse().ok()?).ok()).sum()
}

/// Parses `/proc/PID/stat` (proc(5)): utime and stime are fields 14 and 15; field 2, in parentheses, may hold anything.
fn cpu_in(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<u32> =
        fields.split_whitespace().skip(11).take(2).map_while(|field| field.parse().ok()).collect();
    (fields.len() == 2).then(|| TICK * fields.iter().sum())
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 3 0 1";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(peak_in("Name:\tx\nVmHWM:\t   2048 kB\n"), Some(2 << 20));
        assert!(cpu(std::process::id()).is_ok() && peak_memory(std::process::id()).unwrap() > 0);
    }
}
