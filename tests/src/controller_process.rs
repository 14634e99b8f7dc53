//! A controller that runs as in a cluster: with its account's token, the shipped permissions and no kubeconfig.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;

use crate::control_plane::Access;
use crate::daemon::Daemon;
use crate::endpoint;
use crate::error::{Error, IoContext, Result};
use crate::installation::{Edition, Installation};
use crate::isolation::Ground;
use crate::kubeconfig::{self, Credentials};
use crate::plain_http::{HttpResponse, http_request};
use crate::ports::free_port;
use crate::run_folder;

/// Startup timeout: a first key of 4096 bits takes seconds on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Flag with the default size of keys, for tests whose decryption takes as long as that of users, or that compare sizes.
pub const DEFAULT_KEY_SIZE: &str = "--key-size=4096";

/// Environment variable: the size in bits of the keys of controllers that are started without [`DEFAULT_KEY_SIZE`]. Generating a
/// key of the default size takes a second of processor time.
pub const KEY_SIZE: &str = "HARNESS_KEY_SIZE";

/// Puts the account's folder where a kubelet mounts it, for this process only.
const MOUNT_ACCOUNT: &str = r#"
mount -t tmpfs tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$0" /var/run/secrets/kubernetes.io/serviceaccount
exec "$@"
"#;

/// A script that acts as container runtime and kubelet: gives a program one folder as its whole read-only file system, a user and
/// a `PATH`.
const IN_A_ROOT: &str = r#"
root=$1 account=$2 user=$3 path=$4 unshare=$(command -v unshare)
shift 4
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/var/run/secrets/kubernetes.io/serviceaccount"
mount --rbind /proc "$root/proc"
mount --bind "$account" "$root/var/run/secrets/kubernetes.io/serviceaccount"
mount -o remount,bind,ro "$root"
export PATH="$path"
exec "$unshare" --user --map-user="$user" --map-group="$user" --root="$root" --wd=/ -- "$@"
"#;

/// An unpacked image with its settings.
#[derive(Debug, Clone)]
pub struct ImageRoot {
    /// The folder with its files, including `etc/hosts` and `etc/resolv.conf` as a runtime writes them.
    pub root: PathBuf,
    /// The numeric user that it runs as.
    pub user: String,
    /// Its `PATH`.
    pub path: String,
    /// The API server's name as its `etc` resolves it; the API server's certificate includes it.
    pub api_server: String,
}

/// A running controller. It is killed when dropped.
#[derive(Debug)]
pub struct ControllerProcess {
    daemon: Daemon,
    address: SocketAddr,
    metrics_address: SocketAddr,
    account: PathBuf,
}

impl Installation {
    /// Starts a controller as in a cluster and returns when it serves its certificate. `arguments` follow those for the addresses
    /// to listen on and the namespaces to watch.
    ///
    /// # Errors
    /// [`Error::Program`] with the end of its log when it does not get ready.
    pub async fn start(&self, edition: Edition, arguments: &[&str]) -> Result<ControllerProcess> {
        ControllerProcess::start(self, edition, arguments).await
    }

    /// As [`Self::start`], with the program of an image in a root file system of its own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_image(&self, image: &ImageRoot, arguments: &[&str]) -> Result<ControllerProcess> {
        ControllerProcess::start_image(self, image, arguments).await
    }
}

impl ControllerProcess {
    /// Starts the controller of `edition` and returns when it serves its certificate, directly and through the Service.
    pub(crate) async fn start(
        installation: &Installation,
        edition: Edition,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::spawn(installation, edition, arguments).await?.serving(installation).await
    }

    /// As [`Installation::start`], with variables, by name and value.
    ///
    /// # Errors
    /// As [`Installation::start`].
    pub async fn start_with(
        installation: &Installation,
        edition: Edition,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        Self::spawn_with(installation, edition, arguments, variables).await?.serving(installation).await
    }

    /// Starts the program `controller` of an image, as a Pod would, and returns when it serves its certificate.
    pub(crate) async fn start_image(
        installation: &Installation,
        image: &ImageRoot,
        arguments: &[&str],
    ) -> Result<Self> {
        let start = |account: &Path| Ok(in_a_root(image, account, &installation.access));
        Self::run(installation, start, arguments).await?.serving(installation).await
    }

    /// Waits until it serves its certificate, directly and through the Service.
    async fn serving(mut self, installation: &Installation) -> Result<Self> {
        let controller = &mut self;
        let certificate = format!("http://{}/v1/cert.pem", controller.address);
        let serves = {
            let address = controller.address.to_string();
            async move || {
                http_request(&address, "GET", "/v1/cert.pem", "")
                    .await
                    .ok()
                    .filter(|answer| answer.status == 200)
            }
        };
        controller
            .daemon
            .ready(PATIENCE, serves)
            .await
            .map_err(|error| Error::Program(format!("{certificate}: {error}")))?;
        let service = name_of(installation.manifests.first("Service")?);
        endpoint::publish(&installation.client, installation.namespace(), &service, controller.address)
            .await?;
        Ok(self)
    }

