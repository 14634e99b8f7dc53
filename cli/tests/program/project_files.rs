//! The project file `.kubeseal.yaml`: which one counts, and what its rules decide.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, answer, kubeseal, masked, seal, serve_always};
use crate::workspace::{FINGERPRINT, KEY, OTHER_CERTIFICATE, Workspace, shape};

/// A repository with two clusters.
fn repository() -> Workspace {
    let workspace = Workspace::repository();
    fs::create_dir(workspace.file("clusters")).unwrap();
    fs::copy(workspace.file("cert.pem"), workspace.file("clusters/prod.pem")).unwrap();
    fs::copy(OTHER_CERTIFICATE, workspace.file("clusters/stage.pem")).unwrap();
    workspace.write(
        ".kubeseal.yaml",
        "clusters:\n  prod: {certificate: clusters/prod.pem}\n  stage: {certificate: clusters/stage.pem}\n\
         rules:\n- {path: \"**/prod/**\", cluster: prod, namespace: shop, annotations: {argocd.argoproj.io/sync-wave: \"-1\"}}\n\
         - {path: \"**/wide/**\", cluster: prod, scope: cluster-wide, labels: {team: x}}\n- {path: \"**\", cluster: stage}\n",
    );
    for folder in ["deploy/prod", "deploy/stage", "deploy/wide"] {
        fs::create_dir_all(workspace.file(folder)).unwrap();
    }
    workspace
}

#[test]
fn each_file_is_sealed_for_the_cluster_of_its_path_and_one_value_serves_all() {
    let workspace = repository();
    let told = workspace
        .done("create generic db -n shop --generate a -w deploy/prod/db.yaml -w deploy/stage/db.yaml", "");
    let reports: Vec<&str> = told.lines().collect();
    assert_eq!(
        reports[0],
        format!(
            "deploy/prod/db.yaml: created shop/db (strict), 1 item, key {FINGERPRINT}, certificate clusters/prod.pem"
        )
    );
    assert!(
        reports[1].starts_with("deploy/stage/db.yaml: created shop/db (strict), 1 item, key SHA256:")
            && reports[1].ends_with(", certificate clusters/stage.pem")
    );
    assert!(!reports[1].contains(FINGERPRINT));
    let prod = workspace.read("deploy/prod/db.yaml");
    assert!(
        prod.contains("metadata:\n  annotations:\n    argocd.argoproj.io/sync-wave: \"-1\"\n  name: db\n"),
        "{prod}"
    );
    let told = workspace.done("set deploy/prod/db.yaml deploy/stage/db.yaml b", "hunter2");
    assert!(
        told.contains("prod.pem\n") && told.ends_with("stage.pem\n") && told.lines().count() == 2,
        "{told}"
    );
    let told = workspace.done("set deploy/stage/db.yaml b --for prod", "hunter2");
    assert!(told.ends_with("certificate clusters/prod.pem\n"), "{told}");
    let told = workspace.done("set deploy/stage/db.yaml b --cert cert.pem", "hunter2");
    assert!(told.ends_with("certificate cert.pem\n"), "{told}");
}

#[test]
fn the_project_file_of_the_help_works() {
    let workspace = repository();
    let help = workspace.run("--help").stdout;
    let section = help.split_once("\nProject file:\n").unwrap().1.split_once("\nEnvironment:").unwrap().0;
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    workspace.write(".kubeseal.yaml", &lines.join("\n"));
    let told = workspace
        .done("create generic db -n shop --generate a -w deploy/prod/db.yaml -w deploy/stage/db.yaml", "");
    let ends: Vec<_> = told.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(ends, ["clusters/prod.pem", "clusters/stage.pem"]);
    // Refused if the help named a field that does not exist.
    workspace.done("set deploy/prod/db.yaml b --generate", "");
}

