//! HTTP for URLs and the API server, through the proxy of the environment.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fluent_uri::pct_enc::EStr;
use fluent_uri::pct_enc::encoder::Userinfo;
use fluent_uri::{Uri as Address, UriRef};
use http::{Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::rt::{Read, Write};
use ipnet::IpNet;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tokio::runtime::Runtime;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use crate::error::{Error, error_chain};
use crate::retry::RetryAfter;

const MAX_REDIRECTS: usize = 10;
const NO_LOCATION: &str = "redirected to an invalid URL";

/// The response to a URL.
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    /// The last URL that was requested without encryption, for messages.
    pub(crate) unencrypted: Option<String>,
}

/// Fetches a URL, following redirects, within the timeout.
///
/// # Errors
/// When the server cannot be reached, does not answer with success, or not in time.
pub(crate) fn get(url: &str, timeout: Option<Duration>) -> Result<Page, Error> {
    let runtime = runtime()?;
    let page = runtime.block_on(async {
        match timeout {
            None => follow(url, timeout).await,
            Some(limit) => tokio::time::timeout(limit, follow(url, timeout)).await.unwrap_or_else(|_| {
                let cause = format!("no answer within {limit:?}, the --request-timeout");
                Err(Error::Url { url: redact_password(url), cause })
            }),
        }
    });
    // Dropping the runtime would wait for a DNS lookup that is still running.
    runtime.shutdown_background();
    page
}

async fn follow(first: &str, timeout: Option<Duration>) -> Result<Page, Error> {
    let mut url = first.to_owned();
    let mut unencrypted = None;
    for _ in 0..=MAX_REDIRECTS {
        let failed = |cause: String| Error::Url { url: redact_password(&url), cause };
        let uri = Address::parse(url.as_str()).map_err(|_| failed("not a valid URL".to_owned()))?;
        let response = send(&uri, timeout).await.map_err(failed)?;
        if uri.scheme().as_str().eq_ignore_ascii_case("http") {
            unencrypted = Some(redact_password(&url));
        }
        let status = response.status();
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        match location.filter(|_| status.is_redirection()) {
            Some(location) => url = resolve(&uri, location).ok_or_else(|| failed(NO_LOCATION.to_owned()))?,
            None if !status.is_success() => {
                return Err(Error::UrlStatus { url: redact_password(&url), status });
            }
            None => {
                let body = response.into_body().collect().await.map_err(|cause| failed(cause.to_string()))?;
                return Ok(Page { bytes: body.to_bytes().to_vec(), unencrypted });
            }
        }
    }
    Err(Error::Url { url: redact_password(first), cause: "stopped after 10 redirects".to_owned() })
}

async fn send(address: &Address<&str>, timeout: Option<Duration>) -> Result<Response<Body>, String> {
    let scheme = address.scheme().as_str().to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(format!("unsupported protocol scheme {scheme:?}"));
    }
    let authority =
        address.authority().filter(|authority| !authority.host().is_empty()).ok_or("no host in the URL")?;
    let (user, place) = authority.as_str().rsplit_once('@').unwrap_or(("", authority.as_str()));
    let base: Uri = format!("{scheme}://{place}").parse().map_err(|_| "not a valid URL")?;
    let path = if address.path().is_empty() { "/" } else { address.path().as_str() };
    let query = address.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::builder().method(Method::GET).uri(format!("{path}{query}"));
    if !user.is_empty() {
        request = request.header(header::AUTHORIZATION, basic(authority.userinfo()));
    }
    let request = request.body(Body::empty()).map_err(|cause| cause.to_string())?;
    let mut config = Config::new(base.clone());
    config.proxy_url = proxy_for(&base, |name| std::env::var(name).ok());
    trust_nobody_without_tls(&mut config);
    let client = client(config, timeout).map_err(|cause| error_chain(&cause))?;
    client.send(request).await.map_err(|cause| error_chain(&cause))
}

/// Leaves out the system's certificate authorities if neither server nor proxy uses TLS, so that machines without any can
/// connect.
pub(crate) fn trust_nobody_without_tls(config: &mut Config) {
    let is_encrypted = |uri: &Uri| uri.scheme_str() == Some("https");
    if !is_encrypted(&config.cluster_url) && !config.proxy_url.as_ref().is_some_and(is_encrypted) {
        config.root_cert = Some(Vec::new());
    }
}

