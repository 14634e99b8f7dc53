//! The table of flags: upstream's names, kinds and defaults, with the text of the help.

/// The kind of values that a flag accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Bool,
    /// Any text.
    Text,
    /// Comma-separated, and repeatable.
    List,
    /// Repeatable; commas stay.
    Repeated,
    /// One of the three scopes.
    Scope,
    /// A boolean of klog; accepted and ignored, like the following kinds.
    LogBool,
    /// A verbosity.
    LogLevel,
    /// A severity: a name or a number.
    LogSeverity,
    /// A size.
    LogSize,
    /// `pattern=N,...`.
    LogModules,
    /// `file.go:234`.
    LogPlace,
}

impl Kind {
    /// Returns `true` if a value is given only after `=`.
    pub(crate) fn is_bool(self) -> bool {
        matches!(self, Self::Bool | Self::LogBool)
    }

    /// Returns `true` for kinds of klog, which no environment variable sets.
    pub(crate) fn is_log(self) -> bool {
        !matches!(self, Self::Bool | Self::Text | Self::List | Self::Repeated | Self::Scope)
    }
}

/// A section of the help, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Commands other than sealing.
    Action,
    /// Input and output.
    Files,
    /// Settings of sealing.
    Sealing,
    /// The controller.
    Controller,
    /// kubectl's flags.
    Kubectl,
    /// Help and version.
    Other,
    /// klog's flags.
    Log,
}

impl Group {
    /// All groups in the order of the help.
    pub(crate) const ALL: [Self; 7] =
        [Self::Action, Self::Files, Self::Sealing, Self::Controller, Self::Kubectl, Self::Other, Self::Log];

    /// The heading of the section.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Action => "Instead of sealing a Secret",
            Self::Files => "Input and output",
            Self::Sealing => "How to seal",
            Self::Controller => "Which controller",
            Self::Kubectl => "Which cluster (as for kubectl)",
            Self::Other => "Other",
            Self::Log => "Accepted for compatibility, without effect",
        }
    }
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Name without dashes.
    pub(crate) name: &'static str,
    /// One-letter form.
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) group: Group,
    /// Placeholder of its value in the help.
    pub(crate) value: &'static str,
    /// Its description in the help.
    pub(crate) help: &'static str,
}

impl Flag {
    /// The notation of the flag in pflag's messages.
    pub(super) fn notation(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.name), |short| format!("-{short}, --{}", self.name))
    }
}

const fn flag(group: Group, name: &'static str, kind: Kind, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind, group, value, help }
}

const fn short(short: char, flag: Flag) -> Flag {
    Flag { short: Some(short), ..flag }
}

use Group::{Action, Controller, Files, Kubectl, Log, Other, Sealing};
use Kind::{
    Bool, List, LogBool, LogLevel, LogModules, LogPlace, LogSeverity, LogSize, Repeated, Scope, Text,
};

