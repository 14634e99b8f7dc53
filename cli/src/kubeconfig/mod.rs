//! The cluster that kubeconfig and flags name, as kubectl sees it. Read only when somebody asks.

mod credentials;
mod exec;
mod file;

use std::env;
use std::time::Duration;

use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig};
use sealed_secrets_core::template::parse_duration;

use crate::error::Error;
use crate::flags::Flags;
use crate::web::{causes, proxy_for, shown, trust_nobody_without_tls};

const NO_CONFIGURATION: &str = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// The namespace of the current context; where it names none, that of the pod this runs in, else `default`. A kubeconfig that
/// leads to no cluster counts as none, as in client-go.
///
/// # Errors
/// When there is no usable configuration.
pub(crate) fn namespace(flags: &Flags) -> Result<String, Error> {
    let Some(kubeconfig) = file::read(flags)? else {
        return in_cluster().map(|config| config.default_namespace);
    };
    let context = current_context(&kubeconfig, flags)?;
    if !has_server(&chosen_cluster(&kubeconfig, context.as_ref(), flags).unwrap_or_default()) {
        return in_cluster().map(|config| config.default_namespace);
    }
    let named = context.and_then(|context| context.namespace).filter(|namespace| !namespace.is_empty());
    let pods = || in_cluster().map_or_else(|_| "default".to_owned(), |config| config.default_namespace);
    Ok(named.unwrap_or_else(pods))
}

/// Everything that a client needs.
///
/// # Errors
/// When there is no usable configuration.
pub(crate) fn config(flags: &Flags) -> Result<Config, Error> {
    let timeout = request_timeout(flags)?;
    let mut config = if let Some(kubeconfig) = file::read(flags)? {
        let (cluster, user) = chosen(&kubeconfig, flags)?;
        connection(cluster, user)?
    } else {
        let mut config = in_cluster()?;
        config.auth_info = credentials::settle(config.auth_info, &ExecAuthCluster::default())?;
        config
    };
    config.read_timeout = timeout.or(config.read_timeout);
    config.disable_compression |= flags.is_on("disable-compression");
    Ok(config)
}

/// How to reach this cluster as this user. Written out, because the library's own way takes proxies from the environment by
/// rules that are not kubectl's.
fn connection(cluster: Cluster, user: AuthInfo) -> Result<Config, Error> {
    let parsed = |what: &str, text: &str| {
        text.parse::<Uri>().map_err(|cause| Error::Kubeconfig(format!("{what} {:?}: {cause}", shown(text))))
    };
    let cluster = credentials::with_authority(cluster)?;
    let known = ExecAuthCluster::try_from(&cluster).map_err(|cause| Error::Kubeconfig(causes(&cause)))?;
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
    config.auth_info = credentials::settle(user, &known)?;
    Ok(config)
}

/// The certificates of a PEM bundle, DER.
fn authorities(bundle: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = pem::parse_many(bundle).map_err(|_| {
        Error::Kubeconfig("invalid configuration: the certificate authority is no PEM".to_owned())
    })?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    Ok(certificates.map(pem::Pem::into_contents).collect())
}

fn in_cluster() -> Result<Config, Error> {
    Config::incluster().map_err(|_| Error::Kubeconfig(NO_CONFIGURATION.to_owned()))
}

fn current_context(kubeconfig: &Kubeconfig, flags: &Flags) -> Result<Option<Context>, Error> {
    let asked = flags.text("context");
    let Some(name) = asked.or(kubeconfig.current_context.as_deref()).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let found = kubeconfig.contexts.iter().find(|context| context.name == name);
    match found {
        Some(found) => Ok(found.context.clone()),
        None => Err(Error::Kubeconfig(format!("context {name:?} does not exist"))),
    }
}

/// Cluster and user that the current context and the flags choose.
fn chosen(kubeconfig: &Kubeconfig, flags: &Flags) -> Result<(Cluster, AuthInfo), Error> {
    let context = current_context(kubeconfig, flags)?;
    let user_name = flags.text("user").or(context.as_ref().and_then(|context| context.user.as_deref()));
    let cluster = chosen_cluster(kubeconfig, context.as_ref(), flags)?;
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
    Ok((cluster, with_user_flags(user, flags)))
}

/// The cluster of the context, as the flags change it.
fn chosen_cluster(
    kubeconfig: &Kubeconfig,
    context: Option<&Context>,
    flags: &Flags,
) -> Result<Cluster, Error> {
    let name = flags.text("cluster").or(context.map(|context| context.cluster.as_str()));
    let cluster = match name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let found = kubeconfig.clusters.iter().find(|cluster| cluster.name == name);
            found.ok_or_else(|| missing("cluster", name))?.cluster.clone().unwrap_or_default()
        }
        None => Cluster::default(),
    };
    Ok(with_cluster_flags(cluster, flags))
}

fn missing(kind: &str, name: &str) -> Error {
    Error::Kubeconfig(format!("{kind} {name:?} does not exist"))
}

fn has_server(cluster: &Cluster) -> bool {
    cluster.server.as_deref().is_some_and(|server| !server.is_empty())
}

fn with_cluster_flags(mut cluster: Cluster, flags: &Flags) -> Cluster {
    let text = |name: &str| flags.text(name).map(str::to_owned);
    if let Some(file) = text("certificate-authority") {
        cluster.certificate_authority = Some(file);
        cluster.certificate_authority_data = None;
    }
    if flags.was_given("insecure-skip-tls-verify") {
        cluster.insecure_skip_tls_verify = Some(flags.is_on("insecure-skip-tls-verify"));
    }
    cluster.server = text("server").map(with_scheme).or(cluster.server);
    cluster.proxy_url = text("proxy-url").or(cluster.proxy_url);
    cluster.tls_server_name = text("tls-server-name").or(cluster.tls_server_name);
    cluster
}

/// client-go's rule: a bare host is asked over http.
fn with_scheme(server: String) -> String {
    if server.contains("://") { server } else { format!("http://{server}") }
}

fn with_user_flags(mut user: AuthInfo, flags: &Flags) -> AuthInfo {
    let text = |name: &str| flags.text(name).map(str::to_owned);
    if let Some(file) = text("client-certificate") {
        user.client_certificate = Some(file);
        user.client_certificate_data = None;
    }
    if let Some(file) = text("client-key") {
        user.client_key = Some(file);
        user.client_key_data = None;
    }
    // client-go's rule: the file wins, but for the flag.
    if let Some(token) = text("token") {
        user.token = Some(token.into());
        user.token_file = None;
    } else if user.token_file.as_deref().is_some_and(|path| !path.is_empty()) {
        user.token = None;
    }
    user.username = text("username").or(user.username);
    user.password = text("password").map(Into::into).or(user.password);
    user.impersonate = text("as").or(user.impersonate);
    user.impersonate_uid = text("as-uid").or(user.impersonate_uid);
    if flags.was_given("as-group") {
        user.impersonate_groups = Some(flags.texts("as-group").to_vec());
    }
    user
}

/// How long a request may take; `None` for no end.
///
/// # Errors
/// When `--request-timeout` is no duration.
pub(crate) fn request_timeout(flags: &Flags) -> Result<Option<Duration>, Error> {
    flags.text("request-timeout").map_or(Ok(None), timeout)
}

/// Seconds, or Go's durations (`time.ParseDuration`); zero, and what is less, means none.
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
