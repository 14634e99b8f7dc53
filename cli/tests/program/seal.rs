//! `seal` replaces Secrets and no other byte.

use std::fs;
use std::process::{Command, Stdio};

use crate::run::{PROGRAM, SECRET, kubeseal};
use crate::workspace::{FINGERPRINT, Workspace, shape};

const CERT: &str = "--cert cert.pem";
/// The shape of `SECRET`, sealed.
fn sealed() -> String {
    format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: shop\nspec:\n  encryptedData:\n    \
         password: AQ…  # kubeseal: {FINGERPRINT} strict shop/db …\n  template:\n    metadata:\n      name: db\n      namespace: shop\n"
    )
}

fn report(file: &str) -> String {
    format!("{file}: sealed shop/db (strict), 1 item, key {FINGERPRINT}, certificate cert.pem\n")
}

fn stdout(workspace: &Workspace, line: &str, input: &str) -> (String, String) {
    let ran = kubeseal(workspace.path(), &line.split_whitespace().collect::<Vec<_>>(), input.as_bytes());
    assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
    (ran.stdout, ran.stderr)
}

#[test]
fn a_stream_keeps_every_document_but_secrets() {
    let workspace = Workspace::new();
    let before = "# by kustomize\napiVersion: v1\nkind:   ConfigMap # odd\n---\n# the password is hunter2\n";
    let after = "---\n{kind: Pod, a: [1,  2]}\n...\n";
    let (text, told) =
        stdout(&workspace, &format!("seal - {CERT}"), &format!("{before}{SECRET}# hunter2\n{after}"));
    let kept = "# by kustomize\napiVersion: v1\nkind:   ConfigMap # odd\n---\n";
    assert_eq!(shape(&text), format!("{kept}{}{after}", sealed()));
    assert_eq!(told, report("stdout"));
    workspace.write("db.yaml", &text[kept.len()..text.len() - after.len()]);
    assert!(workspace.opened("db.yaml").contains("\"password\": \"aHVudGVyMg==\""));
}

#[test]
fn files_are_sealed_in_place_and_a_repeated_run_completes_the_rest() {
    let workspace = Workspace::new();
    workspace.write("deploy/db.yaml", &format!("kind: Pod\n---\n{SECRET}"));
    workspace.write("deploy/b/db.yaml", SECRET);
    workspace.write("deploy/pod.yaml", "kind: Pod\n");
    workspace.write("deploy/values.yaml", "data: {a: b}\nkind: values\n");
    workspace.write("deploy/chart.yaml", "kind: Secret\nstringData:\n  a: {{ .Values.a }}\n");
    workspace.write("deploy/broken.yaml", "a: {{ if }}: {{ [\n");
    let told = workspace.done(&format!("seal -i deploy {CERT}"), "");
    assert_eq!(told, format!("{}{}", report("deploy/b/db.yaml"), report("deploy/db.yaml")));
    assert_eq!(shape(&workspace.read("deploy/db.yaml")), format!("kind: Pod\n---\n{}", sealed()));
    assert_eq!(shape(&workspace.read("deploy/b/db.yaml")), sealed());
    let before = workspace.read("deploy/db.yaml");
    workspace.write("deploy/new.yaml", SECRET);
    let told = workspace.done(&format!("seal --in-place deploy {CERT}"), "");
    let nothing = |file: &str| format!("{file}: nothing to seal\n");
    assert_eq!(told, nothing("deploy/b/db.yaml") + &nothing("deploy/db.yaml") + &report("deploy/new.yaml"));
    assert_eq!(workspace.read("deploy/db.yaml"), before);
}

