//! The socket of a connection: limits on the size and time of unread answers in the kernel, and how the connection is
//! closed.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// Send buffer in bytes, which the kernel doubles for its own use. It counts as memory of the Pod, for each connection.
const SEND_BUFFER: usize = 16 << 10;

/// A connection whose client must read each answer within a time limit.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    timeouts: Duration,
    /// Deadline for the client to read all that was written; `None` if nothing is pending.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Wraps a stream, with a timeout for reading each answer.
    pub(crate) fn new(stream: TcpStream, timeouts: Duration) -> Self {
        let socket = SockRef::from(&stream);
        // Failures are ignored: the connection works anyway, and takes more memory only if its client is hostile.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        // With a small buffer, each segment of an answer would otherwise wait for the acknowledgement of the previous
        // one.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(timeouts));
        Self { stream, timeouts, overdue: None }
    }

    /// Closes the connection once the client has read its answer and closed its side. Data that it still sends is
    /// discarded: closing a socket with unread data would discard the answer.
    pub(crate) async fn close(self) {
        if self.overdue.is_some() {
            return self.reset();
        }
        let reads_to_the_end = async {
            SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
            let mut rest = [0; 4096];
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut rest) {
                    Ok(0) => return io::Result::Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
        };
        if !matches!(timeout(self.timeouts, reads_to_the_end).await, Ok(Ok(()))) {
            self.reset();
        }
    }

    /// Resets the connection at once: unread answers are discarded and take no more memory.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Returns the outcome of a write, or an error if the write would block and the deadline has passed.
    fn in_time<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            let timeouts = self.timeouts;
            let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(timeouts)));
            ready!(overdue.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.in_time(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when an answer has been written completely.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.overdue = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
