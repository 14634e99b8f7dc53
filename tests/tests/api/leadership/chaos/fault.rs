//! Faults of replicas and of their Lease.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use rand::RngExt as _;
use rand::rngs::StdRng;
use sealed_secrets_tests::Fault;
use serde_json::json;

use super::super::replicas::{NAME, Replica};

/// A fault of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurt {
    Killed,
    /// Was asked to stop.
    Terminated,
    Paused,
    /// No request is answered, and watches are silent.
    CutOff,
    /// Each part of an answer is late.
    Slowed,
    /// Writes arrive only after the fault.
    WritesHeld,
}

const ALL: [Hurt; 6] =
    [Hurt::Killed, Hurt::Terminated, Hurt::Paused, Hurt::CutOff, Hurt::Slowed, Hurt::WritesHeld];

impl Hurt {
    pub(super) fn any(random: &mut StdRng) -> Self {
        ALL[random.random_range(0..ALL.len())]
    }

    /// Returns true if the process ends.
    pub(super) fn ends_process(self) -> bool {
        matches!(self, Self::Killed | Self::Terminated)
    }

    pub(super) fn befall(self, replica: &mut Replica) {
        match self {
            Self::Killed => replica.controller.process().kill(),
            Self::Terminated => replica.signal("TERM"),
            Self::Paused => replica.signal("STOP"),
            Self::CutOff => {
                replica.proxy.fail(|_, _| Some(Fault::Silence));
                replica.proxy.freeze();
            }
            Self::Slowed => replica.proxy.delay(|_| Some(Duration::from_millis(700))),
            Self::WritesHeld => {
                replica.proxy.fail(|method, _| (*method != Method::GET).then_some(Fault::Held));
            }
        }
    }

    /// Ends the fault of a process that goes on.
    pub(super) fn recover(self, replica: &mut Replica) {
        match self {
            Self::Killed | Self::Terminated => {}
            Self::Paused => replica.signal("CONT"),
            Self::CutOff | Self::WritesHeld => replica.proxy.heal(),
            Self::Slowed => replica.proxy.delay(|_| None),
        }
    }
}

/// Changes the Lease by hand, or deletes it. Returns how; it may not be there at this moment.
pub(super) async fn change_lease(leases: &Api<Lease>, random: &mut StdRng) -> &'static str {
    let (how, spec) = match random.random_range(0..5) {
        0 => ("held by somebody", json!({"holderIdentity": "somebody"})),
        1 => ("released", json!({"holderIdentity": null})),
        2 => ("renewed long ago", json!({"renewTime": "2001-01-01T00:00:00.000000Z"})),
        3 => ("without values", json!(null)),
        _ => {
            let _ = leases.delete(NAME, &DeleteParams::default()).await;
            return "deleted";
        }
    };
    let edit = Patch::Merge(json!({"spec": spec}));
    let _ = leases.patch(NAME, &PatchParams::default(), &edit).await;
    how
}
