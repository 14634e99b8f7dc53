//! A stand-in for the kubelet that would run the controller's Deployment.

use sealed_secrets_tests::{Cluster, ControllerProcess, DEFAULT_KEY_SIZE, Edition, Installation, Reach};

use super::Reader;

/// The status of a Deployment whose Pod is ready.
const AVAILABLE: &str = r#"
    generation=$(kubectl get deployment sealed-secrets-controller -n kube-system -o jsonpath='{.metadata.generation}')
    kubectl patch deployment sealed-secrets-controller -n kube-system --subresource=status --type=merge --patch "
        {\"status\": {\"observedGeneration\": $generation, \"replicas\": 1, \"updatedReplicas\": 1, \"readyReplicas\": 1,
        \"availableReplicas\": 1}}""#;

/// Runs the program of the Deployment's image.
#[derive(Default)]
pub(super) struct StandIn {
    pub(super) controller: Option<ControllerProcess>,
}

impl StandIn {
    /// The command with which a page waits for the Pod; [`StandIn::roll_out`] must run before the next one.
    pub(super) const WAIT: &str = "kubectl rollout status deployment/sealed-secrets-controller ";

    /// Stops the running controller, and starts the one of the Deployment's image.
    pub(super) async fn roll_out(&mut self, reader: &Reader, installation: &Installation) {
        if let Some(mut before) = self.controller.take() {
            before.stop().await.unwrap();
        }
        let image = "kubectl get deployment sealed-secrets-controller -n kube-system \
                     -o jsonpath='{.spec.template.spec.containers[0].image}'";
        let image = reader.laptop.shell(image).unwrap();
        let edition = if image.contains("/bitnami/") { Edition::Upstream } else { Edition::Ours };
        self.controller = Some(installation.start(edition, &[DEFAULT_KEY_SIZE]).await.unwrap());
        reader.laptop.shell(AVAILABLE).unwrap();
    }

    /// Our controller for the whole cluster, its certificate in `cert.pem`, and one item that it has decrypted and counted, in
    /// `database.yaml`.
    pub(super) async fn with_one_sealed(cluster: &Cluster, reader: &Reader) -> Self {
        let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
        let mut this = Self::default();
        this.roll_out(reader, &installation).await;
        let laptop = &reader.laptop;
        laptop.shell("kubectl create namespace shop && kubeseal --fetch-cert > cert.pem").unwrap();
        reader.seal("database", "database.yaml");
        laptop.shell("kubectl apply -f database.yaml").unwrap();
        laptop.shell("kubectl wait secret/database -n shop --for=create --timeout=60s").unwrap();
        reader.until("kubeseal keys list | grep -E ' Primary +1 '").await;
        this
    }
}
