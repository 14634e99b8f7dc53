//! Fetching from an address, through the proxy that the environment names.

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
use kube::client::{AuthError, Body, ConfigExt as _};
use kube::{Client, Config};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use crate::api::runtime;
use crate::error::Error;

const MOST_REDIRECTS: usize = 10;
const NO_LOCATION: &str = "redirected to what is not a valid URL";

/// The content of an address.
pub(crate) struct Page {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// The last address on the way that was asked without encryption, for messages.
    pub(crate) unencrypted: Option<String>,
}

/// Fetches an address, within this time.
///
/// # Errors
/// When it cannot be reached, answers with anything but success, or not in time.
pub(crate) fn get(url: &str, timeout: Option<Duration>) -> Result<Page, Error> {
    let runtime = runtime()?;
    let page = runtime.block_on(async {
        match timeout {
            None => follow(url).await,
            Some(timeout) => tokio::time::timeout(timeout, follow(url)).await.unwrap_or_else(|_| {
                let cause = format!("no answer within {timeout:?}, the --request-timeout");
                Err(Error::Url { url: shown(url), cause })
            }),
        }
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    page
}

async fn follow(first: &str) -> Result<Page, Error> {
    let mut url = first.to_owned();
    let mut unencrypted = None;
    for _ in 0..=MOST_REDIRECTS {
        let failed = |cause: String| Error::Url { url: shown(&url), cause };
        let uri = Address::parse(url.as_str()).map_err(|_| failed("not a valid URL".to_owned()))?;
        let response = send(&uri).await.map_err(failed)?;
        if uri.scheme().as_str().eq_ignore_ascii_case("http") {
            unencrypted = Some(shown(&url));
        }
        let status = response.status();
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        match location.filter(|_| status.is_redirection()) {
            Some(location) => url = resolve(&uri, location).ok_or_else(|| failed(NO_LOCATION.to_owned()))?,
            None if !status.is_success() => return Err(Error::UrlStatus { url: shown(&url), status }),
            None => {
                let body = response.into_body().collect().await.map_err(|cause| failed(cause.to_string()))?;
                return Ok(Page { bytes: body.to_bytes().to_vec(), unencrypted });
            }
        }
    }
    Err(Error::Url { url: shown(first), cause: "stopped after 10 redirects".to_owned() })
}

async fn send(address: &Address<&str>) -> Result<Response<Body>, String> {
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
    let client = client(config).map_err(|cause| causes(&cause))?;
    client.send(request).await.map_err(|cause| causes(&cause))
}

/// Looks for no certificate authorities where nothing on the way is encrypted: where none are installed, none are missing.
pub(crate) fn trust_nobody_without_tls(config: &mut Config) {
    let is_encrypted = |uri: &Uri| uri.scheme_str() == Some("https");
    if !is_encrypted(&config.cluster_url) && !config.proxy_url.as_ref().is_some_and(is_encrypted) {
        config.root_cert = Some(Vec::new());
    }
}

/// A client for what the configuration names. Without encryption a proxy is asked for the whole address (RFC 9112, section 3.2.2);
/// the library would ask it for a tunnel, which proxies open to few ports.
///
/// # Errors
/// When the configuration cannot be used.
pub(crate) fn client(config: Config) -> Result<Client, kube::Error> {
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

/// Sends a request for an absolute address through a proxy.
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

/// User and password of an address as RFC 7617 sends them.
fn basic(user: Option<&EStr<Userinfo>>) -> String {
    let decoded = user.map(|user| user.decode().to_bytes()).unwrap_or_default();
    let colon: &[u8] = if decoded.contains(&b':') { b"" } else { b":" };
    format!("Basic {}", STANDARD.encode([&*decoded, colon].concat()))
}

/// Where a redirect leads (RFC 3986, section 5).
fn resolve(base: &Address<&str>, location: &str) -> Option<String> {
    let base = base.strip_fragment();
    Some(UriRef::parse(location).ok()?.resolve_against(&base).ok()?.into_string())
}

/// An address for messages: without its password.
pub(crate) fn shown(url: &str) -> String {
    let Ok(uri) = Address::parse(url) else {
        return url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, after)| format!("***@{after}"));
    };
    let user = uri.authority().and_then(|authority| authority.userinfo());
    match user.and_then(|user| Some((user, user.split_once(':')?.0))) {
        Some((user, name)) => url.replacen(&format!("{user}@"), &format!("{name}:***@"), 1),
        None => url.to_owned(),
    }
}

/// An error with all that caused it, the way Go prints them: the innermost says what happened.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(words) = words_for_secrets(error) {
        return words;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    // kube's own word for "the request failed", which says nothing.
    if let Some(inner) = source.filter(|_| text.starts_with("ServiceError: ")) {
        text = inner.to_string();
        source = inner.source();
    }
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.extend([": ", &words]);
        }
        source = cause.source();
    }
    text
}

/// What is said in place of errors that quote credentials or answers.
fn words_for_secrets(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<AuthError>() {
            return Some("the kubeconfig's auth provider gives no usable token; log in again".to_owned());
        }
        let cause = match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::SerdeError(cause)) => Some(cause),
            _ => error.downcast_ref::<serde_json::Error>(),
        };
        if let Some(cause) = cause {
            let (line, column) = (cause.line(), cause.column());
            return Some(format!("the answer cannot be read (line {line}, column {column})"));
        }
        if error.is::<kube::client::RustlsTlsError>() && error.to_string().starts_with("identity PEM") {
            return Some("the client certificate or its key cannot be used".to_owned());
        }
        next = error.source();
    }
    None
}

/// The proxy for a target: `HTTPS_PROXY` or `HTTP_PROXY` by scheme, in either case, unless `NO_PROXY` names the host. The
/// local machine is never asked through a proxy.
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

/// Go's rules: `*`, an address, a range of addresses, a domain with all below it, or with a leading dot only what is below;
/// but for ranges with or without a port.
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
    fn a_redirect_leads_where_its_address_says() {
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
    fn a_password_is_not_shown() {
        for (url, expected) in [
            ("https://user:hunter2@host/c", "https://user:***@host/c"),
            ("https://user:@host/c", "https://user:***@host/c"),
            ("https://user@host/a:b@c", "https://user@host/a:b@c"),
            ("https://host:1/c", "https://host:1/c"),
            ("https://user:hunter2/@host", "***@host"),
            ("https://user:hunter2@[host", "***@[host"),
        ] {
            assert_eq!(shown(url), expected);
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