#[test]
fn namespace_and_scope_of_a_rule_apply_where_file_and_flags_have_none() {
    let workspace = repository();
    let told = workspace.done("create generic db --generate a -w deploy/prod/db.yaml", "");
    assert!(told.contains("created shop/db (strict)"), "{told}");
    let told = workspace.done("create generic db --generate a -n other -w deploy/prod/other.yaml", "");
    assert!(told.contains("created other/db (strict)"), "{told}");
    let told = workspace.done("create generic db --generate a -w deploy/wide/db.yaml", "");
    assert!(told.contains("created db (cluster-wide)"), "{told}");
    assert!(workspace.read("deploy/wide/db.yaml").contains("  labels:\n    team: x\n"));
    workspace.refused(
        "create generic db --generate a -w deploy/stage/db.yaml",
        2,
        "no namespace; the scope strict needs",
    );
    // A file without namespace gets that of the rule, and keeps its own scope.
    let text = workspace.read("deploy/prod/db.yaml").replacen("  namespace: shop\n", "", 1);
    workspace.write("deploy/prod/db.yaml", &text);
    assert!(workspace.done("set deploy/prod/db.yaml b", "hunter2").contains("b added to shop/db (strict)"));
}

#[test]
fn without_a_file_the_current_folder_decides() {
    let workspace = repository();
    let ran = kubeseal(&workspace.file("deploy/prod"), &["create", "generic", "db", "--generate", "a"], b"");
    assert!(
        ran.stderr.starts_with("stdout: created shop/db (strict), 1 item")
            && ran.stderr.ends_with(", certificate ../../clusters/prod.pem\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_nearest_file_up_to_the_root_of_the_work_tree_counts() {
    let workspace = repository();
    workspace.write("deploy/.kubeseal.yaml", "receipts: false\n");
    workspace.refused("create generic db --generate a -w deploy/prod/db.yaml", 2, "no namespace");
    workspace.done("create generic db -n shop --generate a --cert cert.pem -w deploy/prod/db.yaml", "");
    assert!(!workspace.read("deploy/prod/db.yaml").contains("# kubeseal"));
    // A repository of its own below it.
    fs::create_dir_all(workspace.file("deploy/nested/.git")).unwrap();
    workspace.done("create generic db -n shop --generate a --cert cert.pem -w deploy/nested/db.yaml", "");
    assert!(workspace.read("deploy/nested/db.yaml").contains("# kubeseal"));
}

#[test]
fn outside_of_a_work_tree_only_the_folder_of_the_file_counts() {
    let workspace = Workspace::new();
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {a: {certificate: cert.pem}}\nrules: [{cluster: a, namespace: shop}]\n",
    );
    fs::create_dir(workspace.file("below")).unwrap();
    workspace.done("create generic db --generate a -w db.yaml", "");
    workspace.refused("create generic db --generate a -w below/db.yaml", 2, "no namespace");
}

#[test]
fn receipts_that_the_project_does_not_want_are_removed_on_the_way() {
    let workspace = repository();
    workspace.done("create generic db --generate a -w deploy/prod/db.yaml", "");
    let before = workspace.read("deploy/prod/db.yaml");
    assert!(before.contains("  # kubeseal: "));
    workspace.write(".kubeseal.yaml", &format!("{}receipts: false\n", workspace.read(".kubeseal.yaml")));
    workspace.done("set deploy/prod/db.yaml a", "hunter2");
    let after = workspace.read("deploy/prod/db.yaml");
    assert!(
        !after.contains('#') && shape(&before).starts_with(shape(&after).split("    a: AQ…").next().unwrap()),
        "{after}"
    );
}

#[test]
fn a_pinned_certificate_is_that_of_the_fingerprint() {
    let workspace = repository();
    let shown = workspace.run("cert show --cert clusters/prod.pem -o json").stdout;
    let fingerprint = shown.split('"').find(|word| word.starts_with("SHA256:")).unwrap().to_owned();
    let with = |fingerprint: &str| {
        let text = format!(
            "clusters: {{a: {{certificate: clusters/stage.pem, fingerprint: \"{fingerprint}\"}}, b: {{certificate: clusters/prod.pem, fingerprint: \"{fingerprint}\"}}}}\nrules: [{{path: \"a/*\", cluster: a}}, {{cluster: b}}]\n"
        );
        workspace.write(".kubeseal.yaml", &text);
    };
    with(&fingerprint);
    fs::create_dir(workspace.file("a")).unwrap();
    workspace.done("create generic db -n shop --generate a -w b.yaml", "");
    workspace.refused(
        "create generic db -n shop --generate a -w c.yaml -w a/db.yaml",
        1,
        "clusters/stage.pem has the fingerprint SHA256:",
    );
    workspace.refused(
        "create generic db -n shop --generate a -w a/db.yaml",
        1,
        &format!("but .kubeseal.yaml says {fingerprint}"),
    );
}

#[test]
fn mistakes_in_the_project_file_end_with_2_and_name_file_and_line() {
    let workspace = repository();
    let create = "create generic db -n shop --generate a -w deploy/prod/db.yaml";
    for (text, message) in [
        ("clusters: {}\nruls: []\n", ".kubeseal.yaml:2: unknown field \"ruls\""),
        (
            "rules:\n- {path: a, cluster: prod}\n",
            ".kubeseal.yaml:2: the cluster \"prod\" is not among clusters",
        ),
        ("rules:\n- {path: '[a'}\n", ".kubeseal.yaml:2: error parsing glob"),
        (
            "clusters:\n  a: {certificate: 'http://x/cert.pem'}\n",
            ".kubeseal.yaml:2: a certificate from an http address needs its fingerprint",
        ),
        ("a: b\nc: [\n", ".kubeseal.yaml:2: not valid YAML"),
    ] {
        workspace.write(".kubeseal.yaml", text);
        workspace.refused(create, 2, message);
    }
    workspace.write(".kubeseal.yaml", "clusters: {prod: {certificate: none.pem}, own: {certificate: .kubeseal.yaml}}\nrules: [{cluster: prod}]\n");
    workspace.refused(create, 1, "open none.pem: no such file");
    workspace.refused(
        &format!("{create} --for own"),
        1,
        "does not contain any valid RSA or ECDSA certificates: .kubeseal.yaml",
    );
    workspace.refused(
        &format!("{create} --for stage"),
        2,
        "--for \"stage\": .kubeseal.yaml has no such cluster; available: own, prod",
    );
    fs::remove_file(workspace.file(".kubeseal.yaml")).unwrap();
    fs::create_dir(workspace.file(".kubeseal.yaml")).unwrap();
    workspace.refused(create, 2, ".kubeseal.yaml:1: a folder, not a regular file");
}

/// Only root can give a file away, so that elsewhere the test sees nothing.
#[test]
#[cfg(unix)]
fn the_project_file_of_another_user_does_not_choose_the_certificate() {
    let workspace = repository();
    if std::os::unix::fs::chown(workspace.file(".kubeseal.yaml"), Some(4711), None).is_err() {
        return;
    }
    workspace.refused(
        "create generic db -n shop --generate a -w deploy/prod/db.yaml",
        2,
        ".kubeseal.yaml:1: the file belongs to another user",
    );
    // Everything is theirs, as in a checkout of a build server.
    std::os::unix::fs::chown(workspace.file("deploy/prod"), Some(4711), None).unwrap();
    workspace.done("create generic db -n shop --generate a -w deploy/prod/db.yaml", "");
}

#[test]
fn names_with_blanks_line_breaks_and_letters_of_any_language_work() {
    let workspace = repository();
    for name in ["deploy/prod/a b.yaml", "deploy/prod/Grüße 世界.yaml", "deploy/prod/two\nlines.yaml"] {
        let ran =
            kubeseal(workspace.path(), &["create", "generic", "db", "--generate", "a", "-w", name], b"");
        assert!(ran.code == Some(0) && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        let ran = kubeseal(workspace.path(), &["set", name, "b", "--generate"], b"");
        assert!(ran.code == Some(0) && ran.stderr.ends_with("clusters/prod.pem\n"), "{}", ran.stderr);
        assert!(workspace.read(name).contains("\n    b: AQ"));
    }
}

/// Runs a line of words with these variables; returns what it tells.
fn told_with(workspace: &Workspace, line: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(workspace.path())
        .env_clear()
        .env("KUBECONFIG", "none")
        .envs(variables.iter().copied());
    let output = command.args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_flag_wins_over_its_variable_and_both_over_the_rule() {
    let workspace = repository();
    let secret = "kind: Secret\nmetadata: {name: db}\nstringData: {a: b}\n";
    let variables = [
        ("SEALED_SECRETS_NAMESPACE", "web"),
        ("SEALED_SECRETS_SCOPE", "namespace-wide"),
        ("SEALED_SECRETS_CERT", "cert.pem"),
    ];
    let empty = variables.map(|(name, _)| (name, ""));
    let flags = "-n api --scope strict --cert clusters/stage.pem";
    for (variables, flags, place, certificate) in [
        (&[][..], "", "shop/db (strict)", "clusters/prod.pem"),
        (&empty, "", "shop/db (strict)", "clusters/prod.pem"),
        (&variables, "", "web/db (namespace-wide)", "cert.pem"),
        (&variables, flags, "api/db (strict)", "clusters/stage.pem"),
        (&[], flags, "api/db (strict)", "clusters/stage.pem"),
        (&variables[..2], "--for stage", "web/db (namespace-wide)", "clusters/stage.pem"),
    ] {
        workspace.write("deploy/prod/plain.yaml", secret);
        drop(fs::remove_file(workspace.file("deploy/prod/db.yaml")));
        for line in
            ["create generic db --generate a -w deploy/prod/db.yaml", "seal -i deploy/prod/plain.yaml"]
        {
            let told = told_with(&workspace, &format!("{line} {flags}"), variables);
            assert!(
                told.contains(&format!(" {place}, 1 item, key ")),
                "{line} {flags} {variables:?}: {told}"
            );
            assert!(
                told.ends_with(&format!(", certificate {certificate}\n")),
                "{line} {flags} {variables:?}: {told}"
            );
        }
        // The scope is that of the file.
        let text = "kind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: {}}\n";
        workspace.write("deploy/prod/set.yaml", text);
        let flags = flags.replace("--scope strict", "");
        let variables: Vec<_> =
            variables.iter().copied().filter(|(name, _)| *name != "SEALED_SECRETS_SCOPE").collect();
        let told =
            told_with(&workspace, &format!("set deploy/prod/set.yaml a --generate {flags}"), &variables);
        let namespace = place.split('/').next().unwrap();
        assert!(
            told.contains(&format!(": a added to {namespace}/db (strict), key ")),
            "{flags} {variables:?}: {told}"
        );
        assert!(told.ends_with(&format!(", certificate {certificate}\n")), "{flags} {variables:?}: {told}");
    }
}

#[test]
fn the_cluster_of_the_rule_is_used_unless_a_flag_or_variable_names_another() {
    let workspace = repository();
    let contexts = [("a", 1), ("b", 2), ("c", 3)];
    let each = |entry: fn(&str, u16) -> String| contexts.map(|(name, port)| entry(name, port)).join(", ");
    let config = format!(
        "clusters: [{}]\ncontexts: [{}]\ncurrent-context: a\n",
        each(|name, port| format!("{{name: {name}, cluster: {{server: 'http://127.0.0.1:{port}'}}}}")),
        each(|name, _| format!("{{name: {name}, context: {{cluster: {name}}}}}")),
    );
    workspace.write("config", &config);
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {context: b, controllerNamespace: rule, controllerName: of-rule}}\nrules: [{cluster: prod}]\n",
    );
    workspace.write(
        "db.yaml",
        "kind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec: {encryptedData: {a: AgX}}\n",
    );
    workspace.write("plain.yaml", SECRET);
    let variables = [
        ("SEALED_SECRETS_CONTEXT", "c"),
        ("SEALED_SECRETS_CONTROLLER_NAMESPACE", "variable"),
        ("SEALED_SECRETS_CONTROLLER_NAME", "of-variable"),
    ];
    let flags = "--context a --controller-namespace flag --controller-name of-flag";
    for (variables, flags, address) in [
        (&[][..], "", "http://127.0.0.1:2/api/v1/namespaces/rule/services/of-rule"),
        (&variables, "", "http://127.0.0.1:3/api/v1/namespaces/variable/services/of-variable"),
        (&variables, flags, "http://127.0.0.1:1/api/v1/namespaces/flag/services/of-flag"),
        (&[], flags, "http://127.0.0.1:1/api/v1/namespaces/flag/services/of-flag"),
    ] {
        for line in [
            "verify db.yaml",
            "reencrypt db.yaml",
            "set db.yaml b --generate",
            "seal plain.yaml",
            "create generic x -n shop --generate a",
        ] {
            let told = told_with(&workspace, &format!("{line} --kubeconfig config {flags}"), variables);
            assert!(told.contains(address), "{line} {flags} {variables:?}: {told}");
        }
    }
}

/// The API server and the controller for the grammar of flags; the controller returns this SealedSecret for each one.
fn controller(renewed: String) -> String {
    let certificate = fs::read_to_string(CERTIFICATE).unwrap();
    serve_always(move |request| match request.split(' ').nth(1).unwrap_or_default() {
        path if path.ends_with("/v1/rotate") => answer("200 OK", &json!(renewed)),
        path if path.ends_with("/v1/cert.pem") => answer("200 OK", &json!(certificate)),
        path if path.contains("/services/") => {
            answer("200 OK", &json!({"spec": {"ports": [{"name": "http"}]}}))
        }
        _ => answer("200 OK", &json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []})),
    })
}

