//! The steps of a test run and what they counted.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use sealed_secrets_tests::isolation::{Isolation, RunFolder};
use sealed_secrets_tests::programs::{
    ControlPlanePrograms, UpstreamPrograms, helm, kstatus, lua_health, promtool,
};
use sealed_secrets_tests::{EXISTING, Result};
use tokio::process::Command;

use super::cargo_output::counts_by_kind;
use super::deny;
use super::step::{Finished, cargo, closing, heading, quietly, run};
use super::summary::{Counts, Summary};
use crate::api_tests::SELECTION;
use crate::{image, inside};

/// Property tests take their cases from it: the same in every run.
const SEED: &str = "PROPTEST_RNG_SEED";
/// What an installation of the original has.
const EXISTING_CLUSTER: &str = "tests/tests/data/existing-cluster";

/// The controller's tests but those of what the original's CRDs cannot hold: a memory in the status, null as a template, and our
/// kinds for keys.
const ON_EXISTING: [&str; 13] = [
    "controller_",
    "--skip",
    "a_restarted_controller_opens_nothing_that_is_unchanged",
    "--skip",
    "conditions_of_others_stay_though_the_watch_has_not_shown_them",
    "--skip",
    "null_drops_a_key_and_an_item_wins_over_a_template",
    "--skip",
    "hostile_templates_end_with_a_budget_error",
    "--skip",
    "rotation_",
    "--skip",
    "usage_",
];

/// The steps so far.
pub(crate) struct Steps {
    start: Instant,
    rows: Vec<(String, Counts)>,
    this_program: PathBuf,
}

