//! Lists, watches and parses key Secrets.

mod key_watch;
pub(crate) mod lister;
mod parsed_keys;
pub(crate) mod refresh;
