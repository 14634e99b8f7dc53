//! The commands that our pages tell people to type, typed in their order on a real API server.

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

/// What the tests seal beside the pages.
const PASSWORD: &str = "correct-horse-battery-staple";

/// Somebody with a page, an administrator's kubeconfig, and a checkout of this repository to work in.
struct Reader {
    laptop: Laptop,
    folder: TempDir,
}

impl Reader {
    /// Begins in an empty folder, beside the manifests of the checkout.
    fn at(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["crds", "deploy"] {
            symlink(workspace::root().join(part), folder.path().join(part)).unwrap();
        }
        Self { laptop: laptop(folder.path(), cluster), folder }
    }

    /// Goes on with another cluster.
    fn move_to(&mut self, cluster: &Cluster) {
        self.laptop = laptop(self.folder.path(), cluster);
    }

    /// Seals a Secret of this name in namespace `shop` for the cluster, into a file.
    fn seal(&self, name: &str, file: &str) {
        let line = format!(
            "kubectl create secret generic {name} -n shop --from-literal=password={PASSWORD} --dry-run=client -o yaml \
             | kubeseal -w {file}"
        );
        self.laptop.shell(&line).unwrap();
    }

    /// Waits until a line succeeds, which people would try again.
    async fn until(&self, line: &str) {
        let succeeds = async || self.laptop.run(line).unwrap().status.success().then_some(());
        until(line, PATIENCE, succeeds).await.unwrap();
    }

    /// Does what the page says, and compares what it shows. Returns standard output.
    fn follow(&mut self, step: &Step) -> String {
        if let Some(folder) = step.command.strip_prefix("cd ") {
            self.laptop.enter(folder);
            assert!(self.laptop.folder().is_dir(), "{step}: there is no such folder");
            return String::new();
        }
        let output = self.laptop.run(&step.command).unwrap();
        let expected_to_fail = step.shown.starts_with("error: ");
        assert_eq!(!output.status.success(), expected_to_fail, "{step}{}{}", output.stdout, output.stderr);
        let said = if expected_to_fail { &output.stderr } else { &output.stdout };
        let shown = step.shown.is_empty() || matches(&step.shown, said);
        assert!(shown, "{step}is not what was said:\n{said}{}", output.stderr);
        output.stdout
    }
}

fn laptop(folder: &Path, cluster: &Cluster) -> Laptop {
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let programs: [&Path; 2] = [&kubectl, &workspace::built_program("kubeseal").unwrap()];
    Laptop::with(folder, &cluster.kubeconfig(), &programs).unwrap()
}
