use std::collections::BTreeMap;

use sealed_secrets_tests::tar_files;

use super::*;
use crate::archive::sha256;
use crate::licenses::LICENSES;

fn packed() -> Packed {
    pack_program(b"program", &workspace::root()).unwrap()
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
    let (one, other) = (packed(), pack_program(b"program", elsewhere.path()).unwrap());
    assert_eq!(one.digest, other.digest);
    assert_eq!(one.archive, other.archive);
}

#[test]
fn another_program_gives_another_digest() {
    assert_ne!(packed().digest, pack_program(b"program 2", &workspace::root()).unwrap().digest);
}

#[test]
fn every_blob_is_named_by_its_digest_and_referred_to_with_its_size() {
    let packed = packed();
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
    assert!(deployment.contains(&format!("image: {REPOSITORY}:{VERSION}\n")));
    assert!(deployment.contains(&format!("command: [{PROGRAM}]")));
}

#[test]
fn the_dockerfile_makes_the_same_image() {
    let dockerfile = read_text(&workspace::root().join("deploy/Dockerfile")).unwrap();
    let (_, stage) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    let settings = settings();
    let mut lines = vec![
        format!("USER {}", settings["User"].as_str().unwrap()),
        format!("ENV {}", settings["Env"][0].as_str().unwrap()),
        format!("ENTRYPOINT {}", settings["Entrypoint"]),
        "WORKDIR /".to_owned(),
        "COPY deploy/image/etc /etc".to_owned(),
        format!("COPY {} /usr/share/doc/sealed-secrets-rs/", LICENSES.join(" ")),
        "COPY --from=build /controller /usr/local/bin/controller".to_owned(),
    ];
    let ports: Vec<_> = settings["ExposedPorts"].as_object().unwrap().keys().cloned().collect();
    lines.push(format!("EXPOSE {}", ports.join(" ")));
    for line in lines {
        assert!(stage.lines().any(|found| found == line), "deploy/Dockerfile lacks {line:?}");
    }
    for flag in program::FLAGS {
        assert!(dockerfile.contains(&flag.replace('"', "\\\"")), "deploy/Dockerfile lacks {flag}");
    }
    for (name, value) in settings["Labels"].as_object().unwrap() {
        let label = format!("{name}={value}");
        assert!(stage.contains(&label), "deploy/Dockerfile lacks the label {label}");
    }
}
