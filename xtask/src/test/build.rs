//! The single build of all tests, and the test programs that Cargo reports.

use std::path::{Path, PathBuf};

use sealed_secrets_tests::{Error, Result};
use serde_json::Value;

use super::step::{self, Finished, Outcome, cargo, closing, opening};

/// The test program that needs an API server. It has `test = false` in its manifest, so that `cargo test` alone does not
/// run it.
const API_TESTS: &str = "api";
/// The test program that needs tools beside the API server, likewise.
const GITOPS_TESTS: &str = "gitops";

/// A compiled test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestProgram {
    /// The package it belongs to.
    pub(crate) package: String,
    /// The kind of its tests, as the summary names it.
    pub(crate) kind: String,
    pub(crate) executable: PathBuf,
    /// The folder of its package, in which Cargo would run it.
    pub(crate) folder: PathBuf,
}

impl TestProgram {
    /// A command that runs it in the folder where Cargo would.
    pub(crate) fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.executable);
        command.current_dir(&self.folder).env("CARGO_TERM_COLOR", "never");
        command
    }
}

/// All test programs of the workspace.
#[derive(Debug, Default)]
pub(crate) struct TestPrograms {
    /// The test program that needs an API server; absent if the build failed.
    pub(crate) api: Option<TestProgram>,
    pub(crate) others: Vec<TestProgram>,
}

/// Builds the programs of the workspace and all test programs, as one step.
pub(crate) async fn everything() -> Result<(Outcome, TestPrograms)> {
    let name = "programs of the workspace and their tests";
    let start = opening(name);
    let (mut finished, others) = build(&["test", "--workspace", "--locked", "--no-run"]).await?;
    let mut programs = TestPrograms { api: None, others };
    if finished.success {
        (finished, programs.api) = needing_programs(API_TESTS).await?;
    }
    let duration = closing(name, start, &finished);
    Ok((Outcome::of_preparation(name, duration, finished.success), programs))
}

/// Builds the programs, and the test program that needs an API server.
///
/// # Errors
/// [`Error::Program`] with Cargo's output when something does not compile.
pub(crate) async fn api_tests() -> Result<TestProgram> {
    let (finished, program) = needing_programs(API_TESTS).await?;
    program.ok_or(Error::Program(finished.output))
}

/// Builds the programs, and the test program that needs tools beside the API server.
///
/// # Errors
/// As [`api_tests`].
pub(crate) async fn gitops_tests() -> Result<TestProgram> {
    let (finished, program) = needing_programs(GITOPS_TESTS).await?;
    program.ok_or(Error::Program(finished.output))
}

/// Builds the programs, and the test program `name`, which runs them. Selects the whole workspace, so that shared dependencies have the same features as in every other step, and are built once.
async fn needing_programs(name: &str) -> Result<(Finished, Option<TestProgram>)> {
    let (finished, _) = build(&["build", "--workspace", "--locked"]).await?;
    if !finished.success {
        return Ok((finished, None));
    }
    let (finished, programs) =
        build(&["test", "--workspace", "--locked", "--no-run", "--test", name]).await?;
    let program = programs.into_iter().find(|program| program.executable_name_is(name));
    Ok((finished, program))
}

impl TestProgram {
    /// Returns true if the executable has this name; Cargo appends a dash and a hash.
    fn executable_name_is(&self, name: &str) -> bool {
        let file = self.executable.file_name().unwrap_or_default().to_string_lossy();
        file.rsplit_once('-').is_some_and(|(stem, _)| stem == name)
    }
}

async fn build(arguments: &[&str]) -> Result<(Finished, Vec<TestProgram>)> {
    let mut command = cargo(arguments);
    command.arg("--message-format=json-render-diagnostics");
    let finished = step::quietly(&mut command).await?;
    let programs = finished.output.lines().filter_map(test_program).collect();
    let output = finished.output.lines().filter(|line| !line.starts_with('{'));
    let output = output.collect::<Vec<_>>().join("\n");
    Ok((Finished { output, ..finished }, programs))
}

/// Reads one line of Cargo's messages: a test program that was compiled, or that was up to date.
fn test_program(line: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(line).ok()?;
    let text = |path: &str| message.pointer(path).and_then(Value::as_str);
    let is_test = message.pointer("/profile/test").and_then(Value::as_bool).unwrap_or_default();
    if text("/reason") != Some("compiler-artifact") || !is_test {
        return None;
    }
    let folder = Path::new(text("/manifest_path")?).parent()?;
    Some(TestProgram {
        package: folder.file_name()?.to_string_lossy().into_owned(),
        kind: kind_of_tests(text("/target/kind/0")?, text("/target/name")?),
        executable: text("/executable")?.into(),
        folder: folder.to_owned(),
    })
}

fn kind_of_tests(kind_of_target: &str, name: &str) -> String {
    match name {
        _ if kind_of_target != "test" => "unit".into(),
        API_TESTS => "API server".into(),
        name if name.contains("propert") => "property".into(),
        name if name.contains("transcript") => "CLI transcript".into(),
        name => name.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/tests#sealed-secrets-tests@0.1.0","manifest_path":"/r/tests/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"api","src_path":"/r/tests/tests/api/main.rs"},"profile":{"opt_level":"0","test":true},"executable":"/r/target/debug/deps/api-0a1b","fresh":true}"#;

    #[test]
    fn a_test_program_is_read_from_the_message_about_it() {
        let program = test_program(MESSAGE).unwrap();
        let expected = TestProgram {
            package: "tests".into(),
            kind: "API server".into(),
            executable: "/r/target/debug/deps/api-0a1b".into(),
            folder: "/r/tests".into(),
        };
        assert_eq!(program, expected);
        assert!(program.executable_name_is("api"));
    }

    #[test]
    fn other_messages_are_no_test_programs() {
        for other in [
            MESSAGE.replace(r#""test":true"#, r#""test":false"#),
            MESSAGE.replace("compiler-artifact", "compiler-message"),
            MESSAGE.replace(r#""/r/target/debug/deps/api-0a1b""#, "null"),
            "   Compiling sealed-secrets-core v0.1.0".to_owned(),
        ] {
            assert_eq!(test_program(&other), None, "{other}");
        }
    }

    #[test]
    fn tests_beside_the_code_are_unit_tests() {
        assert_eq!(kind_of_tests("lib", "sealed_secrets_core"), "unit");
        assert_eq!(kind_of_tests("bin", "kubeseal"), "unit");
        assert_eq!(kind_of_tests("test", "rotation_world"), "rotation world");
    }
}
