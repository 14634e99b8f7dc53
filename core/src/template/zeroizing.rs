//! A growing byte buffer with a size limit, wiped when dropped.

use zeroize::{Zeroize, Zeroizing};

use super::error::{Failure, Outcome};

/// A byte buffer that never exceeds its size limit.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    room: usize,
}

impl Buffer {
    pub(crate) fn new(room: usize) -> Self {
        Self { bytes: Zeroizing::default(), room }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn push_char(&mut self, char: char) -> Outcome<()> {
        self.push(char.encode_utf8(&mut [0; 4]).as_bytes())
    }

    pub(crate) fn push_repeated(&mut self, bytes: &[u8], count: usize) -> Outcome<()> {
        self.reserve(bytes.len().saturating_mul(count))?;
        if let [byte] = bytes {
            let length = self.bytes.len().saturating_add(count);
            self.bytes.resize(length, *byte);
            return Ok(());
        }
        for _ in 0..count {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes)
    }

    pub(crate) fn into_zeroizing(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }

    /// Grows by copying, so that the old allocation is wiped.
    fn reserve(&mut self, more: usize) -> Outcome<()> {
        let needed = self.bytes.len().saturating_add(more);
        if needed > self.room {
            return Err(Failure::budget("a value is too large"));
        }
        if needed > self.bytes.capacity() {
            let mut grown = Vec::with_capacity(needed.max(self.bytes.len().saturating_mul(2)).min(self.room));
            grown.extend_from_slice(&self.bytes);
            std::mem::swap(&mut *self.bytes, &mut grown);
            grown.zeroize();
        }
        Ok(())
    }
}