impl Steps {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { start: Instant::now(), rows: Vec::new(), this_program: inside::this_program()? })
    }

    /// Everything that may need the network, and takes minutes the first time.
    pub(crate) async fn prepare(&mut self) -> Result<()> {
        let finished = run("fetch crates", &mut cargo(&["fetch", "--locked"])).await?;
        self.count_if_failed("fetch crates", &finished);
        self.provide("control plane", ControlPlanePrograms::prepare().map(drop));
        self.provide("original's programs", UpstreamPrograms::prepare().map(drop));
        self.provide("kstatus", kstatus().map(drop));
        self.provide("helm", helm().map(drop));
        self.provide("promtool", promtool().map(drop));
        self.provide("lua-health", lua_health().map(drop));
        Ok(())
    }

    pub(crate) async fn format(&mut self) -> Result<()> {
        self.check("format", &mut cargo(&["fmt", "--all", "--check"])).await
    }

    pub(crate) async fn lints(&mut self) -> Result<()> {
        let arguments =
            ["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"];
        self.check("lints", &mut cargo(&arguments)).await
    }

    pub(crate) async fn documentation(&mut self) -> Result<()> {
        let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        // Private items are documented too, so links to them lead somewhere.
        command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
        self.check("documentation", &mut command).await
    }

    /// Licences, bans and sources always; advisories where their database can be reached.
    pub(crate) async fn dependencies(&mut self) -> Result<()> {
        let program = match deny::prepare() {
            Ok(program) => program,
            Err(error) => {
                self.provide("cargo-deny", Err(error));
                return Ok(());
            }
        };
        let check = ["check", "bans", "licenses", "sources"];
        self.check("dependencies", &mut deny_command(&program, &check)).await?;
        if quietly(&mut deny_command(&program, &["fetch", "db"])).await?.success {
            self.check("advisories", &mut deny_command(&program, &["check", "--disable-fetch", "advisories"]))
                .await
        } else {
            println!("advisories: not checked, their database cannot be reached from here");
            Ok(())
        }
    }

    /// Every test that needs no API server.
    pub(crate) async fn tests(&mut self, filters: &[OsString]) -> Result<()> {
        let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--"]);
        if std::env::var_os(SEED).is_none() {
            command.env(SEED, "2017");
        }
        let finished = run("tests without an API server", command.args(filters)).await?;
        self.count_tests("tests without an API server", &finished, filters);
        Ok(())
    }

    /// The image that tests start the controller from, where one can be built.
    pub(crate) async fn image(&mut self) -> Result<()> {
        let name = "build the controller's image";
        if let Err(error) = image::program::platform() {
            println!("{name}: left out, {error}");
            return Ok(());
        }
        let start = heading(name);
        let result = image::for_tests().await;
        let output = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let finished = Finished { success: result.is_ok(), output };
        closing(start, &finished);
        self.count_if_failed(name, &finished);
        Ok(())
    }

    /// The tests that need an API server, inside an isolation.
    pub(crate) async fn api_tests(&mut self, filters: &[OsString]) -> Result<()> {
        let name = "tests with an API server";
        let built = run("build the programs", &mut cargo(&["build", "--workspace", "--locked"])).await?;
        self.count_if_failed("build the programs", &built);
        let mut command = cargo(&["test", "--no-run"]);
        let built = run("build the tests with an API server", command.args(SELECTION)).await?;
        self.count_if_failed("build these tests", &built);
        self.isolated_tests(name, filters, None).await?;
        if filters.is_empty() {
            let arguments = ON_EXISTING.iter().map(OsString::from).collect::<Vec<_>>();
            self.isolated_tests("controller on an existing installation", &arguments, Some(EXISTING_CLUSTER))
                .await?;
        }
        Ok(())
    }

    /// Runs test programs that are built, on the CRD and rights in the folder `existing` or on the shipped ones.
    async fn isolated_tests(
        &mut self,
        name: &str,
        filters: &[OsString],
        existing: Option<&str>,
    ) -> Result<()> {
        let isolation = Isolation::detect().await;
        if let Isolation::Loopback { why } = &isolation {
            println!("on loopback, without the service proxy and the original's controller: {why}");
        }
        let folder = RunFolder::create()?;
        let mut command = isolation.command(&self.this_program, &folder);
        command.arg("api-tests").arg("--").args(filters).env("CARGO_TERM_COLOR", "never");
        command.envs(existing.map(|folder| (EXISTING, folder)));
        let start = heading(name);
        let finished = quietly(&mut command).await?;
        closing(start, &finished);
        if !finished.success {
            println!("logs: {}", folder.keep_logs().display());
        }
        self.count_tests(name, &finished, filters);
        Ok(())
    }

    pub(crate) fn summary(self) -> Summary {
        Summary::new(self.rows, self.start.elapsed())
    }

    /// A step that counts as one.
    async fn check(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let finished = run(name, command).await?;
        self.rows.push((name.to_owned(), Counts::one(finished.success)));
        Ok(())
    }

    fn count_if_failed(&mut self, name: &str, finished: &Finished) {
        if !finished.success {
            self.rows.push((name.to_owned(), Counts::one(false)));
        }
    }

    /// Something that must be there for later steps: worth a row only when it is not.
    fn provide(&mut self, name: &str, result: Result<()>) {
        if let Err(error) = result {
            println!("{name}: {error}");
            self.rows.push((name.to_owned(), Counts::one(false)));
        }
    }

    /// Adds what a test step counted. With filters, tests that these left out are not worth mentioning.
    fn count_tests(&mut self, name: &str, finished: &Finished, filters: &[OsString]) {
        let counts = counts_by_kind(&finished.output);
        let ran: u32 = counts.values().map(|counts| counts.passed + counts.failed).sum();
        let failed: u32 = counts.values().map(|counts| counts.failed).sum();
        for (kind, mut counts) in counts {
            counts.skipped += if filters.is_empty() { counts.filtered } else { 0 };
            if counts.passed + counts.failed + counts.skipped > 0 {
                self.rows.push((kind, counts));
            }
        }
        let says_nothing = ran == 0 && filters.is_empty();
        if failed == 0 && (says_nothing || !finished.success) {
            self.rows.push((name.to_owned(), Counts::one(false)));
        }
    }
}

fn deny_command(program: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--color", "never", "--locked", "--all-features"]).args(arguments);
    command.current_dir(sealed_secrets_tests::workspace::root());
    command
}
