//! The steps of a test run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sealed_secrets_tests::isolation::{Isolation, RunFolder};
use sealed_secrets_tests::programs::{
    ControlPlanePrograms, RecipeTools, SopsPrograms, UpstreamPrograms, actionlint, helm, kstatus, lua_health,
    promtool, template_oracle,
};
use sealed_secrets_tests::{EXISTING, Result, workspace};
use tokio::process::Command;

use super::build::TestProgram;
use super::deny;
use super::output::Results;
use super::step::{BOOTSTRAP, Finished, Outcome, cargo, check, closing, opening, quietly};
use crate::image;

/// The seed of property tests, so that their cases are the same in every run.
const SEED: &str = "PROPTEST_RNG_SEED";
/// An installation of the original: its CRD and its roles.
const EXISTING_CLUSTER: &str = "tests/tests/data/existing-cluster";
/// The API tests of the controller's image.
pub(crate) const IMAGE_TESTS: &str = "image::";
/// Makes libtest of a stable toolchain report the duration of each test.
const REPORT_TIMES: [&str; 2] = ["-Zunstable-options", "--report-time"];

/// The controller's tests that can differ with the original's CRD and roles. Order, memory and flags do not depend on either.
/// The single tests need more than that CRD has: a memory in the status, null as a template, and our kinds for keys.
const ON_EXISTING: [&str; 21] = [
    "controller_",
    "--skip",
    "controller_contention",
    "--skip",
    "controller_first_sync",
    "--skip",
    "controller_memory",
    "--skip",
    "controller_variables",
    "--skip",
    "a_restarted_controller_decrypts_no_unchanged_object",
    "--skip",
    "null_drops_a_key_and_an_item_wins_over_a_template",
    "--skip",
    "hostile_templates_end_with_a_budget_error",
    "--skip",
    "no_part_of_a_private_key_is_disclosed",
    "--skip",
    "rotation_",
    "--skip",
    "usage_",
];

/// Downloads or builds every program that is not built by Cargo: the only step, beside the download of crates, that may use the
/// network and takes many minutes the first time.
///
/// # Errors
/// All programs that could not be prepared, with the reasons.
pub(crate) fn prepare_programs() -> Result<()> {
    let programs: [(&str, Result<()>); 11] = [
        ("control plane", ControlPlanePrograms::prepare().map(drop)),
        ("original's programs", UpstreamPrograms::prepare().map(drop)),
        ("template oracle", template_oracle().map(drop)),
        ("kstatus", kstatus().map(drop)),
        ("lua-health", lua_health().map(drop)),
        ("helm", helm().map(drop)),
        ("promtool", promtool().map(drop)),
        ("actionlint", actionlint().map(drop)),
        ("recipe tools", RecipeTools::prepare().map(drop)),
        ("sops", SopsPrograms::prepare().map(drop)),
        ("cargo-deny", deny::prepare().map(drop)),
    ];
    let failed = programs.into_iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?)));
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(sealed_secrets_tests::Error::Missing(failed.join("\n"))) }
}

/// Runs [`prepare_programs`] as a separate process, so that it can be killed, and so that crates are compiled meanwhile.
pub(crate) async fn prepare(this_program: &Path) -> Result<Outcome> {
    let name = "programs from elsewhere";
    let start = opening(name);
    let mut command = Command::new(this_program);
    // Slow preparations print their own messages.
    let status = command.arg("prepare").kill_on_drop(true).status().await;
    let success = status.is_ok_and(|status| status.success());
    let duration = closing(name, start, &Finished { success, output: String::new() });
    Ok(Outcome::of_preparation(name, duration, success))
}

/// Checks the format of all sources.
pub(crate) async fn format() -> Result<Outcome> {
    check("format", &mut cargo(&["fmt", "--all", "--check"])).await
}

