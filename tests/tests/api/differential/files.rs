//! Input of the invocations: the files of their folder, and texts for standard input.

use sealed_secrets_tests::{Edition, Kubeseal};

macro_rules! data {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/", $file))
    };
}

/// The files in the folder of each invocation.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let key = data!("rsa2048-pkcs1.pem");
    let key_secret = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {{name: k}}\n  stringData: {{}}\n  data:\n    tls.key: {}\n",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key)
    );
    vec![
        ("t.crt", data!("rsa2048.crt").to_owned()),
        ("two.crt", format!("{}{}", data!("rsa2048.crt"), data!("ec.crt"))),
        ("ec.crt", data!("ec.crt").to_owned()),
        ("expired.crt", data!("expired.crt").to_owned()),
        ("weak.crt", data!("rsa1024.crt").to_owned()),
        ("t.key", key.to_owned()),
        ("p8.key", data!("rsa2048-pkcs8.pem").to_owned()),
        ("keys.yaml", key_secret),
        ("s.json", S.to_owned()),
        ("s.yaml", YAML.to_owned()),
        ("sealed.json", format!("{}\n", SEALED.trim_end())),
        ("sealed.yaml", SEALED_YAML.to_owned()),
        ("twice.yaml", format!("{SEALED_YAML}---\n{SEALED_YAML}")),
        ("config", KUBECONFIG.to_owned()),
        ("nocontext.config", KUBECONFIG.replace("current-context: x\n", "")),
        ("noserver.config", KUBECONFIG.replace("server: \"http://127.0.0.1:1\"", "")),
        ("slip.yaml", SEALED_YAML.replace("  template:", "    b:\n      value: AgX\n  template:")),
        ("homeless.yaml", SEALED_YAML.replace("  namespace: shop\n", "")),
        ("bad", "x: [".to_owned()),
        ("empty", String::new()),
    ]
}

pub(crate) const CERTIFICATE: &str = data!("rsa2048.crt");

/// A SealedSecret of the deprecated format: the whole Secret is one ciphertext, with the label `shop/db`.
pub(crate) fn v1_file(certificate: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.crt"), certificate).unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap().in_folder(folder.path().to_owned());
    let whole = r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"db","namespace":"shop"},"data":{"a":"b25l"}}"#;
    let raw = kubeseal
        .run(&["--raw", "--cert", "t.crt", "-n", "shop", "--name", "db"], whole)
        .unwrap()
        .ok()
        .unwrap();
    format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: shop}}\nspec: {{data: {raw}, encryptedData: {{}}}}\n"
    )
}

