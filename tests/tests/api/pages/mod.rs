//! The commands of our documentation, run in their order on a real API server.

mod coming_from;
mod disaster_recovery;
mod faq;
mod guide;
mod key_rotation;
mod migrating;
mod readme;
mod stand_in;
mod transcript;

use std::os::unix::fs::symlink;
use std::path::Path;

use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Cluster, Laptop, until, workspace};
use tempfile::TempDir;

use self::transcript::{Step, matches};
use crate::support::PATIENCE;

/// The value that the tests seal in addition to those of the pages.
const PASSWORD: &str = "correct-horse-battery-staple";

/// A reader of a page, with an administrator's kubeconfig and a checkout of this repository.
struct Reader {
    laptop: Laptop,
    folder: TempDir,
}

impl Reader {
    /// Starts in an empty folder, with the manifests of the checkout.
    fn at(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["crds", "deploy"] {
            symlink(workspace::root().join(part), folder.path().join(part)).unwrap();
        }
        Self { laptop: laptop(folder.path(), cluster), folder }
    }

    /// Continues with another cluster.
    fn move_to(&mut self, cluster: &Cluster) {
        self.laptop = laptop(self.folder.path(), cluster);
    }

    /// Seals a Secret of this name for the namespace `shop`, into a file.
    fn seal(&self, name: &str, file: &str) {
        let line = format!(
            "kubectl create secret generic {name} -n shop --from-literal=password={PASSWORD} --dry-run=client -o yaml \
             | kubeseal -w {file}"
        );
        self.laptop.shell(&line).unwrap();
    }

    /// Repeats a line until it succeeds, as readers would.
    async fn until(&self, line: &str) {
        let succeeds = async || self.laptop.run(line).unwrap().status.success().then_some(());
        until(line, PATIENCE, succeeds).await.unwrap();
    }

    /// Runs a step of the page, and compares the output with the page. Returns standard output.
    fn follow(&mut self, step: &Step) -> String {
        if let Some(folder) = step.command.strip_prefix("cd ") {
            self.laptop.enter(folder);
            assert!(self.laptop.folder().is_dir(), "{step}: there is no such folder");
            return String::new();
        }
        let output = self.laptop.run(&step.command).unwrap();
        assert_eq!(!output.status.success(), step.fails(), "{step}{}{}", output.stdout, output.stderr);
        let both = format!("{}{}", output.stdout, output.stderr);
        let is_shown = [&output.stdout, &output.stderr, &both].iter().any(|said| matches(&step.shown, said));
        assert!(step.shown.is_empty() || is_shown, "{step}is not what was said:\n{both}");
        output.stdout
    }
}

fn laptop(folder: &Path, cluster: &Cluster) -> Laptop {
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let programs: [&Path; 2] = [&kubectl, &workspace::built_program("kubeseal").unwrap()];
    Laptop::with(folder, &cluster.kubeconfig(), &programs).unwrap()
}
