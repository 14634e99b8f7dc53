//! No process that was started in an isolation outlives the run.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Stdio;
    use std::time::Duration;

    use sealed_secrets_tests::isolation::{Isolation, RunFolder};
    use sealed_secrets_tests::until;
    use tokio::process::Command;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// A shell in an isolation, with a background process that is identified by `mark`.
    fn shell_with_background_process(isolation: &Isolation, folder: &RunFolder, mark: &str) -> Command {
        let mut command = isolation.command(Path::new("sh"), folder);
        command.args(["-c", &format!("sh -c 'while :; do sleep 0.05; done' {mark} & wait")]);
        command.stdin(Stdio::null());
        command
    }

    /// The processes of this machine with `mark` as an argument.
    fn processes(mark: &str) -> usize {
        let command_lines =
            fs::read_dir("/proc").unwrap().flatten().map(|process| process.path().join("cmdline"));
        command_lines.filter(|file| has_argument(file, mark)).count()
    }

    fn has_argument(command_line: &Path, mark: &str) -> bool {
        // A process may end between the listing and the reading.
        let arguments = fs::read(command_line).unwrap_or_default();
        arguments.split(|&byte| byte == 0).any(|argument| argument == mark.as_bytes())
    }

    async fn until_count(mark: &str, count: usize) {
        let found = async || (processes(mark) == count).then_some(());
        until(&format!("{count} processes are there"), PATIENCE, found).await.unwrap();
    }

    #[tokio::test]
    async fn killing_the_run_ends_its_background_processes() {
        let isolation = Isolation::detect().await;
        if isolation != Isolation::Namespaces {
            return;
        }
        let folder = RunFolder::create().unwrap();
        let mark = format!("background-of-killed-{}", std::process::id());
        let mut run = shell_with_background_process(&isolation, &folder, &mark).spawn().unwrap();
        until_count(&mark, 1).await;
        run.kill().await.unwrap();
        until_count(&mark, 0).await;
    }

    #[tokio::test]
    async fn a_run_ends_with_the_program_that_started_it() {
        let isolation = Isolation::detect().await;
        if isolation != Isolation::Namespaces {
            return;
        }
        let folder = RunFolder::create().unwrap();
        let mark = format!("background-of-orphaned-{}", std::process::id());
        let run = shell_with_background_process(&isolation, &folder, &mark);
        let run = run.as_std();
        let mut starter = Command::new("sh");
        starter
            .args(["-c", r#""$@" & wait"#, "sh"])
            .arg(run.get_program())
            .args(run.get_args())
            .stdin(Stdio::null());
        let mut starter = starter.spawn().unwrap();
        until_count(&mark, 1).await;
        starter.kill().await.unwrap();
        until_count(&mark, 0).await;
    }
}
