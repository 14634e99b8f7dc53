//! `kubeseal`: seals Kubernetes Secrets so that they can be kept in Git.

mod api;
mod certificate;
mod commands;
mod error;
mod escape;
mod flags;
mod help;
mod http_client;
mod io;
mod kubeconfig;
mod options;
mod platform;
mod report;
mod service_proxy;
mod session;
mod template_sources;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::error::Error;
use crate::flags::{CommandLine, UsageError};
use crate::session::Session;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program =
        words.next().map_or_else(|| "kubeseal".to_owned(), |name| name.to_string_lossy().into_owned());
    let words = match words.map(OsString::into_string).collect::<Result<Vec<String>, OsString>>() {
        Ok(words) => words,
        Err(word) => {
            io::tell(&format!("error: the argument {} is not UTF-8; rename the file", word.display()));
            return ExitCode::from(2);
        }
    };
    match CommandLine::parse(words, &commands::SUBCOMMANDS) {
        Ok(line) => finish(run(line, &program)),
        Err(UsageError::Help) => finish(io::write(None, help::text(&program).as_bytes())),
        Err(error) => {
            // Scripts find the message where upstream puts it: last on stdout. People find it on stderr.
            let shown = escape::line(&error.to_string());
            let _ = io::write(None, format!("{}{shown}\n", help::text(&program)).as_bytes());
            io::tell(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(line: CommandLine, program: &str) -> Result<(), Error> {
    for remark in &line.remarks {
        io::tell(&format!("warning: {remark}"));
    }
    let (command, cluster) = options::parse(line, commands::command)?;
    commands::run(&command, &Session::new(&cluster), program)
}

fn finish(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Usage(error)) => {
            // Where nobody listens any more nothing is left to say.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Err(Error::Argument(complaint)) => {
            io::tell(&format!("error: {complaint}"));
            ExitCode::from(2)
        }
        Err(error) => {
            io::tell(&format!("error: {error}"));
            error.advice().iter().for_each(|line| io::tell(line));
            ExitCode::FAILURE
        }
    }
}
