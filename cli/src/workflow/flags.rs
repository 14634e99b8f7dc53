//! Arguments that subcommands share.

use clap::Args;
use sealed_secrets_core::names::refused_namespace;
use sealed_secrets_crds::Scope;

use crate::certificate::PinFlag;
use crate::error::Error;
use crate::options::ClusterOptions;

/// The certificate and the controller.
#[derive(Debug, Args)]
pub(crate) struct SealingFlags {
    /// Seal with this certificate, without access to the cluster
    #[arg(long, value_name = "FILE|URL", env = "SEALED_SECRETS_CERT", hide_env_values = true)]
    cert: Option<String>,
    #[command(flatten)]
    pub(crate) pin: PinFlag,
    /// Seal for this cluster of .kubeseal.yaml, whatever its rules say; kubeseal --help describes that file
    #[arg(long = "for", value_name = "CLUSTER")]
    pub(crate) cluster_name: Option<String>,
    /// Write no comment that names the key of an item
    #[arg(long)]
    pub(crate) no_receipt: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterOptions,
}

impl SealingFlags {
    /// The value of `--cert`.
    pub(crate) fn cert(&self) -> Option<&str> {
        given(self.cert.as_ref())
    }
}

/// The text of a flag; an empty one counts as absent, since a variable may hold it.
pub(crate) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Namespace and scope.
#[derive(Debug, Args)]
pub(crate) struct ObjectFlags {
    /// Namespace, where neither the file nor a rule names one
    #[arg(short, long, value_name = "NAMESPACE", env = "SEALED_SECRETS_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,
    /// Scope in which the items can be decrypted: strict, namespace-wide or cluster-wide
    #[arg(long, value_name = "SCOPE", env = "SEALED_SECRETS_SCOPE", hide_env_values = true)]
    scope: Option<String>,
}

impl ObjectFlags {
    /// The namespace.
    ///
    /// # Errors
    /// When the API server rejects it.
    pub(crate) fn namespace(&self) -> Result<Option<&str>, Error> {
        let given = given(self.namespace.as_ref());
        given.and_then(refused_namespace).map_or(Ok(given), |refusal| Err(Error::Argument(refusal)))
    }

    /// The scope.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn scope(&self) -> Result<Option<Scope>, Error> {
        let given = given(self.scope.as_ref());
        let parse = |scope: &str| scope.parse().map_err(|error| Error::Argument(format!("--scope: {error}")));
        given.map(parse).transpose()
    }
}
