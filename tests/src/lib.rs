//! A real control plane for tests, the demo and benchmarks: etcd, kube-apiserver and kube-controller-manager in a network
//! namespace of their own, and the original's programs as peers.
//!
//! Structure of a run: [`programs`] finds or builds the required programs (the only part that uses the network), [`isolation`]
//! starts the program again inside a namespace, [`ControlPlane`] starts there, and tests reach it through [`Cluster`]. No started
//! program outlives the run.

mod cache;
pub mod cargo_tool;
mod cluster;
mod control_plane;
mod controller_process;
mod daemon;
mod endpoint;
mod envtest;
mod error;
mod fault_proxy;
mod go_module;
mod grants;
mod hex;
mod installation;
pub mod isolation;
mod kubeconfig;
mod kubeseal;
mod laptop;
mod manifests;
pub mod memory_limit;
mod output;
pub mod permissions;
mod pki;
mod plain_http;
mod poll;
mod ports;
pub mod programs;
mod progress;
mod run_folder;
mod served;
pub mod shifted_clock;
pub mod sources;
mod tar_files;
mod tool;
mod webhook;
pub mod workspace;

pub use cache::shared_build;
pub use cluster::{Cluster, SHARED};
pub use control_plane::{Access, ControlPlane};
pub use controller_process::{ControllerProcess, DEFAULT_KEY_SIZE, ImageRoot, KEY_SIZE};
pub use daemon::Daemon;
pub use error::{Error, Result};
pub use fault_proxy::{Asked, Fault, FaultProxy};
pub use hex::hex;
pub use installation::{Edition, Installation};
pub use kubeseal::Kubeseal;
pub use laptop::{Laptop, TRANSCRIPTS};
pub use manifests::{
    EXISTING, Reach, leader_election_manifests_in, objects_of, on_existing_installation, shipped_manifests,
    shipped_manifests_in,
};
pub use output::Output;
pub use plain_http::{HttpResponse, http_request};
pub use poll::until;
pub use progress::timed;
pub use served::until_served;
pub use tar_files::tar_files;
pub use tool::Tool;
pub use webhook::{AdmissionWebhook, Answer, Review};
