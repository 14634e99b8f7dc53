//! A memory limit for one process, like that of a container, if this user may set one.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, IoContext, Result};

/// The mount points of the memory controllers: cgroup v1, and v2, each with the file that holds the limit.
const HIERARCHIES: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A control group. It is removed when dropped; its processes must have ended by then.
#[derive(Debug)]
pub struct MemoryLimit(PathBuf);

impl MemoryLimit {
    /// Puts a process under a limit in bytes. `None` if no control group can be created: not root, or in a sandbox.
    #[must_use]
    pub fn on(process: u32, bytes: u64) -> Option<Self> {
        HIERARCHIES.iter().find_map(|(hierarchy, file)| {
            let group = Self(PathBuf::from(hierarchy).join(format!("sealed-secrets-{process}")));
            fs::create_dir(&group.0).ok()?;
            let is_limited = fs::write(group.0.join(file), bytes.to_string()).is_ok()
                && fs::write(group.0.join("cgroup.procs"), process.to_string()).is_ok();
            is_limited.then_some(group)
        })
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Fails if a process is still in it, which only happens after a failed test.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The peak memory of a process so far, in bytes.
///
/// # Errors
/// When it has ended.
pub fn peak_memory(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).when(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or_else(|| Error::Invalid(format!("{path} has no VmHWM")))
}
