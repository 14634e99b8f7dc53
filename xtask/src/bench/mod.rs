//! `cargo xtask bench`: performance, compared with the original in the same run.

mod controller;
mod kubeseal;
mod kubeseal_repository;
mod machine;
mod sops;
mod table;

use std::process::ExitCode;

use clap::ValueEnum;
use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::{ControlPlanePrograms, SopsPrograms, UpstreamPrograms};
use sealed_secrets_tests::{Error, Result, workspace};

use crate::test::step;
use crate::{inside, page};

/// Measure against the original, and print a table of ratios
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The subject of the measurements
    #[arg(default_value = "controller")]
    what: Subject,
    /// `SealedSecrets` of two items in the cluster; of more than 1000 only the first sync and its memory are measured
    #[arg(long, default_value_t = 1000)]
    objects: usize,
    /// Quick estimate: few objects, no rate of the original as shipped, few keys
    #[arg(long)]
    quick: bool,
    /// Put the table into docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Subject {
    /// First sync, restart, many keys, memory, latency
    Controller,
    /// Time, memory and size of sealing one Secret, and time for a repository of many files, without a cluster
    Kubeseal,
}

/// Builds optimized programs, then measures inside an isolation.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let programs = ControlPlanePrograms::prepare()?;
    UpstreamPrograms::prepare()?;
    if matches!(arguments.what, Subject::Kubeseal) {
        SopsPrograms::prepare()?;
    }
    if Ground::here() == Ground::Outside {
        return measure_optimized(arguments.what).await;
    }
    let table = tokio::select! {
        table = measure(arguments, &programs) => table?,
        () = told_to_stop() => return Ok(ExitCode::FAILURE),
    };
    let section = format!("{}\n{table}", machine::description());
    println!("\n{section}");
    if arguments.write {
        page::replace("benchmarks.md", arguments.section(), &section)?;
    }
    Ok(if table.all_reached() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments, programs: &ControlPlanePrograms) -> Result<table::Table> {
    match arguments.what {
        Subject::Controller => {
            let objects = if arguments.quick { arguments.objects.min(100) } else { arguments.objects };
            controller::measure(programs, objects, arguments.quick).await
        }
        Subject::Kubeseal => {
            let mut table = table::Table::default();
            let kubeseal = workspace::released_program("kubeseal")?;
            table.add_all(kubeseal::measure(&kubeseal, &UpstreamPrograms::prepare()?.kubeseal)?);
            let sops = sops::update_keys(&SopsPrograms::prepare()?)?;
            table.add_all(kubeseal_repository::measure(&kubeseal, sops)?);
            Ok(table)
        }
    }
}

impl Arguments {
    /// The name of the table's section on the page.
    fn section(&self) -> &'static str {
        match self.what {
            Subject::Controller if self.objects > controller::SMALL => "bench controller, many objects",
            Subject::Controller => "bench controller",
            Subject::Kubeseal => "bench kubeseal",
        }
    }
}

impl Subject {
    /// The packages that Cargo builds.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Controller => &["xtask", "sealed-secrets-controller", "kubeseal"],
            Self::Kubeseal => &["xtask", "kubeseal"],
        }
    }
}

/// Builds this program and the measured ones with optimization, then measures. Each is built alone, as for a release: built
/// together, both would have the features of either.
async fn measure_optimized(subject: Subject) -> Result<ExitCode> {
    println!("Building optimized programs (some minutes the first time)");
    for package in subject.packages() {
        let build = ["build", "--release", "--locked", "--package", *package];
        let finished = step::quietly(&mut step::cargo(&build)).await?;
        if !finished.success {
            return Err(Error::Program(format!("{package} cannot be built:\n{}", finished.output)));
        }
    }
    let this = inside::this_program()?;
    let folder = this.parent().and_then(std::path::Path::parent);
    let folder = folder.ok_or_else(|| Error::Missing("the folder of Cargo's builds".into()))?;
    inside::again_as(&folder.join("release").join("xtask")).await
}
