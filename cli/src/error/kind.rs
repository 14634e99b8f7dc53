//! Kinds of errors.

/// The kind of an error, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A command line that is not understood.
    Usage,
    /// Files and streams, and their content.
    Input,
    /// Options that cannot be used or contradict each other, and the kubeconfig.
    Configuration,
    /// The API server and the controller.
    Cluster,
    /// The program's own environment.
    Internal,
    /// An editor that SIGINT ended.
    Interrupted,
}

impl Kind {
    /// Upstream's exit code: pflag ends the program with 2, everything else with 1.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}
