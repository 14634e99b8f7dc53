//! `reencrypt`: stale items move to the newest key, every other byte stays, and each mistake is named.

use std::fs;

use serde_json::{Value, json};

use crate::run::{Ran, SECRET, kubeseal, seal};
use crate::workspace::{FINGERPRINT, KEY, OTHER_CERTIFICATE, Workspace};

/// Offline, to the key that sealed already.
const FRESH: &str = "--cert cert.pem";
/// Offline, to the key of another cluster.
const OTHER: &str = "--cert other.pem";

/// A workspace with the private key of `cert.pem`, and the certificate of another cluster.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    fs::copy(KEY, workspace.file("key.pem")).unwrap();
    fs::copy(OTHER_CERTIFICATE, workspace.file("other.pem")).unwrap();
    workspace
}

fn item(name: &str) -> String {
    let sealed = seal(&["-o", "yaml"], &SECRET.replace("name: db", &format!("name: {name}"))).stdout;
    sealed.lines().find_map(|line| line.strip_prefix("    password: ")).unwrap().to_owned()
}

/// A file as users keep it: comments, quotes, an unusual order, another object.
fn kept(workspace: &Workspace, file: &str) -> String {
    let text = format!(
        "# owned by the shop team\nkind: ConfigMap\n---\napiVersion: bitnami.com/v1alpha1\nkind: 'SealedSecret'\n\
         metadata: {{ name: db, namespace: \"shop\" }}\n\nspec:\n  encryptedData:\n    # each spring\n    password: {}   # since 2024\n    \
         user: \"{}\"\n\n  template: {{}}  # the end",
        item("db"),
        item("db")
    );
    workspace.write(file, &text);
    text
}

fn run(workspace: &Workspace, line: &str) -> Ran {
    workspace.run(&format!("reencrypt {line} --private-key key.pem"))
}

fn told(ran: &Ran) -> (Option<i32>, &str, &str) {
    (ran.code, &ran.stdout, &ran.stderr)
}

/// The lines of a text with ciphertexts and receipts replaced.
fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let (line, receipt) =
            line.split_once("  # kubeseal: ").map_or((line, None), |(line, rest)| (line, Some(rest)));
        let words: Vec<String> = line
            .split_inclusive([' ', '"'])
            .map(|word| if word.len() > 300 { "…".to_owned() } else { word.to_owned() })
            .collect();
        let receipt = receipt.map(|receipt| receipt.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" "));
        words.concat() + &receipt.map(|receipt| format!("  # kubeseal: {receipt}")).unwrap_or_default()
    };
    text.lines().map(line).collect()
}

#[test]
fn items_of_another_key_change_with_their_receipts_and_every_other_byte_stays() {
    let workspace = workspace();
    let before = kept(&workspace, "db.yaml");
    let ran = run(&workspace, &format!("db.yaml {OTHER}"));
    let report = "db.yaml: 2 of 2 items re-encrypted\n2 of 2 items in 1 of 1 files re-encrypted; commit and apply them\n";
    assert_eq!(told(&ran), (Some(0), report, ""));
    let after = workspace.read("db.yaml");
    let expected: Vec<String> = lines(&before)
        .into_iter()
        .map(|line| if line.contains('…') { line + "  # kubeseal: strict shop/db" } else { line })
        .collect();
    assert_eq!(lines(&after), expected);
    assert!(!after.contains(FINGERPRINT) && after.matches("SHA256:").count() == 2, "{after}");
    // The receipts are enough to know that nothing is left to do: the key at hand does not decrypt the items any more.
    let again = run(&workspace, &format!("db.yaml {OTHER}"));
    assert_eq!(told(&again), (Some(0), "0 of 2 items in 0 of 1 files re-encrypted\n", ""));
    let all = run(&workspace, &format!("db.yaml --all {OTHER}"));
    let problem = "db.yaml:4: shop/db: does not decrypt with the keys of --private-key\n";
    assert_eq!(told(&all), (Some(1), "0 of 2 items in 0 of 1 files re-encrypted\n", problem));
    assert_eq!(workspace.read("db.yaml"), after);
}

