//! Where the programs of a run come from. The only part of the harness that uses the network; once it has
//! succeeded, the cache answers.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::envtest;
use crate::error::{Error, Result};
use crate::go_module::{GoModule, GoProgram, go_is_installed};

const KUBERNETES: &str = "k8s.io/kubernetes";
const ORIGINAL: &str = "github.com/bitnami/sealed-secrets";

const CONTROL_PLANE: [GoProgram; 4] = [
    GoProgram { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver", usually: "4 min" },
    GoProgram {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        usually: "1 min",
    },
    GoProgram { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", usually: "30 s" },
    GoProgram { name: "etcd", package: "go.etcd.io/etcd/server/v3", usually: "20 s" },
];

const UPSTREAM: [GoProgram; 2] = [
    GoProgram {
        name: "controller",
        package: "github.com/bitnami/sealed-secrets/cmd/controller",
        usually: "90 s",
    },
    GoProgram { name: "kubeseal", package: "github.com/bitnami/sealed-secrets/cmd/kubeseal", usually: "5 s" },
];

/// The programs of a Kubernetes control plane, and kubectl.
#[derive(Debug, Clone)]
pub struct ControlPlanePrograms {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub kube_apiserver: PathBuf,
    /// kube-controller-manager.
    pub kube_controller_manager: PathBuf,
    /// kubectl, for people and for tests of what people type.
    pub kubectl: PathBuf,
}

impl ControlPlanePrograms {
    /// Finds every program: in `KUBEBUILDER_ASSETS`, in the user's cache, in the official envtest archive, or by
    /// building it with Go, in this order.
    ///
    /// # Errors
    /// [`Error::Missing`], saying what to install, when no way is left.
    pub fn prepare() -> Result<Self> {
        let module = GoModule::read("control-plane")?;
        let version = module.version_of(KUBERNETES)?;
        let flags = kubernetes_linker_flags(version);
        let cache = module.cache(&format!("control-plane-{version}"), &flags)?;
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let in_assets =
            |name: &str| assets.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file());
        let missing = |name: &str| in_assets(name).is_none() && !cache.has(name);
        if CONTROL_PLANE.iter().any(|program| missing(program.name)) {
            fill(&module, &flags, &cache, &CONTROL_PLANE, &missing, Some(version))?;
        }
        let find = |name: &str| in_assets(name).unwrap_or_else(|| cache.path(name));
        Ok(Self {
            etcd: find("etcd"),
            kube_apiserver: find("kube-apiserver"),
            kube_controller_manager: find("kube-controller-manager"),
            kubectl: find("kubectl"),
        })
    }
}

/// The original's two programs.
#[derive(Debug, Clone)]
pub struct UpstreamPrograms {
    /// The original's controller.
    pub controller: PathBuf,
    /// The original's kubeseal.
    pub kubeseal: PathBuf,
}

impl UpstreamPrograms {
    /// Finds the programs in the user's cache or builds them with Go.
    ///
    /// # Errors
    /// [`Error::Missing`], saying what to install, when Go is not there.
    pub fn prepare() -> Result<Self> {
        let module = GoModule::read("upstream")?;
        let version = module.version_of(ORIGINAL)?;
        let flags = format!("-s -w -X main.VERSION={version}");
        let cache = module.cache(&format!("upstream-{version}"), &flags)?;
        let missing = |name: &str| !cache.has(name);
        if UPSTREAM.iter().any(|program| missing(program.name)) {
            fill(&module, &flags, &cache, &UPSTREAM, &missing, None)?;
        }
        Ok(Self { controller: cache.path("controller"), kubeseal: cache.path("kubeseal") })
    }
}

/// Gets what is missing, one run at a time. `published` is the Kubernetes version to look for in the envtest archives.
fn fill(
    module: &GoModule,
    flags: &str,
    cache: &Cache,
    programs: &[GoProgram],
    missing: &dyn Fn(&str) -> bool,
    published: Option<&str>,
) -> Result<()> {
    let _lock = cache.lock()?;
    if let Some(version) = published
        && let Err(reason) = envtest::fetch(version, cache)
    {
        eprintln!("no published programs: {reason}; building them instead");
    }
    for program in programs.iter().filter(|program| missing(program.name)) {
        if !go_is_installed() {
            return Err(nothing_left(program.name, cache.path(program.name).as_path()));
        }
        module.build(program, flags, cache)?;
    }
    Ok(())
}

fn nothing_left(name: &str, cached: &Path) -> Error {
    Error::Missing(format!(
        "{name} is neither in KUBEBUILDER_ASSETS nor at {}, and cannot be built without Go.\n\
         Install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder that holds it.",
        cached.display()
    ))
}

/// Without these a client sees version v0.0.0 and thinks the server ancient.
fn kubernetes_linker_flags(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_its_version() {
        let flags = kubernetes_linker_flags("v1.36.3");
        assert!(
            flags.contains("gitVersion=v1.36.3")
                && flags.contains("gitMajor=1")
                && flags.ends_with("gitMinor=36")
        );
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let message = nothing_left("etcd", Path::new("/cache/etcd")).to_string();
        assert!(
            message.contains("Install Go")
                && message.contains("KUBEBUILDER_ASSETS")
                && message.contains("/cache/etcd")
        );
    }
}