/// Creates a client. For a server without encryption the proxy gets the whole URL (RFC 9112, section 3.2.2); the library would ask
/// for a tunnel, which proxies open to few ports only. A request is repeated as [`RetryAfter`] says.
///
/// # Errors
/// When the configuration cannot be used.
pub(crate) fn client(mut config: Config, timeout: Option<Duration>) -> Result<Client, kube::Error> {
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let once = client_without_retries(config)?;
    let send = move |request| {
        let once = once.clone();
        async move { once.send(request).await.map_err(BoxError::from) }
    };
    let service = ServiceBuilder::new().retry(RetryAfter::within(timeout)).service(tower::service_fn(send));
    Ok(Client::new(service, namespace))
}

fn client_without_retries(config: Config) -> Result<Client, kube::Error> {
    let is_web_proxy = |proxy: &Uri| matches!(proxy.scheme_str(), Some("http" | "https"));
    let proxy = config.proxy_url.clone().filter(is_web_proxy);
    let Some(proxy) = proxy.filter(|_| config.cluster_url.scheme_str() == Some("http")) else {
        return Client::try_from(config);
    };
    let connector = config.rustls_https_connector()?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(tower::service_fn(move |request| forward(connector.clone(), proxy.clone(), request)));
    Ok(Client::new(service, config.default_namespace))
}

/// Sends a request for an absolute URL through a proxy.
async fn forward<C>(
    connector: C,
    proxy: Uri,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, BoxError>
where
    C: Service<Uri, Error = BoxError>,
    C::Response: Read + Write + Unpin + Send + 'static,
{
    let target = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    request.headers_mut().insert(header::HOST, target.parse()?);
    let address = proxy.to_string();
    let user = Address::parse(address.as_str())?.authority().and_then(|authority| authority.userinfo());
    if let Some(user) = user {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, basic(Some(user)).parse()?);
    }
    let (mut sender, connection) = handshake(connector.oneshot(proxy).await?).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// The header value of basic authentication (RFC 7617) with the user and password of a URL.
fn basic(user: Option<&EStr<Userinfo>>) -> String {
    let decoded = user.map(|user| user.decode().to_bytes()).unwrap_or_default();
    let colon: &[u8] = if decoded.contains(&b':') { b"" } else { b":" };
    format!("Basic {}", STANDARD.encode([&*decoded, colon].concat()))
}

/// The target of a redirect (RFC 3986, section 5).
fn resolve(base: &Address<&str>, location: &str) -> Option<String> {
    let base = base.strip_fragment();
    Some(UriRef::parse(location).ok()?.resolve_against(&base).ok()?.into_string())
}

/// The URL without its password, for messages.
pub(crate) fn redact_password(url: &str) -> String {
    let Ok(uri) = Address::parse(url) else {
        return url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, after)| format!("***@{after}"));
    };
    let user = uri.authority().and_then(|authority| authority.userinfo());
    match user.and_then(|user| Some((user, user.split_once(':')?.0))) {
        Some((user, name)) => url.replacen(&format!("{user}@"), &format!("{name}:***@"), 1),
        None => url.to_owned(),
    }
}

/// Creates a runtime for the few requests of one command.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    let failed = |cause| Error::Internal { operation: "start async runtime", cause };
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

/// The proxy for a target: `HTTPS_PROXY` or `HTTP_PROXY` by scheme, in upper or lower case, unless `NO_PROXY` matches the host.
/// Requests to the local machine never use a proxy.
pub(crate) fn proxy_for(target: &Uri, variable: impl Fn(&str) -> Option<String>) -> Option<Uri> {
    let either = |name: &str| {
        variable(name).or_else(|| variable(&name.to_lowercase())).filter(|value| !value.is_empty())
    };
    let host = target.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let port = target.port_u16().unwrap_or(if target.scheme_str() == Some("https") { 443 } else { 80 });
    let excluded = |list: String| list.split(',').any(|pattern| excludes(pattern.trim(), host, port));
    if local || either("NO_PROXY").is_some_and(excluded) {
        return None;
    }
    let proxy = match target.scheme_str() {
        Some("https") => either("HTTPS_PROXY")?,
        _ => either("HTTP_PROXY")?,
    };
    let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
    proxy.parse().ok()
}

