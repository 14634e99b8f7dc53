//! Identifies the client of a request: the peer, or the client that a trusted proxy names.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use parking_lot::RwLock;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The network part of an IPv6 address. A host can choose the other half freely.
const NETWORK: u128 = !0 << 64;

/// The address that limits apply to; for IPv6 the /64 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

impl Client {
    fn at(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Proxies whose `X-Forwarded-For` is trusted: those of `--trusted-proxies`, and the API servers.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies {
    named: Vec<IpNet>,
    api_servers: RwLock<HashSet<IpAddr>>,
    /// True once an untrusted proxy was logged.
    has_warned: AtomicBool,
}

impl TrustedProxies {
    pub(crate) fn new(named: Vec<IpNet>) -> Self {
        Self { named, ..Self::default() }
    }

    /// Trusts an address that an API server reports as its own.
    pub(crate) fn add_api_server(&self, address: IpAddr) {
        let mut api_servers = self.api_servers.write();
        if api_servers.insert(address.to_canonical()) {
            tracing::info!(%address, "requests that this API server forwards are counted by client");
        }
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        let api_servers = self.api_servers.read();
        self.named.iter().any(|network| network.contains(&peer)) || api_servers.contains(&peer)
    }

    /// Returns the client of a request. Entries that a trusted peer appended to the header are trusted; everything
    /// before them may be forged.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        let Some(forwarded_for) = headers.get_all(FORWARDED_FOR).iter().next_back() else {
            return Client::at(peer);
        };
        if !self.trusts(peer) {
            self.warn(peer);
            return Client::at(peer);
        }
        let last = forwarded_for.to_str().ok().and_then(|list| list.rsplit(',').next());
        Client::at(last.and_then(|last| last.trim().parse().ok()).unwrap_or(peer))
    }

    fn warn(&self, peer: IpAddr) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{peer} forwards requests but is not a trusted proxy, so all its clients share one rate limit; if it is the API server or your own proxy, add it to --trusted-proxies"
            );
        }
    }
}

/// Adds the [`Client`] to a request.
pub(crate) async fn identified(
    State(proxies): State<Arc<TrustedProxies>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = proxies.client(peer.ip(), request.headers());
    request.extensions_mut().insert(client);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(proxies: &TrustedProxies, peer: &str, forwarded_for: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        proxies.client(address(peer), &headers).0.to_string()
    }

    fn proxies() -> TrustedProxies {
        let proxies = TrustedProxies::new(vec!["10.9.0.0/16".parse().unwrap()]);
        proxies.add_api_server(address("10.0.0.1"));
        proxies
    }

    #[test]
    fn clients_behind_the_api_server_are_distinguished_by_the_address_that_it_appends() {
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "10.9.8.7"] {
            assert_eq!(client(&proxies(), peer, &["192.0.2.1"]), "192.0.2.1");
            assert_eq!(client(&proxies(), peer, &["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
            assert_eq!(client(&proxies(), peer, &["198.51.100.7", "203.0.113.9,192.0.2.1"]), "192.0.2.1");
            assert_eq!(client(&proxies(), peer, &["::ffff:192.0.2.1"]), "192.0.2.1");
        }
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_its_own_client_whatever_it_writes() {
        for peer in ["10.0.0.2", "127.0.0.1", "::ffff:10.0.0.2"] {
            let own = address(peer).to_canonical().to_string();
            assert_eq!(client(&proxies(), peer, &["192.0.2.1"]), own);
            assert_eq!(client(&proxies(), peer, &[]), own);
        }
        let nobody = TrustedProxies::default();
        assert_eq!(client(&nobody, "10.0.0.1", &["192.0.2.1"]), "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_that_names_no_address_is_its_own_client() {
        for nonsense in ["", "unknown", "192.0.2.1,", "192.0.2.1, _hidden", "192.0.2.1:80, 192.0.2.1:80"] {
            assert_eq!(client(&proxies(), "10.0.0.1", &[nonsense]), "10.0.0.1", "{nonsense}");
        }
        assert_eq!(client(&proxies(), "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let nobody = TrustedProxies::default();
        let of = |peer: &str| client(&nobody, peer, &[]);
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("::ffff:10.0.0.1"), of("::ffff:10.0.0.2"));
        assert_eq!(client(&proxies(), "10.0.0.1", &["2001:db8::7"]), "2001:db8::");
    }
}
