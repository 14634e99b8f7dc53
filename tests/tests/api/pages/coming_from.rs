//! docs/coming-from.md, with sops itself, and with files of Vault's and the External Secrets Operator's formats.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sealed_secrets_tests::programs::{ControlPlanePrograms, RecipeTools, SopsPrograms};
use sealed_secrets_tests::{Cluster, Laptop, workspace};
use serde_json::{Value, json};

use super::Reader;
use super::stand_in::StandIn;
use super::transcript::steps;

const CERTIFICATE: &str = include_str!("../../../../core/tests/data/rsa2048.crt");
const KEY: &str = include_str!("../../../../core/tests/data/rsa2048-pkcs1.pem");
const API: &str = include_str!("../../data/coming-from/vault-api.json");
const EXTERNAL_SECRET: &str = include_str!("../../data/coming-from/external-secret.yaml");
const BILLING: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: billing, namespace: shop}\n\
                        stringData:\n  password: from sops\n  user: app\n";
const MAIL: &str = "USER=shop\nPASSWORD=a b\"c\n";

/// The folder with the reader's further programs.
struct Programs(PathBuf);

impl Programs {
    fn script(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Vault's command line, which knows two paths.
    fn add_vault(&self) {
        let mut tls: Value = serde_json::from_str(API).unwrap();
        tls["data"]["data"] = json!({"tls.crt": CERTIFICATE, "tls.key": KEY});
        fs::write(self.0.join("api.json"), API).unwrap();
        fs::write(self.0.join("tls.json"), tls.to_string()).unwrap();
        let folder = self.0.display();
        self.script(
            "vault",
            &format!(
                "#!/bin/sh\ncase $* in\n\
                 'kv get -format=json -mount=secret shop/'*) cat \"{folder}/${{5#shop/}}.json\" ;;\n\
                 *) exit 2 ;;\nesac\n"
            ),
        );
    }

    /// sops with a key of its own.
    fn add_sops(&self) {
        let SopsPrograms { sops, age_keygen } = SopsPrograms::prepare().unwrap();
        let (folder, sops, age_keygen) = (self.0.display(), sops.display(), age_keygen.display());
        self.script("sops", &format!("#!/bin/sh\nSOPS_AGE_KEY_FILE='{folder}/keys' exec '{sops}' \"$@\"\n"));
        self.script("age-keygen", &format!("#!/bin/sh\nexec '{age_keygen}' \"$@\"\n"));
    }
}

/// A reader with jq, sops and Vault's command line.
fn reader(cluster: &Cluster) -> (Reader, Programs) {
    let mut reader = Reader::at(cluster);
    let programs = Programs(reader.folder.path().join("bin"));
    fs::create_dir(&programs.0).unwrap();
    programs.add_vault();
    programs.add_sops();
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let jq = RecipeTools::prepare().unwrap().jq;
    let (kubeseal, vault) = (workspace::built_program("kubeseal").unwrap(), programs.0.join("vault"));
    let found: [&Path; 4] = [&kubectl, &kubeseal, &jq, &vault];
    reader.laptop = Laptop::with(reader.folder.path(), &cluster.kubeconfig(), &found).unwrap();
    (reader, programs)
}

/// The files that the reader keeps with sops.
fn encrypt_files(reader: &Reader, programs: &Programs) {
    let laptop = &reader.laptop;
    laptop.shell(&format!("age-keygen -o {}", programs.0.join("keys").display())).unwrap();
    for (file, text) in [("billing.yaml", BILLING), ("mail.env", MAIL)] {
        fs::write(laptop.folder().join(file), text).unwrap();
        let (name, extension) = file.split_once('.').unwrap();
        let encrypted = format!("{name}.enc.{extension}");
        let key = format!("$(age-keygen -y {})", programs.0.join("keys").display());
        laptop.shell(&format!("sops encrypt --age {key} {file} > {encrypted}")).unwrap();
        let plain = fs::read_to_string(laptop.folder().join(encrypted)).unwrap();
        assert!(plain.contains("ENC[AES256_GCM,"), "{plain}");
        fs::remove_file(laptop.folder().join(file)).unwrap();
    }
}

/// An `ExternalSecret`, without its operator, and the Secret that belongs to it.
async fn with_external_secret(cluster: &Cluster, reader: &Reader) {
    let names = json!({"kind": "ExternalSecret", "plural": "externalsecrets", "singular": "externalsecret"});
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "externalsecrets.external-secrets.io"},
        "spec": {
            "group": "external-secrets.io", "scope": "Namespaced", "names": names,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    cluster.apply(&[definition]).await.unwrap();
    let (external, secret) = EXTERNAL_SECRET.split_once("---\n").unwrap();
    let folder = reader.laptop.folder();
    fs::write(folder.join("external.yaml"), external).unwrap();
    reader.until("kubectl apply -f external.yaml").await;
    let uid = "kubectl get externalsecret orders -n shop -o jsonpath='{.metadata.uid}'";
    let uid = reader.laptop.shell(uid).unwrap();
    fs::write(folder.join("secret.yaml"), secret.replace("UID", &uid)).unwrap();
    reader.laptop.shell("kubectl apply -f secret.yaml").unwrap();
    for file in ["external.yaml", "secret.yaml"] {
        fs::remove_file(folder.join(file)).unwrap();
    }
}

#[tokio::test]
async fn values_of_vault_external_secrets_and_sops_arrive_unchanged_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let (mut reader, programs) = reader(&cluster);
    let _controller = StandIn::with_one_sealed(&cluster, &reader).await;
    encrypt_files(&reader, &programs);
    with_external_secret(&cluster, &reader).await;
    for step in steps("docs/coming-from.md") {
        reader.follow(&step);
    }
    let value = |secret: &str, key: &str| {
        let key = key.replace('.', "\\.");
        let line = format!("kubectl get secret {secret} -n shop -o jsonpath='{{.data.{key}}}' | base64 -d");
        String::from_utf8(reader.laptop.bytes(&line).unwrap()).unwrap()
    };
    let api: Value = serde_json::from_str(API).unwrap();
    assert_eq!(value("api", "password"), api["data"]["data"]["password"].as_str().unwrap());
    assert_eq!((value("tls", "tls.crt"), value("tls", "tls.key")), (CERTIFICATE.into(), KEY.into()));
    assert_eq!(value("orders", "password"), "hunter2");
    assert_eq!(value("billing", "password"), "from sops");
    assert_eq!((value("mail", "USER"), value("mail", "PASSWORD")), ("shop".into(), "a b\"c".into()));
    orders_has_nothing_of_its_former_owner(&reader);
}

fn orders_has_nothing_of_its_former_owner(reader: &Reader) {
    let secret = reader.laptop.shell("kubectl get secret orders -n shop -o json").unwrap();
    let secret: Value = serde_json::from_str(&secret).unwrap();
    assert!(!secret["metadata"].to_string().contains("external-secrets"), "{:#}", secret["metadata"]);
    assert_eq!(secret["metadata"]["ownerReferences"][0]["kind"], "SealedSecret");
}