/// Matches a pattern of `NO_PROXY` by Go's rules: `*`, an address, a range of addresses, a domain with its subdomains, or with a
/// leading dot the subdomains only; all but ranges with or without a port.
fn excludes(pattern: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>();
    if pattern == "*" {
        return true;
    }
    if let (Ok(range), Ok(address)) = (pattern.parse::<IpNet>(), &address) {
        return range.contains(address);
    }
    let (name, wanted) = match pattern.rsplit_once(':').map(|(name, port)| (name, port.parse::<u16>())) {
        Some((name, Ok(port))) if pattern.parse::<IpAddr>().is_err() => (name, port),
        _ => (pattern, port),
    };
    let name = name.trim_matches(['[', ']']);
    if let (Ok(named), Ok(address)) = (name.parse::<IpAddr>(), &address) {
        return wanted == port && named == *address;
    }
    let domain = name.trim_start_matches('*').to_lowercase();
    let host = host.to_lowercase();
    let below = host.strip_suffix(&domain).is_some_and(|rest| domain.starts_with('.') || rest.ends_with('.'));
    wanted == port && !domain.is_empty() && (host == domain || below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_resolved_against_the_address_that_sent_it() {
        let base = Address::parse("https://user:pw@host:8443/v1/cert.pem?x=1#f").unwrap();
        let resolved = |location: &str| resolve(&base, location).unwrap();
        assert_eq!(resolved("cert"), "https://user:pw@host:8443/v1/cert");
        assert_eq!(resolved("../x"), "https://user:pw@host:8443/x");
        assert_eq!(resolved("?x=2"), "https://user:pw@host:8443/v1/cert.pem?x=2");
        assert_eq!(resolved("/x"), "https://user:pw@host:8443/x");
        assert_eq!(resolved("//other/x"), "https://other/x");
        assert_eq!(resolved("http://other:80/x"), "http://other:80/x");
        assert_eq!(resolve(&base, "http://[x"), None);
    }

    #[test]
    fn a_password_is_not_redact_password() {
        for (url, expected) in [
            ("https://user:hunter2@host/c", "https://user:***@host/c"),
            ("https://user:@host/c", "https://user:***@host/c"),
            ("https://user@host/a:b@c", "https://user@host/a:b@c"),
            ("https://host:1/c", "https://host:1/c"),
            ("https://user:hunter2/@host", "***@host"),
            ("https://user:hunter2@[host", "***@[host"),
        ] {
            assert_eq!(redact_password(url), expected);
        }
    }

    #[test]
    fn the_environment_names_the_proxy_and_its_exceptions() {
        let environment = |name: &str| match name {
            "https_proxy" => Some("proxy:3128".to_owned()),
            "NO_PROXY" => Some(
                "internal, .example.com,*.example.org,10.0.0.0/8,192.168.1.7:8443,[fd00::1],odd:8443,"
                    .to_owned(),
            ),
            _ => None,
        };
        let proxy = |url: &str| proxy_for(&url.parse().unwrap(), environment).map(|uri| uri.to_string());
        assert_eq!(proxy("https://host/x").as_deref(), Some("http://proxy:3128/"));
        for direct in [
            "http://host/x",
            "https://internal/x",
            "https://a.INTERNAL/x",
            "https://a.example.com/x",
            "https://a.example.org/x",
            "https://127.0.0.1/x",
            "https://10.250.0.1:6443/x",
            "https://192.168.1.7:8443",
            "https://[fd00::1]:6443/x",
            "https://odd:8443",
        ] {
            assert_eq!(proxy(direct), None, "{direct}");
        }
        for proxied in [
            "https://example.com",
            "https://example.org",
            "https://notinternal",
            "https://11.0.0.1",
            "https://192.168.1.7",
            "https://odd",
        ] {
            assert!(proxy(proxied).is_some(), "{proxied}");
        }
    }
}