/// The flags in the order of the help.
pub(crate) const FLAGS: &[Flag] = &[
    flag(Action, "fetch-cert", Bool, "", "Print the controller's certificate; keep it for --cert"),
    flag(Action, "raw", Bool, "", "Encrypt one value, from stdin or --from-file, and print the bare item"),
    flag(
        Action,
        "merge-into",
        Text,
        "FILE",
        "Seal and put the items into this SealedSecret file, changing nothing else",
    ),
    flag(Action, "validate", Bool, "", "Ask the controller whether it can decrypt the SealedSecrets"),
    flag(Action, "re-encrypt", Bool, "", "Have the controller encrypt the items again with its newest key"),
    flag(Action, "rotate", Bool, "", "Deprecated name of --re-encrypt"),
    flag(
        Action,
        "recovery-unseal",
        Bool,
        "",
        "Decrypt SealedSecrets without a cluster, with --recovery-private-key",
    ),
    flag(
        Action,
        "recovery-private-key",
        List,
        "FILE,...",
        "Private keys: PEM, or key Secrets and Lists of them in YAML or JSON",
    ),
    short('f', flag(Files, "secret-file", Text, "FILE", "Read from this file instead of stdin")),
    short(
        'w',
        flag(
            Files,
            "sealed-secret-file",
            Text,
            "FILE",
            "Write to this file instead of stdout; .yaml and .yml mean YAML",
        ),
    ),
    short('o', flag(Files, "format", Text, "FORMAT", "Output as json (default) or yaml")),
    flag(Files, "from-file", List, "[KEY=]FILE", "With --raw: take the value from this file"),
    flag(Sealing, "cert", Text, "FILE|URL", "Seal with this certificate, without access to the cluster"),
    flag(
        Sealing,
        "cert-fingerprint",
        Text,
        "SHA256:...",
        "Refuse every certificate of another key, whatever its source",
    ),
    flag(
        Sealing,
        "scope",
        Scope,
        "SCOPE",
        "strict (default), namespace-wide or cluster-wide: where the items can be decrypted",
    ),
    short(
        'n',
        flag(Sealing, "namespace", Text, "NAMESPACE", "Namespace of the Secret, unless it names one itself"),
    ),
    flag(Sealing, "name", Text, "NAME", "Name of the Secret; required with --raw and scope strict"),
    flag(Sealing, "allow-empty-data", Bool, "", "Accept a Secret without items"),
    flag(
        Controller,
        "controller-namespace",
        Text,
        "NAMESPACE",
        "Namespace of the controller (default kube-system)",
    ),
    flag(
        Controller,
        "controller-name",
        Text,
        "NAME",
        "Name of its Service (default sealed-secrets-controller)",
    ),
    flag(Kubectl, "kubeconfig", Text, "FILE", "Kubeconfig file (default $KUBECONFIG, then ~/.kube/config)"),
    flag(Kubectl, "context", Text, "NAME", "Context of the kubeconfig"),
    flag(Kubectl, "cluster", Text, "NAME", "Cluster of the kubeconfig"),
    flag(Kubectl, "user", Text, "NAME", "User of the kubeconfig"),
    flag(Kubectl, "server", Text, "URL", "Address of the API server"),
    flag(Kubectl, "tls-server-name", Text, "NAME", "Name that the server's certificate must have"),
    flag(Kubectl, "certificate-authority", Text, "FILE", "Certificate authority of the API server"),
    flag(Kubectl, "insecure-skip-tls-verify", Bool, "", "Do not check the server's certificate; insecure"),
    flag(Kubectl, "client-certificate", Text, "FILE", "Client certificate"),
    flag(Kubectl, "client-key", Text, "FILE", "Key of the client certificate"),
    flag(Kubectl, "token", Text, "TOKEN", "Bearer token"),
    flag(Kubectl, "username", Text, "NAME", "Name for basic authentication"),
    flag(Kubectl, "password", Text, "PASSWORD", "Password for basic authentication"),
    flag(Kubectl, "as", Text, "NAME", "User to impersonate"),
    flag(Kubectl, "as-uid", Text, "UID", "UID to impersonate"),
    flag(Kubectl, "as-group", Repeated, "GROUP", "Group to impersonate; repeatable"),
    flag(Kubectl, "proxy-url", Text, "URL", "Proxy to the API server"),
    flag(
        Kubectl,
        "request-timeout",
        Text,
        "DURATION",
        "Time limit for one request, such as 30s or 2m (default 0: none)",
    ),
    flag(Kubectl, "disable-compression", Bool, "", "Do not request compressed responses"),
    flag(Other, "help", Bool, "", "Print this help"),
    flag(Other, "version", Bool, "", "Print the version"),
    short('v', flag(Log, "v", LogLevel, "N", "Verbosity")),
    flag(Log, "vmodule", LogModules, "PATTERN=N,...", "Verbosity by file"),
    flag(Log, "logtostderr", LogBool, "", "Log to stderr"),
    flag(Log, "alsologtostderr", LogBool, "", "Log to stderr too"),
    flag(Log, "alsologtostderrthreshold", LogSeverity, "SEVERITY", "Log to stderr from here on"),
    flag(Log, "stderrthreshold", LogSeverity, "SEVERITY", "Log to stderr from here on"),
    flag(Log, "legacy_stderr_threshold_behavior", LogBool, "", "Treatment of stderrthreshold"),
    flag(Log, "log_dir", Text, "DIR", "Directory of log files"),
    flag(Log, "log_file", Text, "FILE", "Log file"),
    flag(Log, "log_file_max_size", LogSize, "MB", "Largest log file"),
    flag(Log, "one_output", LogBool, "", "One file per severity"),
    flag(Log, "skip_headers", LogBool, "", "No prefixes"),
    flag(Log, "skip_log_headers", LogBool, "", "No headers in log files"),
    flag(Log, "add_dir_header", LogBool, "", "Directory in prefixes"),
    flag(Log, "log_backtrace_at", LogPlace, "FILE:LINE", "Stack traces"),
];
