//! Logging: text or JSON, informational lines to standard output, warnings and errors to standard error, like upstream.

pub(crate) mod log_line;

use std::io;
use std::panic::{self, PanicHookInfo};

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::Args;
use crate::telemetry::log_line::LogLine;

/// Installs the logger of the process, and a panic hook that logs panics in its format. A second call has no effect.
pub fn init(args: &Args) {
    let level = args.log_level.parse().unwrap_or(Level::INFO);
    let least_to_stderr = if args.log_info_stdout { Level::WARN } else { level };
    let split = io::stderr.with_max_level(least_to_stderr).or_else(io::stdout.with_max_level(level));
    let form = if args.log_format == "json" { LogLine::Json } else { LogLine::Text };
    let lines =
        tracing_subscriber::fmt().with_max_level(level).with_writer(split).event_format(form).finish();
    drop(lines.with(lines_of_interest(level)).try_init());
    panic::set_hook(Box::new(log_location));
}

/// Logs the location of a panic without its message, which may quote values.
fn log_location(panicked: &PanicHookInfo<'_>) {
    let location = panicked.location();
    let place = location.map_or_else(String::new, |found| format!("{}:{}", found.file(), found.line()));
    tracing::error!("the controller panicked at {place}; please report it");
}

/// Returns the filter of log lines: our own, and at level DEBUG those of the client, whose warnings we log in our
/// words. Lines of the module that decodes answers are never logged: it logs the whole answer if it cannot decode it,
/// and answers contain Secrets and keys.
fn lines_of_interest(level: Level) -> Targets {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_target("controller", level);
    if level >= Level::DEBUG {
        ours.with_target("kube", level).with_target("kube_client::client", LevelFilter::OFF)
    } else {
        ours
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use clap::Parser as _;

    use super::*;

    const IN_CHILD: &str = "PANICS_FOR_A_TEST";

    #[test]
    fn a_panic_is_a_log_line_with_its_place_and_without_its_text() {
        if env::var_os(IN_CHILD).is_some() {
            init(&Args::try_parse_from(["controller", "--log-format=json"]).unwrap());
            panic!("CANARY {}", env::args().count());
        }
        let mut child = Command::new(env::current_exe().unwrap());
        let this = "telemetry::tests::a_panic_is_a_log_line_with_its_place_and_without_its_text";
        let output = child.args(["--exact", this, "--nocapture"]).env(IN_CHILD, "1").output().unwrap();
        assert!(!output.status.success());
        let [logged, rest] = [output.stderr, output.stdout].map(|bytes| String::from_utf8(bytes).unwrap());
        let line: serde_json::Value = serde_json::from_str(logged.lines().next().unwrap()).unwrap();
        let message = line["msg"].as_str().unwrap();
        assert!(
            message.starts_with("the controller panicked at controller/src/telemetry/mod.rs:"),
            "{message}"
        );
        assert!(!logged.contains("CANARY") && !rest.contains("CANARY"), "{logged}{rest}");
    }

    #[test]
    fn at_no_level_does_a_line_show_an_answer_of_the_api_server() {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            let lines = lines_of_interest(level);
            for target in ["kube_client::client", "kube_client::client::builder"] {
                assert!(!lines.would_enable(target, &Level::ERROR), "{target} at {level}");
            }
        }
        assert!(lines_of_interest(Level::DEBUG).would_enable("kube_runtime::watcher", &Level::DEBUG));
    }
}