#[test]
fn the_grammar_of_flags_reads_no_project_file_and_writes_no_receipts() {
    let homeless = "kind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";
    let sealed = |format: &str| seal(&["-o", format], SECRET).stdout;
    let (before, server) = (sealed("yaml"), format!("--server http://{}", controller(sealed("json"))));
    // Each uses what a project file could decide: the certificate, its pin, the cluster, the namespace, the scope, labels.
    let lines = [
        ("--cert cert.pem -o yaml".to_owned(), SECRET),
        ("--cert cert.pem -o yaml -w new.yaml".to_owned(), SECRET),
        ("--cert cert.pem -o yaml".to_owned(), homeless),
        ("-o yaml".to_owned(), SECRET),
        (format!("-o yaml {server}"), SECRET),
        ("--cert cert.pem --merge-into db.yaml".to_owned(), SECRET),
        (format!("--merge-into db.yaml {server}"), SECRET),
        ("--raw --name db --cert cert.pem".to_owned(), "hunter2"),
        ("--raw --name db -n shop --cert cert.pem".to_owned(), "hunter2"),
        (format!("--raw --name db -n shop {server}"), "hunter2"),
        (format!("--re-encrypt -f db.yaml {server}"), ""),
        (format!("--re-encrypt {server}"), &before),
        (format!("--validate -f db.yaml {server}"), ""),
        (format!("--fetch-cert {server}"), ""),
        (format!("--recovery-unseal --recovery-private-key {KEY} -f db.yaml"), ""),
    ];
    let projects = [
        "clusters: {a: {certificate: other.pem, fingerprint: \"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", context: none, \
         controllerName: none}}\nrules: [{cluster: a, namespace: web, scope: cluster-wide, labels: {team: x}}]\n",
        "ruls: []\n",
        "a: [\n",
    ];
    for (line, input) in lines {
        let run = |project: Option<&str>| {
            let workspace = Workspace::new();
            workspace.git(&["init", "--quiet"]);
            fs::copy(OTHER_CERTIFICATE, workspace.file("other.pem")).unwrap();
            workspace.write("db.yaml", &before);
            if let Some(text) = project {
                workspace.write(".kubeseal.yaml", text);
            }
            let ran = kubeseal(workspace.path(), &line.split(' ').collect::<Vec<_>>(), input.as_bytes());
            let new = fs::read_to_string(workspace.file("new.yaml")).unwrap_or_default();
            let texts = [ran.stdout, ran.stderr, workspace.read("db.yaml"), new];
            assert!(texts.iter().all(|text| !text.contains("# kubeseal")), "{line}: {texts:?}");
            (ran.code, texts.map(|text| masked(&text).replace(workspace.path().to_str().unwrap(), "")))
        };
        let without = run(None);
        for project in projects {
            assert_eq!(run(Some(project)), without, "{line} beside {project}");
        }
    }
}
