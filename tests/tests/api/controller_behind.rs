//! The controller while its caches lag behind the API server.

use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use sealed_secrets_tests::{Asked, Cluster, Edition, Fault, until};
use serde_json::json;

use crate::key_scene::SMALL;
use crate::rotation_faults::behind_proxy;
use crate::scene::{Scene, is_owned_by, item};
use crate::support::PATIENCE;

/// A fault rule: lists of SealedSecrets succeed, and the watch that follows is silent, which stays undetected for a while.
pub(crate) fn no_watch_of_sealed_secrets(_: &Method, path: &str) -> Option<Fault> {
    (path.contains("/sealedsecrets?") && path.contains("watch=")).then_some(Fault::Silence)
}

#[tokio::test]
async fn a_secret_of_a_newer_sealed_secret_is_left_alone_while_our_watch_is_behind() {
    let mut cluster = Cluster::own().await.unwrap();
    // The garbage collector would delete the Secret while it has no owner.
    cluster.stop_garbage_collection().unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let (proxy, kubeconfig) = behind_proxy(&installation).await;
    let mut scene = Scene::start(cluster, installation, &[SMALL, &kubeconfig]).await;
    let older = scene.opened("db").await;
    scene.controller.stop().await.unwrap();
    proxy.fail(no_watch_of_sealed_secrets);
    scene.controller = scene.installation.start(Edition::Ours, &[SMALL, &kubeconfig]).await.unwrap();
    let watched = async || (proxy.faults() > 0).then_some(());
    until("SealedSecrets are watched", PATIENCE, watched).await.unwrap();
    scene.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let newer = scene.seal_and_create(&scene.secret("db", "password", "newer")).await;
    let mut owner = json!(scene.secrets().get("db").await.unwrap().owner_references()[0]);
    assert_eq!(owner["uid"], json!(older.uid()), "nobody has noticed");
    owner["uid"] = json!(newer.uid());
    let theirs = json!({"metadata": {"ownerReferences": [owner]}, "stringData": {"password": "another's"}});
    scene.secrets().patch("db", &PatchParams::default(), &Patch::Merge(theirs)).await.unwrap();
    let is_look = |asked: &Asked| asked.method == Method::GET && asked.path.ends_with("/sealedsecrets/db");
    let looked = async || proxy.asked().iter().any(is_look).then_some(());
    until("the controller looks which SealedSecret there is", PATIENCE, looked).await.unwrap();
    scene.controller.stop().await.unwrap();
    let secret = scene.secrets().get("db").await.unwrap();
    let untouched = is_owned_by(&secret, &newer) && item(&secret, "password").as_deref() == Some("another's");
    assert!(untouched, "it was taken back");
    scene.controller = scene.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let is_newer = |secret: &Secret| item(secret, "password").as_deref() == Some("newer");
    scene.until_secret("db", "is as the newer one says", is_newer).await;
}
