//! `set` and `unset`: only the lines of the item change, and every mistake is named.

use std::fs;
use std::process::{Command, Stdio};

use crate::run::{PROGRAM, SECRET, kubeseal, seal};
use crate::workspace::{FINGERPRINT, KEY, Workspace, shape};

const SET: &str = "--cert cert.pem";

/// A file as users keep it: comments, quotes, an unusual order, another object.
fn kept(workspace: &Workspace) -> String {
    let item = seal(&["-o", "yaml"], SECRET).stdout;
    let item = item.lines().find_map(|line| line.strip_prefix("    password: ")).unwrap().to_owned();
    let text = format!(
        "# owned by the shop team\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: db}}\n---\n\
         apiVersion: bitnami.com/v1alpha1\nkind: 'SealedSecret'\nmetadata: {{ name: db, namespace: \"shop\" }}\n\nspec:\n  \
         encryptedData:\n    # rotate every spring\n    password: {item}   # since 2024\n    user: \"{item}\"\n\n  template: {{}}  # the end"
    );
    workspace.write("db.yaml", &text);
    text
}

/// The lines that differ: those of the first text with `-`, those of the second with `+`.
fn changed(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let removed = before[..before.len() - tail].iter().map(|line| format!("-{line}"));
    removed
        .chain(after[..after.len() - tail].iter().map(|line| format!("+{line}")))
        .map(|line| shape(&format!("{line}\n")))
        .collect()
}

#[test]
fn an_item_is_replaced_on_its_line_which_keeps_its_comment_and_gets_a_receipt() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    let told = workspace.done(&format!("set db.yaml password {SET}"), "hunter2");
    assert_eq!(
        told,
        format!(
            "db.yaml:13: password replaced in shop/db (strict), key {FINGERPRINT}, certificate cert.pem\n"
        )
    );
    let after = workspace.read("db.yaml");
    let line = format!("    password: AQ…   # since 2024  # kubeseal: {FINGERPRINT} strict shop/db …\n");
    assert_eq!(
        changed(&before, &after),
        ["-    password: AQ…   # since 2024\n".to_owned(), format!("+{line}")]
    );
    // Once more: the receipt is replaced, too. Without receipts it goes.
    workspace.done(&format!("set db.yaml password {SET}"), "hunter2");
    let again = workspace.read("db.yaml");
    assert!(again != after && shape(&again) == shape(&after));
    workspace.done(&format!("set db.yaml password --no-receipt {SET}"), "hunter2");
    assert_eq!(shape(&workspace.read("db.yaml")), shape(&before));
}

#[test]
fn an_item_is_added_in_order_and_removed_again_without_a_trace() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    let told = workspace.done(&format!("set db.yaml token --generate=64 {SET}"), "");
    assert!(told.starts_with("db.yaml:14: token added to shop/db (strict), key SHA256:"), "{told}");
    let line = format!("+    token: AQ…  # kubeseal: {FINGERPRINT} strict shop/db …\n");
    assert_eq!(changed(&before, &workspace.read("db.yaml")), [line]);
    assert_eq!(workspace.done("unset db.yaml token", ""), "db.yaml:14: token removed from shop/db\n");
    assert_eq!(workspace.read("db.yaml"), before);
}

#[test]
fn the_last_item_leaves_an_empty_mapping_that_takes_items_again() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    workspace.done("unset db.yaml user", "");
    workspace.done("unset db.yaml password", "");
    let empty = workspace.read("db.yaml");
    assert!(empty.contains("\n  encryptedData: {}\n    # rotate every spring\n\n  template"), "{empty}");
    workspace.done(&format!("set db.yaml password --no-receipt {SET}"), "hunter2");
    let line = "\n  encryptedData:\n    password: AQ…\n    # rotate every spring\n\n";
    let after = workspace.read("db.yaml");
    assert!(
        shape(&after).contains(line) && before.starts_with(after.split("spec:").next().unwrap()),
        "{after}"
    );
}

