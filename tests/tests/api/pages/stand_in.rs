//! What a kubelet would do with the controller's Deployment.

use sealed_secrets_tests::{ControllerProcess, Edition, Installation};

use super::Reader;

/// Runs the program that the image of the Deployment holds.
#[derive(Default)]
pub(super) struct StandIn {
    pub(super) controller: Option<ControllerProcess>,
}

impl StandIn {
    /// How a page waits for the Pod.
    pub(super) const WAIT: &str = "kubectl rollout status deployment/sealed-secrets-controller ";

    /// Stops the controller that runs, and starts the one that the Deployment names.
    pub(super) async fn roll_out(&mut self, reader: &Reader, installation: &Installation) {
        if let Some(mut before) = self.controller.take() {
            before.stop().await.unwrap();
        }
        let image = "kubectl get deployment sealed-secrets-controller -n kube-system \
                     -o jsonpath='{.spec.template.spec.containers[0].image}'";
        let image = reader.laptop.shell(image).unwrap();
        let edition = if image.contains("/bitnami/") { Edition::Upstream } else { Edition::Ours };
        self.controller = Some(installation.start(edition, &[]).await.unwrap());
    }
}
