//! Invalid input: the message names the place and the remedy, and no file is harmed.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, fails, kubeseal, seal, seal_free};

/// A certificate of the test data.
macro_rules! certificate {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/", $name)
    };
}

#[test]
fn bad_input_is_named_with_document_and_line() {
    let none = "error: no secrets found. Ensure the input is valid and UTF-8 encoded\n";
    fails(&[], "", none);
    fails(&[], "---\n# only a comment\n---\n", none);
    let kind = "error: standard input: document 2, line 6: expected a Secret (apiVersion v1) but found a ConfigMap (apiVersion v1); take it out of the input\n";
    fails(&[], &format!("{SECRET}---\napiVersion: v1\nkind: ConfigMap\n"), kind);
    let base64 = "error: standard input: document 1, line 4: data[\"a\"]: illegal base64 data at input byte 0; text that is not base64 goes under stringData\n";
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\ndata: {a: '%%'}\n",
        base64,
    );
    let empty = "error: secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used\n";
    fails(&[], "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\n", empty);
    fails(&["-oxml"], SECRET, "error: unsupported output format: xml\n");
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nstringData: {a: b}\n",
        "error: missing metadata.name in input Secret\n",
    );
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {a: b}\n",
        "error: secret must declare a namespace\n",
    );
}

#[test]
fn the_file_of_a_flag_is_checked_even_if_it_is_not_needed() {
    let raw = ["--raw", "--scope=cluster-wide", "-f", "nope"];
    let unreadable =
        "error: Could not read file specified with --secret-file: open nope: no such file or directory\n";
    fails(&raw, "x", unreadable);
    fails(&["--merge-into", "nope", "-obogus"], SECRET, "error: unsupported output format: bogus\n");
}

#[test]
fn a_target_without_a_name_is_at_fault_not_the_input() {
    let folder = TempDir::new().unwrap();
    let nameless = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {encryptedData: {a: AgX}}\n";
    std::fs::write(folder.path().join("db.yaml"), nameless).unwrap();
    let merging = ["--cert", CERTIFICATE, "--merge-into", "db.yaml"];
    let ran = kubeseal(folder.path(), &merging, SECRET.as_bytes());
    let expected = "error: db.yaml: metadata.name is missing in the SealedSecret to merge into\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
}

#[test]
fn a_private_key_is_recognized_whatever_stands_around_it() {
    let folder = TempDir::new().unwrap();
    let key = std::fs::read_to_string(certificate!("rsa2048-pkcs1.pem")).unwrap();
    std::fs::write(folder.path().join("noted.pem"), format!("# kind: of comment\n{key}")).unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("locked.pem"), locked).unwrap();
    let sealed = kubeseal(folder.path(), &["--cert", CERTIFICATE], SECRET.as_bytes()).stdout;
    let recover = |file: &str| {
        let arguments = ["--recovery-unseal", "--recovery-private-key", file];
        kubeseal(folder.path(), &arguments, sealed.as_bytes())
    };
    let opened = recover("noted.pem");
    assert_eq!((opened.code, opened.stderr.as_str()), (Some(0), ""));
    let refused = recover("locked.pem");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.starts_with("error: locked.pem: the private key is encrypted; "),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_certificate_authority_that_is_not_there_is_named() {
    let ran = seal_free(&["--fetch-cert", "--server=https://127.0.0.1:1", "--certificate-authority=nope"]);
    let expected = "error: invalid configuration: unable to read certificate-authority nope: no such file or directory\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
}

#[test]
fn a_control_character_is_named_by_its_code_point() {
    let ran = seal(&[], "kind: Secret\nstringData: {a: \u{1}}\n");
    assert_eq!(ran.code, Some(1));
    let sentence = ran.stderr.trim_end();
    assert!(!sentence.ends_with(':') && sentence.contains("line 2"), "{sentence}");
}

#[test]
fn input_that_is_not_utf_8_is_refused() {
    let folder = TempDir::new().unwrap();
    let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE], b"apiVersion: v1\n\xff\xfe");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "error: standard input: line 2: not UTF-8 text; save it as UTF-8\n")
    );
}

