//! Certificates with their keys.

use super::bytes::Bytes;

/// Sprig's certificate: two PEM texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) certificate: Bytes,
    pub(crate) key: Bytes,
}