/// Runs Clippy on all targets. The tests on the API server are a target that is not tested by default, so they are named.
pub(crate) async fn lints() -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (name, targets) in [
        ("lints", &["--all-targets"][..]),
        ("lints of tests that need a cluster", &["--test", "api", "--test", "gitops"]),
    ] {
        let mut command = in_background(cargo(&["clippy", "--workspace", "--all-features", "--locked"]));
        command.args(targets).args(["--", "-D", "warnings"]);
        outcomes.push(check(name, &mut command).await?);
    }
    Ok(outcomes)
}

/// Builds the documentation of all items, private ones included, so that links to them resolve.
pub(crate) async fn documentation() -> Result<Outcome> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    let mut command = in_background(cargo(&arguments));
    command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    check("documentation", &mut command).await
}

/// Checks licences, bans and sources always, advisories if their database can be reached.
pub(crate) async fn dependencies() -> Result<Vec<Outcome>> {
    let program = match deny::prepare() {
        Ok(program) => program,
        Err(error) => {
            println!("cargo-deny: {error}");
            return Ok(vec![Outcome::of_check("dependencies", std::time::Duration::ZERO, false)]);
        }
    };
    let bans = ["check", "bans", "licenses", "sources"];
    let mut outcomes = vec![check("dependencies", &mut deny_command(&program, &bans)).await?];
    if quietly(&mut deny_command(&program, &["fetch", "db"])).await?.success {
        let advisories = ["check", "--disable-fetch", "advisories"];
        outcomes.push(check("advisories", &mut deny_command(&program, &advisories)).await?);
    } else {
        println!("advisories: not checked, their database cannot be reached from here");
    }
    Ok(outcomes)
}

/// Options for running test programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// Run only tests whose names contain one of these.
    pub(crate) filters: &'a [OsString],
    /// Report the duration of each test.
    pub(crate) timings: bool,
}

/// Runs every test of programs that need no API server.
pub(crate) async fn tests(
    name: &'static str,
    programs: &[TestProgram],
    options: Options<'_>,
) -> Result<Outcome> {
    let start = opening(name);
    let (mut all, mut success, mut output) = (Vec::new(), true, String::new());
    for program in programs {
        let mut command = in_background(program.command());
        let finished = quietly(options.apply(&mut command)).await?;
        all.push(Results::parse(&program.kind, &finished.output));
        if !finished.success {
            success = false;
            output.push_str(&finished.output);
        }
    }
    let duration = closing(name, start, &Finished { success, output });
    Ok(Outcome::of_tests(name, duration, all, success, !options.filters.is_empty()))
}

/// Runs the examples in doc comments, which only Cargo can run. There may be none.
pub(crate) async fn documentation_examples(options: Options<'_>) -> Result<Outcome> {
    let name = "documentation examples";
    let mut command =
        in_background(cargo(&["test", "--workspace", "--locked", "--doc", "--no-fail-fast", "--"]));
    let (finished, duration) = super::step::run(name, command.args(options.filters)).await?;
    let results = Results::parse("documentation example", &finished.output);
    Ok(Outcome::of_tests(name, duration, vec![results], finished.success, true))
}

/// Builds the image that tests start the controller from, if this machine can build it.
pub(crate) async fn image() -> Result<Outcome> {
    let name = "controller's image";
    if let Err(error) = image::program::platform() {
        println!("{name}: left out, {error}");
        return Ok(Outcome::default());
    }
    let start = opening(name);
    let result = image::for_tests().await;
    let output = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let success = result.is_ok();
    let duration = closing(name, start, &Finished { success, output });
    Ok(Outcome::of_preparation(name, duration, success))
}

/// A run of the tests that need an API server, on a control plane of its own.
pub(crate) struct ApiRun<'a> {
    pub(crate) name: &'static str,
    pub(crate) program: &'a TestProgram,
    /// Filters and options of the test program.
    pub(crate) arguments: Vec<OsString>,
    /// The folder with the CRD and the permissions that replace the shipped ones.
    pub(crate) existing: Option<&'static str>,
    /// True if every granted permission must be used, and no others.
    pub(crate) judge_permissions: bool,
}