#[test]
fn a_list_of_secrets_becomes_documents_and_json_stays_json() {
    let workspace = Workspace::new();
    let list = "apiVersion: v1\nkind: List\nitems:\n- {kind: Secret, metadata: {name: a, namespace: shop}, data: {a: YQ==}}\n\
                - {kind: Secret, metadata: {name: b, namespace: shop}, data: {a: YQ==}}\n";
    workspace.write("list.yaml", list);
    let told = workspace.done(&format!("seal -i list.yaml {CERT}"), "");
    assert_eq!(told.lines().count(), 2, "{told}");
    let text = workspace.read("list.yaml");
    assert_eq!(
        (text.matches("kind: SealedSecret").count(), text.matches("\n---\n").count()),
        (2, 1),
        "{text}"
    );
    let json = "{\"kind\": \"Secret\", \"metadata\": {\"name\": \"db\", \"namespace\": \"shop\"}, \"stringData\": {\"a\": \"hunter2\"}}";
    let (text, _) = stdout(&workspace, &format!("seal - {CERT}"), &format!("{{\"a\":1}}\n{json}\n"));
    let rest = text.strip_prefix("{\"a\":1}\n").unwrap();
    let value: serde_json::Value = serde_json::from_str(rest).unwrap();
    assert_eq!(value["kind"], "SealedSecret");
    // The name of a new file says its format.
    workspace.write("secret.json", json);
    workspace.done(&format!("seal secret.json -w sealed.yaml {CERT}"), "");
    assert!(workspace.read("sealed.yaml").contains("\n    a: AQ"), "{}", workspace.read("sealed.yaml"));
    workspace.write("secret.yaml", SECRET);
    workspace.done(&format!("seal secret.yaml -w sealed.json {CERT}"), "");
    assert!(serde_json::from_str::<serde_json::Value>(&workspace.read("sealed.json")).is_ok());
}

#[test]
fn several_files_are_one_stream_on_stdout_and_in_the_file_of_w() {
    let workspace = Workspace::new();
    workspace.write("a.yaml", SECRET.trim_end());
    workspace.write("b.yaml", &format!("---\n{SECRET}"));
    let (text, told) = stdout(&workspace, &format!("seal a.yaml b.yaml {CERT}"), "");
    assert_eq!(shape(&text), format!("{}---\n{}", sealed(), sealed()));
    assert_eq!(told, report("stdout").repeat(2));
    let told = workspace.done(&format!("seal a.yaml b.yaml -w out.yaml {CERT}"), "");
    assert_eq!(told, report("out.yaml").repeat(2));
    assert_eq!(
        shape(&workspace.read("out.yaml")),
        format!("---\n{}", shape(&text)),
        "as `create` writes new files"
    );
    workspace.refused(&format!("seal a.yaml -w out.yaml {CERT}"), 1, "out.yaml: the file exists; change one item with `kubeseal set`, or replace the whole file with --force");
    workspace.done(&format!("seal a.yaml -w out.yaml --force {CERT}"), "");
    assert_eq!(shape(&workspace.read("out.yaml")), format!("---\n{}", sealed()));
}

