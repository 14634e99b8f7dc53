//! Measurements of `kubeseal --cert` with one Secret: the whole process, from start to exit.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sealed_secrets_tests::{Error, Result, workspace};

use super::table::{Bar, Row};

const RUNS: usize = 100;
const RUNS_FOR_MEMORY: usize = 5;
const QUIET: Duration = Duration::from_millis(300);
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: hunter2}\n";

/// Time and peak memory as medians of many alternating runs of both programs, and the size of the stripped file.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(ours: &Path, upstream: &Path) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().map_err(when("create a folder"))?;
    let file = folder.path().join("secret.yaml");
    fs::write(&file, SECRET).map_err(when("write a Secret"))?;
    let time = both(ours, upstream, RUNS, |program| time(program, &file))?;
    let memory = both(ours, upstream, RUNS_FOR_MEMORY, |program| peak_memory(program, &file))?;
    let size = (megabytes(ours)?, megabytes(upstream)?);
    Ok(vec![
        row("seal one Secret: time", "ms", time, 0.3),
        row("seal one Secret: peak memory", "MB", memory, 0.3),
        row("stripped program", "MB", size, 0.3),
    ])
}

fn row(work: &str, unit: &str, (ours, original): (f64, f64), bar: f64) -> Row {
    Row {
        work: work.to_owned(),
        ours: format!("{ours:.1} {unit}"),
        original: format!("{original:.1} {unit}"),
        figure: Some((ours / original, "x")),
        bar: Some(Bar::AtMost(bar)),
    }
}

/// Medians of our kubeseal and upstream's.
fn both(
    ours: &Path,
    upstream: &Path,
    runs: usize,
    measure: impl Fn(&Path) -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut our_figures, mut their_figures) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        our_figures.push(measure(ours)?);
        their_figures.push(measure(upstream)?);
    }
    Ok((median(our_figures), median(their_figures)))
}

pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn command(program: &Path, secret: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--cert").arg(workspace::root().join("core/tests/data/rsa4096.crt")).arg("-f").arg(secret);
    command.env_clear().stdin(Stdio::null());
    command
}

/// The time of one run, in milliseconds.
fn time(program: &Path, secret: &Path) -> Result<f64> {
    let mut command = command(program, secret);
    command.stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(when("start kubeseal"))?;
    let time = start.elapsed();
    if status.success() {
        return Ok(time.as_secs_f64() * 1000.0);
    }
    Err(Error::Program(format!("{} failed", program.display())))
}

/// The peak memory of one run, in megabytes. The kernel reports the peak of running processes only, and mixes the parent's memory
/// into that of an ended one; so the last thing that the program does, writing its output, is blocked until the peak was read.
fn peak_memory(program: &Path, secret: &Path) -> Result<f64> {
    let (mut reader, writer) = full_socket().map_err(when("create a socket"))?;
    let child = command(program, secret).stdout(Stdio::from(OwnedFd::from(writer))).spawn();
    let mut child = child.map_err(when("start kubeseal"))?;
    let peak = settled_peak(&child)?;
    // The command held our end of the writer and is dropped: reading ends when the program exits.
    reader.read_to_end(&mut Vec::new()).map_err(when("read the output"))?;
    child.wait().map_err(when("wait for kubeseal"))?;
    Ok(peak)
}

fn full_socket() -> std::io::Result<(UnixStream, UnixStream)> {
    let (reader, mut writer) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    while writer.write(&[0; 4096]).is_ok() {}
    writer.set_nonblocking(false)?;
    Ok((reader, writer))
}

/// The peak memory, once it has not changed for a while.
fn settled_peak(child: &Child) -> Result<f64> {
    let (mut peak, mut since) = (0.0, Instant::now());
    while peak == 0.0 || since.elapsed() < QUIET {
        let now = peak_of(child.id())?;
        if now > peak {
            (peak, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(peak)
}

fn peak_of(process: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).map_err(when("read a process's status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes / 1024.0)
        .ok_or_else(|| Error::Program("kubeseal ended before its output was read".into()))
}

fn megabytes(program: &Path) -> Result<f64> {
    let length = fs::metadata(program).map_err(when("look at kubeseal"))?.len();
    Ok(f64::from(u32::try_from(length).unwrap_or(u32::MAX)) / 1e6)
}

pub(super) fn when(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { action: action.into(), source }
}
