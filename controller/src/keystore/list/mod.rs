//! Reading key Secrets, and publishing the key ring made of them.

pub(crate) mod key_watch;
pub(crate) mod lister;
pub(crate) mod parsed_keys;
pub(crate) mod publish;
pub(crate) mod refresh;
