use std::collections::BTreeMap;

use sealed_secrets_tests::tar_files;
use serde_json::{Value, json};

use super::*;
use crate::archive::sha256;
use crate::files::read_text;
use crate::licenses::LICENSES;

fn packed() -> Packed {
    CONTROLLER.pack(b"program", &workspace::root()).unwrap()
}

fn document(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
    let path = descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    assert_eq!(descriptor["size"], files[&path].len());
    serde_json::from_slice(&files[&path]).unwrap()
}

#[test]
fn the_same_program_gives_the_same_image_in_every_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    let etc = ["deploy/image/etc/group", "deploy/image/etc/nsswitch.conf", "deploy/image/etc/passwd"];
    for file in LICENSES.into_iter().chain(etc) {
        write(&elsewhere.path().join(file), read(&workspace::root().join(file)).unwrap()).unwrap();
    }
    let (one, other) = (packed(), CONTROLLER.pack(b"program", elsewhere.path()).unwrap());
    assert_eq!(one.digest, other.digest);
    assert_eq!(one.archive, other.archive);
}

#[test]
fn another_program_gives_another_digest() {
    assert_ne!(packed().digest, CONTROLLER.pack(b"program 2", &workspace::root()).unwrap().digest);
}

#[test]
fn every_blob_is_named_by_its_digest_and_referred_to_with_its_size() {
    for of in [CONTROLLER, KUBESEAL] {
        blobs_and_references_agree(&of.pack(b"program", &workspace::root()).unwrap());
    }
}

fn blobs_and_references_agree(packed: &Packed) {
    let files = tar_files(packed.archive.as_slice()).unwrap();
    let blobs = files.iter().filter(|(path, content)| path.starts_with("blobs/") && !content.is_empty());
    let blobs: Vec<_> = blobs.collect();
    assert_eq!(blobs.len(), 3);
    for (path, content) in blobs {
        assert_eq!(*path, format!("blobs/sha256/{}", sha256(content)));
    }
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"][0]["digest"], packed.digest);
    let manifest = document(&files, &index["manifests"][0]);
    let config = document(&files, &manifest["config"]);
    assert_eq!(config["architecture"], architecture().unwrap());
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn the_image_has_the_name_that_the_manifests_ask_for() {
    let deployment = read_text(&workspace::root().join("deploy/kustomize/base/deployment.yaml")).unwrap();
    assert!(deployment.contains(&format!("image: {}\n", CONTROLLER.image())));
    assert!(deployment.contains(&format!("command: [{}]", CONTROLLER.name)));
}

/// The configuration and the files of a packed image.
fn unpacked(packed: &Packed) -> (Value, BTreeMap<String, Vec<u8>>) {
    let files = tar_files(packed.archive.as_slice()).unwrap();
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let manifest = document(&files, &index["manifests"][0]);
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let root = tar_files(flate2::read::GzDecoder::new(files[&layer].as_slice())).unwrap();
    (document(&files, &manifest["config"]), root)
}

#[test]
fn the_image_of_kubeseal_is_the_program_alone_for_an_ordinary_user() {
    let (config, files) = unpacked(&KUBESEAL.pack(b"program", &workspace::root()).unwrap());
    let config = &config["config"];
    assert_eq!(config["Entrypoint"], Value::from(vec!["kubeseal"]));
    assert_eq!((&config["User"], &config["ExposedPorts"]), (&Value::from("1001"), &json!({})));
    assert_eq!(files["usr/local/bin/kubeseal"], b"program");
    let programs = files.keys().filter(|path| path.starts_with("usr/local/bin/") && !path.ends_with('/'));
    assert_eq!(programs.count(), 1);
    for license in LICENSES {
        let path = format!("usr/share/doc/sealed-secrets-rs/{}", crate::licenses::name(license));
        assert!(files.contains_key(&path), "{path}");
    }
}

fn dockerfile() -> String {
    read_text(&workspace::root().join("deploy/Dockerfile")).unwrap()
}

/// The image for CI is not made by `cargo xtask image`: it has packages of Debian.
#[test]
fn the_dockerfile_makes_an_image_of_kubeseal_with_a_shell_git_and_certificates() {
    let dockerfile = dockerfile();
    let (_, stage) = dockerfile.split_once(" AS kubeseal\n").unwrap();
    let stage = stage.split_once("\nFROM scratch\n").expect("the controller's image is the default").0;
    let settings = KUBESEAL.settings();
    for line in [
        format!("USER {}", settings["User"].as_str().unwrap()),
        format!("COPY {} /usr/share/doc/sealed-secrets-rs/", LICENSES.join(" ")),
        "COPY --from=build-kubeseal /program /usr/local/bin/kubeseal".to_owned(),
        r#"CMD ["bash"]"#.to_owned(),
    ] {
        assert!(stage.lines().any(|found| found == line), "the stage lacks {line:?}");
    }
    for word in ["git", "ca-certificates", "safe.directory"] {
        assert!(stage.contains(word), "the stage lacks {word}");
    }
    assert!(!stage.contains("ENTRYPOINT"), "GitLab runs a shell in the image");
    labels_are_those_of(&settings, stage);
}

fn labels_are_those_of(settings: &Value, stage: &str) {
    for (name, value) in settings["Labels"].as_object().unwrap() {
        let label = format!("{name}={value}");
        assert!(stage.contains(&label), "deploy/Dockerfile lacks the label {label}");
    }
}

#[test]
fn the_dockerfile_makes_the_same_image() {
    let dockerfile = dockerfile();
    let (_, stage) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    let settings = CONTROLLER.settings();
    let mut lines = vec![
        format!("USER {}", settings["User"].as_str().unwrap()),
        format!("ENV {}", settings["Env"][0].as_str().unwrap()),
        format!("ENTRYPOINT {}", settings["Entrypoint"]),
        "WORKDIR /".to_owned(),
        "COPY deploy/image/etc /etc".to_owned(),
        format!("COPY {} /usr/share/doc/sealed-secrets-rs/", LICENSES.join(" ")),
        "COPY --from=build /program /usr/local/bin/controller".to_owned(),
    ];
    let ports: Vec<_> = settings["ExposedPorts"].as_object().unwrap().keys().cloned().collect();
    lines.push(format!("EXPOSE {}", ports.join(" ")));
    for line in lines {
        assert!(stage.lines().any(|found| found == line), "deploy/Dockerfile lacks {line:?}");
    }
    labels_are_those_of(&settings, stage);
    let build = read_text(&workspace::root().join("deploy/image/build-static")).unwrap();
    for flag in program::FLAGS {
        assert!(build.contains(&flag.replace('"', "\\\"")), "deploy/image/build-static lacks {flag}");
    }
}