    /// Starts the controller without waiting, for controllers that are not expected to get ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn spawn(installation: &Installation, edition: Edition, arguments: &[&str]) -> Result<Self> {
        Self::spawn_with(installation, edition, arguments, &[]).await
    }

    /// Starts the controller with these environment variables, by name and value, without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn spawn_with(
        installation: &Installation,
        edition: Edition,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let start = |account: &Path| {
            let mut command = as_in_a_cluster(&edition.controller()?, account, &installation.access);
            command.envs(std::env::var_os(KEY_SIZE).map(|bits| ("SEALED_SECRETS_KEY_SIZE", bits)));
            command.envs(variables.iter().copied());
            Ok(command)
        };
        Self::run(installation, start, arguments).await
    }

    /// Runs the command that `start` builds for the folder of an account.
    async fn run(
        installation: &Installation,
        start: impl FnOnce(&Path) -> Result<Command>,
        arguments: &[&str],
    ) -> Result<Self> {
        let folder = run_folder::part("controller")?;
        let account = write_account(installation, &folder).await?;
        let ip = Ground::here().address();
        let address = SocketAddr::new(ip, free_port(ip)?);
        let metrics_address = SocketAddr::new(ip, free_port(ip)?);
        let mut command = start(&account)?;
        command
            .env("POD_NAMESPACE", installation.namespace())
            .args([format!("--listen-addr={address}"), format!("--listen-metrics-addr={metrics_address}")])
            .args(installation.reach.arguments())
            .args(arguments);
        let daemon = Daemon::start("controller", &mut command, &folder.join("controller.log"))?;
        Ok(Self { daemon, address, metrics_address, account })
    }

    /// The address at which it serves its certificate.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address at which it serves its metrics.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// The folder of its service account: `token`, `ca.crt`, `namespace`.
    #[must_use]
    pub fn account(&self) -> &Path {
        &self.account
    }

    /// GETs a path such as `/healthz` directly from the controller.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn get(&self, path: &str) -> Result<HttpResponse> {
        http_request(&self.address.to_string(), "GET", path, "").await
    }

    /// The certificate that it serves, PEM.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn certificate(&self) -> Result<String> {
        Ok(self.get("/v1/cert.pem").await?.body)
    }

    /// The metrics page.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn metrics(&self) -> Result<String> {
        Ok(http_request(&self.metrics_address.to_string(), "GET", "/metrics", "").await?.body)
    }

    /// Everything that it has logged so far, with quotes inside messages unescaped.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log().replace("\\\"", "\"")
    }

    /// The process, for its number, signals and exit status.
    pub fn process(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Sends SIGTERM and waits for a clean end.
    ///
    /// # Errors
    /// [`Error::Deadline`] when it does not end in time.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.daemon.stop(Duration::from_secs(30)).await
    }
}

/// Writes the files that a kubelet would mount, and a kubeconfig with the same permissions for machines that cannot mount.
pub(crate) async fn write_account(installation: &Installation, folder: &Path) -> Result<PathBuf> {
    let (namespace, access) = (installation.namespace(), &installation.access);
    let name = name_of(installation.manifests.first("ServiceAccount")?);
    let token = request_token(&installation.client, namespace, &name).await?;
    let account = folder.join("serviceaccount");
    fs::create_dir_all(&account).when(|| format!("create {}", account.display()))?;
    let write = |file: &str, content: &[u8]| {
        let path = account.join(file);
        fs::write(&path, content).when(|| format!("write {}", path.display()))
    };
    let authority = fs::read(access.authority()).when(|| format!("read {}", access.authority().display()))?;
    write("ca.crt", &authority)?;
    write("namespace", namespace.as_bytes())?;
    write("token", token.as_bytes())?;
    let who = Credentials::Token(&token);
    kubeconfig::write(&account.join("kubeconfig"), &access.url(), &access.authority(), &who, namespace)?;
    Ok(account)
}

/// A client with the permissions of the account in this folder.
pub(crate) async fn client_of_account(account: &Path) -> Result<Client> {
    let path = account.join("kubeconfig");
    let invalid = |error: &dyn std::error::Error| Error::Invalid(format!("{}: {error}", path.display()));
    let file = Kubeconfig::read_from(&path).map_err(|error| invalid(&error))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Ok(Client::try_from(config.map_err(|error| invalid(&error))?)?)
}

async fn request_token(client: &Client, namespace: &str, account: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec { expiration_seconds: Some(24 * 3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    let token = answer.status.map(|status| status.token);
    token.ok_or_else(|| Error::Invalid(format!("the API server gave no token for {namespace}/{account}")))
}

fn as_in_a_cluster(program: &Path, account: &Path, access: &Access) -> Command {
    let (server, search) = (access.server(), std::env::var_os("PATH").unwrap_or_default());
    let mut command = match Ground::here() {
        Ground::Namespaces { .. } => {
            let mut command = Command::new("unshare");
            command
                .env_clear()
                .args(["--mount", "--", "sh", "-e", "-c", MOUNT_ACCOUNT])
                .arg(account)
                .arg(program);
            command
        }
        Ground::Outside | Ground::Loopback => {
            let mut command = Command::new(program);
            command.env_clear().env("KUBECONFIG", account.join("kubeconfig"));
            command
        }
    };
    command
        .env("PATH", search)
        .env("KUBERNETES_SERVICE_HOST", server.ip().to_string())
        .env("KUBERNETES_SERVICE_PORT", server.port().to_string());
    command
}

fn in_a_root(image: &ImageRoot, account: &Path, access: &Access) -> Command {
    let mut command = Command::new("unshare");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBERNETES_SERVICE_HOST", &image.api_server)
        .env("KUBERNETES_SERVICE_PORT", access.server().port().to_string())
        .args(["--mount", "--", "sh", "-e", "-c", IN_A_ROOT, "sh"])
        .args([&image.root, account])
        .args([&image.user, &image.path])
        .arg("controller");
    command
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}