#[test]
fn the_value_is_the_bytes_of_stdin_or_of_a_file() {
    let workspace = Workspace::new();
    kept(&workspace);
    let told = workspace.done(&format!("set db.yaml a {SET}"), "line\n");
    assert!(told.starts_with("warning: a: the value ends with a newline\ndb.yaml:12: a added"), "{told}");
    let told = workspace.done(&format!("set db.yaml b {SET}"), "two\nlines\n");
    assert!(!told.contains("warning"), "{told}");
    workspace.done(&format!("set db.yaml e --from-file /dev/null {SET}"), "");
    fs::write(workspace.file("bytes"), b"\xff\0").unwrap();
    workspace.done(&format!("set db.yaml c --from-file bytes {SET}"), "");
    workspace.done(&format!("set db.yaml d --from-file - {SET}"), "x");
    workspace.write("sealed.yaml", workspace.read("db.yaml").split("---\n").nth(1).unwrap());
    let opened = workspace.opened("sealed.yaml");
    for item in [
        "\"a\": \"bGluZQo=\"",
        "\"b\": \"dHdvCmxpbmVzCg==\"",
        "\"c\": \"/wA=\"",
        "\"d\": \"eA==\"",
        "\"e\": \"\"",
    ] {
        assert!(opened.contains(item), "{opened}");
    }
}

#[test]
fn an_empty_stdin_replaces_nothing_since_a_command_before_the_pipe_may_have_failed() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    for line in [
        "set db.yaml password",
        "set db.yaml password --from-file -",
        "set db.yaml password --from-file /dev/stdin",
    ] {
        let told = "password: stdin is empty; nothing was written; for an empty value use --from-file";
        workspace.refused(&format!("{line} {SET}"), 1, told);
        assert_eq!(workspace.read("db.yaml"), before);
    }
    workspace.refused(&format!("create generic x -n shop --from-file a=- {SET}"), 1, "a: stdin is empty");
}

#[test]
fn a_dash_reads_the_file_from_stdin_and_writes_it_to_stdout() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    let ran = workspace.run_with(&format!("set - a --generate {SET}"), before.as_bytes());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("-:12: a added to shop/db"), "{}", ran.stderr);
    let ran = workspace.run_with("unset - a", ran.stdout.as_bytes());
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        (before.as_str(), "-:12: a removed from shop/db\n")
    );
    assert_eq!(workspace.read("db.yaml"), before);
}

#[test]
fn json_flow_style_windows_line_ends_and_byte_order_marks_stay() {
    let workspace = Workspace::new();
    let json = seal(&[], SECRET).stdout;
    let flow = "{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: db, namespace: shop}, spec: {encryptedData: {}}}\n";
    let windows = format!("\u{feff}{}", seal(&["-o", "yaml"], SECRET).stdout.replace('\n', "\r\n"));
    for (name, text) in [("db.json", json.as_str()), ("flow.yaml", flow), ("windows.yaml", &windows)] {
        workspace.write(name, text);
        workspace.done(&format!("set {name} token --generate {SET}"), "");
        let after = workspace.read(name);
        assert!(
            after.contains("token") && after.contains("# kubeseal") == (name == "windows.yaml"),
            "{after}"
        );
        assert_eq!(
            after.matches('\n').count() - after.matches("\r\n").count(),
            if name == "windows.yaml" { 0 } else { text.lines().count() + usize::from(name == "db.json") }
        );
        workspace.done(&format!("unset {name} token"), "");
        assert_eq!(workspace.read(name), text);
    }
}

