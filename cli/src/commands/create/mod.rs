//! `create` writes new SealedSecrets.

mod docker_registry;
mod generic;
mod kubectl;
mod output;
mod sources;
mod tls;

use clap::Subcommand;

pub(in crate::commands) use kubectl::with_hint;

use crate::error::Error;

/// A kind of Secrets, as for `kubectl create secret`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Generic(generic::Generic),
    Tls(tls::Tls),
    DockerRegistry(docker_registry::DockerRegistry),
}

/// Runs the verb.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::Generic(generic) => generic.run(),
        Verb::Tls(tls) => tls.run(),
        Verb::DockerRegistry(docker_registry) => docker_registry.run(),
    }
}
