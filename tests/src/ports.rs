//! Free ports below the kernel's ephemeral range, so that no outgoing connection takes one in between.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::{Error, Result};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A free port on `address` that this process has not returned before.
pub(crate) fn free_port(address: IpAddr) -> Result<u16> {
    static HANDED_OUT: AtomicU16 = AtomicU16::new(0);
    // Processes of one run start at different ports.
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    for _ in 0..COUNT {
        let offset = (start + u32::from(HANDED_OUT.fetch_add(1, Ordering::Relaxed))) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::Invalid(format!("no free port on {address}")))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: Vec<_> = (0..50).map(|_| free_port(Ipv4Addr::LOCALHOST.into()).unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
    }

    #[test]
    fn a_port_in_use_is_not_handed_out() {
        // The other test tries ports, too.
        let listener = (0..50).find_map(|_| {
            let next = free_port(Ipv4Addr::LOCALHOST.into()).unwrap() + 1;
            TcpListener::bind((Ipv4Addr::LOCALHOST, next)).ok()
        });
        let listener = listener.unwrap();
        let taken = listener.local_addr().unwrap().port();
        assert_ne!(free_port(Ipv4Addr::LOCALHOST.into()).unwrap(), taken);
    }
}