#[test]
fn a_helm_template_keeps_its_expressions_and_flags_supply_their_values() {
    let workspace = Workspace::new();
    let text = "{{- if .Values.on }}\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: {{ .Release.Name }}-db\n  \
                namespace: {{ .Release.Namespace }}\n  annotations:\n    sealedsecrets.bitnami.com/namespace-wide: {{ .wide | quote }}\nspec:\n  \
                encryptedData:\n    password: AgX\n    user: {{ .Values.user }}\n{{- end }}\n";
    workspace.write("db.yaml", text);
    let set = |flags: &str| format!("set db.yaml password --generate {SET} {flags}");
    workspace.refused(&set(""), 2, "db.yaml:2: a template fills in the scope; set it with --scope");
    workspace.refused(&set("--scope strict"), 2, "a template fills in the namespace; set it with -n");
    workspace.refused(&set("--scope strict -n shop"), 2, "a template fills in the name; set it with --name");
    let told = workspace.done(&set("--scope strict -n shop --name prod-db"), "");
    assert!(told.starts_with("db.yaml:11: password replaced in shop/prod-db (strict)"), "{told}");
    let line = format!("    password: AQ…  # kubeseal: {FINGERPRINT} strict shop/prod-db …\n");
    assert_eq!(shape(&workspace.read("db.yaml")), text.replace("    password: AgX\n", &line));
    workspace.done("unset db.yaml user", "");
    workspace.write("list.yaml", "a: [\n{{ .x }}\n");
    workspace.refused(&format!("set list.yaml a --generate {SET}"), 1, "list.yaml:");
}

#[test]
fn of_several_sealed_secrets_one_is_named() {
    let workspace = Workspace::new();
    let one = seal(&["-o", "yaml"], SECRET).stdout;
    let text = format!(
        "{one}{}{}",
        one.replace("name: db", "name: api"),
        one.replace("namespace: shop", "namespace: stage")
    );
    workspace.write("all.yaml", &text);
    let set = format!("set all.yaml a --generate --no-receipt {SET}");
    workspace.refused(
        &set,
        2,
        "all.yaml: several SealedSecrets in this file: shop/db, shop/api, stage/db; choose one with --name",
    );
    workspace.refused("unset all.yaml password --name db", 2, "several SealedSecrets");
    workspace.refused(
        &format!("{set} --name web"),
        2,
        "no SealedSecret \"web\" in this file; available: shop/db, shop/api, stage/db",
    );
    workspace.done(&format!("{set} --name api"), "");
    workspace.done(&format!("{set} --name stage/db"), "");
    let after = workspace.read("all.yaml");
    let documents: Vec<&str> = after.split("---\n").collect();
    let has_item = |text: &&str| text.contains("\n    a: AQ");
    assert_eq!(documents[1..].iter().map(has_item).collect::<Vec<_>>(), [false, true, true]);
    workspace.done("unset all.yaml a --name shop/api", "");
    workspace.done("unset all.yaml a --name stage/db", "");
    assert_eq!(workspace.read("all.yaml"), text);
}

#[test]
fn a_file_without_namespace_takes_it_from_the_flag_and_a_flag_never_contradicts_the_file() {
    let workspace = Workspace::new();
    let text = kept(&workspace);
    let set = format!("set db.yaml a --generate {SET}");
    workspace.refused(
        &format!("{set} -n stage"),
        2,
        "db.yaml:6: the namespace is shop, but -n says stage; leave the flag out",
    );
    workspace.refused(
        &format!("{set} --scope cluster-wide"),
        2,
        "the scope is strict, but --scope says cluster-wide",
    );
    workspace.write("db.yaml", &text.replace(", namespace: \"shop\"", ""));
    workspace.refused(&set, 2, "db.yaml:6: no namespace; the scope strict needs the one that the file is applied to: add -n NAMESPACE");
    let told = workspace.done(&format!("{set} -n stage"), "");
    assert!(told.contains("a added to stage/db (strict)"), "{told}");
    workspace.write("db.yaml", &text.replace("name: db, namespace", "namespace"));
    workspace.refused(
        &set,
        1,
        "metadata.name is missing, and a strict SealedSecret decrypts only under its name",
    );
}

