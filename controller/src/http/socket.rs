//! The socket of a connection: how much of an answer waits in the kernel and for how long, and how the connection is closed.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// What the kernel holds of answers, of which it takes twice as much for itself: memory of the Pod, for each connection.
const SEND_BUFFER: usize = 16 << 10;

/// A connection whose client must read each answer within a time.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    patience: Duration,
    /// Since the client has not read all that was written: when it is too late.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Each answer is read within `patience`.
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        let socket = SockRef::from(&stream);
        // Without these a connection works as well, and takes more memory when its client is hostile.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        // With a small buffer each piece of an answer would wait until the client confirms the one before.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(patience));
        Self { stream, patience, overdue: None }
    }

    /// Ends the connection when the client has read what it was sent and closed its side. What it still sends is thrown away: a
    /// socket that is closed before it is read takes the answer back.
    pub(super) async fn close(self) {
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
        if !matches!(timeout(self.patience, reads_to_the_end).await, Ok(Ok(()))) {
            self.reset();
        }
    }

    /// Ends the connection at once: what the client has not read is dropped, and takes no more memory.
    pub(super) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// The outcome of writing, or an error where nothing more can be written and it is too late.
    fn in_time<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            let patience = self.patience;
            let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(patience)));
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

    /// Called when all of an answer has been written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.overdue = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