impl<'a> ApiRun<'a> {
    /// All tests but those of the image, which may not be built yet.
    pub(crate) fn of_everything(program: &'a TestProgram) -> Self {
        let arguments = ["--skip", IMAGE_TESTS].map(OsString::from).to_vec();
        Self { judge_permissions: true, ..Self::with("tests with an API server", program, arguments) }
    }

    /// The tests of the image.
    pub(crate) fn of_the_image(program: &'a TestProgram) -> Self {
        Self::with("tests of the image", program, vec![IMAGE_TESTS.into()])
    }

    /// The controller's tests with the CRD and the permissions of the original.
    pub(crate) fn on_existing(program: &'a TestProgram) -> Self {
        let arguments = ON_EXISTING.iter().map(OsString::from).collect();
        Self {
            existing: Some(EXISTING_CLUSTER),
            ..Self::with("controller on an existing installation", program, arguments)
        }
    }

    pub(crate) fn with(name: &'static str, program: &'a TestProgram, arguments: Vec<OsString>) -> Self {
        Self { name, program, arguments, existing: None, judge_permissions: false }
    }

    /// Returns true if any test has one of these names.
    pub(crate) async fn has_tests(&self) -> Result<bool> {
        let listed = quietly(self.program.command().args(&self.arguments).arg("--list")).await?;
        Ok(listed.output.lines().any(|line| line.ends_with(": test")))
    }

    /// Runs the tests inside an isolation.
    pub(crate) async fn run(&self, this_program: &Path, options: Options<'_>) -> Result<Outcome> {
        let isolation = Isolation::detect().await;
        if let Isolation::Loopback { why } = &isolation {
            println!("on loopback, without the service proxy and the original's controller: {why}");
        }
        let folder = RunFolder::create()?;
        let mut command = isolation.command(this_program, &folder);
        command.args(["api-tests", "--program"]).arg(&self.program.executable);
        if self.judge_permissions {
            command.arg("--judge-permissions");
        }
        command.arg("--").args(&self.arguments).env("CARGO_TERM_COLOR", "never");
        let options = Options { filters: &[], ..options };
        options.apply(&mut command);
        command.envs(self.existing.map(|folder| (EXISTING, folder)));
        let start = opening(self.name);
        let finished = quietly(&mut command).await?;
        let duration = closing(self.name, start, &finished);
        if !finished.success {
            println!("logs: {}", folder.keep_logs().display());
        }
        let results = Results::parse(&self.program.kind, &finished.output);
        Ok(Outcome::of_tests(self.name, duration, vec![results], finished.success, true))
    }
}

impl Options<'_> {
    fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if std::env::var_os(SEED).is_none() {
            command.env(SEED, "2017");
        }
        if self.timings {
            command.env(BOOTSTRAP, "1").args(REPORT_TIMES);
        }
        command.args(self.filters)
    }
}

/// The command with a lower priority: tests on the API server have deadlines and go first where both run.
fn in_background(command: Command) -> Command {
    let command = command.into_std();
    let mut polite = std::process::Command::new("nice");
    polite.args(["-n", "10"]).arg(command.get_program()).args(command.get_args());
    polite.current_dir(command.get_current_dir().map_or_else(workspace::root, Path::to_owned));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => polite.env(name, value),
            None => polite.env_remove(name),
        };
    }
    polite.into()
}

fn deny_command(program: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--color", "never", "--locked", "--all-features"]).args(arguments);
    command.current_dir(workspace::root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_run_on_an_existing_installation_is_that_of_tests() {
        let folder = workspace::root().join("tests/tests/api");
        let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = files.filter(|file| file.is_file()).collect();
        let sources: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        for name in ON_EXISTING.iter().filter(|name| **name != "--skip") {
            let is_of_module =
                files.iter().any(|file| file.file_name().unwrap().to_string_lossy().starts_with(name));
            let is_of_test = sources.iter().any(|source| source.contains(&format!("async fn {name}")));
            assert!(is_of_module || is_of_test, "{name}");
        }
    }
}
