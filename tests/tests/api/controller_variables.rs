//! Empty or invalid environment variables: the controller still starts after a change of the image.

use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, http_request};

use crate::support::PATIENCE;

/// Starts a controller with these variables; returns true if it serves its certificate, and its log.
async fn start(cluster: &Cluster, edition: Edition, variables: &[(&str, &str)]) -> (bool, String) {
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let arguments = ["--key-size=2048", "--log-level=INFO"];
    let controller = ControllerProcess::spawn_with(&installation, edition, &arguments, variables).await;
    let mut controller = controller.unwrap();
    let address = controller.address().to_string();
    let serves = async || {
        http_request(&address, "GET", "/v1/cert.pem", "").await.ok().filter(|answer| answer.status == 200)
    };
    let started = controller.process().ready(PATIENCE, serves).await;
    (started.is_ok(), controller.log())
}

#[tokio::test]
async fn empty_variables_keep_neither_upstreams_nor_ours_from_starting() {
    let cluster = Cluster::shared().await.unwrap();
    let names = [
        "ACCEPT_DEPRECATED_V1_DATA",
        "ADDITIONAL_NAMESPACES",
        "KEY_CUTOFF_TIME",
        "KEY_ORDER_PRIORITY",
        "KEY_RENEW_PERIOD",
        "KEY_TTL",
        "KUBECLIENT_BURST",
        "KUBECLIENT_QPS",
        "LABEL_SELECTOR",
        "LOG_FORMAT",
        "MAX_UNSEAL_RETRIES",
        "MY_CN",
        "PRIVATEKEY_LABELS",
        "READ_TIMEOUT",
        "UPDATE_STATUS",
        "WRITE_TIMEOUT",
    ];
    let names = names.map(|name| format!("SEALED_SECRETS_{name}"));
    let variables: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    for edition in [Edition::Upstream, Edition::Ours] {
        let (started, log) = start(&cluster, edition, &variables).await;
        assert!(started && !log.contains("is ignored"), "{edition:?}: {log}");
    }
}

#[tokio::test]
async fn our_controller_starts_with_the_invalid_variables_that_upstream_accepts_and_warns() {
    let cluster = Cluster::shared().await.unwrap();
    let wrong = [
        ("SEALED_SECRETS_KEY_RENEW_PERIOD", "monthly"),
        ("SEALED_SECRETS_UPDATE_STATUS", "maybe"),
        ("SEALED_SECRETS_MAX_UNSEAL_RETRIES", "many"),
        ("SEALED_SECRETS_KUBECLIENT_QPS", "fast"),
        ("SEALED_SECRETS_KEY_ORDER_PRIORITY", "Newest"),
        ("SEALED_SECRETS_LOG_FORMAT", "xml"),
    ];
    for edition in [Edition::Upstream, Edition::Ours] {
        let (started, log) = start(&cluster, edition, &wrong).await;
        assert!(started, "{edition:?}: {log}");
        let told = wrong.iter().filter(|(name, _)| log.contains(&format!("the variable {name} is ignored")));
        assert_eq!(told.count(), if edition == Edition::Ours { wrong.len() } else { 0 }, "{log}");
    }
}

#[tokio::test]
async fn ours_does_not_start_with_the_wrong_variables_that_upstreams_does_not_start_with() {
    let cluster = Cluster::shared().await.unwrap();
    for wrong in [
        ("SEALED_SECRETS_KEY_PREFIX", "Bad"),
        ("SEALED_SECRETS_KEY_CUTOFF_TIME", "yesterday"),
        ("SEALED_SECRETS_PRIVATEKEY_LABELS", "team"),
        ("SEALED_SECRETS_PRIVATEKEY_ANNOTATIONS", "team"),
    ] {
        for edition in [Edition::Upstream, Edition::Ours] {
            let (started, log) = start(&cluster, edition, &[wrong]).await;
            assert!(!started, "{edition:?} with {wrong:?}: {log}");
        }
    }
}
