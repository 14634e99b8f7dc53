//! `unseal` decrypts files with a backup of the sealing keys.

use crate::run::{SECRET, kubeseal, seal};
use crate::workspace::{KEY, Workspace};

fn filled() -> Workspace {
    let workspace = Workspace::new();
    std::fs::copy(KEY, workspace.file("key.pem")).unwrap();
    workspace.done(
        "create generic db -n shop --from-literal password=hidden --from-literal user=app --secret-label team=a --cert cert.pem -w db.yaml",
        "",
    );
    workspace
}

const OPENED: &str = "---\napiVersion: v1\ndata:\n  password: aGlkZGVu\n  user: YXBw\nkind: Secret\nmetadata:\n  labels:\n    \
                      team: a\n  name: db\n  namespace: shop\n";

#[test]
fn secrets_are_printed_as_yaml_or_json() {
    let workspace = filled();
    let ran = workspace.run("unseal db.yaml --private-key key.pem");
    assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.as_str()), (Some(0), "", OPENED));
    let json = workspace.run("unseal -o json db.yaml --private-key=key.pem").stdout;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["data"]["user"], &value["metadata"]["name"]), (&"YXBw".into(), &"db".into()));
    // Several files and objects, and stdin.
    workspace.write(
        "two.yaml",
        &format!("{}kind: Pod\n{}", workspace.read("db.yaml") + "---\n", workspace.read("db.yaml")),
    );
    let ran = workspace.run("unseal two.yaml db.yaml --private-key key.pem");
    assert_eq!((ran.code, ran.stdout), (Some(0), OPENED.repeat(3)));
    let ran = workspace.run_with("unseal - --private-key key.pem", workspace.read("db.yaml").as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), OPENED));
    assert_eq!(workspace.names(), ["db.yaml", "key.pem", "two.yaml"], "no value goes into a file");
}

#[test]
fn one_item_is_printed_byte_for_byte() {
    let workspace = filled();
    let value = b"a\0b\xff\n\n";
    let ran = kubeseal(workspace.path(), &["set", "db.yaml", "blob", "--cert", "cert.pem"], value);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut command = std::process::Command::new(crate::run::PROGRAM);
    command.current_dir(workspace.path()).env_clear();
    let output =
        command.args(["unseal", "db.yaml", "--private-key", "key.pem", "--item", "blob"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &value[..]));
}

#[test]
fn a_bare_ciphertext_is_decrypted_for_its_place() {
    let workspace = filled();
    for (scope, place) in
        [("strict", "--name db -n shop"), ("namespace-wide", "-n shop"), ("cluster-wide", "")]
    {
        let sealed = seal(&["--raw", "--scope", scope, "--name", "db", "-n", "shop"], "value").stdout;
        workspace.write("raw.txt", &sealed);
        let ran =
            workspace.run(&format!("unseal --raw raw.txt --private-key key.pem --scope {scope} {place}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "value"), "{}", ran.stderr);
        let ran = workspace.run_with(
            &format!("unseal --raw - --private-key key.pem --scope {scope} {place}"),
            (sealed + "\n").as_bytes(),
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "value"), "{}", ran.stderr);
    }
    let strict = seal(&["--raw", "--name", "db", "-n", "shop"], "value").stdout;
    workspace.write("raw.txt", &strict);
    let ran = workspace.run("unseal --raw raw.txt --private-key key.pem --name shop/db");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "value"), "{}", ran.stderr);
    workspace.refused(
        "unseal --raw raw.txt --private-key key.pem --name other -n shop",
        1,
        "raw.txt: no key could decrypt secret",
    );
    workspace.refused(
        "unseal --raw raw.txt --private-key key.pem -n shop",
        2,
        "the scope strict needs the name: add --name NAME",
    );
    workspace.refused(
        "unseal --raw raw.txt --private-key key.pem --name db",
        2,
        "the scope strict needs the namespace: add -n NAMESPACE",
    );
    workspace.write("raw.txt", "!");
    workspace.refused(
        "unseal --raw raw.txt --private-key key.pem --name db -n shop",
        1,
        "illegal base64 data at input byte 0",
    );
}

