//! Leader election: of several replicas one writes, and the others serve.
//!
//! The Lease saves work and never grants safety: two replicas may believe that they lead, and every write is safe
//! with concurrent writers (`sealed_secret/secret/apply`, `keystore`).

pub(crate) mod candidate;
pub(crate) mod election;
pub(crate) mod fence;
#[cfg(test)]
mod model;
pub(crate) mod record;
#[cfg(test)]
mod simulation;
pub(crate) mod timing;

pub(crate) use election::{Election, Settings};
pub(crate) use fence::{Fence, Leadership};
