//! `kubeseal`: seals Kubernetes Secrets so that they can be kept in Git.

mod api;
mod certificate;
mod cluster;
mod cluster_certificate;
mod commands;
mod connection;
mod error;
mod escape;
mod flags;
mod help;
mod io;
mod kubeconfig;
mod platform;
mod report;
mod surplus;
mod surroundings;
mod web;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::flags::{CommandLine, UsageError};

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
        Ok(line) => understood(line, &program),
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

fn understood(line: CommandLine, program: &str) -> ExitCode {
    for remark in &line.remarks {
        io::tell(&format!("warning: {remark}"));
    }
    let is_version = line.flags.is_on("version");
    if !line.subcommand.is_empty() && !is_version {
        return finish(commands::run_subcommand(line.subcommand_words()));
    }
    let complaint = surplus::complaint(&line);
    let mut flags = line.flags;
    if let Some(complaint) = complaint.filter(|_| !flags.is_on("help") && !is_version) {
        io::tell(&format!("error: {complaint}"));
        return ExitCode::from(2);
    }
    for ignored in flags.fill_from(|name| std::env::var(name).ok()) {
        io::tell(&format!("warning: {ignored}"));
    }
    finish(commands::run(&flags, program))
}

fn finish(result: Result<(), error::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::Error::Usage(error)) => {
            // Where nobody listens any more nothing is left to say.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Err(error) => {
            io::tell(&format!("error: {error}"));
            error.advice().iter().for_each(|line| io::tell(line));
            ExitCode::FAILURE
        }
    }
}