#[test]
fn line_ends_byte_order_mark_mode_and_links_stay() {
    let workspace = Workspace::new();
    workspace.write("db.yaml", &format!("\u{feff}kind: Pod\r\n---\r\n{}", SECRET.replace('\n', "\r\n")));
    workspace.done(&format!("seal -i db.yaml {CERT}"), "");
    let text = workspace.read("db.yaml");
    assert!(
        text.starts_with(
            "\u{feff}kind: Pod\r\n---\r\napiVersion: bitnami.com/v1alpha1\r\nkind: SealedSecret\r\n"
        ),
        "{text}"
    );
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        workspace.write("real.yaml", SECRET);
        fs::set_permissions(workspace.file("real.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.yaml", workspace.file("link.yaml")).unwrap();
        workspace.done(&format!("seal -i link.yaml {CERT}"), "");
        assert!(fs::symlink_metadata(workspace.file("link.yaml")).unwrap().is_symlink());
        assert_eq!(shape(&workspace.read("real.yaml")), sealed());
        assert_eq!(fs::metadata(workspace.file("real.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    }
}

#[test]
fn rules_and_flags_supply_a_missing_namespace_and_scope() {
    let workspace = Workspace::new();
    let bare = "kind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";
    workspace.write("db.yaml", bare);
    workspace.refused(&format!("seal db.yaml {CERT}"), 2, "db.yaml:1: no namespace; the scope strict needs the one that the file is applied to: add -n NAMESPACE");
    let (text, _) = stdout(&workspace, &format!("seal db.yaml -n shop --scope namespace-wide {CERT}"), "");
    assert!(
        text.contains("sealedsecrets.bitnami.com/namespace-wide: \"true\"")
            && text.contains(" namespace-wide shop "),
        "{text}"
    );
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: cert.pem}}\nrules:\n- {cluster: prod, namespace: shop, annotations: {a/wave: \"-1\"}, labels: {team: a}}\nreceipts: false\n",
    );
    let (text, told) = stdout(&workspace, "seal db.yaml", "");
    assert!(
        text.contains("    a/wave: \"-1\"\n")
            && text.contains("    team: a\n")
            && !text.contains("# kubeseal"),
        "{text}"
    );
    assert_eq!(told, report("stdout"));
    // The file that is written decides.
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: cert.pem}}\nrules:\n- {path: prod.yaml, cluster: prod, namespace: prod}\n- {cluster: prod, namespace: shop}\n",
    );
    let told = workspace.done("seal db.yaml -w prod.yaml", "");
    assert!(told.starts_with("prod.yaml: sealed prod/db (strict), 1 item, "), "{told}");
    // A scope of the Secret itself counts, and a flag may not contradict it.
    workspace.write(
        "db.yaml",
        &bare.replace("name: db", "name: db, annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}"),
    );
    let (text, _) = stdout(&workspace, "seal db.yaml --scope cluster-wide", "");
    assert!(text.contains("sealedsecrets.bitnami.com/cluster-wide: \"true\""), "{text}");
    workspace.refused(
        "seal db.yaml --scope strict",
        2,
        "db.yaml:1: the scope is cluster-wide, but --scope says strict",
    );
}

