//! `cargo xtask man`: the manual page of kubeseal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use crate::test::step;

/// Write kubeseal's manual page, kubeseal.1
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Output folder; packages use share/man/man1
    #[arg(default_value = "target/man")]
    folder: PathBuf,
}

/// Builds kubeseal and lets it write its page.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let built = step::quietly(&mut step::cargo(&["build", "--locked", "--bin", "kubeseal"])).await?;
    if !built.success {
        return Err(Error::Program(format!("kubeseal does not build:\n{}", built.output)));
    }
    let file = write(&workspace::built_program("kubeseal")?, &arguments.folder).await?;
    println!("{}", file.display());
    Ok(ExitCode::SUCCESS)
}

async fn write(program: &Path, folder: &Path) -> Result<PathBuf> {
    let io = |action: String| move |source| Error::Io { action, source };
    let output = Command::new(program).arg("man").output().await.map_err(io("start kubeseal".into()))?;
    if !output.status.success() {
        return Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::create_dir_all(folder).map_err(io(format!("create {}", folder.display())))?;
    let file = folder.join("kubeseal.1");
    fs::write(&file, output.stdout).map_err(io(format!("write {}", file.display())))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_written_where_man_looks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("share/man/man1");
        run(&Arguments { folder: folder.clone() }).await.unwrap();
        let page = fs::read_to_string(folder.join("kubeseal.1")).unwrap();
        assert!(
            page.contains(".TH kubeseal 1") && page.contains("merge\\-into") && page.contains("Examples:")
        );
    }
}