#[test]
fn an_object_whose_place_the_file_does_not_say_is_decrypted_where_flags_or_rules_put_it() {
    let workspace = filled();
    let text = workspace.read("db.yaml");
    let without = text.replacen("  namespace: shop\n", "", 1);
    workspace.write("db.yaml", &without);
    workspace.refused(
        "unseal db.yaml --private-key key.pem",
        2,
        "db.yaml:2: no namespace; the scope strict needs",
    );
    let ran = workspace.run("unseal db.yaml --private-key key.pem -n shop");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), OPENED), "{}", ran.stderr);
    workspace.write(".kubeseal.yaml", "rules:\n- {namespace: shop}\n");
    assert_eq!(workspace.run("unseal db.yaml --private-key key.pem").stdout, OPENED);
    std::fs::remove_file(workspace.file(".kubeseal.yaml")).unwrap();
    // A Helm template: its literal items.
    let template =
        text.replace("  name: db\n", "  name: {{ .Release.Name }}\n").replace("  namespace: shop\n", "");
    workspace.write("chart.yaml", &format!("{{{{- if .Values.on }}}}\n{template}{{{{- end }}}}\n"));
    workspace.refused(
        "unseal chart.yaml --private-key key.pem -n shop --item user",
        2,
        "a template fills in the name; set it with --name",
    );
    let ran = workspace.run("unseal chart.yaml --private-key key.pem -n shop --name db --item user");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "app"), "{}", ran.stderr);
    workspace.refused(
        "unseal chart.yaml --private-key key.pem -n shop --name db",
        1,
        "a template fills in a part of the spec; render it first, or decrypt one item with --item KEY",
    );
}

#[test]
fn all_mistakes_of_the_table_are_named_and_nothing_is_printed() {
    let workspace = filled();
    workspace.write("plain.yaml", SECRET);
    workspace.write("pod.yaml", "kind: Pod\n");
    workspace.write("broken.yaml", "a: [\n");
    workspace.write("empty.yaml", "kind: List\nitems: []\n");
    workspace.write("other.yaml", &workspace.read("db.yaml").replace("namespace: shop", "namespace: other"));
    workspace.write(
        "two.yaml",
        &(workspace.read("db.yaml") + &workspace.read("db.yaml").replace("name: db", "name: x")),
    );
    for (line, code, message) in [
        ("unseal db.yaml", 2, "--private-key"),
        ("unseal --private-key key.pem", 2, "FILE"),
        ("unseal db.yaml --private-key cert.pem", 1, "cert.pem"),
        ("unseal db.yaml --private-key empty.yaml", 1, "empty.yaml: no private key in this file"),
        ("unseal db.yaml --private-key gone.pem", 1, "open gone.pem: no such file"),
        ("unseal gone.yaml --private-key key.pem", 1, "open gone.yaml: no such file"),
        ("unseal plain.yaml --private-key key.pem", 1, "plain.yaml:1: a Secret that is not sealed"),
        ("unseal pod.yaml --private-key key.pem", 1, "pod.yaml: no SealedSecret in this file"),
        ("unseal broken.yaml --private-key key.pem", 1, "broken.yaml:1: not valid YAML"),
        (
            "unseal db.yaml other.yaml --private-key key.pem",
            1,
            "other.yaml:2: other/db: no key could decrypt secret (password, user)",
        ),
        (
            "unseal db.yaml --private-key key.pem -n other",
            2,
            "db.yaml:2: the namespace is shop, but -n says other",
        ),
        (
            "unseal db.yaml --private-key key.pem --scope cluster-wide",
            2,
            "the scope is strict, but --scope says cluster-wide",
        ),
        ("unseal db.yaml --private-key key.pem --item nothing", 1, "db.yaml:2: no such item in shop/db"),
        (
            "unseal two.yaml --private-key key.pem --item user",
            2,
            "several SealedSecrets in this file: shop/db, shop/x",
        ),
        ("unseal db.yaml db.yaml --private-key key.pem --item user", 2, "--item is for one FILE"),
        ("unseal - - --private-key key.pem", 2, "stdin can be read once"),
        ("unseal - --private-key /dev/stdin", 2, "stdin can be read once"),
        ("unseal db.yaml --raw raw.txt --private-key key.pem", 2, "--raw"),
        ("unseal db.yaml --private-key key.pem -w out.yaml", 2, "-w"),
    ] {
        let before = workspace.names();
        let ran = workspace.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
        assert_eq!(workspace.names(), before);
    }
    let ran = workspace.run("unseal two.yaml --private-key key.pem --name shop/db --item user");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "app"), "{}", ran.stderr);
}
