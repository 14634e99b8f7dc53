//! The image that `cargo xtask image` built: its controller in its own file system, without anything else.

mod dns;
mod unpacked;

use std::path::PathBuf;

use sealed_secrets_tests::{Cluster, Installation, workspace};
use serde_json::{Value, json};

use self::dns::NameServer;
use self::unpacked::Unpacked;
use crate::scene::{Scene, item};

const LIMIT: u64 = 15 * 1024 * 1024;
/// The API server's name in Pods; it resolves to the full name by the search domains of `resolv.conf`.
const API_SERVER: &str = "kubernetes.default.svc";
const IN_FULL: &str = "kubernetes.default.svc.cluster.local";
const SEARCHING: &str = "search sealed.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";

/// The image's controller in a namespace of its own; `hosts` and `resolv_conf` are the files that a runtime would write.
async fn scene(image: &Unpacked, ground: (Cluster, Installation), hosts: &str, resolv_conf: &str) -> Scene {
    let (cluster, installation) = ground;
    image.write("etc/hosts", hosts);
    image.write("etc/resolv.conf", resolv_conf);
    let controller = installation.start_image(&image.root(API_SERVER), &[]).await.unwrap();
    Scene { cluster, installation, controller }
}

async fn ground() -> (Cluster, Installation) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    (cluster, installation)
}

#[test]
fn the_image_is_small() {
    let archive = std::fs::metadata(workspace::image("controller")).unwrap().len();
    assert!(archive <= LIMIT, "{archive} bytes");
    let unpacked = Unpacked::image().size();
    assert!(unpacked <= LIMIT, "{unpacked} bytes");
}

#[test]
fn the_program_does_not_contain_its_build_folders() {
    let image = Unpacked::image();
    let program = image.bytes("usr/local/bin/controller");
    let program = String::from_utf8_lossy(&program);
    let own_home = || std::env::home_dir().unwrap().join(".cargo");
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(own_home, PathBuf::from);
    let this_test = std::env::current_exe().unwrap();
    for folder in [workspace::root(), this_test.ancestors().nth(3).unwrap().to_owned(), cargo_home] {
        assert!(!program.contains(folder.to_str().unwrap()), "{}", folder.display());
    }
    assert!(!program.contains("sealed-secrets-rs/image-"), "the folder of the user's cache");
}

#[test]
fn the_image_has_the_licences_of_all_that_is_inside() {
    let image = Unpacked::image();
    for file in ["LICENSE", "deploy/licenses/LGPL-2.1.txt", "deploy/licenses/THIRD-PARTY.txt"] {
        let name = file.rsplit('/').next().unwrap();
        let expected = std::fs::read_to_string(workspace::root().join(file)).unwrap();
        assert!(image.read(&format!("usr/share/doc/sealed-secrets-rs/{name}")) == expected, "{file}");
    }
}

#[test]
fn the_image_runs_as_an_ordinary_user_whose_name_it_knows() {
    let image = Unpacked::image();
    let user = image.config["config"]["User"].as_str().unwrap().to_owned();
    assert_eq!(user, "1001");
    let known = image.read("etc/passwd");
    assert!(known.lines().any(|line| line.split(':').nth(2) == Some(&user)), "{known}");
    image.every_file_is_roots_and_readable_for_all();
}

#[tokio::test]
async fn a_pod_of_the_image_finds_the_api_server_in_its_hosts_file_and_decrypts() {
    let (image, ground) = (Unpacked::image(), ground().await);
    let hosts = format!("{} {API_SERVER}\n", ground.0.access().server().ip());
    let scene = scene(&image, ground, &hosts, "").await;
    scene.seal_and_create(&scene.secret("db", "password", "hunter2")).await;
    let secret = scene.until_secret("db", "is there", |_| true).await;
    assert_eq!(item(&secret, "password").as_deref(), Some("hunter2"));
}

#[tokio::test]
async fn a_pod_of_the_image_finds_the_api_server_by_dns_and_its_search_domains() {
    let (image, ground) = (Unpacked::image(), ground().await);
    let server = NameServer::start(IN_FULL, ground.0.access().server().ip()).await;
    let resolv_conf = format!("nameserver {}\n{SEARCHING}", server.address());
    let mut scene = scene(&image, ground, "127.0.0.1 localhost\n", &resolv_conf).await;
    scene.controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_pod_of_the_image_knows_the_zones_of_the_world() {
    let (image, ground) = (Unpacked::image(), ground().await);
    let hosts = format!("{} {API_SERVER}\n", ground.0.access().server().ip());
    let scene = scene(&image, ground, &hosts, "").await;
    let mut sealed: Value = scene.seal(&scene.secret("db", "password", "hunter2")).await;
    sealed["spec"]["template"]["data"] =
        json!({ "begin": "{{ dateInZone \"2006-01-02 15:04 MST\" 0 \"Europe/Berlin\" }}" });
    scene.create(&sealed).await;
    let secret = scene.until_secret("db", "is there", |_| true).await;
    assert_eq!(item(&secret, "begin").as_deref(), Some("1970-01-01 01:00 CET"));
}
