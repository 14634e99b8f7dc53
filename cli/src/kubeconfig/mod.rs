//! The configuration of cluster and user, from kubeconfig and flags by the rules of kubectl.

mod credentials;
mod exec;
mod file;
#[cfg(any(test, fuzzing))]
mod fuzzed;

use std::env;
use std::time::Duration;

use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig};
use sealed_secrets_core::template::parse_duration;

pub(crate) use file::read;
#[cfg(any(test, fuzzing))]
pub use fuzzed::kubeconfig;

use crate::error::{Error, error_chain};
use crate::http_client::{proxy_for, redact_password, trust_nobody_without_tls};
use crate::options::ClusterOptions;

const NO_CONFIGURATION: &str = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// The namespace of the current context; if it sets none, that of the pod that this process runs in, else `default`. A kubeconfig
/// without a cluster is ignored, as in client-go.
///
/// # Errors
/// When there is no usable configuration.
pub(crate) fn namespace(kubeconfig: Option<&Kubeconfig>, options: &ClusterOptions) -> Result<String, Error> {
    let Some(kubeconfig) = kubeconfig else {
        return in_cluster().map(|config| config.default_namespace);
    };
    let context = current_context(kubeconfig, options)?;
    if !has_server(&chosen_cluster(kubeconfig, context.as_ref(), options).unwrap_or_default()) {
        return in_cluster().map(|config| config.default_namespace);
    }
    let named = context.and_then(|context| context.namespace).filter(|namespace| !namespace.is_empty());
    let pods = || in_cluster().map_or_else(|_| "default".to_owned(), |config| config.default_namespace);
    Ok(named.unwrap_or_else(pods))
}

/// The configuration of a client.
///
/// # Errors
/// When there is no usable configuration.
pub(crate) fn config(kubeconfig: Option<&Kubeconfig>, options: &ClusterOptions) -> Result<Config, Error> {
    let mut config = if let Some(kubeconfig) = kubeconfig {
        let (cluster, user) = chosen(kubeconfig, options)?;
        connection(cluster, user)?
    } else {
        let mut config = in_cluster()?;
        config.auth_info = credentials::load(config.auth_info, &ExecAuthCluster::default())?;
        config
    };
    config.disable_compression |= options.disable_compression;
    Ok(config)
}

/// Builds the configuration for a cluster and a user. The library's own builder takes proxies from the environment by other rules than
/// kubectl.
fn connection(cluster: Cluster, user: AuthInfo) -> Result<Config, Error> {
    let parsed = |what: &str, text: &str| {
        text.parse::<Uri>()
            .map_err(|cause| Error::Kubeconfig(format!("{what} {:?}: {cause}", redact_password(text))))
    };
    let cluster = credentials::with_authority(cluster)?;
    let known =
        ExecAuthCluster::try_from(&cluster).map_err(|cause| Error::Kubeconfig(error_chain(&cause)))?;
    let mut config = Config::new(parsed("server", cluster.server.as_deref().unwrap_or_default())?);
    config.root_cert = known.certificate_authority_data.as_deref().map(authorities).transpose()?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.disable_compression = cluster.disable_compression.unwrap_or_default();
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Some(parsed("proxy-url", url)?),
        None => proxy_for(&config.cluster_url, |name| env::var(name).ok()),
    };
    trust_nobody_without_tls(&mut config);
    config.auth_info = credentials::load(user, &known)?;
    Ok(config)
}

/// The certificates of a PEM bundle, as DER.
fn authorities(bundle: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = pem::parse_many(bundle).map_err(|_| {
        Error::Kubeconfig("invalid configuration: the certificate authority is not PEM".to_owned())
    })?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    Ok(certificates.map(pem::Pem::into_contents).collect())
}

fn in_cluster() -> Result<Config, Error> {
    Config::incluster().map_err(|_| Error::Kubeconfig(NO_CONFIGURATION.to_owned()))
}

fn current_context(kubeconfig: &Kubeconfig, options: &ClusterOptions) -> Result<Option<Context>, Error> {
    let asked = options.context.as_deref();
    let Some(name) = asked.or(kubeconfig.current_context.as_deref()).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let found = kubeconfig.contexts.iter().find(|context| context.name == name);
    match found {
        Some(found) => Ok(found.context.clone()),
        None => Err(Error::Kubeconfig(format!("context {name:?} does not exist"))),
    }
}

