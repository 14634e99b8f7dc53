//! What keys are to be like: the flags.

use jiff::SignedDuration;
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::keyring::OrderBy;
use sealed_secrets_core::rotation::RotationPolicy;

use crate::args::Args;

/// What new keys are like.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    /// Of the names of their Secrets.
    pub(crate) prefix: String,
    pub(crate) size: KeySize,
    /// Of the certificate.
    pub(crate) validity: SignedDuration,
    /// Of the certificate.
    pub(crate) common_name: String,
}

/// What becomes of keys.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) making: Making,
    pub(crate) order_by: OrderBy,
    pub(crate) rotation: RotationPolicy,
}

impl Rules {
    pub(crate) fn of_flags(args: &Args) -> Self {
        Self {
            making: Making {
                prefix: args.key_prefix.clone(),
                size: args.key_size,
                validity: args.key_ttl,
                common_name: args.my_cn.clone(),
            },
            order_by: args.key_order_priority,
            rotation: args.rotation_policy(),
        }
    }
}
