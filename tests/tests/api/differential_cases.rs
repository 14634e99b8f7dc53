//! The invocations that are compared, and where ours is meant to differ.

/// What the comparison should find.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Exit code, streams and files are equal.
    Same,
    /// Ours differs on purpose: its exit code, a text of its streams or files, and the reason.
    Differs { code: i32, says: &'static str, why: &'static str },
}

/// One invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// Words after the program's name.
    pub(crate) line: &'static str,
    /// Standard input.
    pub(crate) input: &'static str,
    /// Environment.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// What the comparison should find.
    pub(crate) verdict: Verdict,
}

const fn same(line: &'static str, input: &'static str) -> Case {
    Case { line, input, variables: &[], verdict: Verdict::Same }
}

const fn with(variables: &'static [(&'static str, &'static str)], case: Case) -> Case {
    Case { variables, ..case }
}

const fn differs(
    line: &'static str,
    input: &'static str,
    code: i32,
    says: &'static str,
    why: &'static str,
) -> Case {
    Case { line, input, variables: &[], verdict: Verdict::Differs { code, says, why } }
}

macro_rules! data {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/", $file))
    };
}

/// The files that each invocation finds in its folder.
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
        ("weak.crt", data!("rsa1024.crt").to_owned()),
        ("t.key", key.to_owned()),
        ("p8.key", data!("rsa2048-pkcs8.pem").to_owned()),
        ("keys.yaml", key_secret),
        ("s.json", S.to_owned()),
        ("s.yaml", YAML.to_owned()),
        ("sealed.json", format!("{}\n", SEALED.trim_end())),
        ("sealed.yaml", SEALED_YAML.to_owned()),
        ("config", KUBECONFIG.to_owned()),
        ("bad", "x: [".to_owned()),
    ]
}

const S: &str = r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"n","namespace":"s","labels":{"b":"1","a":"2"}},"data":{"a":"YQ=="}}"#;
const TWICE: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}{"kind":"Secret","metadata":{"name":"m","namespace":"s"},"data":{"b":"Yg=="}}"#;
const YAML: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\n  annotations: {x: \"<y>&z\", long: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccc dddd\"}\n  labels: {\"on\": \"yes\", \"012\": \"1e3\", a10: x, a2: z}\ntype: kubernetes.io/basic-auth\nimmutable: true\nstringData:\n  username: admin\n  password: hunter2\n";
const STRINGS: &str = r##"{"kind":"Secret","metadata":{"name":"n","namespace":"s","annotations":{"a":"@x","b":"a: b","c":"a #b","d":"","e":" lead","f":"null","g":"~","h":"2024-01-01","i":"12:30:45","j":"a\tb","k":"*a","l":"- a","m":"it's \"q\"","n":"a\\b","o":"l1\nl2","p":"l1\nl2\n","q":"!x","r":"%x","s":"x ","t":"\n","u":"[x]","v":"1_000","w":".5","x":"-.inf","y":"0x1f","z":"0o17","aa":"0b11","ab":"+1","ac":"-","ad":"? a","ae":"\u0001","af":"a\r\nb","ag":"h\u00e9llo \u2028 \ud83d\ude00","ah":"true","ai":"True","aj":"1.0","ak":"a:","al":":a","am":"---","an":"...x","ao":"a\n b","ap":"a \nb","aq":"  l1\nl2","ar":"{","as":"a, b","at":"\u00a0","aw":"#","ax":"a\n\n","ay":"\na","az":"'"}},"data":{"a":"YQ=="}}"##;
const NAMELESS: &str = r#"{"kind":"Secret","metadata":{"namespace":"s"},"data":{"a":"YQ=="}}"#;
const NO_NAMESPACE: &str = r#"{"kind":"Secret","metadata":{"name":"n"},"data":{"a":"YQ=="}}"#;
const EMPTY: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"}}"#;
const WIDE: &str = r#"{"kind":"Secret","metadata":{"name":"n","annotations":{"sealedsecrets.bitnami.com/cluster-wide":"true"}},"data":{"a":"YQ=="},"immutable":false}"#;
const BOTH_WIDE: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","annotations":{"sealedsecrets.bitnami.com/namespace-wide":"true","sealedsecrets.bitnami.com/cluster-wide":"false"}},"data":{"a":"YQ=="}}"#;
const STORED: &str = r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","uid":"u","resourceVersion":"3","generation":3,"selfLink":"x","creationTimestamp":"2024-01-01T00:00:00Z","generateName":"g-","ownerReferences":[{"apiVersion":"v1","kind":"x","name":"n","uid":"u"}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"x"},"labels":{}},"data":{"a":"YQ=="},"stringData":{"a":"b","c":"d"},"type":""}"#;
const MANAGED: &str =
    r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","finalizers":["a/b"]},"data":{"a":"YQ=="}}"#;
const BOTH_FIELDS_NULL: &str =
    r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":null},"stringData":{"b":null}}"#;
const CONFIG_MAP: &str =
    r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}"#;
