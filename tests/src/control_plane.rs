//! etcd, kube-apiserver and kube-controller-manager, started and stopped together.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::daemon::Daemon;
use crate::error::{Error, IoContext, Result};
use crate::isolation::Ground;
use crate::kubeconfig::{self, Credentials};
use crate::pki::Pki;
use crate::ports::free_port;
use crate::programs::ControlPlanePrograms;
use crate::run_folder;

/// Startup timeout: 4 s on an idle machine, but many control planes may start at once on a busy one.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running control plane. Dropping it kills its programs.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: an API server without its etcd lingers.
    apiserver: Daemon,
    controller_manager: Daemon,
    etcd: Daemon,
    access: Access,
    apiserver_program: PathBuf,
    etcd_address: String,
    audit: Audit,
}

/// The setting of the API server's audit log of requests by service accounts. It costs time, so benchmarks do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audit {
    Off,
    OfAccounts,
}

const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]
}"#;

impl ControlPlane {
    /// Starts the programs and returns when the API server responds and the controller manager works.
    ///
    /// # Errors
    /// [`Error::Program`] with the tail of the log of the program that did not start.
    pub async fn start(programs: &ControlPlanePrograms) -> Result<Self> {
        Self::start_with(programs, Audit::Off).await
    }

    /// Starts the programs with an audit log of requests by service accounts: [`Access::AUDIT_LOG`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_audited(programs: &ControlPlanePrograms) -> Result<Self> {
        Self::start_with(programs, Audit::OfAccounts).await
    }

    async fn start_with(programs: &ControlPlanePrograms, audit: Audit) -> Result<Self> {
        let access = Access::prepare(run_folder::part("control-plane")?, Ground::here().address())?;
        let (mut etcd, etcd_address) = start_etcd(&programs.etcd, &access)?;
        let mut apiserver = start_apiserver(&programs.kube_apiserver, &access, &etcd_address, audit)?;
        let client = access.client().await?;
        apiserver
            .ready(PATIENCE, async || is_ready(&client).await.then_some(()))
            .await
            .map_err(|error| blame(&mut etcd, error))?;
        let mut controller_manager = start_controller_manager(&programs.kube_controller_manager, &access)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "kube-system");
        controller_manager.ready(PATIENCE, async || accounts.get("default").await.ok()).await?;
        Ok(Self {
            apiserver,
            controller_manager,
            etcd,
            access,
            apiserver_program: programs.kube_apiserver.clone(),
            etcd_address,
            audit,
        })
    }

    /// Kills the API server and starts it again on the same data.
    ///
    /// # Errors
    /// [`Error::Program`] with the tail of its log when it does not come back.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        self.apiserver.kill();
        self.apiserver =
            start_apiserver(&self.apiserver_program, &self.access, &self.etcd_address, self.audit)?;
        let client = self.access.client().await?;
        self.apiserver.ready(PATIENCE, async || is_ready(&client).await.then_some(())).await
    }

    /// Stops garbage collection: dependents of deleted owners stay, and namespaces keep terminating.
    pub fn stop_garbage_collection(&mut self) {
        self.controller_manager.kill();
    }

    /// Pauses or resumes etcd.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause_etcd(&self, is_paused: bool) -> Result<()> {
        self.etcd.signal(if is_paused { "STOP" } else { "CONT" })
    }

    /// The address and credentials of the API server.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }
}

/// Address and credentials of a control plane's API server, kept as files so that other programs can use them.
#[derive(Debug, Clone)]
pub struct Access {
    folder: PathBuf,
    server: SocketAddr,
}

impl Access {
    /// The file in [`Self::folder`] with the requests of service accounts, one JSON object per line, if the audit log is on.
    pub const AUDIT_LOG: &str = "audit.log";

    /// Reads the files that [`ControlPlane::start`] wrote to `folder`.
    ///
    /// # Errors
    /// When the folder is not one of a control plane.
    pub fn load(folder: &Path) -> Result<Self> {
        let file = folder.join("server");
        let server = fs::read_to_string(&file).when(|| format!("read {}", file.display()))?;
        let server =
            server.parse().map_err(|_| Error::Invalid(format!("{} holds no address", file.display())))?;
        Ok(Self { folder: folder.to_owned(), server })
    }

