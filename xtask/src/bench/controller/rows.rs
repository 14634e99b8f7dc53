//! Conversion of measurements to rows of the table, with the limits of this project.

use std::time::Duration;

use super::first_sync::FirstSync;
use super::latency::Latency;
use super::many_keys::ManyKeys;
use super::restart::Restart;
use super::takeover::Takeover;
use super::workload::ITEMS;
use crate::bench::machine::{cores, is_wide};
use crate::bench::table::{Bar, Row};

/// The number of objects up to which the limit for memory is a size; above it is a ratio.
pub(crate) const SMALL: usize = 1000;

pub(super) fn first_sync(objects: usize, ours: &FirstSync, original: &FirstSync) -> Vec<Row> {
    let secrets = if is_wide() { 6.0 } else { 3.5 };
    vec![
        Row {
            work: format!(
                "first sync of {objects} SealedSecrets with {ITEMS} items, until all Secrets exist"
            ),
            ..faster(ours.secrets, original.secrets, secrets)
        },
        Row {
            work: "the same, until status and events are written too".into(),
            ..faster(ours.everything, original.everything, 4.0)
        },
        Row {
            work: "processor time of the controller for it".into(),
            ours: seconds(ours.cpu),
            original: seconds(original.cpu),
            figure: Some((original.cpu.div_duration_f64(ours.cpu), "x")),
            bar: Some(Bar::None),
        },
        Row {
            work: "requests that write, per object".into(),
            ours: format!("{:.2}", ours.requests.writes / count(objects)),
            original: format!("{:.2}", original.requests.writes / count(objects)),
            figure: Some((ours.requests.writes / count(objects), "")),
            bar: Some(Bar::AtMost(3.01)),
        },
        Row {
            work: "requests that read single objects, per object".into(),
            ours: format!("{:.2}", ours.requests.reads / count(objects)),
            original: format!("{:.2}", original.requests.reads / count(objects)),
            figure: Some((ours.requests.reads / count(objects), "")),
            bar: Some(Bar::AtMost(0.05)),
        },
    ]
}

/// The first sync, compared with the original as shipped; `rate` is the original's, in objects per second.
pub(super) fn as_shipped(objects: usize, ours: &FirstSync, rate: f64) -> Row {
    let our_rate = count(objects) / ours.secrets.as_secs_f64();
    Row {
        work: "Secrets per second of a first sync; the original as shipped, over a minute".into(),
        ours: format!("{our_rate:.0}"),
        original: format!("{rate:.2}"),
        figure: Some((our_rate / rate, "x")),
        bar: Some(Bar::AtLeast(100.0)),
    }
}

/// The first sync, compared with the bare decryptions; `bare` is the processor time of one private-key operation.
pub(super) fn against_bare(objects: usize, ours: &FirstSync, bare: Duration) -> Vec<Row> {
    let bare = bare.mul_f64(count(objects * ITEMS));
    let ideal = bare.div_f64(count(cores()));
    vec![
        Row {
            work: format!("processor time against the bare RSA operations ({})", seconds(bare)),
            ours: seconds(ours.cpu),
            figure: Some((ours.cpu.div_duration_f64(bare), "x")),
            bar: Some(Bar::AtMost(1.35)),
            ..Row::default()
        },
        Row {
            work: format!(
                "time until all Secrets exist against bare RSA operations on all cores ({})",
                seconds(ideal)
            ),
            ours: seconds(ours.secrets),
            figure: Some((ours.secrets.div_duration_f64(ideal), "x")),
            bar: Some(Bar::AtMost(1.6)),
            ..Row::default()
        },
    ]
}

pub(super) fn restart(ours: &Restart, original: &Restart) -> Vec<Row> {
    vec![
        Row {
            work: "restart, nothing changed: attempts to decrypt".into(),
            ours: format!("{:.0}", ours.attempts),
            original: format!("{:.0}", original.attempts),
            figure: Some((ours.attempts, "")),
            bar: Some(Bar::AtMost(0.0)),
        },
        Row {
            work: "restart: requests that write".into(),
            ours: format!("{:.0}", ours.writes),
            original: format!("{:.0}", original.writes),
            figure: Some((ours.writes, "")),
            bar: Some(Bar::AtMost(0.0)),
        },
        Row {
            work: "restart: processor time".into(),
            ours: seconds(ours.cpu),
            original: seconds(original.cpu),
            figure: Some((original.cpu.div_duration_f64(ours.cpu.max(Duration::from_millis(10))), "x")),
            bar: Some(Bar::AtLeast(50.0)),
        },
        Row {
            work: "restart: until the certificate is served".into(),
            ours: seconds(ours.ready),
            original: seconds(original.ready),
            figure: Some((ours.ready.as_secs_f64(), "s")),
            bar: Some(Bar::AtMost(0.5)),
        },
    ]
}

