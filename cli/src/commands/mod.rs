//! One file per thing that `kubeseal` does.

pub(crate) mod fetch_cert;
pub(crate) mod seal;
