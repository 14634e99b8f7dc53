//! `lint`: each rule with a file that breaks it and one that does not, formats, and the choice of files.

use std::fs;

use serde_json::Value;

use crate::run::{SECRET, kubeseal, seal};
use crate::workspace::{OTHER_CERTIFICATE, Workspace};

/// A SealedSecret with receipts.
fn sealed(workspace: &Workspace, flags: &str) -> String {
    let line = format!("create generic db --generate password --generate user --cert cert.pem {flags}");
    let ran = workspace.run(&line);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

/// The rules and lines of all findings.
fn found(workspace: &Workspace, line: &str) -> Vec<(String, u64)> {
    let ran = workspace.run(&format!("lint -o json {line}"));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let findings = report["findings"].as_array().unwrap();
    let has_errors = report["errors"] != 0;
    assert_eq!(ran.code, Some(if has_errors { 3 } else { 0 }), "{}", ran.stdout);
    findings
        .iter()
        .map(|finding| (finding["rule"].as_str().unwrap().to_owned(), finding["line"].as_u64().unwrap()))
        .collect()
}

fn rules(workspace: &Workspace, name: &str, text: &str) -> Vec<(String, u64)> {
    workspace.write(name, text);
    let found = found(workspace, name);
    fs::remove_file(workspace.file(name)).unwrap();
    found
}

fn is(found: &[(String, u64)], wanted: &[(&str, u64)], text: &str) {
    let found: Vec<(&str, u64)> = found.iter().map(|(rule, line)| (rule.as_str(), *line)).collect();
    assert_eq!(found, wanted, "{text}");
}

#[test]
fn plaintext_is_found_in_every_disguise() {
    let workspace = Workspace::new();
    let key = "sealedsecrets.bitnami.com/sealed-secrets-key";
    for (text, wanted) in [
        (SECRET.to_owned(), &[("KS001", 2)][..]),
        ("kind: Secret\ndata:\n  a: aGk=\n".to_owned(), &[("KS001", 1)]),
        ("{\"kind\": \"Secret\", \"apiVersion\": \"v1\", \"data\": {\"a\": \"aGk=\"}}".to_owned(), &[("KS001", 1)]),
        ("{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"data\":{\"a\":\"aGk=\"}".to_owned(), &[("KS004", 1)]),
        ("{\n  \"stringData\": {\"a\": \"x\"},\n  \"kind\": \"Secret\"\n}\n".to_owned(), &[("KS001", 3)]),
        ("apiVersion: v1\nkind: List\nitems:\n- kind: ConfigMap\n- kind: Secret\n  data: {a: aGk=}\n".to_owned(), &[("KS001", 5)]),
        ("kind: SecretList\nitems:\n- data: {a: aGk=}\n".to_owned(), &[("KS001", 3)]),
        ("kind: \"\\x53ecret\"\ndata: {a: aGk=}\n".to_owned(), &[("KS001", 1)]),
        ("x: &x {a: aGk=}\nkind: Secret\ndata: *x\n".to_owned(), &[("KS001", 2)]),
        ("kind: Secret\nstringData:\n  a: |\n    many\n    lines\n".to_owned(), &[("KS001", 1)]),
        ("kind: ConfigMap\n---\n\n# c\nkind: Secret\ndata: {a: aGk=}\n---\nkind: Secret\ndata: {b: aGk=}\n".to_owned(), &[("KS001", 5), ("KS001", 8)]),
        ("{{- if .Values.on }}\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}\nstringData:\n  a: literal\n{{- end }}\n".to_owned(), &[("KS001", 2)]),
        ("kind: Secret\r\nstringData:\r\n  a: x\r\n".to_owned(), &[("KS001", 1)]),
        ("\u{feff}kind: Secret\nstringData: {a: x}\n".to_owned(), &[("KS001", 1)]),
        ("a: [\n---\nkind: Secret\nstringData: {a: x}\n".to_owned(), &[("KS001", 3)]),
        (format!("kind: Secret\nmetadata: {{labels: {{{key}: active}}}}\ndata: {{tls.key: aGk=}}\n"), &[("KS003", 1)]),
        ("kind: Kustomization\nsecretGenerator:\n- name: a\n  literals:\n  - a=b\n- name: b\n  files: [c]\n".to_owned(), &[("KS002", 4)]),
    ] {
        is(&rules(&workspace, "a.yaml", &text), wanted, &text);
    }
    let utf16: Vec<u8> =
        "\u{feff}kind: Secret\r\nstringData: {a: x}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(workspace.file("utf16.yaml"), utf16).unwrap();
    is(&found(&workspace, "utf16.yaml"), &[("KS001", 1)], "UTF-16");
}

#[test]
fn files_without_plaintext_are_passed_over() {
    let workspace = Workspace::new();
    for text in [
        "",
        "kind: ConfigMap\ndata: {kind: Secret}\n",
        "kind: Secret\nmetadata: {name: a}\n",
        "kind: Secret\ndata: {}\n",
        "kind: Secret\ndata:\n",
        "kind: Secret\nstringData: {a: ''}\n",
        "kind: SecretStore\ndata: {a: b}\n",
        "spec:\n  volumes:\n  - secret: {secretName: a}\n  ref: {kind: Secret, name: a}\n",
        "kind: CustomResourceDefinition\nspec: {names: {kind: SealedSecret}}\n",
        "apiVersion: v1\nkind: Secret\nstringData:\n  a: {{ .Values.a | quote }}\n",
        "kind: Secret\ndata:\n{{- range $k, $v := .Values.all }}\n  {{ $k }}: {{ $v | b64enc }}\n{{- end }}\n",
        "# kubeseal-lint: ignore KS001\nkind: Secret\nstringData: {a: x}\n",
        "# no-plain-secrets: ignore\nkind: Secret\nstringData: {a: x}\n",
        "kind: Kustomization\nsecretGenerator:\n- {name: a, envs: [.env]}\n- {name: b, literals: []}\n",
        "a: b: c\n",
        "- list\n- of things\n",
    ] {
        is(&rules(&workspace, "a.yaml", text), &[], text);
    }
    // A comment is for its own document only.
    let text = "# kubeseal-lint: ignore KS001\nkind: Secret\nstringData: {a: x}\n---\nkind: Secret\nstringData: {a: x}\n";
    is(&rules(&workspace, "a.yaml", text), &[("KS001", 5)], text);
}

#[test]
fn unreadable_manifests_of_secrets_are_errors_and_unchecked_files_are_notes() {
    let workspace = Workspace::new();
    for (text, wanted) in [
        ("kind: SealedSecret\n<<<<<<< ours\na: 1\n=======\na: 2\n>>>>>>> theirs\n", &[("KS004", 2)][..]),
        ("kind: Secret\na: [\n", &[("KS004", 2)]),
        ("kind: SealedSecret\nspec:\n  a: 1\n  a: 2\n", &[("KS005", 4)]),
        ("kind: ConfigMap\n---\nkind: SealedSecret\nspec:\n  a: 1\n  a: 2\n", &[("KS005", 6)]),
        ("kind: Secret\n{{ if .x }}\na: 1\n{{ else }}\na: 2\n{{ end }}\n", &[("KS060", 2)]),
        ("kind: ConfigMap\n<<<<<<< ours\n", &[]),
    ] {
        is(&rules(&workspace, "a.yaml", text), wanted, text);
    }
    fs::write(workspace.file("latin.yaml"), b"kind: Secret\na: \xe9\n").unwrap();
    is(&found(&workspace, "latin.yaml"), &[("KS060", 1)], "latin");
    fs::write(workspace.file("large.yaml"), vec![b'#'; (8 << 20) + 1]).unwrap();
    is(&found(&workspace, "large.yaml"), &[("KS060", 1)], "large");
}

/// A text, its replacement, and the rules and lines of the findings.
type Broken = (&'static str, &'static str, Vec<(&'static str, u64)>);

/// Edits of a good file, with the findings that each causes.
fn broken() -> Vec<Broken> {
    vec![
        ("    password: ", "    plain: hunter2\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    plain: 5\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    plain: {a: b}\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    plain: <sealed 1>\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    plain: AQAB\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    plain: aGVsbG8gd29ybGQ=\n    password: ", vec![("KS010", 9)]),
        ("    password: ", "    a b: AQAB\n    password: ", vec![("KS010", 9), ("KS024", 9)]),
        ("    password: ", "    plain: {{ .Values.x }}\n    password: ", vec![]),
        ("metadata:\n  name: db", "metadata:\n  name: api", vec![("KS012", 9), ("KS012", 10), ("KS022", 13)]),
        (
            "  namespace: shop\nspec",
            "  namespace: stage\nspec",
            vec![("KS012", 9), ("KS012", 10), ("KS022", 14)],
        ),
        (
            "  name: db\n  namespace: shop\nspec",
            "  name: Db_x\n  namespace: shop\nspec",
            vec![("KS024", 5), ("KS012", 9), ("KS012", 10), ("KS022", 13)],
        ),
        ("apiVersion: bitnami.com/v1alpha1", "apiVersion: bitnami.com/v1", vec![("KS024", 2)]),
        ("spec:\n", "spec:\n  data: AgX\n", vec![("KS023", 8)]),
        ("spec:\n", "stringData: {a: x}\nspec:\n", vec![("KS032", 7)]),
        ("  template:\n", "  template:\n    stringData: {a: x}\n", vec![("KS032", 12)]),
        ("  template:\n", "  template:\n    data: {user: x}\n", vec![("KS025", 12)]),
        ("  template:\n", "  template:\n    data: {db-password: x}\n", vec![("KS030", 12)]),
        (
            "  template:\n",
            "  template:\n    data: {url: 'postgres://app:hunter2@db/x'}\n",
            vec![("KS030", 12)],
        ),
        (
            "  template:\n",
            "  template:\n    data: {pem: \"-----BEGIN RSA PRIVATE KEY-----\"}\n",
            vec![("KS030", 12)],
        ),
        (
            "  template:\n",
            "  template:\n    data: {db-password: '{{ .password }}', url: 'postgres://app:{{ .password }}@db/x', web: 'https://a.b/c'}\n",
            vec![],
        ),
        (
            "      name: db\n",
            "      annotations: {kubectl.kubernetes.io/last-applied-configuration: x}\n      name: db\n",
            vec![("KS031", 13)],
        ),
        (
            "metadata:\n  name: db",
            "metadata:\n  annotations: {sealedsecrets.bitnami.com/cluster-wide: \"yes\"}\n  name: db",
            vec![("KS021", 5)],
        ),
        (
            "      name: db\n",
            "      annotations: {sealedsecrets.bitnami.com/cluster-wide: \"true\"}\n      name: db\n",
            vec![("KS021", 13)],
        ),
    ]
}

#[test]
fn each_mistake_in_a_sealed_secret_is_one_finding_at_its_line() {
    let workspace = Workspace::new();
    let good = sealed(&workspace, "-n shop");
    is(&rules(&workspace, "db.yaml", &good), &[], &good);
    for (from, to, wanted) in broken() {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        is(&rules(&workspace, "db.yaml", &text), &wanted, &text);
    }
    let both = "  annotations:\n    sealedsecrets.bitnami.com/cluster-wide: \"true\"\n    sealedsecrets.bitnami.com/namespace-wide: \"true\"\n  name: db";
    let text = seal(&["-o", "yaml"], SECRET).stdout.replacen("  name: db", both, 1);
    is(&rules(&workspace, "db.yaml", &text), &[("KS021", 6)], &text);
    let text = format!("{good}{good}");
    is(&rules(&workspace, "db.yaml", &text), &[("KS005", 16)], &text);
    let cut = good.lines().map(|line| if line.starts_with("    user: ") { &line[..200] } else { line });
    let text: String = cut.flat_map(|line| [line, "\n"]).collect();
    is(&rules(&workspace, "db.yaml", &text), &[("KS010", 10)], &text);
    // A receipt of another ciphertext.
    let (a, b) = (good.lines().nth(8).unwrap(), good.lines().nth(9).unwrap());
    let receipt = |line: &str| line.split_once("  #").unwrap().1.to_owned();
    let text = good.replace(&receipt(a), &receipt(b));
    is(&rules(&workspace, "db.yaml", &text), &[("KS013", 9)], &text);
}

#[test]
fn a_namespace_that_is_declared_nowhere_is_a_warning() {
    let workspace = Workspace::new();
    let text = seal(&["-o", "yaml"], SECRET)
        .stdout
        .replacen("  namespace: shop\n", "", 1)
        .replace("      namespace: shop\n", "");
    is(&rules(&workspace, "db.yaml", &text), &[("KS020", 2)], &text);
    workspace.write(".kubeseal.yaml", "rules: [{namespace: shop}]\n");
    is(&rules(&workspace, "db.yaml", &text), &[], "a rule declares it");
    fs::remove_file(workspace.file(".kubeseal.yaml")).unwrap();
    let wide = sealed(&workspace, "--scope cluster-wide");
    is(&rules(&workspace, "db.yaml", &wide), &[], &wide);
}

#[test]
fn items_are_compared_with_the_certificate_of_their_cluster() {
    let workspace = Workspace::new();
    fs::copy(OTHER_CERTIFICATE, workspace.file("other.pem")).unwrap();
    workspace.write(".kubeseal.yaml", "clusters: {a: {certificate: cert.pem}, b: {certificate: other.pem}}\nrules: [{path: a.yaml, cluster: a}, {cluster: b}]\n");
    let with_receipts = sealed(&workspace, "-n shop");
    is(&rules(&workspace, "a.yaml", &with_receipts), &[], "its own cluster");
    is(&rules(&workspace, "b.yaml", &with_receipts), &[("KS011", 9), ("KS011", 10)], "by receipts");
    let without = sealed(&workspace, "-n shop --no-receipt");
    is(&rules(&workspace, "b.yaml", &without), &[("KS011", 9), ("KS011", 10)], "by length");
    is(&rules(&workspace, "a.yaml", &without), &[], "its own cluster");
    let strict = |flags: &str| {
        workspace.write("b.yaml", &without);
        workspace.run(&format!("lint b.yaml {flags}")).code
    };
    assert_eq!((strict(""), strict("--strict")), (Some(0), Some(3)));
}

#[test]
fn certificates_of_the_project_file_are_checked_once() {
    let workspace = Workspace::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data");
    for name in ["expired.crt", "rsa2048.crt"] {
        fs::copy(format!("{data}/{name}"), workspace.file(name)).unwrap();
    }
    workspace.write("a.yaml", "kind: ConfigMap\n");
    workspace.write("b.yaml", "kind: ConfigMap\n");
    let fingerprint = format!("SHA256:{}", "A".repeat(43));
    workspace.write(
        ".kubeseal.yaml",
        &format!(
            "clusters:\n  gone: {{certificate: none.pem}}\n  bad: {{certificate: a.yaml}}\n  old: {{certificate: expired.crt}}\n  \
             pinned: {{certificate: rsa2048.crt, fingerprint: \"{fingerprint}\"}}\n  aged: {{certificate: rsa2048.crt, maxAge: 1m}}\n  \
             good: {{certificate: rsa2048.crt}}\n  web: {{certificate: \"https://none.example.org/\"}}\n"
        ),
    );
    is(
        &found(&workspace, "a.yaml b.yaml"),
        &[("KS050", 2), ("KS050", 3), ("KS050", 4), ("KS050", 5), ("KS051", 6)],
        "certificates",
    );
}

#[test]
fn kustomizations_that_move_bound_objects_are_errors() {
    let workspace = Workspace::new();
    workspace.write("base/db.yaml", &sealed(&workspace, "-n shop --no-receipt"));
    workspace.write("base/kustomization.yaml", "resources: [db.yaml]\n");
    for (fields, wanted) in [
        ("namePrefix: prod-\n", &[("KS040", 2)][..]),
        ("nameSuffix: -x\n", &[("KS040", 2)]),
        ("namespace: prod\n", &[("KS040", 2)]),
        ("namespace: shop\n", &[]),
        ("commonLabels: {a: b}\n", &[]),
    ] {
        workspace.write("prod/kustomization.yaml", &format!("resources: [../base]\n{fields}"));
        is(&found(&workspace, "prod"), wanted, fields);
    }
    workspace.write("base/db.yaml", &sealed(&workspace, "-n shop --scope namespace-wide"));
    workspace.write("prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n");
    is(&found(&workspace, "prod"), &[], "namespace-wide");
    workspace.write("prod/kustomization.yaml", "resources: [../base]\nnamespace: prod\n");
    is(&found(&workspace, "prod"), &[("KS040", 2)], "namespace-wide");
    // The receipts name the new place.
    let text = sealed(&workspace, "-n prod")
        .replacen("  namespace: prod\nspec", "  namespace: shop\nspec", 1)
        .replace("      namespace: prod\n", "");
    workspace.write("base/db.yaml", &text);
    is(&found(&workspace, "prod"), &[], "sealed for the new place");
}

#[test]
fn a_comment_suppresses_findings_in_kustomizations_and_project_files_and_the_words_of_a_value_do_not() {
    let workspace = Workspace::new();
    workspace.git(&["init", "--quiet"]);
    workspace.write("base/db.yaml", &sealed(&workspace, "-n shop --no-receipt"));
    let clusters =
        "clusters:\n  gone: {certificate: none.pem}\n  aged: {certificate: cert.pem, maxAge: 1m}\n";
    let moved = "resources: [../base/db.yaml]\nnamePrefix: prod-\n";
    let all = &[("KS050", 2), ("KS051", 3), ("KS040", 2)][..];
    for (comment, wanted) in [
        ("", all),
        ("# kubeseal-lint: ignore KS040, KS050, KS051\n", &[]),
        ("# kubeseal-lint: ignore KS001\n", all),
    ] {
        // The comment is at the end, so that no line moves.
        workspace.write("prod/kustomization.yaml", &format!("{moved}{comment}"));
        workspace.write(".kubeseal.yaml", &format!("{clusters}{comment}"));
        is(&found(&workspace, "prod"), wanted, comment);
    }
    let value = format!("{moved}commonAnnotations: {{a: 'kubeseal-lint: ignore KS040'}}\n");
    workspace.write("prod/kustomization.yaml", &value);
    is(&found(&workspace, "prod"), all, &value);
    let value =
        "kind: Secret\nstringData: {a: 'no-plain-secrets: ignore', b: '# kubeseal-lint: ignore KS001'}\n";
    fs::remove_file(workspace.file(".kubeseal.yaml")).unwrap();
    is(&rules(&workspace, "a.yaml", value), &[("KS001", 1)], value);
}

#[test]
fn rules_can_be_ignored_for_paths_of_the_project() {
    let workspace = Workspace::new();
    workspace.write("charts/a.yaml", SECRET);
    workspace.write("other/a.yaml", SECRET);
    workspace.write(".kubeseal.yaml", "lint: {ignore: [{path: \"charts/**\", rules: [KS001]}]}\n");
    workspace.git(&["init", "--quiet"]);
    assert_eq!(found(&workspace, "charts"), []);
    assert_eq!(found(&workspace, "other").len(), 1);
    workspace.write(
        ".kubeseal.yaml",
        "lint: {ignore: [{path: \"charts/**\", rules: [KS002]}, {path: 'other/*'}]}\n",
    );
    assert_eq!((found(&workspace, "charts").len(), found(&workspace, "other").len()), (1, 0));
}

#[test]
fn people_get_lines_with_help_and_totals() {
    let workspace = Workspace::new();
    workspace.write("tmp/secret.yaml", &SECRET.replace("apiVersion: v1\n", ""));
    workspace.write(
        "db.yaml",
        &sealed(&workspace, "-n shop").replacen("    user: ", "    token: hunter2\n    user: ", 1),
    );
    workspace.git(&["init", "--quiet"]);
    let ran = workspace.run("lint");
    let expected = "db.yaml:10: error[KS010]: token: the item is not ciphertext: it is not base64, at byte 7\n  \
                    help: seal the value: kubeseal set FILE KEY. If it was plaintext and ever pushed, change it\n\
                    tmp/secret.yaml:1: error[KS001]: a Secret that is not sealed\n  \
                    help: seal it (kubeseal seal -i FILE), delete the file, and change the values if it was ever pushed\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), expected));
    assert_eq!(ran.stderr, "2 files: 2 errors, 0 warnings, 0 notes\n");
}

#[test]
fn programs_get_every_field() {
    let workspace = Workspace::new();
    workspace.write(
        "db.yaml",
        &sealed(&workspace, "-n shop").replacen("    user: ", "    token: hunter2\n    user: ", 1),
    );
    let report: Value = serde_json::from_str(&workspace.run("lint -o json db.yaml").stdout).unwrap();
    let expected = serde_json::json!({
        "files": 1, "errors": 1, "warnings": 0, "notes": 0,
        "findings": [{
            "rule": "KS010", "severity": "error", "file": "db.yaml", "line": 10, "object": "shop/db", "item": "token",
            "message": "the item is not ciphertext: it is not base64, at byte 7",
            "help": "seal the value: kubeseal set FILE KEY. If it was plaintext and ever pushed, change it",
        }],
    });
    assert_eq!(report, expected);
}

/// The runner's grammar: `::NAME KEY=VALUE,…::DATA`, with percent-encoded separators.
fn workflow_command(line: &str) -> (String, Vec<(String, String)>, String) {
    let (head, data) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (name, properties) = head.split_once(' ').unwrap();
    let decoded = |text: &str| {
        text.replace("%2C", ",")
            .replace("%3A", ":")
            .replace("%0A", "\n")
            .replace("%0D", "\r")
            .replace("%25", "%")
    };
    let property = |text: &str| {
        let (key, value) = text.split_once('=').unwrap();
        (key.to_owned(), decoded(value))
    };
    (name.to_owned(), properties.split(',').map(property).collect(), decoded(data))
}

#[test]
fn github_gets_commands_with_paths_from_the_root_of_the_work_tree() {
    let workspace = Workspace::repository();
    let name = "deploy/a,b:c%\nd.yaml";
    workspace.write(name, SECRET);
    let ran = kubeseal(&workspace.file("deploy"), &["lint", "-o", "github"], b"");
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let (command, properties, data) = workflow_command(ran.stdout.strip_suffix('\n').unwrap());
    let pairs: Vec<(&str, &str)> =
        properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!((command.as_str(), data.as_str()), ("error", "a Secret that is not sealed"));
    assert_eq!(pairs, [("file", name), ("line", "2"), ("title", "KS001")]);
}

#[test]
fn sarif_has_paths_and_fingerprints_from_the_root_of_the_work_tree_also_below_it() {
    let workspace = Workspace::new();
    workspace.git(&["init", "--quiet"]);
    workspace.write("deploy/a b/db.yaml", SECRET);
    let results = |folder: &str, line: &[&str]| {
        let ran = kubeseal(&workspace.file(folder), &[&["lint", "-o", "sarif"], line].concat(), b"");
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        report["runs"][0]["results"].clone()
    };
    workspace.git(&["add", "."]);
    let expected = results("", &[]);
    let place = &expected[0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], "deploy/a%20b/db.yaml");
    for (folder, line) in [
        ("deploy", &[][..]),
        ("deploy", &["a b"]),
        ("deploy/a b", &["db.yaml"]),
        ("deploy/a b", &["../../deploy"]),
        ("deploy/a b", &["--staged"]),
        ("deploy", &["--staged"]),
    ] {
        assert_eq!(results(folder, line), expected, "lint {line:?} in {folder}");
    }
}

#[test]
fn sarif_has_all_rules_and_fingerprints_that_survive_moved_lines() {
    let workspace = Workspace::repository();
    let sarif = |text: &str| -> Value {
        workspace.write("a b/db.yaml", text);
        serde_json::from_str(&workspace.run("lint -o sarif").stdout).unwrap()
    };
    let before = sarif(&format!("{SECRET}---\n{SECRET}"));
    let run = &before["runs"][0];
    assert_eq!(
        (before["version"].as_str(), run["tool"]["driver"]["name"].as_str()),
        (Some("2.1.0"), Some("kubeseal"))
    );
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(
        rules.len() > 20
            && rules
                .iter()
                .all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string())
    );
    let results = run["results"].as_array().unwrap();
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!((results.len(), place["artifactLocation"]["uri"].as_str()), (2, Some("a%20b/db.yaml")));
    assert_eq!(
        (place["region"]["startLine"].as_u64(), results[0]["level"].as_str()),
        (Some(2), Some("error"))
    );
    let index = usize::try_from(results[0]["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], results[0]["ruleId"]);
    let prints = |report: &Value| {
        let results = report["runs"][0]["results"].as_array().unwrap().clone();
        results
            .iter()
            .map(|result| result["partialFingerprints"]["kubesealLint/v1"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let after = sarif(&format!("# one\n# two\n{SECRET}---\n{SECRET}"));
    assert_eq!(prints(&before), prints(&after));
    assert_ne!(prints(&before)[0], prints(&before)[1]);
}

#[test]
fn tracked_and_untracked_files_are_read_and_ignored_ones_and_other_repositories_are_not() {
    let workspace = Workspace::repository();
    for name in [
        "tracked.yaml",
        "untracked.yml",
        "data.json",
        "ignored.yaml",
        "tracked-and-ignored.yaml",
        "notes.txt",
        "nested/x.yaml",
    ] {
        workspace.write(
            name,
            if name == "data.json" { "{\"kind\":\"Secret\",\"data\":{\"a\":\"aGk=\"}}" } else { SECRET },
        );
    }
    workspace.write(".gitignore", "ignored.yaml\ntracked-and-ignored.yaml\n");
    workspace.git(&["-C", "nested", "init", "--quiet"]);
    workspace.git(&["add", "--force", "tracked.yaml", "tracked-and-ignored.yaml"]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("tracked.yaml", workspace.file("link.yaml")).unwrap();
    let files = |line: &str| {
        let report: Value =
            serde_json::from_str(&workspace.run(&format!("lint -o json {line}")).stdout).unwrap();
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["file"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(files(""), ["data.json", "tracked-and-ignored.yaml", "tracked.yaml", "untracked.yml"]);
    assert_eq!(
        files("ignored.yaml notes.txt"),
        ["ignored.yaml", "notes.txt"],
        "a file that is named is always read"
    );
    assert_eq!(files("tracked.yaml . tracked.yaml").len(), 4, "each file once");
    // Without Git, .gitignore counts all the same.
    fs::remove_dir_all(workspace.file(".git")).unwrap();
    fs::remove_dir_all(workspace.file("nested")).unwrap();
    assert_eq!(files(""), ["data.json", "tracked.yaml", "untracked.yml"]);
    let ran = workspace.run("lint none.yaml");
    assert!(ran.code == Some(1) && ran.stderr.contains("open none.yaml: no such file"), "{}", ran.stderr);
}

#[test]
fn staged_content_is_checked_as_the_index_has_it_also_before_the_first_commit() {
    let workspace = Workspace::repository();
    assert_eq!(found(&workspace, "--staged"), []);
    let name = "Grüße 1\n2.yaml";
    workspace.write(name, SECRET);
    workspace.write("unstaged.yaml", SECRET);
    workspace.write("good.yaml", "kind: ConfigMap\n");
    workspace.git(&["add", name, "good.yaml"]);
    workspace.write(name, "kind: ConfigMap\n");
    assert_eq!(found(&workspace, "--staged").len(), 1);
    assert_eq!(found(&workspace, "--staged good.yaml"), []);
    workspace.git(&["commit", "--quiet", "--message=first"]);
    assert_eq!(found(&workspace, "--staged"), []);
    workspace.git(&["rm", "--quiet", "--cached", "good.yaml"]);
    assert_eq!(found(&workspace, "--staged"), [], "a removed file");
    let outside = tempfile::TempDir::new().unwrap();
    let ran = kubeseal(outside.path(), &["lint", "--staged"], b"");
    assert!(
        ran.code == Some(1) && ran.stderr.starts_with("error: fatal: not a git repository"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_staged_kustomization_consists_of_files_of_the_index() {
    let workspace = Workspace::new();
    workspace.git(&["init", "--quiet"]);
    let (bound, wide) =
        (sealed(&workspace, "-n shop --no-receipt"), sealed(&workspace, "--scope cluster-wide"));
    workspace.write("base/kustomization.yaml", "resources: [db.yaml]\n");
    workspace.write("deploy/prod/kustomization.yaml", "resources: [./../../base]\nnamePrefix: prod-\n");
    for (staged, written, wanted) in [(&bound, &wide, &[("KS040", 2)][..]), (&wide, &bound, &[])] {
        workspace.write("base/db.yaml", staged);
        workspace.git(&["add", "--all"]);
        workspace.write("base/db.yaml", written);
        is(&found(&workspace, "--staged"), wanted, "from the root");
        let ran = kubeseal(&workspace.file("deploy"), &["lint", "--staged", "prod"], b"");
        assert_eq!(ran.stdout.matches("error[KS040]").count(), wanted.len(), "{}{}", ran.stdout, ran.stderr);
        assert_eq!(found(&workspace, "deploy").len(), 1 - wanted.len(), "of the work tree");
    }
    // Neither a folder that is not staged nor one whose name only begins like it.
    workspace.git(&["rm", "--quiet", "-r", "--cached", "--force", "base"]);
    workspace.write("base/db.yaml", &bound);
    workspace.write("base-2/db.yaml", &bound);
    workspace.git(&["add", "base-2"]);
    is(&found(&workspace, "--staged"), &[], "not staged");
}

#[test]
fn stdin_is_checked_and_messages_do_nothing_to_a_terminal() {
    let workspace = Workspace::new();
    let ran = workspace.run_with("lint -", SECRET.as_bytes());
    assert!(ran.code == Some(3) && ran.stdout.starts_with("-:2: error[KS001]"), "{}", ran.stdout);
    workspace.write("a\u{1b}[31m.yaml", SECRET);
    let ran = workspace.run("lint a\u{1b}[31m.yaml");
    assert!(ran.stdout.starts_with("a\\u{1b}[31m.yaml:2: error"), "{}", ran.stdout);
}