#[test]
fn a_flag_contradicts_the_file_also_where_the_scope_does_not_need_it() {
    let workspace = Workspace::new();
    fs::copy(KEY, workspace.file("key.pem")).unwrap();
    let create = |scope: &str| {
        format!(
            "create generic db -n shop --scope {scope} --generate a {SET} --no-receipt --force -w db.yaml"
        )
    };
    for scope in ["cluster-wide", "namespace-wide"] {
        workspace.done(&create(scope), "");
        // A file on stdout has the namespace also if its scope does not need it.
        assert!(workspace.read("db.yaml").contains("  namespace: shop\n"), "{scope}");
        for (line, code) in [
            (format!("set db.yaml b --generate {SET}"), 2),
            ("unseal db.yaml --private-key key.pem".to_owned(), 2),
            ("verify db.yaml --private-key key.pem".to_owned(), 2),
            (format!("reencrypt db.yaml --private-key key.pem {SET}"), 2),
        ] {
            let contradiction = "db.yaml:2: the namespace is shop, but -n says stage; leave the flag out";
            workspace.refused(&format!("{line} -n stage"), code, contradiction);
        }
        for line in [
            "verify db.yaml --private-key key.pem".to_owned(),
            format!("reencrypt db.yaml --private-key key.pem {SET}"),
        ] {
            let contradiction = "db.yaml:2: the name is db, but --name says web; leave the flag out";
            workspace.refused(&format!("{line} --name web"), 2, contradiction);
        }
        workspace.done(&format!("set db.yaml b --generate {SET} -n shop"), "");
    }
    // In a run over several files it is the failure of that object; a template may fill in what the scope does not need.
    workspace.done(&create("cluster-wide"), "");
    let text = workspace.read("db.yaml");
    workspace.write(
        "web.yaml",
        &text.replacen(
            "  name: db\n  namespace: shop\n",
            "  name: {{ .name }}\n  namespace: {{ .space }}\n",
            1,
        ),
    );
    let ran = workspace.run("verify db.yaml web.yaml --private-key key.pem -n stage");
    assert!(ran.code == Some(1) && ran.stderr.ends_with("1 of 2 SealedSecrets decrypt\n"), "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("db.yaml:2: shop/db: the namespace is shop, but -n says stage"),
        "{}",
        ran.stderr
    );
    workspace.done(&format!("set web.yaml b --generate {SET}"), "");
}

#[test]
fn of_several_files_none_is_changed_if_one_has_no_namespace() {
    let workspace = Workspace::new();
    let text = kept(&workspace);
    workspace.write("homeless.yaml", &text.replace(", namespace: \"shop\"", ""));
    for files in ["db.yaml homeless.yaml", "homeless.yaml db.yaml"] {
        workspace.refused(
            &format!("set {files} a --generate {SET}"),
            2,
            "homeless.yaml:6: no namespace; the scope strict needs the one that the file is applied to: add -n NAMESPACE",
        );
    }
    let told = workspace.done(&format!("set db.yaml homeless.yaml a --generate -n shop {SET}"), "");
    assert_eq!(told.matches(": a added to shop/db (strict), ").count(), 2, "{told}");
}

#[test]
fn a_key_that_the_template_has_too_is_warned_of() {
    let workspace = Workspace::new();
    let text = kept(&workspace).replace("template: {}", "template: {data: {url: x}}");
    workspace.write("db.yaml", &text);
    let told = workspace.done(&format!("set db.yaml url --generate {SET}"), "");
    assert!(
        told.starts_with(
            "warning: db.yaml: spec.template.data has url, too: the controller takes the sealed item"
        ),
        "{told}"
    );
}

