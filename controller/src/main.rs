//! The controller of sealed-secrets-rs.

use std::process::ExitCode;

use clap::Parser as _;
use sealed_secrets_controller::{args::Args, run, telemetry};

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::init(&args);
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
