//! The Endpoints of a running controller, published in place of a kubelet and the endpoints controller.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::installation::MANAGER;
use crate::poll::until;

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the API server's service proxy (which follows Endpoints to an existing Pod) reach `address` by the name of the Service
/// `service`.
pub(crate) async fn publish(
    client: &Client,
    namespace: &str,
    service: &str,
    address: SocketAddr,
) -> Result<()> {
    let attempt = async || match try_to_publish(client, namespace, service, address).await {
        // A replica that starts at the same time does the same.
        Err(Error::Api(kube::Error::Api(status))) if status.code == 409 => None,
        result => Some(result),
    };
    until("the Service leads to the controller", PATIENCE, attempt).await?
}

async fn try_to_publish(client: &Client, namespace: &str, service: &str, address: SocketAddr) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(MANAGER).force();
    let pod = pods.patch(service, &parameters, &Patch::Apply(pod(service))).await?;
    pods.patch_status(service, &PatchParams::default(), &Patch::Merge(running(address))).await?;
    let target = json!({ "kind": "Pod", "name": service, "namespace": namespace, "uid": pod.metadata.uid });
    endpoints.patch(service, &parameters, &Patch::Apply(endpoint(service, address, &target))).await?;
    Ok(())
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "name": name } },
        "spec": { "nodeName": "local", "containers": [{ "name": "controller", "image": "outside-of-the-cluster" }] },
    })
}

fn running(address: SocketAddr) -> Value {
    json!({
        "status": {
            "phase": "Running",
            "podIP": address.ip(),
            "podIPs": [{ "ip": address.ip() }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn endpoint(name: &str, address: SocketAddr, target: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": { "name": name },
        "subsets": [{
            "addresses": [{ "ip": address.ip(), "nodeName": "local", "targetRef": target }],
            "ports": [{ "name": "http", "port": address.port(), "protocol": "TCP" }],
        }],
    })
}