#[test]
fn arguments_in_another_order_are_explained_and_never_quoted() {
    let workspace = Workspace::new();
    kept(&workspace);
    workspace.refused(
        &format!("set db.yaml password hunter2 {SET}"),
        1,
        "password: no such file; FILE comes first, then KEY, and the value from",
    );
    workspace.refused(
        &format!("set db.yaml password=hunter2 {SET}"),
        2,
        "KEY=VALUE is not accepted, since command lines end up in the shell history; use: kubeseal set FILE KEY",
    );
    workspace.refused("unset db.yaml password=hunter2", 2, "the arguments are FILE… KEY");
    workspace.refused(
        "unset db.yaml password hunter2",
        1,
        "password: no such file; FILE comes first, then KEY",
    );
    workspace.refused("unset password db.yaml", 1, "password: no such file; FILE comes first, then KEY\n");
    workspace.refused("unset password ./db.yaml", 2, "FILE comes first, then KEY: kubeseal unset FILE… KEY");
    workspace.refused("unset db.yaml", 2, "KEY is missing: kubeseal unset FILE… KEY");
    workspace.refused(
        &format!("set --generate 24 db.yaml a {SET}"),
        1,
        "24: no such file; a length is written with the equals sign: --generate=LENGTH",
    );
    workspace.refused("unset db.yaml hunter2", 1, "db.yaml:6: no such item in shop/db, which has ");
    workspace.refused(&format!("set - a {SET}"), 2, "stdin can be read once, as one FILE or as the value");
    workspace.refused(
        &format!("set db.yaml a --prompt {SET}"),
        2,
        "a: there is no terminal to ask for the value on",
    );
    for line in ["set", "unset", "set db.yaml a --raw", "--raw set db.yaml a"] {
        let ran = workspace.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("set [OPTIONS] <FILE>... <KEY>"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_edited_is_named_with_its_line() {
    let workspace = Workspace::new();
    let text = kept(&workspace);
    let head = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec:\n";
    workspace.write("secret.yaml", SECRET);
    workspace.write("none.yaml", "kind: ConfigMap\n");
    workspace.write("syntax.yaml", "a: b\nc: [\n");
    workspace.write("twice.yaml", &format!("{head}  encryptedData:\n    a: AgX\n    a: AgX\n"));
    workspace.write("number.yaml", &format!("{head}  encryptedData:\n    a: 5\n"));
    workspace.write("old.yaml", &format!("{head}  data: AgX\n"));
    workspace.write("anchor.yaml", &format!("{head}  encryptedData: &x\n    a: AgX\n"));
    fs::write(workspace.file("latin.yaml"), b"a: b\nc: \xe9\n").unwrap();
    fs::create_dir(workspace.file("folder.yaml")).unwrap();
    for (file, message) in [
        ("secret.yaml", "secret.yaml:1: a Secret that is not sealed; seal it first: kubeseal seal -i FILE"),
        ("none.yaml", "none.yaml: no SealedSecret in this file"),
        ("syntax.yaml", "syntax.yaml:2: not valid YAML or JSON"),
        ("twice.yaml", "twice.yaml:7: duplicate key \"a\"; remove one"),
        ("number.yaml", "number.yaml:6: spec.encryptedData[\"a\"]: no key could decrypt secret (a)"),
        ("old.yaml", "old.yaml:5: spec.data is the old form"),
        (
            "anchor.yaml",
            "anchor.yaml:6: spec.encryptedData is an alias, or has an anchor or tag; write it out first",
        ),
        ("latin.yaml", "latin.yaml:2: not UTF-8 text"),
        ("folder.yaml", "folder.yaml: is a folder; name a file"),
        ("absent.yaml", "absent.yaml: no such file"),
    ] {
        // Of several files none is changed.
        workspace.refused(&format!("set db.yaml {file} a --generate {SET}"), 1, message);
    }
    workspace.refused("unset db.yaml secret.yaml password", 1, "secret.yaml:1: a Secret that is not sealed");
    workspace.refused("unset anchor.yaml a", 1, "anchor.yaml:6: spec.encryptedData.a is an alias");
    assert_eq!(workspace.read("db.yaml"), text);
    fs::write(workspace.file("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    workspace.refused(
        &format!("set db.yaml a --from-file large {SET}"),
        1,
        "a: the value has more than 1 MiB",
    );
}

#[test]
#[cfg(unix)]
fn a_file_keeps_mode_and_link_and_one_that_nobody_may_write_is_refused() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let workspace = Workspace::new();
    kept(&workspace);
    let set =
        |mode| fs::set_permissions(workspace.file("db.yaml"), fs::Permissions::from_mode(mode)).unwrap();
    set(0o444);
    workspace.refused(&format!("set db.yaml a --generate {SET}"), 1, "db.yaml: the file is read-only");
    set(0o640);
    symlink("db.yaml", workspace.file("link.yaml")).unwrap();
    workspace.done(&format!("set link.yaml a --generate {SET}"), "");
    assert!(workspace.file("link.yaml").is_symlink() && workspace.read("db.yaml").contains("\n    a: AQ"));
    assert_eq!(fs::metadata(workspace.file("db.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(Command::new("mkfifo").arg(workspace.file("pipe")).status().unwrap().success());
    let ran = workspace.run(&format!("set pipe a --generate {SET}"));
    assert!(
        ran.code == Some(1) && ran.stderr.contains("pipe: a named pipe, not a regular file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn eight_programs_that_set_items_of_one_file_at_the_same_time_all_succeed() {
    let workspace = Workspace::new();
    let before = kept(&workspace);
    let start = |number: usize| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(workspace.path()).env_clear().args([
            "set",
            "db.yaml",
            &format!("k{number}"),
            "--generate",
        ]);
        command.args(["--no-receipt", "--cert", "cert.pem"]).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let after = workspace.read("db.yaml");
    let added: Vec<String> = changed(&before, &after);
    assert_eq!(added, (0..8).map(|number| format!("+    k{number}: AQ…\n")).collect::<Vec<_>>());
    assert_eq!(workspace.names(), ["db.yaml"]);
}

#[test]
fn a_file_that_changes_meanwhile_keeps_the_other_change_too() {
    let workspace = Workspace::new();
    kept(&workspace);
    let file = workspace.file("db.yaml");
    let (url, server) = crate::run::serve_once(fs::read(workspace.file("cert.pem")).unwrap(), move || {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("# the end", "# the other end")).unwrap();
    });
    let ran = kubeseal(workspace.path(), &["set", "db.yaml", "a", "--generate", "--cert", &url], b"");
    server.join().unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let after = workspace.read("db.yaml");
    assert!(after.contains("# the other end") && after.contains("\n    a: AQ"), "{after}");
}

#[test]
fn flags_may_stand_between_file_and_key_and_one_argument_is_not_enough() {
    let workspace = Workspace::new();
    workspace.done(&format!("create generic db -n shop --from-literal user=app -w db.yaml {SET}"), "");
    let told = workspace.done(&format!("set db.yaml {SET} token --generate"), "");
    assert!(told.contains(": token added to shop/db"), "{told}");
    let told = workspace.done("unset db.yaml --name db token", "");
    assert!(told.contains(": token removed from shop/db"), "{told}");
    for line in ["set db.yaml --generate", "unset db.yaml"] {
        let ran = workspace.run(line);
        assert!(ran.code == Some(2) && ran.stderr.contains("KEY is missing: kubeseal "), "{}", ran.stderr);
    }
}

#[test]
fn without_a_certificate_and_a_cluster_the_flag_is_named() {
    let workspace = Workspace::new();
    workspace.done(&format!("create generic db -n shop --from-literal user=app -w db.yaml {SET}"), "");
    let expected =
        "no certificate is named, by --cert or .kubeseal.yaml, and none can be fetched from a cluster: ";
    for line in [
        "set db.yaml token --generate".to_owned(),
        "create generic a -n shop --generate token".to_owned(),
        format!("reencrypt --all db.yaml --private-key {KEY}"),
    ] {
        let ran = workspace.run(&line);
        assert!(ran.code == Some(1) && ran.stderr.contains(expected), "{line}: {}", ran.stderr);
    }
}

#[test]
fn an_option_for_a_value_leads_to_stdin() {
    let workspace = Workspace::new();
    for option in ["--from-stdin", "--stdin", "--value=hunter2", "--from-literal"] {
        let ran = workspace.run(&format!("set db.yaml password {option}"));
        assert!(
            ran.code == Some(2)
                && ran.stderr.contains(
                    "tip: a value comes from stdin without an option: COMMAND | kubeseal set FILE KEY"
                ),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("similar argument"), "{}", ran.stderr);
    }
    let ran = workspace.run("set db.yaml password --form-file x");
    assert!(
        ran.stderr.contains("a similar argument exists: '--from-file'") && !ran.stderr.contains("stdin"),
        "{}",
        ran.stderr
    );
}
