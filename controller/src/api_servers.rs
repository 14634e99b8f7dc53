//! The addresses that API servers give as their own: requests that come from there were forwarded by the service proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use crate::http::TrustedProxies;

/// How often an API server is asked: of several, each answers for itself.
const ASKED_EVERY: Duration = Duration::from_mins(5);
/// After a failure.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Never ends. Every account may ask (`system:discovery`), so this needs no right; what is asked for in vain is asked for again.
pub(crate) async fn follow(client: Client, proxies: Arc<TrustedProxies>) {
    loop {
        let pause = match client.list_core_api_versions().await {
            Ok(versions) => {
                let own = versions.server_address_by_client_cidrs.into_iter();
                let own = own.filter_map(|server| address(&server.server_address));
                own.for_each(|address| proxies.add_api_server(address));
                ASKED_EVERY
            }
            Err(_) => ASKED_AGAIN_AFTER,
        };
        tokio::time::sleep(pause).await;
    }
}

/// The address in `ADDRESS:PORT`; of a host name nothing is known.
fn address(server: &str) -> Option<IpAddr> {
    let with_port = server.parse().map(|server: SocketAddr| server.ip());
    with_port.or_else(|_| server.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_is_known_by_its_address_and_not_by_a_name() {
        assert_eq!(address("192.0.2.1:6443"), "192.0.2.1".parse().ok());
        assert_eq!(address("[2001:db8::1]:6443"), "2001:db8::1".parse().ok());
        assert_eq!(address("192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(address("api.example.com:6443"), None);
    }
}