#[test]
fn a_secret_that_git_tracks_is_warned_of() {
    let workspace = Workspace::new();
    workspace.git(&["init", "-q"]);
    for name in ["tracked.yaml", "new.yaml", "[t]racked.yaml"] {
        workspace.write(name, SECRET);
    }
    workspace.git(&["add", "tracked.yaml"]);
    workspace.git(&["commit", "-q", "-m", "plaintext"]);
    workspace.write("staged.yaml", SECRET);
    workspace.git(&["add", "staged.yaml"]);
    let seal = |name: &str| {
        let arguments = ["seal", "-i", name, "--cert", "cert.pem"];
        let mut command = Command::new(PROGRAM);
        command.current_dir(workspace.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let warning =
        "warning: tracked.yaml is tracked: its plaintext remains in Git's history; rotate the values\n";
    assert_eq!(seal("tracked.yaml"), report("tracked.yaml") + warning);
    let warning = "warning: staged.yaml was staged with its plaintext; run git add again\n";
    assert_eq!(seal("staged.yaml"), report("staged.yaml") + warning);
    assert_eq!(seal("new.yaml"), report("new.yaml"));
    assert_eq!(seal("[t]racked.yaml"), report("[t]racked.yaml"));
}

#[test]
fn nothing_is_written_unless_all_can_be_sealed() {
    let workspace = Workspace::new();
    workspace.write("a/one.yaml", SECRET);
    workspace.write("a/two.yaml", "kind: Secret\nstringData: {a: hunter2}\n");
    workspace
        .write("a/three.yaml", "kind: Secret\nmetadata: {name: x, namespace: yy}\nstringData:\n  a: 012\n");
    let ran = workspace.run(&format!("seal -i a {CERT}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("error: a/three.yaml:4: stringData[\"a\"]: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: a/two.yaml:1: no namespace"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("error: 2 problems\n"), "{}", ran.stderr);
    fs::remove_file(workspace.file("a/three.yaml")).unwrap();
    // In a run over many files one object is not a wrong command line.
    let ran = workspace.run(&format!("seal -i a {CERT}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert_eq!(workspace.read("a/one.yaml"), SECRET);
}

/// Files that cannot be sealed, and some that can.
fn odd_files() -> Workspace {
    let workspace = Workspace::new();
    let with = |from: &str, to: &str| SECRET.replace(from, to);
    workspace.write("db.yaml", SECRET);
    workspace.write("a/db.yaml", SECRET);
    workspace.write("pod.yaml", "kind: Pod\n");
    workspace.write(
        "empty.yaml",
        "kind: Secret\nmetadata: {name: token}\ntype: kubernetes.io/service-account-token\n",
    );
    workspace.write("pods/pod.yaml", "kind: Pod\n");
    workspace.write("broken.yaml", "a: [\n");
    workspace.write("twice.yaml", "kind: Secret\nkind: Secret\n");
    workspace.write("chart.yaml", "kind: Secret\nmetadata:\n  name: {{ .x }}\nstringData:\n  a: {{ .y }}\n");
    workspace
        .write("charts/chart.yaml", "kind: Secret\nmetadata:\n  name: {{ .x }}\nstringData:\n  a: hunter2\n");
    workspace.write("mixed.yaml", "kind: List\nitems:\n- {kind: Secret, data: {a: YQ==}}\n- {kind: Pod}\n");
    workspace.write("unnamed.yaml", &with("name: db, ", ""));
    workspace.write("named.yaml", &with("name: db", "name: Api_Key"));
    workspace.write("key.yaml", &with("password: hunter2", "pin=hunter2: x"));
    workspace.write("number.yaml", &with("hunter2", "012"));
    workspace
        .write("base64.yaml", "kind: Secret\nmetadata: {name: db, namespace: shop}\ndata:\n  a: hunter2!\n");
    fs::write(workspace.file("latin.yaml"), b"kind: Secret\na: \xe9\n").unwrap();
    workspace
}

/// A line, its exit code, and a part of the message.
const MISTAKES: [(&str, i32, &str); 29] = [
    ("seal", 2, "PATH"),
    ("seal a", 2, "a is a folder; add -i to seal the Secrets in its files"),
    ("seal -i -", 2, "-i replaces files, and stdin is none"),
    ("seal - -", 2, "stdin can be read once"),
    ("seal -i db.yaml -w out.yaml", 2, "cannot be used with"),
    ("seal db.yaml --force", 2, "--write"),
    ("seal db.yaml --raw", 2, "--raw"),
    ("seal gone.yaml", 1, "open gone.yaml: no such file"),
    ("seal pod.yaml", 1, "pod.yaml: no Secret in this file"),
    ("seal empty.yaml", 1, "empty.yaml: no Secret in this file"),
    ("seal -i pods", 1, "pods: no Secret in this folder"),
    ("seal broken.yaml", 1, "broken.yaml:1: not valid YAML"),
    ("seal twice.yaml", 1, "twice.yaml:2: duplicate key \"kind\""),
    ("seal chart.yaml", 1, "chart.yaml:1: a Secret in a Helm template; render it first"),
    ("seal -i charts", 1, "charts/chart.yaml:1: a Secret in a Helm template"),
    ("seal mixed.yaml", 1, "mixed.yaml:4: another object in a List with Secrets"),
    ("seal unnamed.yaml", 1, "unnamed.yaml:1: metadata.name is missing"),
    ("seal named.yaml", 1, "named.yaml:1: metadata.name \"Api_Key\": a name has"),
    ("seal key.yaml", 1, "key.yaml:1: a key has 1 to 253 letters"),
    ("seal number.yaml", 1, "number.yaml:4: stringData[\"password\"]: "),
    ("seal base64.yaml", 1, "base64.yaml:4: data[\"a\"]: illegal base64"),
    ("seal latin.yaml", 1, "latin.yaml: neither UTF-8 nor UTF-16"),
    ("seal db.yaml -n other", 2, "db.yaml:1: the namespace is shop, but -n says other"),
    ("seal db.yaml -n Shop", 2, "metadata.namespace \"Shop\""),
    ("seal db.yaml --scope wide", 2, "--scope"),
    ("seal db.yaml --for prod", 2, "--for names a cluster of .kubeseal.yaml"),
    ("seal db.yaml -w gone/out.yaml", 1, "gone/out.yaml: the folder does not exist"),
    ("seal db.yaml -w a", 1, "a: the file exists"),
    ("seal db.yaml -w a --force", 1, "a: a folder, not a regular file"),
];

#[test]
fn all_mistakes_of_the_table_are_named() {
    let workspace = odd_files();
    for (line, code, message) in MISTAKES {
        let line = format!("{line} {CERT}");
        workspace.refused(&line, code, message);
    }
    // The certificate.
    for (line, message) in
        [("seal db.yaml --cert gone.pem", "gone.pem"), ("seal db.yaml --cert pod.yaml", "pod.yaml")]
    {
        workspace.refused(line, 1, message);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(workspace.file("db.yaml"), fs::Permissions::from_mode(0o444)).unwrap();
        workspace.refused(
            &format!("seal -i db.yaml {CERT}"),
            1,
            "db.yaml: the file is read-only; make it writable (chmod u+w)",
        );
    }
}

#[test]
fn utf16_is_sealed_to_stdout_and_not_in_place() {
    let workspace = Workspace::new();
    let utf16: Vec<u8> = format!("\u{feff}{SECRET}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(workspace.file("db.yaml"), utf16).unwrap();
    workspace.refused(&format!("seal -i db.yaml {CERT}"), 1, "db.yaml:1: not UTF-8 text; save it as UTF-8");
    let (text, _) = stdout(&workspace, &format!("seal db.yaml {CERT}"), "");
    assert_eq!(shape(&text), sealed());
}

#[test]
fn a_concurrent_change_of_other_parts_of_the_file_is_kept() {
    // Eight runs at once over the same file: each finds it sealed or seals it, and none breaks it.
    let workspace = Workspace::new();
    workspace.write("db.yaml", SECRET);
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = Command::new(PROGRAM);
            command
                .current_dir(workspace.path())
                .env_clear()
                .args(["seal", "-i", "db.yaml", "--cert", "cert.pem"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(shape(&workspace.read("db.yaml")), sealed());
    assert_eq!(workspace.names(), ["db.yaml"]);
}

#[test]
fn an_error_of_the_whole_run_is_reported_once_and_keeps_its_exit_code() {
    let workspace = Workspace::new();
    for number in 0..3 {
        workspace.write(&format!("a/{number}.yaml"), SECRET);
    }
    let ran = workspace.run("seal -i a --cert gone.pem");
    assert_eq!((ran.code, ran.stderr.matches("gone.pem").count()), (Some(1), 1), "{}", ran.stderr);
    workspace.git(&["init", "-q"]);
    workspace.write(".kubeseal.yaml", "rules: [{cluster: gone}]\n");
    let ran = workspace.run(&format!("seal -i a {CERT}"));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("is not among clusters").count(), 1, "{}", ran.stderr);
    assert_eq!(workspace.read("a/0.yaml"), SECRET);
}

#[test]
fn values_of_more_than_a_secret_can_hold_are_refused() {
    let workspace = Workspace::new();
    workspace.write("db.yaml", &SECRET.replace("hunter2", &"x".repeat(1 << 20)));
    workspace.done(&format!("seal -i db.yaml {CERT}"), "");
    workspace.write("db.yaml", &SECRET.replace("hunter2", &"x".repeat((1 << 20) + 1)));
    workspace.refused(
        &format!("seal -i db.yaml {CERT}"),
        1,
        "db.yaml:1: the values have more than 1 MiB, the most that a Secret can hold",
    );
}

#[test]
fn a_dash_as_the_file_of_the_result_is_stdout() {
    let workspace = Workspace::new();
    workspace.write("plain.yaml", SECRET);
    let expected = workspace.run("seal plain.yaml --cert cert.pem");
    for line in ["seal plain.yaml -w -", "seal - -w -", "seal - -w - --force"] {
        let ran = workspace.run_with(&format!("{line} --cert cert.pem"), SECRET.as_bytes());
        assert_eq!((ran.code, shape(&ran.stdout)), (Some(0), shape(&expected.stdout)), "{line}");
        assert!(
            ran.stderr.starts_with("stdout: sealed shop/db (strict), 1 item, key "),
            "{line}: {}",
            ran.stderr
        );
        assert_eq!(workspace.names(), ["plain.yaml"], "{line}");
    }
}
