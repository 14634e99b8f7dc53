//! A DNS server with one name.

use std::net::{IpAddr, Ipv4Addr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const HEADER: usize = 12;
const ADDRESS_RECORD: [u8; 2] = [0, 1];
/// Header flags of a response with recursion available; the last bits of the second byte are the response code.
const ANSWER: [u8; 2] = [0x81, 0x80];
const NO_SUCH_NAME: u8 = 3;

/// Responds until it is dropped.
pub(super) struct NameServer {
    address: IpAddr,
    answering: JoinHandle<()>,
}

impl NameServer {
    /// Listens on port 53 of the run's own network, the only port that `resolv.conf` can name.
    pub(super) async fn start(name: &str, address: IpAddr) -> Self {
        let IpAddr::V4(address) = address else { panic!("{address} is not an IPv4 address") };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
        let (name, own_address) = (name.to_owned(), socket.local_addr().unwrap().ip());
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = answer(&buffer[..length], &name, address) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { address: own_address, answering }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

/// The response to a query with one question (RFC 1035, section 4).
fn answer(query: &[u8], known: &str, address: Ipv4Addr) -> Option<Vec<u8>> {
    let (name, question) = question(query)?;
    let is_known = name.eq_ignore_ascii_case(known);
    let has_record = is_known && question.get(question.len() - 4..question.len() - 2)? == ADDRESS_RECORD;
    let code = if is_known { 0 } else { NO_SUCH_NAME };
    let mut message = query.get(..2)?.to_vec();
    message.extend([ANSWER[0], ANSWER[1] | code, 0, 1, 0, u8::from(has_record), 0, 0, 0, 0]);
    message.extend(question);
    if has_record {
        // The name at offset 12, type A, class IN, TTL 60 seconds, four bytes of data.
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address.octets());
    }
    Some(message)
}

/// The requested name, and the question with its type and class.
fn question(query: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), query.get(HEADER..at + 4)?));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}
