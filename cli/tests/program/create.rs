//! `create`: transcripts, and every mistake that it names.

use std::fs;

use crate::workspace::{FINGERPRINT, KEY, OTHER_CERTIFICATE, Workspace, shape};

#[test]
fn a_new_file_has_its_items_with_receipts_and_the_report_names_scope_key_and_certificate() {
    let workspace = Workspace::new();
    let told = workspace.done(
        "create generic db -n shop --from-file password=- --from-literal user=app -w db.yaml --cert cert.pem",
        "hunter2",
    );
    assert_eq!(
        told,
        format!("db.yaml: created shop/db (strict), 2 items, key {FINGERPRINT}, certificate cert.pem\n")
    );
    let expected = format!(
        "---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: shop
spec:
  encryptedData:
    password: AQ…  # kubeseal: {FINGERPRINT} strict shop/db …
    user: AQ…  # kubeseal: {FINGERPRINT} strict shop/db …
  template:
    metadata:
      name: db
      namespace: shop
"
    );
    assert_eq!(shape(&workspace.read("db.yaml")), expected);
    let opened = workspace.opened("db.yaml");
    assert!(
        opened.contains("\"password\": \"aHVudGVyMg==\"") && opened.contains("\"user\": \"YXBw\""),
        "{opened}"
    );
}

#[test]
fn without_a_file_the_manifest_goes_to_stdout_and_the_report_to_stderr() {
    let workspace = Workspace::new();
    let ran = workspace.run("create generic db --scope cluster-wide --generate token --cert cert.pem");
    assert_eq!(
        ran.stderr,
        format!("stdout: created db (cluster-wide), 1 item, key {FINGERPRINT}, certificate cert.pem\n")
    );
    assert!(ran.stdout.contains(&format!("  # kubeseal: {FINGERPRINT} cluster-wide * ")), "{}", ran.stdout);
    let json = workspace.run("create generic db -n shop --generate token -o json --cert cert.pem").stdout;
    assert!(json.starts_with("{\n  \"kind\": \"SealedSecret\"") && !json.contains("# kubeseal"), "{json}");
    assert_eq!(workspace.names(), [""; 0]);
}

#[test]
fn the_name_of_a_file_decides_its_format_and_receipts_can_be_left_out() {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --generate a -w db.json -w db.yml --cert cert.pem", "");
    assert!(workspace.read("db.json").starts_with('{') && workspace.read("db.yml").contains("# kubeseal: "));
    workspace.done("create generic db -n shop --generate a -w plain.yaml --no-receipt --cert cert.pem", "");
    assert!(!workspace.read("plain.yaml").contains('#'));
}

#[test]
fn flags_before_the_subcommand_and_variables_count() {
    let workspace = Workspace::new();
    let told = workspace.done("-n shop --cert cert.pem -w db.yaml create generic db --generate a", "");
    assert!(told.starts_with("db.yaml: created shop/db (strict)"), "{told}");
    let ran = std::process::Command::new(crate::run::PROGRAM)
        .current_dir(workspace.path())
        .env_clear()
        .envs([
            ("SEALED_SECRETS_CERT", "cert.pem"),
            ("SEALED_SECRETS_NAMESPACE", "shop"),
            ("SEALED_SECRETS_SCOPE", "namespace-wide"),
        ])
        .args(["create", "generic", "x", "--generate", "a"])
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.starts_with("stdout: created shop/x (namespace-wide), 1 item"), "{told}");
}

