//! `kubeseal`: seals Kubernetes Secrets so that they can be kept in Git.

mod args;
mod cert_source;
mod cluster;
mod commands;
mod error;
mod io;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::error::Result;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            io::tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if args.version {
        return io::print(&format!("kubeseal version: {}\n", env!("CARGO_PKG_VERSION")));
    }
    if args.fetch_cert { commands::fetch_cert::run(args) } else { commands::seal::run(args) }
}