    /// Writes keys, certificates and the administrator's kubeconfig for a server on `address`.
    fn prepare(folder: PathBuf, address: IpAddr) -> Result<Self> {
        let access = Self { folder, server: SocketAddr::new(address, free_port(address)?) };
        let pki = Pki::generate(address)?;
        access.write("server", &access.server.to_string())?;
        access.write("ca.crt", &pki.authority)?;
        access.write("server.crt", &pki.server.certificate)?;
        access.write("server.key", &pki.server.key)?;
        access.write("admin.crt", &pki.admin.certificate)?;
        access.write("admin.key", &pki.admin.key)?;
        access.write("token.key", &pki.token_key)?;
        access.write("token.pub", &pki.token_public_key)?;
        let (certificate, key) = (&access.path("admin.crt"), &access.path("admin.key"));
        let who = Credentials::Certificate { certificate, key };
        kubeconfig::write(&access.kubeconfig(), &access.url(), &access.authority(), &who, "default")?;
        Ok(access)
    }

    /// The folder with keys, data and logs; [`Self::load`] takes it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The API server's address and port.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The API server's address, as kubeconfigs name it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.server)
    }

    /// The file with the certificate authority, PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The administrator's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// A client with all permissions. It belongs to the async runtime that it was created in.
    ///
    /// # Errors
    /// When the kubeconfig does not exist any more.
    pub async fn client(&self) -> Result<Client> {
        let invalid = |error: String| Error::Invalid(format!("{}: {error}", self.kubeconfig().display()));
        let file = Kubeconfig::read_from(self.kubeconfig()).map_err(|error| invalid(error.to_string()))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        Ok(Client::try_from(config.map_err(|error| invalid(error.to_string()))?)?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.path(name), content).when(|| format!("write {}", self.path(name).display()))
    }
}

/// Starts etcd; returns the address for clients, too.
fn start_etcd(program: &Path, access: &Access) -> Result<(Daemon, String)> {
    let address = access.server.ip();
    let clients = format!("http://{}", SocketAddr::new(address, free_port(address)?));
    let peers = format!("http://{}", SocketAddr::new(address, free_port(address)?));
    let mut command = Command::new(program);
    command
        .arg("--unsafe-no-fsync")
        .arg("--data-dir")
        .arg(access.path(run_folder::ETCD_DATA))
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")]);
    Ok((Daemon::start("etcd", &mut command, &access.path("etcd.log"))?, clients))
}

fn start_apiserver(program: &Path, access: &Access, etcd: &str, audit: Audit) -> Result<Daemon> {
    let (address, port) = (access.server.ip().to_string(), access.server.port().to_string());
    let mut command = Command::new(program);
    command
        .args(["--etcd-servers", etcd])
        .args(["--bind-address", &address, "--advertise-address", &address, "--secure-port", &port])
        .args(["--service-cluster-ip-range", "10.251.0.0/16"])
        .args(["--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount"])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--max-requests-inflight", "1000", "--max-mutating-requests-inflight", "500"])
        .args(["--endpoint-reconciler-type", "none"]);
    for (flag, file) in [
        ("--client-ca-file", "ca.crt"),
        ("--tls-cert-file", "server.crt"),
        ("--tls-private-key-file", "server.key"),
        ("--service-account-key-file", "token.pub"),
        ("--service-account-signing-key-file", "token.key"),
    ] {
        command.arg(flag).arg(access.path(file));
    }
    if audit == Audit::OfAccounts {
        access.write("audit.json", AUDIT_POLICY)?;
        command.arg("--audit-policy-file").arg(access.path("audit.json"));
        // A single file of some megabytes, so that nothing is lost by rotation.
        command
            .arg("--audit-log-path")
            .arg(access.path(Access::AUDIT_LOG))
            .args(["--audit-log-maxsize", "2000"]);
    }
    Daemon::start("kube-apiserver", &mut command, &access.path("kube-apiserver.log"))
}

/// Starts the controller manager; without it nothing is garbage collected, and namespaces never finish terminating.
fn start_controller_manager(program: &Path, access: &Access) -> Result<Daemon> {
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(access.kubeconfig())
        .args([
            "--controllers",
            "garbage-collector-controller,namespace-controller,serviceaccount-controller",
        ])
        // At the default of 20 requests per second the garbage collector takes minutes for the objects of a benchmark.
        .args(["--kube-api-qps=500", "--kube-api-burst=1000"])
        .args(["--leader-elect=false", "--secure-port=0"]);
    Daemon::start("kube-controller-manager", &mut command, &access.path("kube-controller-manager.log"))
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok()
}

/// An API server that does not get ready has often lost its etcd; then returns etcd's error.
fn blame(etcd: &mut Daemon, error: Error) -> Error {
    match etcd.exited() {
        Ok(Some(status)) => Error::Program(format!("etcd ended ({status}):\n{}\n{error}", etcd.log())),
        _ => error,
    }
}