#[test]
fn a_generated_value_has_the_length_that_is_named_and_is_shown_nowhere() {
    let workspace = Workspace::new();
    let value = |file: &str, key: &str| {
        let ran = workspace.run(&format!("unseal {file} --item {key} --private-key {KEY}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    let create = workspace.run(
        "create generic db -n shop --generate a --generate b=16 --generate c=1024 -w a.yaml -w - -w b.yaml --cert cert.pem",
    );
    let mut values =
        vec![(value("a.yaml", "a"), 32), (value("a.yaml", "b"), 16), (value("a.yaml", "c"), 1024)];
    assert!(
        ["a", "b", "c"].iter().all(|key| value("a.yaml", key) == value("b.yaml", key)),
        "one value for all files"
    );
    let (short, long) = (
        workspace.run("set a.yaml b.yaml d --generate --cert cert.pem"),
        workspace.run("set a.yaml b.yaml e --generate=64 --cert cert.pem"),
    );
    values.extend([(value("a.yaml", "d"), 32), (value("a.yaml", "e"), 64)]);
    assert!(
        ["d", "e"].iter().all(|key| value("a.yaml", key) == value("b.yaml", key)),
        "one value for all files"
    );
    let mut shown: Vec<String> = ["a.yaml", "b.yaml"].map(|file| workspace.read(file)).to_vec();
    for ran in [create, short, long] {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        shown.extend([ran.stdout, ran.stderr]);
    }
    for (value, length) in &values {
        assert!(value.len() == *length && value.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
        assert!(shown.iter().all(|text| !text.contains(value.as_str())), "{shown:?}");
    }
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 5, "no value is that of another item");
}

#[test]
fn a_dash_among_the_files_is_stdout() {
    let workspace = Workspace::new();
    let line = "create generic db -n shop --generate token --cert cert.pem -w";
    let ran = workspace.run(&format!("{line} - -w db.json -w db.yaml"));
    assert_eq!((ran.code, workspace.names()), (Some(0), vec!["db.json".to_owned(), "db.yaml".to_owned()]));
    assert_eq!(shape(&ran.stdout), shape(&workspace.read("db.yaml")));
    let files: Vec<&str> = ran.stderr.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(files, ["stdout", "db.json", "db.yaml"]);
    let ran = workspace.run(&format!("{line} - -o json"));
    assert!(
        ran.code == Some(0) && ran.stdout.starts_with("{\n  \"kind\": \"SealedSecret\""),
        "{}",
        ran.stdout
    );
    workspace.refused(&format!("{line} - -w -"), 2, "-w - is given twice");
}

#[test]
fn labels_and_annotations_go_to_the_sealed_secret_or_to_its_secret() {
    let workspace = Workspace::new();
    let line = "create generic db -n shop --generate a --type example.org/t --annotation a.io/wave=-1 --label team=x \
                --secret-annotation note=y=z --secret-label app=db --no-receipt --cert cert.pem";
    let text = shape(&workspace.run(line).stdout);
    let expected = "---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  annotations:
    a.io/wave: \"-1\"
  labels:
    team: x
  name: db
  namespace: shop
spec:
  encryptedData:
    a: AQ…
  template:
    metadata:
      annotations:
        note: y=z
      labels:
        app: db
      name: db
      namespace: shop
    type: example.org/t
";
    assert_eq!(text, expected);
}

#[test]
fn a_file_that_exists_stays_unless_it_is_forced() {
    let workspace = Workspace::new();
    workspace.write("db.yaml", "precious\n");
    let line = "create generic db -n shop --generate a -w new.yaml -w db.yaml --cert cert.pem";
    workspace.refused(line, 1, "db.yaml: the file exists; change one item with `kubeseal set`, or replace the whole file with --force");
    workspace.done(&format!("{line} --force"), "");
    assert_eq!(workspace.names(), ["db.yaml", "new.yaml"]);
    assert!(workspace.read("db.yaml").contains("encryptedData"));
}

#[test]
fn all_files_are_created_or_none() {
    let workspace = Workspace::new();
    let line = "create generic db -n shop --generate a --cert cert.pem -w new.yaml";
    workspace.refused(
        &format!("{line} -w none/db.yaml"),
        1,
        "none/db.yaml: the folder does not exist; create it first",
    );
    workspace.refused(&format!("{line} -w ./new.yaml"), 1, "./new.yaml: the file exists");
    workspace.done(line, "");
}

#[test]
#[cfg(unix)]
fn after_a_signal_all_files_are_there_or_none_and_a_repeated_run_completes_the_rest() {
    use std::process::{Command, Stdio};
    let files: Vec<String> = (0..200).map(|number| format!("{number:03}.yaml")).collect();
    let line = |more: &str| {
        format!("create generic db -n shop --generate a --cert cert.pem {more} -w {}", files.join(" -w "))
    };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let workspace = Workspace::new();
        let mut command = Command::new(crate::run::PROGRAM);
        command
            .current_dir(workspace.path())
            .env_clear()
            .args(line("").split_whitespace())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while !workspace.file(&files[0]).exists() {
            assert!(child.try_wait().unwrap().is_none(), "it has not failed");
            std::thread::yield_now();
        }
        assert!(
            Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success()
        );
        let ended = child.wait().unwrap().code();
        assert!(ended == Some(code) || ended == Some(0), "{ended:?}");
        assert_eq!(workspace.names(), files, "all files, and no others");
        // With --force a repeated run replaces all, whatever is there.
        fs::remove_file(workspace.file(&files[7])).unwrap();
        workspace.done(&line("--force"), "");
        assert_eq!(workspace.names(), files);
    }
}

#[test]
#[cfg(unix)]
fn a_new_file_has_the_mode_of_other_new_files_and_a_replaced_one_keeps_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let workspace = Workspace::new();
    let line = "create generic db -n shop --generate a --force -w db.yaml --cert cert.pem";
    workspace.done(line, "");
    workspace.write("other", "");
    let mode = |name: &str| fs::metadata(workspace.file(name)).unwrap().permissions().mode();
    assert_eq!(mode("db.yaml"), mode("other"));
    fs::set_permissions(workspace.file("db.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    workspace.done(line, "");
    assert_eq!(mode("db.yaml") & 0o777, 0o640);
}

#[test]
fn a_tls_secret_needs_a_key_that_belongs_to_its_certificate() {
    let workspace = Workspace::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data");
    let told = workspace.done(
        &format!("create tls web -n shop --tls-cert {data}/rsa2048.crt --tls-key {data}/rsa2048-pkcs1.pem -w web.yaml --cert {OTHER_CERTIFICATE}"),
        "",
    );
    assert!(told.starts_with("web.yaml: created shop/web (strict), 2 items"), "{told}");
    let text = workspace.read("web.yaml");
    assert!(
        text.contains("    type: kubernetes.io/tls\n")
            && text.contains("    tls.crt: ")
            && text.contains("    tls.key: ")
    );
    let tls = |cert: &str, key: &str, seals: &str| {
        format!("create tls x -n shop --tls-cert {cert} --tls-key {key} --cert {seals}")
    };
    let refused = |line: String, code, message| workspace.refused(&line, code, message);
    let (crt, key) = (format!("{data}/rsa2048.crt"), format!("{data}/rsa2048-pkcs1.pem"));
    refused(
        tls(&format!("{data}/ec.crt"), &key, "cert.pem"),
        1,
        "the private key does not belong to the certificate",
    );
    refused(tls(&crt, &crt, OTHER_CERTIFICATE), 1, "the private key is not an unencrypted PEM block");
    refused(tls(&key, &key, "cert.pem"), 1, "the certificate is not a PEM block");
    refused(tls(&crt, &key, "cert.pem"), 2, "--cert is the certificate of the server in --tls-cert");
    refused(tls("none.crt", &key, "cert.pem"), 1, "open none.crt: no such file");
}

#[test]
fn a_registry_secret_takes_its_password_from_a_file_and_never_from_the_command_line() {
    let workspace = Workspace::new();
    let line = "create docker-registry pull -n shop --docker-server r.example.org --docker-username ci";
    workspace.done(&format!("{line} --docker-password-file - -w pull.yaml --cert cert.pem"), "hunter2\n");
    let text = workspace.read("pull.yaml");
    assert!(
        text.contains("    .dockerconfigjson: AQ")
            && text.contains("    type: kubernetes.io/dockerconfigjson\n"),
        "{text}"
    );
    workspace.refused(
        &format!("{line} --docker-password hunter2 --cert cert.pem"),
        2,
        "--docker-password-file FILE",
    );
    workspace.refused(
        &format!("{line} --cert cert.pem"),
        2,
        "docker-password: there is no terminal to ask for the value on",
    );
    workspace.refused(
        &format!("{line} --docker-password-file - --cert cert.pem"),
        1,
        "-: the password is empty",
    );
}

#[test]
fn every_mistake_on_the_command_line_ends_with_2_before_anything_is_read() {
    let workspace = Workspace::new();
    // Nothing that a line names exists, so that reading would end with 1.
    let good = "-n shop --cert none.pem";
    for (line, message) in [
        ("create generic Api_Key --generate a", "metadata.name \"Api_Key\": a name has"),
        (
            "create generic db --from-literal a/b=hunter2",
            "--from-literal: the key is invalid: a key has 1 to 253",
        ),
        (
            "create generic db --from-literal hunter2",
            "--from-literal: expected KEY=VALUE; for a secret value use --prompt KEY",
        ),
        ("create generic db --from-literal =hunter2", "--from-literal: expected KEY=VALUE"),
        ("create generic db --prompt password=hunter2", "--prompt: the key is invalid"),
        ("create generic db --generate password=hunter2", "--generate: a length is a number from 16 to 1024"),
        ("create generic db --generate a=8", "--generate: a length is a number from 16 to 1024"),
        ("create generic db --generate a --label team=-x", "--label: the value of a label is empty, or has"),
        ("create generic db --generate a --label -x=y", "--label: a key is a name of"),
        ("create generic db --generate a --annotation x", "--annotation: expected KEY=VALUE"),
        (
            "create generic db --generate a --secret-label a=b --secret-label a=c",
            "--secret-label: the key a is given twice",
        ),
        (
            "create generic db --generate a --annotation sealedsecrets.bitnami.com/cluster-wide=true",
            "by --scope",
        ),
        (
            "create generic db --generate a --scope wide",
            "--scope: must be one of: strict, namespace-wide, cluster-wide",
        ),
    ] {
        workspace.refused(&format!("{line} {good}"), 2, message);
    }
}

#[test]
fn words_of_kubectl_lead_to_those_of_kubeseal() {
    let workspace = Workspace::new();
    let tls = "kubeseal create tls NAME --tls-cert FILE --tls-key FILE; --cert is the certificate that seals";
    let verbs =
        "kubeseal create generic NAME, kubeseal create tls NAME or kubeseal create docker-registry NAME";
    let nothing = "leave it out: kubeseal create writes a SealedSecret to stdout or to the file of -w, and applies nothing";
    let registry = "kubeseal create generic NAME --type kubernetes.io/dockerconfigjson --from-file .dockerconfigjson=FILE";
    for (line, tip) in [
        ("create tls --key k", tls),
        ("create tls web -n shop --cert c --key=k", tls),
        (
            "create secret generic db --from-literal=a=hunter2",
            "kubeseal create generic NAME, without the word secret",
        ),
        (
            "create secret -n shop tls web --cert c --key k",
            "kubeseal create tls NAME, without the word secret",
        ),
        (
            "create secret docker-registry p --docker-password=hunter2",
            "kubeseal create docker-registry NAME, without the word secret",
        ),
        ("create secret", verbs),
        ("create configmap db", verbs),
        ("create db --from-literal=a=hunter2", verbs),
        ("create -f secret.yaml", "kubeseal seal FILE, for a Secret that is in a file"),
        ("create generic -f secret.yaml", "kubeseal seal FILE, for a Secret that is in a file"),
        ("create generic db --generate a --dry-run=client -o yaml", nothing),
        ("create generic db --generate a --dry-run", nothing),
        ("create generic db --generate a --save-config", nothing),
        ("create generic db --generate a --validate=false", nothing),
        ("create generic db --generate a --field-manager=x", nothing),
        (
            "create generic db --generate a --append-hash",
            "leave it out: a SealedSecret and its Secret have the NAME that is given",
        ),
        ("create docker-registry p --from-file=.dockerconfigjson=x", registry),
        ("create tls web --tls-crt x", "a similar argument exists: '--tls-cert'"),
        ("create docker p", "a similar subcommand exists: 'docker-registry'"),
    ] {
        let ran = workspace.run(line);
        let tips: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("  tip: ")).collect();
        assert_eq!((ran.code, tips), (Some(2), vec![tip]), "{line}: {}", ran.stderr);
    }
    let ran = workspace.run("create generic db --no-such-flag");
    assert!(ran.code == Some(2) && !ran.stderr.contains("tip:"), "{}", ran.stderr);
}

#[test]
fn every_mistake_in_the_sources_of_values_ends_with_2_and_quotes_none() {
    let workspace = Workspace::new();
    let good = "-n shop --cert none.pem";
    for (line, message) in [
        (
            "create generic db --generate a hunter2",
            "there is an argument after NAME; values cannot be passed as arguments",
        ),
        ("create generic db", "there are no values: add --prompt KEY"),
        ("create generic db --generate a --from-file a=none", "the key a is given twice"),
        ("create generic db --from-file a=- --from-env-file -", "stdin can be read once"),
        ("create generic db --from-file -", "write --from-file KEY=-"),
        ("create generic db --from-file a=b=c", "neither key nor file name can contain ="),
        ("create generic db --from-file =b", "the key before = is missing"),
        ("create generic db --from-file a=", "the file after = is missing"),
        ("create generic db --from-file none/a%b", "KEY=FILE gives the file another key"),
        (
            "create generic db --prompt a",
            "a: there is no terminal to ask for the value on; take it from stdin or a file",
        ),
        ("create generic db --generate a -w db.yaml -w db.yaml", "-w db.yaml is given twice"),
        (
            "create generic db --generate a --for prod",
            "--for names a cluster of .kubeseal.yaml, and there is no such file",
        ),
    ] {
        workspace.refused(&format!("{line} {good}"), 2, message);
    }
    workspace.refused(
        "create generic db --generate a --cert none.pem",
        2,
        "no namespace; the scope strict needs the one",
    );
    workspace.refused(
        "create generic db --generate a -n Shop",
        2,
        "metadata.namespace \"Shop\": a namespace has",
    );
    for line in
        ["create", "create secret db", "create generic", "create generic db --raw", "--raw create generic db"]
    {
        let ran = workspace.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("kubeseal create"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn values_that_cannot_be_read_end_with_1_and_nothing_is_written() {
    let workspace = Workspace::new();
    workspace.write("good.env", "\u{feff}A=1\r\n# b\n\n  B= x=y \n");
    workspace.write("bad.env", "A=1\nhunter2\n");
    workspace.write("name.env", "1A=hunter2\n");
    workspace.write("folder/a b", "x");
    fs::write(workspace.file("latin.env"), b"A=\xe9\n").unwrap();
    fs::write(workspace.file("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    let refused = |flags: &str, code, message: &str| {
        workspace.refused(
            &format!("create generic db -n shop {flags} -w db.yaml --cert cert.pem"),
            code,
            message,
        );
    };
    refused("--from-env-file bad.env", 1, "bad.env:2: expected KEY=VALUE");
    refused("--from-env-file name.env", 1, "name.env:1: the text before = is not the name of a variable");
    refused("--from-env-file latin.env", 1, "latin.env:1: not UTF-8");
    refused("--from-env-file folder", 1, "open folder: ");
    refused("--from-file folder", 1, "folder/a b: the name of the file cannot be a key");
    refused("--from-file a=folder", 2, "--from-file: folder is a folder");
    refused("--from-file none", 1, "open none: no such file");
    refused("--from-file large", 1, "the values have more than 1 MiB together");
    refused("--from-env-file good.env --from-literal B=1", 2, "the key B is given twice");
    workspace.done("create generic db -n shop --from-env-file good.env -w db.yaml --cert cert.pem", "");
    let opened = workspace.opened("db.yaml");
    assert!(opened.contains("\"A\": \"MQ==\"") && opened.contains("\"B\": \"IHg9eSA=\""), "{opened}");
}

#[test]
fn a_certificate_that_cannot_seal_is_refused_in_the_words_of_sealing() {
    let workspace = Workspace::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data");
    for (cert, message) in [
        ("expired.crt", "failed to encrypt using an expired certificate on"),
        ("ec.crt", "expected RSA public key but found ECDSA"),
        ("rsa1024.crt", "an RSA key of 1024 bits"),
        ("rsa2048-pkcs1.pem", "holds a private key"),
    ] {
        workspace.refused(
            &format!("create generic db -n shop --generate a -w db.yaml --cert {data}/{cert}"),
            1,
            message,
        );
    }
    let pinned = "create generic db -n shop --generate a --cert cert.pem --cert-fingerprint";
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    workspace.refused(&format!("{pinned} {other}"), 1, "but --cert-fingerprint says SHA256:AAAA");
}

#[test]
#[cfg(unix)]
fn a_full_disk_or_a_closed_stdout_ends_with_1_and_leaves_no_file() {
    let workspace = Workspace::new();
    let shell = |line: &str| {
        let line = format!("trap '' XFSZ; ulimit -f 0; exec {} {line}", crate::run::PROGRAM);
        let mut command = std::process::Command::new("sh");
        command.current_dir(workspace.path()).args(["-c", &line]).output().unwrap()
    };
    let create = "create generic db -n shop --generate a --cert cert.pem";
    let full = shell(&format!("{create} -w db.yaml"));
    let told = String::from_utf8(full.stderr).unwrap();
    assert!(full.status.code() == Some(1) && told.contains("error: write db.yaml: file too large"), "{told}");
    assert_eq!(workspace.names(), [""; 0]);
    let closed = shell(&format!("{create} > /dev/full"));
    let told = String::from_utf8(closed.stderr).unwrap();
    assert!(closed.status.code() == Some(1) && told.contains("error: write stdout: no space left"), "{told}");
}
