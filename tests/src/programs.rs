//! The external programs of a run. This is the only part of the harness that uses the network; afterwards they are in the cache.

use std::path::PathBuf;

use crate::cache::Cache;
use crate::envtest;
use crate::error::{Error, Result};
use crate::go_module::{GoModule, GoProgram, go_is_installed};
use crate::workspace;

const KUBERNETES: &str = "k8s.io/kubernetes";
/// The Go module of the newest Kubernetes that is tested, which runs without [`KUBERNETES_VERSION`].
const NEWEST: &str = "control-plane";
/// The environment variable that chooses another Kubernetes.
const KUBERNETES_VERSION: &str = "HARNESS_KUBERNETES";
const ORIGINAL: &str = "github.com/bitnami/sealed-secrets";

const CONTROL_PLANE: [GoProgram; 3] = [
    GoProgram { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver", usually: "4 min" },
    GoProgram {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        usually: "1 min",
    },
    GoProgram { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", usually: "30 s" },
];
const ETCD: [GoProgram; 1] =
    [GoProgram { name: "etcd", package: "go.etcd.io/etcd/server/v3", usually: "20 s" }];

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
    /// kubectl, for users and for tests of commands in the documentation.
    pub kubectl: PathBuf,
}

impl ControlPlanePrograms {
    /// Finds every program: in `KUBEBUILDER_ASSETS`, in the user's cache, in the official envtest archive, or by
    /// building it with Go, in this order. `HARNESS_KUBERNETES=1.NN` chooses a Kubernetes of tests/control-plane/1.NN.
    ///
    /// # Errors
    /// [`Error::Missing`], with what to install, when none of these works; [`Error::Invalid`] for another version.
    pub fn prepare() -> Result<Self> {
        let version = std::env::var(KUBERNETES_VERSION).ok();
        let kubernetes = Toolbox::of_kubernetes(&kubernetes_module(version.as_deref())?, &CONTROL_PLANE)?;
        kubernetes.fill(|| {
            if envtest::PROGRAMS.iter().any(|name| kubernetes.find(name).is_none())
                && let Err(reason) = kubernetes.fetch()
            {
                eprintln!("no published programs: {reason}; building them instead");
            }
        })?;
        let etcd = Toolbox::of_kubernetes(NEWEST, &ETCD)?;
        etcd.fill(|| ())?;
        Ok(Self {
            etcd: etcd.require("etcd")?,
            kube_apiserver: kubernetes.require("kube-apiserver")?,
            kube_controller_manager: kubernetes.require("kube-controller-manager")?,
            kubectl: kubernetes.require("kubectl")?,
        })
    }
}

/// The Go module that builds a Kubernetes version such as `1.30`; without one, the newest.
fn kubernetes_module(version: Option<&str>) -> Result<String> {
    let Some(version) = version else { return Ok(NEWEST.to_owned()) };
    let module = format!("{NEWEST}/{version}");
    if !version.is_empty() && workspace::root().join("tests").join(&module).join("go.mod").is_file() {
        return Ok(module);
    }
    Err(Error::Invalid(format!(
        "{KUBERNETES_VERSION}={version}: there is no tests/{module}/go.mod; without the variable, the newest version runs"
    )))
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
    /// [`Error::Missing`], with what to install, when Go is not installed.
    pub fn prepare() -> Result<Self> {
        let module = GoModule::read("upstream")?;
        let version = module.version_of(ORIGINAL)?.to_owned();
        let flags = format!("-s -w -X main.VERSION={version}");
        let toolbox = Toolbox::filled(&format!("upstream-{version}"), module, flags, &UPSTREAM)?;
        Ok(Self { controller: toolbox.require("controller")?, kubeseal: toolbox.require("kubeseal")? })
    }
}

const TEMPLATE_ORACLE: [GoProgram; 1] =
    [GoProgram { name: "template-oracle", package: ".", usually: "10 s" }];
const KSTATUS: [GoProgram; 1] = [GoProgram { name: "kstatus", package: ".", usually: "20 s" }];

/// Our own small Go program that renders templates with Go's text/template and sprig.
///
/// # Errors
/// [`Error::Missing`], with what to install, when it was never built and Go is not installed.
pub fn template_oracle() -> Result<PathBuf> {
    of_our_own("template-oracle", &TEMPLATE_ORACLE)
}

/// Our own small Go program that computes the kstatus of an object.
///
/// # Errors
/// As [`template_oracle`].
pub fn kstatus() -> Result<PathBuf> {
    of_our_own("kstatus", &KSTATUS)
}

const HELM: [GoProgram; 1] =
    [GoProgram { name: "helm", package: "helm.sh/helm/v3/cmd/helm", usually: "1 min" }];

/// Helm, which assumes the Kubernetes version of its client library unless another is given.
///
/// # Errors
/// As [`template_oracle`].
pub fn helm() -> Result<PathBuf> {
    let module = GoModule::read("helm")?;
    let version = module.version_of("helm.sh/helm/v3")?.to_owned();
    let minor = module.version_of("k8s.io/client-go")?.split('.').nth(1).unwrap_or_default();
    let packages = ["pkg/chartutil", "pkg/lint/rules"].map(|package| format!("helm.sh/helm/v3/{package}"));
    let kubernetes = packages
        .map(|package| format!("-X {package}.k8sVersionMajor=1 -X {package}.k8sVersionMinor={minor}"));
    let flags =
        format!("-s -w -X helm.sh/helm/v3/internal/version.version={version} {}", kubernetes.join(" "));
    Toolbox::filled(&format!("helm-{version}"), module, flags, &HELM)?.require("helm")
}

const PROMTOOL: [GoProgram; 1] = [GoProgram {
    name: "promtool",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    usually: "4 min",
}];

/// promtool, Prometheus' checker and test runner for rules.
///
/// # Errors
/// As [`template_oracle`].
pub fn promtool() -> Result<PathBuf> {
    let module = GoModule::read("promtool")?.with_tags("remove_all_sd");
    let name = format!("promtool-{}", module.version_of("github.com/prometheus/prometheus")?);
    Toolbox::stripped(&name, module, &PROMTOOL)?.require("promtool")
}

const ACTIONLINT: [GoProgram; 1] = [GoProgram {
    name: "actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    usually: "15 s",
}];

/// actionlint, the checker of workflows for GitHub Actions.
///
/// # Errors
/// As [`template_oracle`].
pub fn actionlint() -> Result<PathBuf> {
    let module = GoModule::read("actionlint")?;
    let name = format!("actionlint-{}", module.version_of("github.com/rhysd/actionlint")?);
    Toolbox::stripped(&name, module, &ACTIONLINT)?.require("actionlint")
}

const SOPS: [GoProgram; 2] = [
    GoProgram { name: "sops", package: "github.com/getsops/sops/v3/cmd/sops", usually: "3 min" },
    GoProgram { name: "age-keygen", package: "filippo.io/age/cmd/age-keygen", usually: "5 s" },
];

/// sops, which also keeps Secrets in Git, and the generator of its keys: the peer for the re-encryption of a whole repository, and the
/// tool that users may come from.
#[derive(Debug, Clone)]
pub struct SopsPrograms {
    /// sops.
    pub sops: PathBuf,
    /// Generator of age keys.
    pub age_keygen: PathBuf,
}

impl SopsPrograms {
    /// Finds both programs in the cache, or builds them.
    ///
    /// # Errors
    /// As [`template_oracle`].
    pub fn prepare() -> Result<Self> {
        let module = GoModule::read("sops")?;
        let name = format!("sops-{}", module.version_of("github.com/getsops/sops/v3")?);
        let toolbox = Toolbox::stripped(&name, module, &SOPS)?;
        Ok(Self { sops: toolbox.require("sops")?, age_keygen: toolbox.require("age-keygen")? })
    }
}

const RECIPE_TOOLS: [GoProgram; 2] = [
    GoProgram { name: "jq", package: "github.com/itchyny/gojq/cmd/gojq", usually: "15 s" },
    GoProgram { name: "hclfmt", package: "github.com/hashicorp/hcl/v2/cmd/hclfmt", usually: "15 s" },
];

/// Small programs that the recipes use, or that check them.
#[derive(Debug, Clone)]
pub struct RecipeTools {
    /// gojq, under the name jq.
    pub jq: PathBuf,
    /// The formatter of Terraform's configuration language.
    pub hclfmt: PathBuf,
}

impl RecipeTools {
    /// Finds both programs in the cache, or builds them.
    ///
    /// # Errors
    /// As [`template_oracle`].
    pub fn prepare() -> Result<Self> {
        let module = GoModule::read("recipe-tools")?;
        let name = format!("recipe-tools-{}", module.version_of("github.com/itchyny/gojq")?);
        let toolbox = Toolbox::stripped(&name, module, &RECIPE_TOOLS)?;
        Ok(Self { jq: toolbox.require("jq")?, hclfmt: toolbox.require("hclfmt")? })
    }
}

const LUA_HEALTH: [GoProgram; 1] = [GoProgram { name: "lua-health", package: ".", usually: "10 s" }];

/// Our own small Go program that runs a health check as Argo CD does, with the same Lua library.
///
/// # Errors
/// As [`template_oracle`].
pub fn lua_health() -> Result<PathBuf> {
    of_our_own("lua-health", &LUA_HEALTH)
}

/// The program of the Go module `name`, which has one source file.
fn of_our_own(name: &str, programs: &'static [GoProgram; 1]) -> Result<PathBuf> {
    let module = GoModule::read(name)?;
    let version = fingerprint(&module.source("main.go")?);
    Toolbox::stripped(&format!("{name}-{version:016x}"), module, programs)?.require(name)
}

/// A hash that distinguishes versions of a source file.
fn fingerprint(source: &[u8]) -> u64 {
    source
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The programs of one Go module, and their possible locations.
struct Toolbox {
    module: GoModule,
    flags: String,
    cache: Cache,
    programs: &'static [GoProgram],
    /// A folder set by the user, which takes precedence over the cache.
    assets: Option<PathBuf>,
}

impl Toolbox {
    /// Programs of a module, found in the cache folder `name` or built.
    fn filled(name: &str, module: GoModule, flags: String, programs: &'static [GoProgram]) -> Result<Self> {
        let cache = module.cache(name, &flags)?;
        let toolbox = Self { module, flags, cache, programs, assets: None };
        toolbox.fill(|| ())?;
        Ok(toolbox)
    }

    /// As [`filled`](Self::filled), without symbols and debugging information.
    fn stripped(name: &str, module: GoModule, programs: &'static [GoProgram]) -> Result<Self> {
        Self::filled(name, module, "-s -w".to_owned(), programs)
    }

    /// Programs of a module that requires Kubernetes.
    fn of_kubernetes(module: &str, programs: &'static [GoProgram]) -> Result<Self> {
        let module = GoModule::read(module)?;
        let version = module.version_of(KUBERNETES)?;
        let flags = kubernetes_linker_flags(version);
        let cache = module.cache(&format!("control-plane-{version}"), &flags)?;
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        Ok(Self { module, flags, cache, programs, assets })
    }

    /// Puts the published programs of the module's Kubernetes into the cache.
    fn fetch(&self) -> Result<()> {
        envtest::fetch(self.module.version_of(KUBERNETES)?, &self.cache)
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let own = self.assets.as_ref().map(|folder| folder.join(name));
        own.into_iter().chain([self.cache.path(name)]).find(|path| path.is_file())
    }

    fn require(&self, name: &str) -> Result<PathBuf> {
        self.find(name).ok_or_else(|| self.nothing_left(name))
    }

    fn missing(&self) -> impl Iterator<Item = &GoProgram> {
        self.programs.iter().filter(|program| self.find(program.name).is_none())
    }

    /// Gets the missing programs: `fetch` may download some, the rest is built. One run at a time; others wait for it.
    fn fill(&self, fetch: impl FnOnce()) -> Result<()> {
        if self.missing().next().is_none() {
            return Ok(());
        }
        let _lock = self.cache.lock()?;
        fetch();
        for program in self.missing() {
            if !go_is_installed() {
                return Err(self.nothing_left(program.name));
            }
            self.module.build(program, &self.flags, &self.cache)?;
        }
        Ok(())
    }

    fn nothing_left(&self, name: &str) -> Error {
        Error::Missing(format!(
            "{name} is not at {}, and cannot be built without Go.\n\
             Install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder that holds the control plane.",
            self.cache.path(name).display()
        ))
    }
}

/// Linker flags that set the version: without them a client sees v0.0.0 and takes the server for an ancient one.
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
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_server_gets_its_version() {
        let flags = kubernetes_linker_flags("v1.36.3");
        assert!(
            flags.contains("gitVersion=v1.36.3")
                && flags.contains("gitMajor=1")
                && flags.ends_with("gitMinor=36")
        );
    }

    #[test]
    fn another_kubernetes_is_built_from_the_folder_of_its_version_and_an_unknown_one_is_an_error() {
        assert_eq!(kubernetes_module(None).unwrap(), "control-plane");
        let oldest = kubernetes_module(Some("1.30")).unwrap();
        assert!(GoModule::read(&oldest).unwrap().version_of(KUBERNETES).unwrap().starts_with("v1.30."));
        for unknown in ["", "1.7", "v1.30"] {
            let error = kubernetes_module(Some(unknown)).unwrap_err().to_string();
            assert!(error.contains(&format!("HARNESS_KUBERNETES={unknown}: there is no tests/")), "{error}");
        }
    }

    fn toolbox(home: &Path) -> Toolbox {
        Toolbox {
            module: GoModule::read("control-plane").unwrap(),
            flags: String::new(),
            cache: Cache::at(&home.join("cache")),
            programs: &CONTROL_PLANE,
            assets: Some(home.join("assets")),
        }
    }

    fn put(file: PathBuf) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "program").unwrap();
    }

    #[test]
    fn the_users_own_folder_goes_before_the_cache() {
        let home = tempfile::tempdir().unwrap();
        let toolbox = toolbox(home.path());
        assert_eq!(toolbox.find("etcd"), None);
        put(home.path().join("cache/etcd"));
        assert_eq!(toolbox.find("etcd"), Some(home.path().join("cache/etcd")));
        put(home.path().join("assets/etcd"));
        assert_eq!(toolbox.find("etcd"), Some(home.path().join("assets/etcd")));
    }

    #[test]
    fn a_program_that_the_cache_folder_lacks_is_missing() {
        let home = tempfile::tempdir().unwrap();
        for name in envtest::PROGRAMS {
            put(home.path().join("assets").join(name));
        }
        let toolbox = toolbox(home.path());
        let missing: Vec<_> = toolbox.missing().map(|program| program.name).collect();
        assert_eq!(missing, ["kube-controller-manager"]);
    }

    #[test]
    fn the_error_of_a_missing_program_has_a_remedy() {
        let home = tempfile::tempdir().unwrap();
        let message = toolbox(home.path()).require("etcd").unwrap_err().to_string();
        assert!(message.contains("Install Go") && message.contains("KUBEBUILDER_ASSETS"), "{message}");
    }
}
