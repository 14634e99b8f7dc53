//! Protects the memory of this process, which contains private keys and plaintexts, from other processes.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Disables core dumps and, on Linux, access by other processes of the same user (`ptrace`, `/proc/PID/mem`).
///
/// # Errors
/// If the system refuses that. The process can continue without this protection.
pub fn protect_memory() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not apply if the kernel pipes dumps to a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_protected_process_is_nobody_elses() {
        protect_memory().unwrap();
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        protect_memory().unwrap();
    }
}