pub(crate) const S: &str = r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"n","namespace":"s","labels":{"b":"1","a":"2"}},"data":{"a":"YQ=="}}"#;
pub(crate) const TWICE: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}{"kind":"Secret","metadata":{"name":"m","namespace":"s"},"data":{"b":"Yg=="}}"#;
pub(crate) const YAML: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\n  annotations: {x: \"<y>&z\", long: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccc dddd\"}\n  labels: {\"on\": \"yes\", \"012\": \"1e3\", a10: x, a2: z}\ntype: kubernetes.io/basic-auth\nimmutable: true\nstringData:\n  username: admin\n  password: hunter2\n";
pub(crate) const STRINGS: &str = r##"{"kind":"Secret","metadata":{"name":"n","namespace":"s","annotations":{"a":"@x","b":"a: b","c":"a #b","d":"","e":" lead","f":"null","g":"~","h":"2024-01-01","i":"12:30:45","j":"a\tb","k":"*a","l":"- a","m":"it's \"q\"","n":"a\\b","o":"l1\nl2","p":"l1\nl2\n","q":"!x","r":"%x","s":"x ","t":"\n","u":"[x]","v":"1_000","w":".5","x":"-.inf","y":"0x1f","z":"0o17","aa":"0b11","ab":"+1","ac":"-","ad":"? a","ae":"\u0001","af":"a\r\nb","ag":"h\u00e9llo \u2028 \ud83d\ude00","ah":"true","ai":"True","aj":"1.0","ak":"a:","al":":a","am":"---","an":"...x","ao":"a\n b","ap":"a \nb","aq":"  l1\nl2","ar":"{","as":"a, b","at":"\u00a0","aw":"#","ax":"a\n\n","ay":"\na","az":"'"}},"data":{"a":"YQ=="}}"##;
pub(crate) const NAMELESS: &str = r#"{"kind":"Secret","metadata":{"namespace":"s"},"data":{"a":"YQ=="}}"#;
pub(crate) const NO_NAMESPACE: &str = r#"{"kind":"Secret","metadata":{"name":"n"},"data":{"a":"YQ=="}}"#;
pub(crate) const EMPTY: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"}}"#;
pub(crate) const WIDE: &str = r#"{"kind":"Secret","metadata":{"name":"n","annotations":{"sealedsecrets.bitnami.com/cluster-wide":"true"}},"data":{"a":"YQ=="},"immutable":false}"#;
pub(crate) const BOTH_WIDE: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","annotations":{"sealedsecrets.bitnami.com/namespace-wide":"true","sealedsecrets.bitnami.com/cluster-wide":"false"}},"data":{"a":"YQ=="}}"#;
pub(crate) const STORED: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","uid":"u","resourceVersion":"3","generation":3,"selfLink":"x","creationTimestamp":"2024-01-01T00:00:00Z","generateName":"g-","ownerReferences":[{"apiVersion":"v1","kind":"x","name":"n","uid":"u"}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"x"},"labels":{}},"data":{"a":"YQ=="},"stringData":{"a":"b","c":"d"},"type":""}"#;
pub(crate) const MANAGED: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","finalizers":["a/b"],"managedFields":[{"manager":"m"}]},"data":{"a":"YQ=="}}"#;
pub(crate) const BOTH_FIELDS_NULL: &str =
    r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":null},"stringData":{"b":null}}"#;
pub(crate) const CONFIG_MAP: &str =
    r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}"#;
pub(crate) const LIST: &str = r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}]}"#;
pub(crate) const MORE: &str =
    r#"{"kind":"Secret","metadata":{"name":"other","labels":{"x":"y"}},"data":{"b":"Yg=="}}"#;
pub(crate) const ITEM: &str = r#"{"kind":"Secret","metadata":{"name":"other"},"data":{"b":"Yg=="}}"#;
pub(crate) const ITEM_C: &str = r#"{"kind":"Secret","metadata":{"name":"other"},"data":{"c":"Yg=="}}"#;
pub(crate) const SLASH: &str = r#"{"kind":"Secret","metadata":{"name":"other"},"data":{"a/b":"Yg=="}}"#;
pub(crate) const UPPER_CASE: &str =
    r#"{"kind":"Secret","metadata":{"name":"runnerToken","namespace":"s"},"data":{"a":"YQ=="}}"#;
/// The output of `helm install --dry-run` before the manifests.
pub(crate) const HEADED: &str = "NAME: release\nSTATUS: pending-install\n---\nkind: Secret\nmetadata: {name: n, namespace: s}\ndata: {a: YQ==}\n";
pub(crate) const TWO_ONE_EMPTY: &str = "kind: Secret\nmetadata: {name: first, namespace: s}\ndata: {a: YQ==}\n---\nkind: Secret\nmetadata: {name: m, namespace: s}\n";
pub(crate) const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\ncontexts: [{name: x, context: {cluster: c, namespace: fromctx, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: x\n";
/// A SealedSecret from upstream for `core/tests/data/rsa2048.crt`, with scope strict for `shop/db`.
pub(crate) const SEALED: &str = concat!(
    "{\n  \"kind\": \"SealedSecret\",\n  \"apiVersion\": \"bitnami.com/v1alpha1\",\n  \"metadata\": {\n    \"name\": \"db\",\n    \"namespace\": \"shop\"\n  },\n  \"spec\": {\n    \"template\": {\n      \"metadata\": {\n        \"name\": \"db\",\n        \"namespace\": \"shop\"\n      }\n    },\n    \"encryptedData\": {\n      \"a\": \"",
    data!("upstream-strict.item"),
    "\"\n    }\n  }\n}"
);
pub(crate) const SEALED_YAML: &str = concat!(
    "# kept\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db # too\n  namespace: shop\nspec:\n  encryptedData:\n    a: ",
    data!("upstream-strict.item"),
    "\n  template:\n    metadata: {}\n"
);
