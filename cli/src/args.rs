//! The flags of upstream's `kubeseal` that this version has, with their variables (compatibility 1.1).

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use sealed_secrets_crds::Scope;
use sealed_secrets_crds::names::{DEFAULT_CONTROLLER_NAME, DEFAULT_CONTROLLER_NAMESPACE};

/// Seals Kubernetes Secrets so that they can be kept in Git.
///
/// Reads Secrets (YAML or JSON, one or several documents) and writes a SealedSecret for each:
///
///   kubeseal -o yaml < secret.yaml > sealed.yaml
///   kubeseal --cert cert.pem -f secret.yaml -w sealed.yaml
///   kubeseal --fetch-cert > cert.pem
#[derive(Debug, Parser)]
#[command(name = "kubeseal", disable_version_flag = true, verbatim_doc_comment)]
pub(crate) struct Args {
    /// Certificate to seal with: a file or a URL; without it the controller is asked
    #[arg(long, env = "SEALED_SECRETS_CERT", default_value = "", hide_default_value = true)]
    pub(crate) cert: String,

    /// Namespace of the controller
    #[arg(long, env = "SEALED_SECRETS_CONTROLLER_NAMESPACE", default_value = DEFAULT_CONTROLLER_NAMESPACE)]
    pub(crate) controller_namespace: String,

    /// Name of the controller's Service
    #[arg(long, env = "SEALED_SECRETS_CONTROLLER_NAME", default_value = DEFAULT_CONTROLLER_NAME)]
    pub(crate) controller_name: String,

    /// Format of the output: json or yaml; a file named .yaml or .yml gets YAML
    #[arg(long, short = 'o', env = "SEALED_SECRETS_FORMAT", default_value = "json")]
    pub(crate) format: String,

    /// File with Secrets; standard input without it
    #[arg(long, short = 'f', env = "SEALED_SECRETS_SECRET_FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// File to write; standard output without it
    #[arg(long, short = 'w', env = "SEALED_SECRETS_SEALED_SECRET_FILE")]
    pub(crate) sealed_secret_file: Option<PathBuf>,

    /// Print the certificate that the controller seals with
    #[arg(long, env = "SEALED_SECRETS_FETCH_CERT", action = ArgAction::SetTrue)]
    pub(crate) fetch_cert: bool,

    /// Seal Secrets that have no items, too
    #[arg(long, env = "SEALED_SECRETS_ALLOW_EMPTY_DATA", action = ArgAction::SetTrue)]
    pub(crate) allow_empty_data: bool,

    /// Name of the SealedSecret, instead of the input's
    #[arg(long, env = "SEALED_SECRETS_NAME")]
    pub(crate) name: Option<String>,

    /// Where the items may be opened: strict, namespace-wide or cluster-wide
    #[arg(long, env = "SEALED_SECRETS_SCOPE", default_value = "strict")]
    pub(crate) scope: Scope,

    /// Namespace of input that declares none
    #[arg(long, short = 'n', env = "SEALED_SECRETS_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Kubeconfig file
    #[arg(long, env = "SEALED_SECRETS_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, env = "SEALED_SECRETS_CONTEXT")]
    pub(crate) context: Option<String>,

    /// Print version and exit
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) version: bool,
}
