//! Listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

use crate::args::ListenAddress;
use crate::startup::error::StartError;

/// Length of the kernel's queue of connections that are not yet accepted.
const LISTEN_BACKLOG: i32 = 1024;
/// Receive buffer of each connection in bytes, which the kernel doubles for its own use. What nobody reads, such as requests behind
/// an unread answer, counts as memory of the Pod.
const RECEIVE_BUFFER: usize = 16 << 10;

/// Listens on `address`, the value of `flag`; without a host on all addresses, IPv4 and IPv6.
///
/// # Errors
/// If the address cannot be used.
pub(crate) async fn listen(address: &ListenAddress, flag: &'static str) -> Result<TcpListener, StartError> {
    let listening = match address.host.as_str() {
        "" => on_every_address(address.port, bound),
        host => on_host(host, address.port).await,
    };
    let listener = listening.map_err(|cause| StartError::Listen { address: address.clone(), flag, cause })?;
    // Connections inherit it. A failure is ignored: they work anyway, and take more memory only if their clients are hostile.
    let _ = SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(listener)
}

/// Listens on the first usable address of a host name; IPv4 comes first, as in Go.
async fn on_host(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    TcpListener::bind(addresses.as_slice()).await
}

/// Binds one socket for IPv4 and IPv6, or for IPv4 alone if the host has no IPv6.
fn on_every_address<T>(port: u16, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => bind((Ipv4Addr::UNSPECIFIED, port).into()),
        bound => bound,
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // The system's default may be different.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_host_without_ipv6_is_served_on_ipv4() {
        let without_ipv6 = |address: SocketAddr| match address {
            SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
            SocketAddr::V4(_) => Ok(address),
        };
        assert_eq!(on_every_address(80, without_ipv6).unwrap(), "0.0.0.0:80".parse().unwrap());
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_though_it_is_free_for_ipv4() {
        let taken = |address: SocketAddr| match address {
            SocketAddr::V6(_) => Err(io::ErrorKind::AddrInUse.into()),
            SocketAddr::V4(_) => Ok(address),
        };
        assert_eq!(on_every_address(80, taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn without_a_host_ipv4_is_served_whatever_the_hosts_default() {
        let listener = listen(&":0".parse().unwrap(), "listen-addr").await.unwrap();
        let address = listener.local_addr().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
        if address.is_ipv6() {
            assert!(!SockRef::from(&listener).only_v6().unwrap());
        }
    }

    #[tokio::test]
    async fn a_connection_holds_little_that_nobody_reads() {
        for address in [":0", "localhost:0"] {
            let listener = listen(&address.parse().unwrap(), "listen-addr").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let (connection, _) = listener.accept().await.unwrap();
            let buffer = SockRef::from(&connection).recv_buffer_size().unwrap();
            assert!(buffer <= 2 * RECEIVE_BUFFER, "{buffer}");
        }
    }

    #[tokio::test]
    async fn a_host_may_be_a_name() {
        let listener = listen(&"localhost:0".parse().unwrap(), "listen-addr").await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_loopback());
    }
}