#[test]
fn no_value_of_a_secret_is_repeated_in_an_error() {
    let ran = seal(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData:\n  a: hunter2\n   b: hunter2\n",
    );
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn a_certificate_that_cannot_seal_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("rubbish"), [0_u8, 159, 146, 150]).unwrap();
    let elliptic = certificate!("ec.crt");
    let weak = certificate!("rsa1024.crt");
    let none =
        |what: &str| format!("error: data does not contain any valid RSA or ECDSA certificates: {what}\n");
    let key = certificate!("rsa2048-pkcs1.pem");
    let cases = [
        (elliptic, format!("error: {elliptic}: expected RSA public key but found ECDSA\n")),
        (
            weak,
            format!(
                "error: {weak}: the certificate holds an RSA key of 1024 bits; sealing keys have 2048 to 8192 bits\n"
            ),
        ),
        (
            certificate!("expired.crt"),
            "error: failed to encrypt using an expired certificate on January 2, 2006\n".to_owned(),
        ),
        ("rubbish", none("rubbish holds neither PEM nor DER")),
        (key, none(&format!("{key} holds a private key"))),
        ("missing.pem", "error: open missing.pem: no such file or directory\n".to_owned()),
    ];
    for (certificate, expected) in cases {
        let ran = kubeseal(folder.path(), &["--cert", certificate, "-w", "out.yaml"], SECRET.as_bytes());
        assert_eq!((ran.code, ran.stderr), (Some(1), expected));
        assert!(!folder.path().join("out.yaml").exists());
    }
}

const SEALED: &str = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\n\
                      spec: {encryptedData: {a: AgX}}\n";

#[test]
fn an_unreachable_cluster_is_reported_with_its_address_and_a_hint() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("sealed.yaml"), SEALED).unwrap();
    let actions = [
        (&["--fetch-cert"][..], ""),
        (&["-w", "out.yaml"], SECRET),
        (&["--validate", "-f", "sealed.yaml"], ""),
        (&["--re-encrypt", "-f", "sealed.yaml"], ""),
    ];
    for (arguments, input) in actions {
        let server = [arguments, &["--server", "http://127.0.0.1:1"]].concat();
        let ran = kubeseal(folder.path(), &server, input.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        let expected = "error: cannot get sealed secret service: Get \"http://127.0.0.1:1/api/v1/namespaces/kube-system/services/sealed-secrets-controller\": ";
        assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
        assert!(ran.stderr.contains("Please, use the flag --controller-name and --controller-namespace"));
    }
    assert!(!folder.path().join("out.yaml").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("sealed.yaml")).unwrap(), SEALED);
}

#[test]
fn a_broken_kubeconfig_does_not_matter_where_no_cluster_is_asked() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("broken"), "clusters: [").unwrap();
    let broken = |arguments: &[&str]| {
        kubeseal(folder.path(), &[&["--kubeconfig", "broken"], arguments].concat(), SECRET.as_bytes())
    };
    assert_eq!(broken(&["--cert", CERTIFICATE]).code, Some(0));
    let asked = broken(&["--fetch-cert"]);
    assert_eq!(asked.code, Some(1));
    assert!(asked.stderr.starts_with("error: error loading config file \"broken\": document 1, line 1: "));
}

#[test]
fn a_target_that_cannot_be_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    let sealing = |target: &str| {
        let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", target], SECRET.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        ran.stderr
    };
    assert_eq!(sealing("."), "error: open .: is a directory\n");
    assert_eq!(sealing("no/out.yaml"), "error: open no/out.yaml: no such file or directory\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A pipe whose reading end is closed.
fn cut_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn a_cut_pipe_ends_the_program_without_a_panic() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("s.yaml"), SECRET).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder.path()).env_clear().args(arguments).stdin(Stdio::null());
        command
    };
    for arguments in
        [&["--cert", CERTIFICATE, "-f", "s.yaml"][..], &["--help"], &["completion", "bash"], &["man"]]
    {
        let output = command(arguments).stdout(cut_pipe()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(1), "error: write stdout: broken pipe\n"));
    }
    for (arguments, code) in
        [(&["-f", "nofile"][..], 1), (&["--bogus"], 2), (&["--rotate", "-f", "nofile"], 1)]
    {
        let output = command(arguments).stdout(cut_pipe()).stderr(cut_pipe()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn hostile_input_is_refused_with_document_line_and_field() {
    let level = |level: u32| {
        let before = format!("*a{}", level - 1);
        format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "))
    };
    let laughs = ["a0: &a0 [x]\n".to_owned()].into_iter().chain((1..12).map(level)).collect::<String>();
    let cases = [
        (laughs.as_str(), "too large or too deeply nested"),
        ("kind: Secret\ndata: {a: YQ==, a: Yg==}\n", "document 1, line 2: duplicate key \"a\""),
        ("kind: Secret\ndata:\n\ta: YQ==\n", "document 1, line 3: not valid YAML or JSON"),
        ("kind: List\nitems:\n- kind: Secret\n- kind: Pod\n", "document 1, line 4: expected a Secret"),
        ("kind: Secret\nstringData: {a: [b]}\n", "stringData[\"a\"]: must be text"),
    ];
    for (input, expected) in cases {
        let ran = seal(&[], input);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_target_is_an_error() {
    let ran = seal(&["-w", "/dev/full"], SECRET);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "error: write /dev/full: no space left on device\n")
    );
}

#[test]
fn an_unclosed_brace_ends_with_an_error() {
    fails(
        &[],
        "{",
        "error: standard input: document 1, line 1: not valid YAML or JSON: unclosed bracket '{'\n",
    );
}

#[test]
#[cfg(unix)]
fn an_argument_that_is_not_utf8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt as _;

    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.yaml");
    let output = Command::new(PROGRAM).arg("-f").arg(name).output().unwrap();
    let expected = "error: the argument caf\u{fffd}.yaml is not UTF-8; rename the file\n";
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
        (Some(2), expected)
    );
}

