//! `keys`: the sealing keys of a cluster.

mod backup;
mod list;
mod lookup;
mod restore;
mod retire;
mod revoke;
mod rotate;
mod stored;

use clap::Subcommand;
pub(super) use lookup::fingerprint_of;

use crate::error::Error;

/// A verb of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(list::List),
    Rotate(rotate::Rotate),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Revoke(revoke::Revoke),
    Retire(retire::Retire),
}

/// Runs the verb.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::List(list) => list.run(),
        Verb::Rotate(rotate) => rotate.run(),
        Verb::Backup(backup) => backup.run(),
        Verb::Restore(restore) => restore.run(),
        Verb::Revoke(revoke) => revoke.run(),
        Verb::Retire(retire) => retire.run(),
    }
}
