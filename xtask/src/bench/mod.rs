//! Figures against the original, measured on this machine in one run.

mod kubeseal;

use std::process::ExitCode;

use sealed_secrets_tests::programs::UpstreamPrograms;
use sealed_secrets_tests::{Error, Result, workspace};

use crate::test::step;

/// Measure against the original's programs
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Time, memory and size of sealing one Secret without a cluster
    Kubeseal,
}

/// One figure.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured, with its unit.
    pub(crate) what: &'static str,
    /// Ours.
    pub(crate) ours: f64,
    /// The original's.
    pub(crate) upstream: f64,
    /// The largest ratio that is good enough.
    pub(crate) bar: f64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.upstream
    }

    fn holds(&self) -> bool {
        self.ratio() <= self.bar
    }
}

/// Measures, prints a table, and fails where a figure misses its bar.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rows = match arguments.what {
        What::Kubeseal => {
            let upstream = UpstreamPrograms::prepare()?.kubeseal;
            let build = ["build", "--release", "--locked", "--package", "kubeseal"];
            if !step::run("build kubeseal", &mut step::cargo(&build)).await?.success {
                return Err(Error::Program("kubeseal does not build".into()));
            }
            kubeseal::measure(&workspace::released_program("kubeseal")?, &upstream)?
        }
    };
    println!("| figure | ours | upstream v0.40.0 | ratio | bar |\n|---|---|---|---|---|");
    for row in &rows {
        let verdict = if row.holds() { "" } else { " MISSED" };
        println!(
            "| {} | {:.1} | {:.1} | {:.2} | <= {:.2}{verdict} |",
            row.what,
            row.ours,
            row.upstream,
            row.ratio(),
            row.bar
        );
    }
    Ok(if rows.iter().all(Row::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