#[test]
fn an_input_error_names_file_document_line_and_a_whole_reason() {
    let folder = TempDir::new().unwrap();
    let sealing = |text: &str| {
        std::fs::write(folder.path().join("in.yaml"), text).unwrap();
        let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-f", "in.yaml"], b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{text}");
        ran.stderr
    };
    let helm = "{{ … }} is a Helm or Go template, not yet a manifest; render it first, for example with helm template\n";
    let no_kind = "this object has no kind; set kind: Secret, or take it out of the input\n";
    let nothing = "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used\n";
    let errors = [
        (format!("{{{{- if .Values.enabled }}}}\n{SECRET}{{{{- end }}}}\n"), 1, 1, helm),
        ("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}\n".to_owned(), 1, 4, helm),
        (format!("NAME: release\nSTATUS: pending-install\n---\n{SECRET}"), 1, 1, no_kind),
        (format!("{SECRET}---\nError from server (NotFound): secrets \"x\" not found\n"), 2, 6, no_kind),
        (
            format!("{SECRET}---\n- a\n"),
            2,
            6,
            "expected a Secret (apiVersion v1) but found something that is not an object; take it out of the input\n",
        ),
        (
            "- a\nb: c\n".to_owned(),
            1,
            2,
            "not valid YAML or JSON: while parsing a block collection, did not find expected '-' indicator\n",
        ),
        ("a: [1, 2\nb: c\n".to_owned(), 1, 2, "not valid YAML or JSON: illegal placement of ':' indicator\n"),
    ];
    for (text, document, line, reason) in errors {
        assert_eq!(
            sealing(&text),
            format!("error: in.yaml: document {document}, line {line}: {reason}"),
            "{text}"
        );
    }
    let second = format!("{SECRET}---\nkind: Secret\nmetadata: {{name: b, namespace: shop}}\n");
    assert_eq!(sealing(&second), format!("error: in.yaml: document 2, line 6, shop/b: {nothing}"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    for arguments in
        [&["--cert", CERTIFICATE][..], &["--validate"], &["--re-encrypt"], &["--merge-into", "x"]]
    {
        let folder = TempDir::new().unwrap();
        for (file, reason) in [("nofile.yaml", "no such file or directory"), (".", "is a directory")] {
            let ran = kubeseal(folder.path(), &[arguments, &["-f", file]].concat(), b"");
            let expected =
                format!("error: Could not read file specified with --secret-file: open {file}: {reason}\n");
            assert_eq!((ran.code, ran.stderr), (Some(1), expected));
        }
    }
}

#[test]
fn decrypting_names_the_missing_one_of_its_two_flags() {
    let folder = TempDir::new().unwrap();
    let sealed = kubeseal(folder.path(), &["--cert", CERTIFICATE], SECRET.as_bytes()).stdout;
    let without_key = kubeseal(folder.path(), &["--recovery-unseal"], sealed.as_bytes());
    let expected = "error: no key could decrypt secret, because none is given: name the file of private keys with --recovery-private-key FILE\n";
    assert_eq!((without_key.code, without_key.stderr.as_str()), (Some(1), expected));
    let key = certificate!("rsa2048-pkcs1.pem");
    let without_verb = kubeseal(folder.path(), &["--recovery-private-key", key], sealed.as_bytes());
    let expected =
        "error: --recovery-private-key has no effect without --recovery-unseal; add that flag to decrypt\n";
    assert_eq!((without_verb.code, without_verb.stderr.as_str()), (Some(1), expected));
}

#[test]
fn decrypting_reports_each_item_that_does_not_decrypt_on_a_line_that_no_key_name_begins() {
    let folder = TempDir::new().unwrap();
    let sealed = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\n\
                  spec: {encryptedData: {a: '%', b: AQ==, \"c\\nd\": AQ==}}\n";
    let opening = ["--recovery-unseal", "--recovery-private-key", certificate!("rsa2048-pkcs1.pem")];
    let ran = kubeseal(folder.path(), &opening, sealed.as_bytes());
    let told = "no key could decrypt secret (b, c\\nd)\n\
                illegal base64 data at input byte 0 (a)\n\
                spec.encryptedData[\"b\"]: it is 1 bytes long, too short for a sealed item\n\
                spec.encryptedData[\"c\\nd\"]: it is 1 bytes long, too short for a sealed item\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), format!("error: {told}").as_str()));
    let two = kubeseal(folder.path(), &opening, format!("{sealed}---\n{sealed}").as_bytes());
    let expected = format!("error: standard input: document 1, line 1, shop/db: {told}");
    assert_eq!((two.code, two.stderr), (Some(1), expected));
}

#[test]
fn decrypting_takes_the_namespace_of_the_flag_where_the_file_names_none() {
    let folder = TempDir::new().unwrap();
    let sealed = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-oyaml"], SECRET.as_bytes()).stdout;
    let homeless = sealed.replace("  namespace: shop\n", "");
    let opening = ["--recovery-unseal", "--recovery-private-key", certificate!("rsa2048-pkcs1.pem")];
    let opened = kubeseal(folder.path(), &[&opening[..], &["-n", "shop"]].concat(), homeless.as_bytes());
    assert_eq!((opened.code, opened.stderr.as_str()), (Some(0), ""));
    assert!(opened.stdout.contains("\"namespace\": \"shop\"") && opened.stdout.contains("aHVudGVyMg=="));
    let own = kubeseal(folder.path(), &[&opening[..], &["-n", "other"]].concat(), sealed.as_bytes());
    assert!(own.stdout.contains("\"namespace\": \"shop\""), "{}", own.stderr);
    assert_eq!(kubeseal(folder.path(), &opening, homeless.as_bytes()).code, Some(1));
}

#[test]
fn a_private_key_is_read_from_a_backup_without_kind() {
    use base64::Engine as _;
    let folder = TempDir::new().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let pem = std::fs::read(certificate!("rsa2048-pkcs1.pem")).unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&pem);
    write("secret.yaml", format!("data:\n  tls.key: {base64}\n").as_bytes());
    write("list.yaml", format!("items:\n- data:\n    tls.key: {base64}\n").as_bytes());
    write("mark.pem", &[b"\xef\xbb\xbf", &pem[..]].concat());
    let sealed = kubeseal(folder.path(), &["--cert", CERTIFICATE], SECRET.as_bytes()).stdout;
    let opening = |file: &str| {
        kubeseal(folder.path(), &["--recovery-unseal", "--recovery-private-key", file], sealed.as_bytes())
    };
    for file in ["secret.yaml", "list.yaml", "mark.pem"] {
        let opened = opening(file);
        assert_eq!((opened.code, opened.stderr.as_str()), (Some(0), ""), "{file}");
    }
}

#[test]
fn names_and_keys_that_the_api_server_will_refuse_are_warned_of_and_sealed() {
    let folder = TempDir::new().unwrap();
    let sealing = |arguments: &[&str], input: &str| {
        let ran = kubeseal(folder.path(), &[&["--cert", CERTIFICATE], arguments].concat(), input.as_bytes());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr.lines().map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let name = "the API server will refuse metadata.name \"runnerToken\"";
    let key = "the API server will refuse data[\"a/b\"]";
    let refused =
        "kind: Secret\nmetadata: {name: runnerToken, namespace: shop}\nstringData: {a/b: x, good: x}\n";
    assert_eq!(sealing(&["-w", "db.yaml"], refused), [name, key]);
    assert_eq!(sealing(&["--merge-into", "db.yaml"], "kind: Secret\nstringData: {a/b: z}\n"), [name, key]);
    assert_eq!(sealing(&["--raw", "-n", "shop", "--name", "runnerToken"], "x"), [name]);
    std::fs::write(folder.path().join("value"), "x").unwrap();
    assert_eq!(sealing(&["--raw", "--scope=cluster-wide", "--from-file", "a/b=value"], ""), [key]);
    assert!(sealing(&[], SECRET).is_empty());
}
