//! The `process_*` metrics that every Prometheus client exports, from Linux' `/proc`. Other systems have none.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The unit of times in `/proc`, the same on every architecture that Linux supports except Alpha.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc` at each collection.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for Sample { name, help, value, grows } in samples() {
            if grows {
                let metric = ConstCounter::new(value);
                metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
            } else {
                let metric = ConstGauge::new(value);
                metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
            }
        }
        Ok(())
    }
}

struct Sample {
    name: &'static str,
    help: &'static str,
    value: f64,
    grows: bool,
}

fn samples() -> Vec<Sample> {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, limits) =
        (file("/proc/self/stat"), file("/proc/self/status"), file("/proc/self/limits"));
    let net = file("/proc/self/net/netstat");
    let begun = started(&stat).zip(number_after(&file("/proc/stat"), "btime "));
    let gauge =
        |name, help, value: Option<f64>| value.map(|value| Sample { name, help, value, grows: false });
    let counter =
        |name, help, value: Option<f64>| value.map(|value| Sample { name, help, value, grows: true });
    // The encoder appends `_total` to counters.
    let all = [
        counter("process_cpu_seconds", "User and system CPU time in seconds", cpu(&stat)),
        gauge("process_max_fds", "Maximum number of open file descriptors", limit(&limits, "Max open files")),
        counter("process_network_receive_bytes", "Bytes received over the network", octets(&net, "InOctets")),
        counter("process_network_transmit_bytes", "Bytes sent over the network", octets(&net, "OutOctets")),
        gauge("process_open_fds", "Open file descriptors", open_files()),
        gauge("process_resident_memory_bytes", "Resident memory in bytes", kibibytes(&status, "VmRSS:")),
        gauge(
            "process_start_time_seconds",
            "Start of the process in seconds since 1970",
            begun.map(|(after_boot, boot)| boot + after_boot),
        ),
        gauge("process_virtual_memory_bytes", "Virtual memory in bytes", kibibytes(&status, "VmSize:")),
        gauge(
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory in bytes",
            limit(&limits, "Max address space"),
        ),
    ];
    all.into_iter().flatten().collect()
}

/// Returns a field of `/proc/self/stat`, from the third one on: the second is the program's name, which may contain any
/// character.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

/// Returns the start of the process in seconds after the machine's start.
fn started(stat: &str) -> Option<f64> {
    Some(field(stat, 22)? / TICKS_PER_SECOND)
}

fn number_after(text: &str, beginning: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    Some(number_after(status, name)? * 1024.0)
}

/// Returns the soft limit.
fn limit(limits: &str, name: &str) -> Option<f64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match rest.split_whitespace().next()? {
        // 2^64 - 1, like other clients.
        "unlimited" => Some(18_446_744_073_709_551_615.0),
        number => number.parse().ok(),
    }
}

/// Returns a value by its name in the two lines that begin with `IpExt:`.
fn octets(netstat: &str, name: &str) -> Option<f64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut columns = names.split_whitespace().zip(values.split_whitespace());
    columns.find(|(column, _)| *column == name)?.1.parse().ok()
}

fn open_files() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the open directory itself.
    u32::try_from(count).ok()?.checked_sub(1).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "7 (a) b (c) S 1 7 7 0 -1 4194304 500 0 0 0 150 50 0 0 20 0 4 0 12345 999 88 18446744073709551615";

    #[test]
    fn times_are_found_behind_a_name_with_parentheses() {
        assert_eq!(cpu(STAT), Some(2.0));
        assert_eq!(started(STAT), Some(123.45));
    }

    #[test]
    fn memory_limits_and_traffic_are_read_from_their_lines() {
        assert_eq!(kibibytes("VmPeak:\t 9 kB\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12_288.0));
        let limits = "Max open files            1024                 4096                 files\n\
                      Max address space         unlimited            unlimited            bytes\n";
        assert_eq!(limit(limits, "Max open files"), Some(1024.0));
        assert_eq!(limit(limits, "Max address space"), Some(2.0_f64.powi(64)));
        let netstat = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 33 44\n";
        assert_eq!((octets(netstat, "InOctets"), octets(netstat, "OutOctets")), (Some(33.0), Some(44.0)));
    }

    #[test]
    fn missing_process_metrics_are_left_out() {
        assert_eq!((cpu(""), limit("", "Max open files"), octets("", "InOctets")), (None, None, None));
        assert_eq!((field("7 (a) S", 22), number_after("btime x", "btime ")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn all_process_metrics_are_read_on_linux() {
        let names: Vec<_> = samples().into_iter().map(|reading| reading.name).collect();
        assert_eq!(names.len(), 9, "{names:?}");
    }
}
