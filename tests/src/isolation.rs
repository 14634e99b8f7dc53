//! A network, process and mount namespace for a whole run.
//!
//! The network namespace has a second address, because the API server's service proxy refuses loopback targets. The process
//! namespace ends with its first process, so that no started program outlives the run, however it ends.
//! Where namespaces do not exist, the run uses loopback and leaves out the tests that need namespaces.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{IoContext, Result};
use crate::run_folder;
pub use crate::run_folder::RunFolder;

/// The address inside the namespace that is not loopback.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

/// The variable with the encoded [`Ground`] of a program inside a run.
const VARIABLE: &str = "HARNESS_GROUND";

const LOOPBACK: &str = "loopback";
const ROOT: &str = "root";
const USER: &str = "user";

/// A script for the first process inside: its number as seen from outside is read before `/proc` is mounted anew.
/// Arguments: the second address, the owner of the namespaces, the program and its arguments.
const ENTER: &str = r#"
read -r outer _ < /proc/self/stat
mount -t proc proc /proc 2>/dev/null || :
ip link set lo up && ip address add "$0/32" dev lo || exit 1
export HARNESS_GROUND="$1 $outer"
shift
exec "$@"
"#;

/// A hint for users whose machine cannot use namespaces.
const REMEDY: &str = "namespaces need `unshare` and `setpriv` (util-linux), `ip` (iproute2), and either root or user \
                      namespaces for ordinary users (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)";

/// The environment that this process runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Outside of a run.
    Outside,
    /// Inside namespaces of its own.
    Namespaces {
        /// The number of the first process in the namespaces, as seen from outside.
        first_process: u32,
        /// True if they belong to a user namespace, because an unprivileged user started the run.
        of_user: bool,
    },
    /// Inside a run, but in the machine's own network, on loopback.
    Loopback,
}

impl Ground {
    /// Detects the environment of this process.
    #[must_use]
    pub fn here() -> Self {
        Self::named(std::env::var(VARIABLE).ok().as_deref())
    }

    fn named(name: Option<&str>) -> Self {
        match name {
            None => Self::Outside,
            Some(name) => Self::namespaces(name).unwrap_or(Self::Loopback),
        }
    }

    fn namespaces(name: &str) -> Option<Self> {
        let (whose, first_process) = name.split_once(' ')?;
        Some(Self::Namespaces { first_process: first_process.parse().ok()?, of_user: whose == USER })
    }

    /// The address that servers of this run listen on.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Namespaces { .. } => ADDRESS.into(),
            Self::Outside | Self::Loopback => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// The isolation that this machine supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// Network, process and mount namespaces (and a user namespace for an unprivileged user).
    Namespaces,
    /// Loopback only.
    Loopback {
        /// The missing requirement, for a message.
        why: String,
    },
}

impl Isolation {
    /// Detects the isolation that this machine supports.
    pub async fn detect() -> Self {
        match probe().await {
            Ok(()) => Self::Namespaces,
            Err(why) => Self::Loopback { why },
        }
    }

    /// A command that runs `program` in an isolation of its own, with `folder` as its run folder.
    #[must_use]
    pub fn command(&self, program: &Path, folder: &RunFolder) -> Command {
        let mut command = match self {
            Self::Namespaces => isolated(program),
            Self::Loopback { .. } => on_loopback(program),
        };
        command.env(run_folder::VARIABLE, folder.path()).kill_on_drop(true);
        command
    }

    /// Runs a command of [`Self::command`] to its end; on SIGINT or SIGTERM ends it with all programs that it started.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, mut command: Command) -> Result<ExitStatus> {
        let mut child = command.spawn().when(|| "start the isolated program".into())?;
        tokio::select! {
            status = child.wait() => return status.when(|| "wait for the isolated program".into()),
            () = told_to_stop() => (),
        }
        if let (Self::Loopback { .. }, Some(id)) = (self, child.id()) {
            // Only the program knows its children. It may be ending already, by the same ctrl-C.
            let _ = crate::daemon::send_signal("TERM", id);
        } else {
            child.start_kill().when(|| "end the isolated program".into())?;
        }
        child.wait().await.when(|| "wait for the isolated program".into())
    }
}

/// Returns when this process gets SIGINT or SIGTERM.
pub async fn told_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}

fn isolated(program: &Path) -> Command {
    // Killed with its parent, and the namespaces with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]).args(unshare_arguments());
    let whose = if is_root() { ROOT } else { USER };
    command.args(["--", "sh", "-c", ENTER, &ADDRESS.to_string(), whose]).arg(program);
    command
}

fn on_loopback(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env(VARIABLE, LOOPBACK);
    command
}

/// The arguments of `unshare`: an unprivileged user becomes root of a user namespace; root needs none.
fn unshare_arguments() -> Vec<&'static str> {
    let mut arguments = vec!["--net", "--pid", "--fork", "--kill-child", "--mount"];
    if !is_root() {
        arguments.splice(0..0, ["--user", "--map-root-user"]);
    }
    arguments
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Checks that this machine supports isolation; the error names the missing requirement.
async fn probe() -> std::result::Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("this system has no network namespaces".into());
    }
    let output = isolated(Path::new("true")).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("setpriv cannot be started ({error}); {REMEDY}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}; {REMEDY}", said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ground_is_named_by_the_variable() {
        assert_eq!(Ground::named(None), Ground::Outside);
        assert_eq!(Ground::named(Some(LOOPBACK)), Ground::Loopback);
        let namespaces = |of_user| Ground::Namespaces { first_process: 4711, of_user };
        assert_eq!(Ground::named(Some("user 4711")), namespaces(true));
        assert_eq!(Ground::named(Some("root 4711")), namespaces(false));
    }

    #[test]
    fn only_a_namespace_has_the_second_address() {
        assert!(Ground::Loopback.address().is_loopback());
        assert!(!Ground::Namespaces { first_process: 1, of_user: false }.address().is_loopback());
    }
}