#[test]
fn fresh_items_stay_byte_for_byte_with_or_without_receipts() {
    let workspace = workspace();
    let before = kept(&workspace, "db.yaml");
    for more in ["", "--all", "--dry-run", "--no-receipt"] {
        let ran = run(&workspace, &format!("db.yaml {more} {FRESH}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{more}");
        assert!(ran.stdout.starts_with("0 of 2 items in 0 of 1 files "), "{}", ran.stdout);
        assert_eq!(workspace.read("db.yaml"), before);
    }
}

#[test]
fn a_stale_item_with_a_receipt_has_none_afterwards_if_none_is_wanted() {
    let workspace = workspace();
    workspace.done(
        "create generic db -n shop --from-literal a=1 --from-literal b=2 -w db.yaml --cert cert.pem",
        "",
    );
    workspace.done("set db.yaml b --no-receipt --cert cert.pem", "3");
    let before = workspace.read("db.yaml");
    assert_eq!(before.matches("  # kubeseal: ").count(), 1, "{before}");
    let ran = run(&workspace, &format!("db.yaml --no-receipt {OTHER}"));
    let report = "db.yaml: 2 of 2 items re-encrypted\n2 of 2 items in 1 of 1 files re-encrypted; commit and apply them\n";
    assert_eq!(told(&ran), (Some(0), report, ""));
    let expected: Vec<String> = lines(&before)
        .into_iter()
        .map(|line| line.split_once("  # kubeseal: ").map_or(line.clone(), |(line, _)| line.to_owned()))
        .collect();
    assert_eq!(lines(&workspace.read("db.yaml")), expected);
}

#[test]
fn a_forged_receipt_makes_an_item_be_passed_over_and_all_does_not_believe_it() {
    let workspace = workspace();
    kept(&workspace, "db.yaml");
    run(&workspace, &format!("db.yaml {OTHER}"));
    let fresh = workspace.read("db.yaml");
    let key = fresh.split("# kubeseal: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    workspace.done("set db.yaml password --cert cert.pem", "hunter2");
    let old = workspace.read("db.yaml");
    workspace.write("db.yaml", &old.replace(FINGERPRINT, &key));
    assert!(run(&workspace, &format!("db.yaml --dry-run {OTHER}")).stdout.starts_with("0 of 2 items"));
    workspace.write("db.yaml", &old);
    let honest = run(&workspace, &format!("db.yaml --dry-run {OTHER}"));
    assert_eq!(
        told(&honest),
        (Some(3), "db.yaml: 1 of 2 items are stale\n1 of 2 items in 1 of 1 files are stale\n", "")
    );
}

#[test]
fn a_dry_run_changes_nothing_and_its_report_for_programs_has_every_field() {
    let workspace = workspace();
    let before = kept(&workspace, "db.yaml");
    workspace.write("bad.yaml", &before.replace("name: db", "name: other"));
    let ran = run(&workspace, &format!("bad.yaml db.yaml --dry-run -o json {OTHER}"));
    assert_eq!((ran.code, workspace.read("db.yaml")), (Some(1), before));
    let mut report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let key = report["files"][1]["objects"][0]["key"].take();
    assert!(key.as_str().unwrap().starts_with("SHA256:") && key.as_str().unwrap().len() == 50, "{key}");
    report["files"][0]["objects"][0]["key"].take();
    let object = |name: &str, stale: usize, error: Option<&str>| {
        json!({
            "line": 4, "namespace": "shop", "name": name, "items": 2, "stale": stale, "reencrypted": 0, "key": null,
            "error": error
        })
    };
    let error = Some("does not decrypt with the keys of --private-key");
    let expected = json!({
        "dryRun": true, "items": 4, "stale": 2, "reencrypted": 0, "failed": 1, "files": [
            {"file": "bad.yaml", "objects": [object("other", 0, error)]},
            {"file": "db.yaml", "objects": [object("db", 2, None)]},
        ]
    });
    assert_eq!(report, expected);
    let yaml = run(&workspace, &format!("db.yaml -o yaml {OTHER}")).stdout;
    assert!(
        yaml.starts_with("---\ndryRun: false\nfailed: 0\nfiles: [") && yaml.contains("\nreencrypted: 2\n"),
        "{yaml}"
    );
}

#[test]
fn an_object_that_does_not_decrypt_stays_whole_and_others_of_its_file_and_folder_change() {
    let workspace = workspace();
    let good = kept(&workspace, "a/good.yaml");
    let (_, sealed) = good.split_once("---\n").unwrap();
    let mixed = sealed.replacen(&item_of(sealed), &item("elsewhere"), 1).replace("name: db", "name: db2");
    workspace.write("a/two.yaml", &format!("{sealed}\n---\n{mixed}\n"));
    workspace.write("a/notes.txt", "kind: SealedSecret");
    workspace.write("a/broken.yaml", "kind: SealedSecret\na: [\n");
    workspace.write("a/pod.yaml", "kind: Pod\n");
    workspace.write("a/chart.yaml", "{{ if .x }}\na: 1\n{{ else }}\na: 2\n{{ end }}\n");
    let ran = run(&workspace, &format!("a {OTHER}"));
    let report = "a/good.yaml: 2 of 2 items re-encrypted\na/two.yaml: 2 of 4 items re-encrypted\n\
                  4 of 6 items in 2 of 3 files re-encrypted; commit and apply them\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), report), "{}", ran.stderr);
    let problems: Vec<&str> = ran.stderr.lines().collect();
    assert!(problems[0].starts_with("a/broken.yaml:"), "{problems:?}");
    assert_eq!(problems[1..], ["a/two.yaml:13: shop/db2: does not decrypt with the keys of --private-key"]);
    assert!(
        workspace.read("a/two.yaml").ends_with(&format!("\n---\n{mixed}\n")),
        "{}",
        workspace.read("a/two.yaml")
    );
}

/// The first ciphertext of a file.
fn item_of(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("    password: ")).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn json_flow_style_lists_and_windows_line_ends_keep_their_form_and_a_template_too() {
    let workspace = workspace();
    let (one, two) = (item("db"), item("db"));
    let metadata = "\"metadata\": {\"name\": \"db\", \"namespace\": \"shop\"}";
    let object = format!(
        "{{\"kind\": \"SealedSecret\", {metadata}, \"spec\": {{\"encryptedData\": {{\"a\": \"{one}\"}}}}}}"
    );
    let files = [
        ("a.json", format!("{{\"kind\": \"List\", \"items\": [{object},\n   {{\"kind\": \"Pod\"}}]}}\n")),
        (
            "flow.yaml",
            format!(
                "kind: SealedSecret\nmetadata: {{name: db, namespace: shop}}\nspec: {{encryptedData: {{a: {one}, b: {two}}}}}\n"
            ),
        ),
        (
            "crlf.yaml",
            format!(
                "\u{feff}kind: SealedSecret\r\nmetadata: {{name: db, namespace: shop}}\r\nspec:\r\n  encryptedData:\r\n    a: {one}\r\n"
            ),
        ),
        (
            "chart.yaml",
            format!(
                "{{{{- if .Values.on }}}}\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: shop\nspec:\n  encryptedData:\n    a: {one}\n    b: {{{{ .Values.b }}}}\n{{{{- end }}}}\n"
            ),
        ),
    ];
    for (name, text) in &files {
        workspace.write(name, text);
        let ran = run(&workspace, &format!("{name} {OTHER}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}: {}", ran.stdout);
        let after = workspace.read(name);
        assert!(!after.contains(&one), "{name}");
        let has_receipt = matches!(*name, "crlf.yaml" | "chart.yaml");
        assert_eq!(after.matches("  # kubeseal: SHA256:").count(), usize::from(has_receipt), "{after}");
        assert_eq!(lines(&after).len(), lines(text).len());
        assert_eq!(after.matches("\r\n").count(), text.matches("\r\n").count());
        assert!(run(&workspace, &format!("{name} --dry-run {OTHER}")).code != Some(2));
    }
    assert!(workspace.read("crlf.yaml").starts_with('\u{feff}'));
    assert!(workspace.read("chart.yaml").contains("\n    b: {{ .Values.b }}\n{{- end }}\n"));
}

#[test]
fn a_name_or_namespace_that_the_file_does_not_say_comes_from_a_flag_or_the_rule() {
    let workspace = workspace();
    let text = kept(&workspace, "db.yaml");
    workspace.write("db.yaml", &text.replace(", namespace: \"shop\"", ""));
    workspace.refused(
        &format!("reencrypt db.yaml --private-key key.pem {OTHER}"),
        2,
        "db.yaml:4: no namespace; the scope strict needs",
    );
    assert_eq!(run(&workspace, &format!("db.yaml -n shop --dry-run {OTHER}")).code, Some(3));
    workspace.write(".kubeseal.yaml", "rules: [{namespace: shop}]\n");
    assert_eq!(run(&workspace, &format!("db.yaml --dry-run {OTHER}")).code, Some(3));
    workspace.write("db.yaml", &text.replace("name: db", "name: '{{ .Release.Name }}'"));
    assert_eq!(
        run(&workspace, &format!("db.yaml --dry-run {OTHER}")).code,
        Some(1),
        "a quoted template is a name"
    );
    workspace.write(
        "db.yaml",
        &text
            .replace("{ name: db, namespace: \"shop\" }", "\n  name: {{ .Release.Name }}\n  namespace: shop"),
    );
    workspace.refused(&format!("reencrypt db.yaml --private-key key.pem {OTHER}"), 2, "set it with --name");
    assert_eq!(run(&workspace, &format!("db.yaml --name db --dry-run {OTHER}")).code, Some(3));
    // In a run over several objects it is a failure of that one.
    kept(&workspace, "good.yaml");
    let ran = run(&workspace, &format!("db.yaml good.yaml {OTHER}"));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.ends_with("2 of 2 items in 1 of 2 files re-encrypted; commit and apply them\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn every_mistake_is_named_and_changes_nothing() {
    let workspace = workspace();
    let text = kept(&workspace, "db.yaml");
    workspace.write("secret.yaml", SECRET);
    workspace.write("pod.yaml", "kind: Pod\n");
    workspace.write("empty/pod.yaml", "kind: Pod\n");
    workspace
        .write("v1.yaml", "kind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec: {data: AgXY}\n");
    workspace.write(
        "number.yaml",
        "kind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec:\n  encryptedData:\n    a: [5]\n",
    );
    workspace.write("twice.yaml", &text.replace("    user:", "    password:"));
    fs::write(workspace.file("latin.yaml"), b"kind: SealedSecret # \xe9\n").unwrap();
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/expired.crt"),
        workspace.file("expired.pem"),
    )
    .unwrap();
    let key = "--private-key key.pem --cert other.pem";
    for (line, code, message) in [
        ("reencrypt".to_owned(), 2, "<PATH>"),
        (format!("reencrypt missing.yaml {key}"), 1, "open missing.yaml: no such file or directory"),
        (format!("reencrypt secret.yaml {key}"), 1, "secret.yaml:1: a Secret that is not sealed"),
        (format!("reencrypt pod.yaml {key}"), 1, "pod.yaml: no SealedSecret in this file"),
        (format!("reencrypt empty {key}"), 1, "empty: no SealedSecret in this folder"),
        (format!("reencrypt db.yaml empty {key}"), 1, "empty: no SealedSecret in this folder"),
        (format!("reencrypt number.yaml {key}"), 1, "number.yaml:5: spec.encryptedData[\"a\"]: "),
        (format!("reencrypt twice.yaml {key}"), 1, "twice.yaml:12: "),
        (format!("reencrypt latin.yaml {key}"), 1, "latin.yaml: neither UTF-8 nor UTF-16"),
        (format!("reencrypt - db.yaml {key}"), 2, "- (stdin) stands alone"),
        (format!("reencrypt - -o json {key}"), 2, "stdout gets the manifest of -, so -o needs --dry-run"),
        (format!("reencrypt db.yaml -o xml {key}"), 2, "invalid value 'xml'"),
        (format!("reencrypt db.yaml -n Shop {key}"), 2, "Shop"),
        (format!("reencrypt db.yaml --scope wide {key}"), 2, "--scope"),
        (format!("reencrypt db.yaml -n web {key}"), 2, "the namespace is shop, but -n says web"),
        (format!("reencrypt db.yaml --for prod {key}"), 2, "--for names a cluster of .kubeseal.yaml"),
        (format!("reencrypt db.yaml --raw {key}"), 2, "--raw"),
        ("reencrypt db.yaml --private-key cert.pem".to_owned(), 1, "cert.pem: "),
        ("reencrypt db.yaml --private-key missing".to_owned(), 1, "open missing: no such file or directory"),
    ] {
        workspace.refused(&line, code, message);
    }
    let failed = |line: &str, message: &str| {
        let ran = workspace.run(line);
        assert_eq!(ran.code, Some(1), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
        let sums = ["0 of 1 files re-encrypted\n", "not checked: 1 SealedSecret\n"];
        assert!(sums.iter().any(|sum| ran.stdout.ends_with(sum)), "{line}: {}", ran.stdout);
    };
    failed(&format!("reencrypt v1.yaml {key}"), "v1.yaml:1: shop/db: spec.data is the old form");
    failed(
        "reencrypt db.yaml --private-key key.pem --cert expired.pem",
        "error: failed to encrypt using an expired certificate on ",
    );
    failed("reencrypt db.yaml", "error: ");
    failed(
        "reencrypt db.yaml --server http://127.0.0.1:1",
        "error: cannot get sealed secret service: Get \"http://127.0.0.1:1/api/v1/",
    );
    assert_eq!(workspace.read("db.yaml"), text);
}

#[test]
fn a_read_only_file_is_reported_before_anything_is_decrypted_and_others_change() {
    let workspace = workspace();
    let before = kept(&workspace, "a.yaml");
    kept(&workspace, "b.yaml");
    let mut permissions = fs::metadata(workspace.file("a.yaml")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(workspace.file("a.yaml"), permissions).unwrap();
    let ran = run(&workspace, &format!("a.yaml b.yaml {OTHER}"));
    let problem = "a.yaml:4: shop/db: the file is read-only; make it writable (chmod u+w)\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), problem));
    assert!(
        ran.stdout.ends_with("2 of 4 items in 1 of 2 files re-encrypted; commit and apply them\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(workspace.read("a.yaml"), before);
    assert_eq!(
        run(&workspace, &format!("a.yaml --dry-run {OTHER}")).code,
        Some(3),
        "a dry run writes nothing"
    );
}

#[test]
fn stdin_goes_to_stdout_and_the_report_to_stderr() {
    let workspace = workspace();
    let text = kept(&workspace, "db.yaml");
    let line = ["reencrypt", "-", "--private-key", "key.pem", "--cert", "other.pem"];
    let ran = kubeseal(workspace.path(), &line, text.as_bytes());
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            Some(0),
            "-: 2 of 2 items re-encrypted\n2 of 2 items in 1 of 1 files re-encrypted; commit and apply them\n"
        )
    );
    assert!(
        ran.stdout.starts_with("# owned by the shop team\n") && ran.stdout.contains("# kubeseal: "),
        "{}",
        ran.stdout
    );
    let fresh = kubeseal(workspace.path(), &line, ran.stdout.as_bytes());
    assert_eq!(
        (fresh.code, fresh.stdout),
        (Some(0), ran.stdout),
        "a manifest without stale items is passed on"
    );
}

#[test]
fn rules_decide_on_the_certificate_and_for_leaves_other_files_out() {
    let workspace = workspace();
    workspace.git(&["init", "--quiet"]);
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: other.pem}, stage: {certificate: cert.pem}}\n\
         rules: [{path: 'prod/**', cluster: prod}, {path: 'stage/**', cluster: stage}]\n",
    );
    for file in ["prod/db.yaml", "stage/db.yaml", "other/db.yaml"] {
        kept(&workspace, file);
    }
    let ran = run(&workspace, "prod stage --dry-run");
    let report = "prod/db.yaml: 2 of 2 items are stale\n2 of 4 items in 1 of 2 files are stale\n";
    assert_eq!(told(&ran), (Some(3), report, ""));
    let ran = run(&workspace, "prod stage other --dry-run --for stage");
    assert_eq!(told(&ran), (Some(0), "0 of 2 items in 0 of 1 files are stale\n", ""));
    workspace.refused(
        "reencrypt prod --for test --private-key key.pem",
        2,
        "has no such cluster; available: prod, stage",
    );
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {certificate: other.pem}}\nrules: [{cluster: prod}]\nreceipts: false\n",
    );
    run(&workspace, "prod");
    let after = workspace.read("prod/db.yaml");
    assert!(
        !after.contains("# kubeseal: ") && !after.contains(&item_of(&kept(&workspace, "x.yaml"))),
        "{after}"
    );
}