const LIST: &str = r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}]}"#;
const MORE: &str = r#"{"kind":"Secret","metadata":{"name":"other","labels":{"x":"y"}},"data":{"b":"Yg=="}}"#;
const ITEM: &str = r#"{"kind":"Secret","metadata":{"name":"other"},"data":{"b":"Yg=="}}"#;
const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\ncontexts: [{name: x, context: {cluster: c, namespace: fromctx, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: x\n";
/// Sealed by upstream for `core/tests/data/rsa2048.crt`, strict for `shop/db`.
const SEALED: &str = concat!(
    "{\n  \"kind\": \"SealedSecret\",\n  \"apiVersion\": \"bitnami.com/v1alpha1\",\n  \"metadata\": {\n    \"name\": \"db\",\n    \"namespace\": \"shop\"\n  },\n  \"spec\": {\n    \"template\": {\n      \"metadata\": {\n        \"name\": \"db\",\n        \"namespace\": \"shop\"\n      }\n    },\n    \"encryptedData\": {\n      \"a\": \"",
    data!("upstream-strict.item"),
    "\"\n    }\n  }\n}"
);
const SEALED_YAML: &str = concat!(
    "# kept\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db # too\n  namespace: shop\nspec:\n  encryptedData:\n    a: ",
    data!("upstream-strict.item"),
    "\n  template:\n    metadata: {}\n"
);

const WORDS: &str = "the message is on stderr too, and the help is grouped";
const FILE_NAMED: &str = "messages name file, document, line and field";

/// Without a cluster.
pub(crate) const OFFLINE: &[Case] = &[
    // Sealing: formats, documents, what stays and what goes.
    same("--cert t.crt", S),
    same("--cert=t.crt -o yaml", S),
    same("--cert t.crt -oYAML", S),
    same("--cert t.crt --format=json", YAML),
    same("--cert t.crt -o yaml -f s.yaml", ""),
    same("--cert t.crt -f s.json", ""),
    same("--cert t.crt", TWICE),
    same("--cert t.crt -o yaml", TWICE),
    same(
        "--cert t.crt -o yaml",
        "# c\n---\nkind: Secret\nmetadata: {name: a, namespace: s}\ndata: {a: YQ==}\n---\n---\nkind: Secret\nmetadata: {name: b, namespace: s}\ndata: {a: YQ==}\n",
    ),
    same("--cert t.crt -o yaml", STRINGS),
    same("--cert t.crt", STRINGS),
    same("--cert t.crt", STORED),
    same("--cert t.crt -o yaml", STORED),
    same("--cert t.crt", WIDE),
    same("--cert t.crt -o yaml", BOTH_WIDE),
    same("--cert t.crt --scope namespace-wide -o yaml", BOTH_WIDE),
    same("--cert t.crt", BOTH_FIELDS_NULL),
    same("--cert t.crt", r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s"},"stringData":{"a":5}}"#),
    same("--cert t.crt", r#"{"metadata":{"name":"n","namespace":"s"},"data":{"a":"YQ=="}}"#),
    same("--cert t.crt", "\u{feff}kind: Secret\nmetadata: {name: n1, namespace: s}\ndata: {a: YQ==}\n"),
    same("--cert two.crt", S),
    same("--cert t.crt --allow-empty-data", EMPTY),
    same("--cert t.crt --allow-empty-data -o yaml", EMPTY),
    same("--cert t.crt extra words", S),
    same("--cert t.crt -- --bogus", S),
    same("--cert t.crt -o=", S),
    same("-v9 --logtostderr --vmodule=a=1 --cert t.crt", S),
    // Name, namespace, scope.
    same("--cert t.crt --name z", S),
    same("--cert t.crt --name z", NAMELESS),
    same("--cert t.crt -n s", S),
    same("--cert t.crt -n t", S),
    same("--cert t.crt -nt", NO_NAMESPACE),
    same("--cert t.crt", NO_NAMESPACE),
    same("--cert t.crt --kubeconfig config", NO_NAMESPACE),
    same("--cert t.crt --kubeconfig nofile", NO_NAMESPACE),
    same("--cert t.crt --kubeconfig bad", NO_NAMESPACE),
    same("--cert t.crt --kubeconfig config --context nope", NO_NAMESPACE),
    same("--cert t.crt --scope cluster-wide", NO_NAMESPACE),
    same("--cert t.crt --scope cluster-wide -n other", S),
    same("--cert t.crt --scope=namespace-wide -n other", NO_NAMESPACE),
    same("--cert t.crt", NAMELESS),
    same("--cert t.crt", EMPTY),
    with(&[("SEALED_SECRETS_CERT", "t.crt"), ("SEALED_SECRETS_FORMAT", "yaml")], same("", S)),
    with(&[("SEALED_SECRETS_FORMAT", "yaml")], same("--cert t.crt -o json", S)),
    with(&[("SEALED_SECRETS_NAMESPACE", "t")], same("--cert t.crt", S)),
    with(&[("SEALED_SECRETS_SCOPE", "cluster-wide")], same("--cert t.crt", NO_NAMESPACE)),
    with(&[("SEALED_SECRETS_VERSION", "")], same("--cert t.crt", S)),
    with(&[("SEALED_SECRETS_FROM_FILE", "a,b")], same("", "")),
    with(&[("KUBECONFIG", "config")], same("--cert t.crt", NO_NAMESPACE)),
    // Output.
    same("--cert t.crt -w out.yaml", S),
    same("--cert t.crt -w out.yml -o json", S),
    same("--cert t.crt -w out.json -o yaml", S),
    same("--cert t.crt -o xml", S),
    same("--cert t.crt -w out.json", ""),
    same("--cert t.crt -f nofile", ""),
    same("--cert t.crt", ""),
    same("--cert t.crt", "---\n# nothing\n"),
    // Certificates.
    same("--cert nofile", S),
    same("--cert s.json", S),
    same("--cert t.key", S),
    same("--cert C:nofile", S),
    same("--cert ftp://127.0.0.1/x", S),
    same("--fetch-cert --cert t.crt", ""),
    same("--fetch-cert --cert t.crt -w out.pem", ""),
    // One value.
    same("--raw --cert t.crt -n s --name n", "hunter2"),
    same("--raw --cert t.crt -n s", "hunter2"),
    same("--raw --cert t.crt", "hunter2"),
    same("--raw --cert t.crt --scope namespace-wide", "hunter2"),
    same("--raw --cert t.crt --scope namespace-wide --kubeconfig config", "hunter2"),
    same("--raw --cert t.crt --scope cluster-wide", "hunter2"),
    same("--raw --cert t.crt --scope cluster-wide --from-file s.json", ""),
    same("--raw --cert t.crt --scope cluster-wide --from-file k=s.json -o yaml", ""),
    same("--raw --cert t.crt --scope cluster-wide --from-file s.json,s.yaml", ""),
    same("--raw --cert t.crt --scope cluster-wide --from-file a=b=c", ""),
    same("--raw --cert t.crt --scope cluster-wide -w out", "x"),
    same("--from-file s.json --cert t.crt", ""),
    // Merging.
    same("--merge-into sealed.json --cert t.crt", ITEM),
    same("--merge-into nofile --cert t.crt", S),
    // Clusters that are not there.
    same("--fetch-cert", ""),
    same("--fetch-cert --kubeconfig nofile", ""),
    same("--fetch-cert --kubeconfig config --context nope", ""),
    same("--fetch-cert --kubeconfig config --cluster nope", ""),
    same("--fetch-cert --kubeconfig config --user nope", ""),
    same("--fetch-cert --kubeconfig config --request-timeout x", ""),
    differs(
        "--rotate --kubeconfig nofile",
        SEALED,
        1,
        "Flag --rotate has been deprecated",
        "the warning is not mixed into the output",
    ),
    // Version.
    differs("--version", "", 0, "kubeseal version: ", "each program has its own version"),
    differs("--help --version", "", 0, "kubeseal version: ", "each program has its own version"),
    // Usage.
    differs("--help", "", 0, "Examples:", WORDS),
    differs("-h", "", 0, "Examples:", WORDS),
    differs("--bogus", "", 2, "unknown flag: --bogus\n", WORDS),
    differs("-zq", "", 2, "unknown shorthand flag: 'z' in -zq\n", WORDS),
    differs("--cert", "", 2, "flag needs an argument: --cert\n", WORDS),
    differs(
        "--scope foo",
        "",
        2,
        "invalid argument \"foo\" for \"--scope\" flag: must be one of: strict, namespace-wide, cluster-wide\n",
        WORDS,
    ),
    differs(
        "--raw=maybe",
        "",
        2,
        "invalid argument \"maybe\" for \"--raw\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\n",
        WORDS,
    ),
    // Input.
    differs("--cert t.crt", CONFIG_MAP, 1, "document 1, line 1: expected a Secret", FILE_NAMED),
    differs("--cert t.crt -o yaml", LIST, 0, "encryptedData", "a List is its items"),
    differs("--cert t.crt", "garbage", 1, "expected a Secret", FILE_NAMED),
    differs(
        "--cert t.crt",
        "kind: Secret\nmetadata: {name: n1, namespace: s}\ndata: {a: '!'}\n",
        1,
        "line 3: data[\"a\"]: illegal base64 data at input byte 0",
        FILE_NAMED,
    ),
    differs(
        "--cert t.crt",
        "kind: Secret\nmetadata: {name: n1, namespace: s}\nstringData:\n  a: 012\n",
        1,
        "line 4: stringData[\"a\"]",
        "a value that Go would change is refused",
    ),
    differs(
        "--cert t.crt",
        "kind: Secret\nmetadata: {name: n1, namespace: s}\ndata: {a: YQ==, a: Yg==}\n",
        1,
        "twice",
        "duplicate keys are refused",
    ),
    differs(
        "--cert t.crt",
        "kind: Secret\nmetadata: {name: n1, namespace: s}\ndata:\n\ta: YQ==\n",
        1,
        "line 4: not valid YAML",
        FILE_NAMED,
    ),
    differs("--cert t.crt", MANAGED, 0, "encryptedData", "finalizers and managedFields are dropped"),
    differs(
        "--cert t.crt --scope strict -o yaml",
        WIDE,
        0,
        "warning: ",
        "one line says that the annotation won",
    ),
    differs(
        "--cert t.crt -o yaml",
        r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","labels":{"a":"=","b":"<<"}},"data":{"a":"YQ=="}}"#,
        0,
        "a: \"=\"",
        "words that YAML 1.1 misreads are quoted",
    ),
    differs(
        "--cert ec.crt",
        S,
        1,
        "expected RSA public key but found ECDSA",
        "the key itself is not printed",
    ),
    differs("--cert weak.crt", S, 1, "1024 bits", "weak keys are refused"),
    differs(
        "--cert http://127.0.0.1:1/x",
        S,
        1,
        "Get \"http://127.0.0.1:1/x\": ",
        "the reason is in other words",
    ),
    differs(
        "--cert t.crt -w nodir/out.json",
        S,
        1,
        "open nodir/out.json: no such file or directory",
        "the file is named, not a temporary one",
    ),
    differs("--cert t.crt -w .", S, 1, "is a directory", "a target that cannot be written is an error"),
    with(
        &[("SEALED_SECRETS_SCOPE", "foo")],
        differs("--cert t.crt", S, 0, "SEALED_SECRETS_SCOPE is ignored", "a wrong variable is told"),
    ),
    differs(
        "--cert t.crt -o yaml",
        r#"{"kind":"Secret","metadata":{"name":"n","namespace":"s","labels":{"a":"\u007f"}},"data":{"a":"YQ=="}}"#,
        0,
        "a: \"\\x7F\"",
        "control characters are escaped instead of refused",
    ),
    // Files that are edited.
    differs(
        "--merge-into sealed.json --cert t.crt",
        MORE,
        0,
        "\"labels\": {\"x\": \"y\"}",
        "absent maps are made, without a panic",
    ),
    differs(
        "--merge-into sealed.yaml --cert t.crt",
        MORE,
        0,
        "# kept\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db # too\n",
        "YAML stays YAML, with its comments",
    ),
    differs(
        "--merge-into s.yaml --cert t.crt",
        MORE,
        1,
        "expected a SealedSecret",
        "only a SealedSecret is edited",
    ),
    differs(
        "--merge-into sealed.json --cert t.crt -w out.json",
        MORE,
        1,
        "--sealed-secret-file cannot be used with --merge-into",
        "no empty file is left",
    ),
    same("--re-encrypt -f nofile", ""),
    // Recovery.
    differs(
        "--recovery-unseal --recovery-private-key t.key",
        SEALED,
        0,
        "\"data\": {",
        "no owner with an empty uid is printed",
    ),
    differs(
        "--recovery-unseal --recovery-private-key p8.key -o yaml",
        SEALED,
        0,
        "kind: Secret\n",
        "no owner with an empty uid is printed",
    ),
    differs(
        "--recovery-unseal --recovery-private-key keys.yaml",
        SEALED,
        0,
        "\"data\": {",
        "no owner with an empty uid is printed",
    ),
    differs(
        "--recovery-unseal --recovery-private-key t.key",
        "",
        1,
        "no SealedSecret found",
        "nothing to decrypt is an error",
    ),
    same("--recovery-unseal", SEALED),
    same("--recovery-unseal --recovery-private-key nofile", SEALED),
    same("--recovery-unseal --recovery-private-key s.json", SEALED),
];

/// With upstream's controller in a namespace, which is told by further arguments.
pub(crate) const ONLINE: &[Case] = &[
    same("--fetch-cert", ""),
    same("", S),
    same("-o yaml", TWICE),
    same("", NO_NAMESPACE),
    same("--raw --scope cluster-wide", "x"),
    same("--raw --name n", "x"),
    same("--merge-into sealed.json", ITEM),
    same("--validate", SEALED),
    differs("--validate", "", 1, "no SealedSecret found", "nothing to validate is an error"),
    differs(
        "--re-encrypt -f s.json",
        "",
        1,
        "expected a SealedSecret",
        "only a SealedSecret is re-encrypted",
    ),
    differs("--re-encrypt", SEALED, 1, "cannot re-encrypt secret: ", "the reason is in other words"),
    differs(
        "--fetch-cert --controller-name nope",
        "",
        1,
        "Please, use the flag --controller-name and --controller-namespace",
        "the reason is in other words",
    ),
];