pub(super) fn memory(objects: usize, ours: &FirstSync, original: &FirstSync) -> Row {
    let ratio = megabytes(ours.peak_memory) / megabytes(original.peak_memory);
    let small = objects <= SMALL;
    Row {
        work: format!("peak memory with {objects} objects"),
        ours: format!("{:.1} MB", megabytes(ours.peak_memory)),
        original: format!("{:.1} MB", megabytes(original.peak_memory)),
        figure: Some(if small { (megabytes(ours.peak_memory), "MB") } else { (ratio, "x") }),
        bar: Some(Bar::AtMost(if small { 24.0 } else { 0.5 })),
    }
}

pub(super) fn latency(ours: &Latency, original: &Latency) -> Vec<Row> {
    let row = |what: &str, ours: Duration, original: Duration, bar: f64| Row {
        work: format!("create acknowledged to Secret visible, idle: {what}"),
        ours: milliseconds(ours),
        original: milliseconds(original),
        figure: Some((ours.as_secs_f64() * 1000.0, "ms")),
        bar: Some(Bar::AtMost(bar)),
    };
    vec![
        row("median", ours.median, original.median, 100.0),
        row("99 of 100", ours.worst_of_hundred, original.worst_of_hundred, 1000.0),
    ]
}

/// The latency of repairs. The original repairs nothing.
pub(super) fn repairs(ours: &Latency) -> Vec<Row> {
    let row = |what: &str, ours: Duration| Row {
        work: format!("edit of a Secret acknowledged to Secret put back: {what}"),
        ours: milliseconds(ours),
        figure: Some((ours.as_secs_f64() * 1000.0, "ms")),
        bar: Some(Bar::AtMost(1000.0)),
        ..Row::default()
    };
    vec![row("median", ours.median), row("99 of 100", ours.worst_of_hundred)]
}

/// The latency in a quiet namespace; `bare` is the processor time of one private-key operation.
pub(super) fn quiet_namespace(
    (objects, items): (usize, usize),
    ours: Duration,
    original: Duration,
    bare: Duration,
) -> Vec<Row> {
    let work =
        format!("one item of a quiet namespace, while another has queued {objects} objects of {items} items");
    vec![
        Row {
            work: format!("{work}: create acknowledged to Secret visible"),
            ..faster(ours, original, 10.0)
        },
        Row {
            work: format!("the same in private-key operations ({:.2} ms)", bare.as_secs_f64() * 1000.0),
            ours: milliseconds(ours),
            figure: Some((ours.div_duration_f64(bare), "x")),
            bar: Some(Bar::AtMost(400.0)),
            ..Row::default()
        },
    ]
}

pub(super) fn takeover(objects: usize, measured: &Takeover) -> Vec<Row> {
    let row = |work: &str, ours: String, figure, bar| Row {
        work: work.to_owned(),
        ours,
        figure: Some(figure),
        bar: Some(Bar::AtMost(bar)),
        ..Row::default()
    };
    let (writes, memory) = (measured.writes / count(objects), megabytes(measured.follower_memory));
    let time = |time: Duration| (time.as_secs_f64(), "s");
    let (most_handover, most_crash) = if objects > SMALL { (5.0, 18.0) } else { (2.0, 17.0) };
    vec![
        row(
            "first sync with three replicas: requests that write, per object",
            format!("{writes:.2}"),
            (writes, ""),
            3.01,
        ),
        row("peak memory of a follower", format!("{memory:.1} MB"), (memory, "MB"), 14.0),
        row(
            "SIGTERM of the leader to the next leader's first decrypted object",
            seconds(measured.handover),
            time(measured.handover),
            most_handover,
        ),
        row(
            "crash of the leader to the next leader's first decrypted object",
            seconds(measured.crash),
            time(measured.crash),
            most_crash,
        ),
    ]
}

pub(super) fn many_keys(keys: usize, measured: &ManyKeys) -> Row {
    Row {
        work: format!(
            "decrypting again what the oldest of {keys} keys sealed, processor time against one key"
        ),
        ours: format!("{} against {}", seconds(measured.with_many), seconds(measured.with_one)),
        original: String::new(),
        figure: Some((measured.with_many.div_duration_f64(measured.with_one), "x")),
        bar: Some(Bar::AtMost(1.1)),
    }
}

/// `bare` is the processor time of one private-key operation.
pub(super) fn reencrypt(items: usize, took: Duration, bare: Duration) -> Row {
    let operations = bare * u32::try_from(items).unwrap_or(u32::MAX);
    Row {
        work: format!(
            "`kubeseal reencrypt` of {items} items through the controller, against their operations on one core"
        ),
        ours: format!("{} against {}", seconds(took), seconds(operations)),
        original: String::new(),
        figure: Some((took.div_duration_f64(operations), "x")),
        bar: Some(Bar::AtMost(2.0)),
    }
}

fn faster(ours: Duration, original: Duration, bar: f64) -> Row {
    Row {
        work: String::new(),
        ours: seconds(ours),
        original: seconds(original),
        figure: Some((original.div_duration_f64(ours), "x")),
        bar: Some(Bar::AtLeast(bar)),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn count(objects: usize) -> f64 {
    u32::try_from(objects).map_or(f64::MAX, f64::from)
}
