//! The addresses of the API servers, as they report them: requests from these addresses were forwarded by the service
//! proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use crate::http::TrustedProxies;

/// Interval of the requests: each of several API servers reports only its own address.
const REQUEST_INTERVAL: Duration = Duration::from_mins(5);
/// Wait after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Asks for the address periodically. Never returns. Every account may ask (`system:discovery`), so this needs no
/// permission; a failed request is repeated.
pub(crate) async fn follow(client: Client, proxies: Arc<TrustedProxies>) {
    loop {
        let pause = match client.list_core_api_versions().await {
            Ok(versions) => {
                let own = versions.server_address_by_client_cidrs.into_iter();
                let own = own.filter_map(|server| address(&server.server_address));
                own.for_each(|address| proxies.add_api_server(address));
                REQUEST_INTERVAL
            }
            Err(_) => RETRY_DELAY,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Parses the address in `ADDRESS:PORT`; `None` for a host name.
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