/// The cluster and the user of the current context, overridden by flags.
fn chosen(kubeconfig: &Kubeconfig, options: &ClusterOptions) -> Result<(Cluster, AuthInfo), Error> {
    let context = current_context(kubeconfig, options)?;
    let user_name = options.user.as_deref().or(context.as_ref().and_then(|context| context.user.as_deref()));
    let cluster = chosen_cluster(kubeconfig, context.as_ref(), options)?;
    let user = match user_name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let found = kubeconfig.auth_infos.iter().find(|user| user.name == name);
            found.ok_or_else(|| missing("auth info", name))?.auth_info.clone().unwrap_or_default()
        }
        None => AuthInfo::default(),
    };
    if !has_server(&cluster) {
        return Err(Error::Kubeconfig(NO_CONFIGURATION.to_owned()));
    }
    Ok((cluster, with_user_options(user, options)))
}

/// The cluster of the context, overridden by flags.
fn chosen_cluster(
    kubeconfig: &Kubeconfig,
    context: Option<&Context>,
    options: &ClusterOptions,
) -> Result<Cluster, Error> {
    let name = options.cluster.as_deref().or(context.map(|context| context.cluster.as_str()));
    let cluster = match name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let found = kubeconfig.clusters.iter().find(|cluster| cluster.name == name);
            found.ok_or_else(|| missing("cluster", name))?.cluster.clone().unwrap_or_default()
        }
        None => Cluster::default(),
    };
    Ok(with_cluster_options(cluster, options))
}

fn missing(kind: &str, name: &str) -> Error {
    Error::Kubeconfig(format!("{kind} {name:?} does not exist"))
}

fn has_server(cluster: &Cluster) -> bool {
    cluster.server.as_deref().is_some_and(|server| !server.is_empty())
}

fn with_cluster_options(mut cluster: Cluster, options: &ClusterOptions) -> Cluster {
    if options.certificate_authority.is_some() {
        cluster.certificate_authority.clone_from(&options.certificate_authority);
        cluster.certificate_authority_data = None;
    }
    cluster.insecure_skip_tls_verify = options.insecure_skip_tls_verify.or(cluster.insecure_skip_tls_verify);
    cluster.server = options.server.clone().map(with_scheme).or(cluster.server);
    cluster.proxy_url = options.proxy_url.clone().or(cluster.proxy_url);
    cluster.tls_server_name = options.tls_server_name.clone().or(cluster.tls_server_name);
    cluster
}

/// Adds client-go's default scheme, http.
fn with_scheme(server: String) -> String {
    if server.contains("://") { server } else { format!("http://{server}") }
}

fn with_user_options(mut user: AuthInfo, options: &ClusterOptions) -> AuthInfo {
    if options.client_certificate.is_some() {
        user.client_certificate.clone_from(&options.client_certificate);
        user.client_certificate_data = None;
    }
    if options.client_key.is_some() {
        user.client_key.clone_from(&options.client_key);
        user.client_key_data = None;
    }
    // client-go: the token file has precedence over the token, and the flag over both.
    if options.token.is_some() {
        user.token.clone_from(&options.token);
        user.token_file = None;
    } else if user.token_file.as_deref().is_some_and(|path| !path.is_empty()) {
        user.token = None;
    }
    user.username = options.username.clone().or(user.username);
    user.password = options.password.clone().or(user.password);
    user.impersonate = options.impersonate.clone().or(user.impersonate);
    user.impersonate_uid = options.impersonate_uid.clone().or(user.impersonate_uid);
    user.impersonate_groups = options.impersonate_groups.clone().or(user.impersonate_groups);
    user
}

/// Parses seconds or a duration of Go (`time.ParseDuration`); `None`, no timeout, for zero and less.
///
/// # Errors
/// When the text is neither.
pub(crate) fn timeout(text: &str) -> Result<Option<Duration>, Error> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            Duration::from_nanos(u64::try_from(parse_duration(text).ok_or(Error::Timeout)?).unwrap_or(0))
        }
    };
    Ok((!duration.is_zero()).then_some(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds_or_go_durations() {
        assert_eq!(timeout("0").unwrap(), None);
        assert_eq!(timeout("30").unwrap(), Some(Duration::from_secs(30)));
        assert_eq!(timeout("1m30s").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(timeout("1.5s").unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!(timeout("250ms100us").unwrap(), Some(Duration::from_micros(250_100)));
        assert_eq!(timeout("+.5h").unwrap(), Some(Duration::from_mins(30)));
        assert_eq!((timeout("-5s").unwrap(), timeout("0.0s").unwrap()), (None, None));
        assert!(timeout("x").is_err() && timeout("5d").is_err() && timeout("s").is_err());
    }
}
