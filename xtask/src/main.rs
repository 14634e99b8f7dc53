//! `cargo xtask`: development tasks.

mod api_tests;
mod archive;
mod bench;
mod cluster;
mod demo;
mod dist;
mod files;
mod fuzz;
mod gitops;
mod image;
mod inside;
mod licenses;
mod man;
mod page;
mod permissions;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sealed_secrets_tests::Result;

/// Development of sealed-secrets-rs
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Arguments),
    Cluster(cluster::Arguments),
    Demo(demo::Arguments),
    Dist(dist::Arguments),
    Fuzz(fuzz::Arguments),
    Gitops(gitops::Arguments),
    Image(image::Arguments),
    Man(man::Arguments),
    Test(test::Arguments),
    #[command(hide = true)]
    ApiTests(api_tests::Arguments),
    #[command(hide = true)]
    Prepare(test::PrepareArguments),
}

// Single-threaded: a child that ends with its parent ends with the thread that started it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Cluster(arguments) => cluster::run(&arguments).await,
        Command::Man(arguments) => man::run(&arguments).await,
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Dist(arguments) => dist::run(&arguments).await,
        Command::Fuzz(arguments) => fuzz::run(&arguments).await,
        Command::Gitops(arguments) => gitops::run(&arguments).await,
        Command::Image(arguments) => image::run(&arguments).await,
        Command::Test(arguments) => test::run(&arguments).await,
        Command::ApiTests(arguments) => api_tests::run(&arguments).await,
        Command::Prepare(arguments) => test::prepare(&arguments),
    }
}
