//! The controller of sealed-secrets-rs.

use std::process::ExitCode;

use sealed_secrets_controller::args::{Args, WrongVariable};
use sealed_secrets_controller::{protect_memory, run, telemetry};

fn main() -> ExitCode {
    let (args, wrong_variables) = Args::of_this_process();
    telemetry::init(&args);
    if let Err(error) = protect_memory() {
        tracing::warn!("cannot protect the memory of this process from being dumped: {error}");
    }
    for WrongVariable { name, flag } in wrong_variables {
        tracing::warn!("the variable {name} is ignored, because its value is not valid for --{flag}");
    }
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
