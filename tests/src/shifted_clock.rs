//! A wall clock that is off, for one process. Its monotonic clock is not changed.

use std::fs;
use std::process::Command;

use crate::error::{Error, IoContext, Result};
use crate::run_folder;

/// Environment variable: the seconds by which the clock is ahead.
const SECONDS: &str = "HARNESS_CLOCK_AHEAD";

/// Replaces the C library's function for the time, which Rust's standard library calls.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    const char *seconds = getenv("HARNESS_CLOCK_AHEAD");
    if (result == 0 && clock == CLOCK_REALTIME && seconds) now->tv_sec += atol(seconds);
    return (int)result;
}
"#;

/// Returns the environment variables, by name and value, of a process whose clock is ahead by so many seconds, or behind. Linux
/// only; needs a C compiler, as the build does.
///
/// # Errors
/// [`Error::Program`] when the C compiler fails.
pub fn variables(seconds: &str) -> Result<Vec<(&'static str, String)>> {
    let folder = run_folder::part("clock")?;
    let (source, library) = (folder.join("clock.c"), folder.join("libclock.so"));
    fs::write(&source, SOURCE).when(|| format!("write {}", source.display()))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
    let status = compiler.status().when(|| "start the C compiler cc".into())?;
    if !status.success() {
        return Err(Error::Program(format!("cc does not compile {}", source.display())));
    }
    let library = library.to_string_lossy().into_owned();
    Ok(vec![("LD_PRELOAD", library), (SECONDS, seconds.to_owned())])
}
