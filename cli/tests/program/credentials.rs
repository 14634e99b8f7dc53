//! Credentials of a kubeconfig: plugins, tokens, passwords and keys are used, and never shown.
#![cfg(unix)]

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Ran, kubeseal, serve};

/// Part of every secret below, and of nothing else.
const CANARY: &str = "Zq9vX";

/// Runs `--fetch-cert` as this user of a kubeconfig.
fn fetch_as(folder: &Path, server: &str, user: &Value) -> Ran {
    let config = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": user}],
    });
    std::fs::write(folder.join("config"), config.to_string()).unwrap();
    kubeseal(folder, &["--fetch-cert", "--kubeconfig", "config", "--controller-name", "c"], b"")
}

/// Runs `--fetch-cert`, which fails before any request; returns stderr.
fn refused(user: &Value) -> String {
    let folder = TempDir::new().unwrap();
    let ran = fetch_as(folder.path(), "https://127.0.0.1:1", user);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{user} {}", ran.stderr);
    assert!(!ran.stderr.contains(CANARY), "{user} {}", ran.stderr);
    assert!(!ran.stderr.contains("127.0.0.1:1"), "nothing is asked: {user} {}", ran.stderr);
    ran.stderr
}

/// The Authorization header that the API server sees.
fn sent(user: &Value) -> String {
    let folder = TempDir::new().unwrap();
    let (address, server) =
        serve(vec![b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()]);
    let ran = fetch_as(folder.path(), &format!("http://{address}"), user);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let request = server.join().unwrap().remove(0);
    let header = request.lines().find_map(|line| line.strip_prefix("authorization: "));
    header.unwrap_or_default().to_owned()
}

fn plugin(script: &str) -> Value {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script, format!("argument{CANARY}")],
        "env": [{"name": "CLIENT_SECRET", "value": format!("variable{CANARY}")}], "installHint": "unused", "interactiveMode": "Never"
    }})
}

#[test]
fn a_failing_plugin_is_named_with_its_status_and_stderr_but_without_its_credentials() {
    let failed = refused(&plugin(&format!("echo token{CANARY}; echo sorry >&2; exit 3")));
    assert_eq!(
        failed,
        "/bin/sh: sorry\nerror: getting credentials: exec: executable /bin/sh failed with exit code 3\n"
    );
    let told = refused(&plugin(&format!(
        "echo '{{\"token\":\"token{CANARY}\"}}'; echo \"got token{CANARY} for $CLIENT_SECRET\" >&2; exit 1"
    )));
    assert!(told.starts_with("/bin/sh: got *** for ***\n"), "{told}");
    assert!(refused(&plugin("kill -9 $$")).contains("failed with signal: 9"));
    let shown = refused(&plugin("printf '\\033[31m\\rred\\n' >&2; exit 1"));
    assert!(shown.starts_with("/bin/sh: \\u{1b}[31m\\rred\n"), "{shown}");
}

#[test]
fn a_plugin_that_prints_no_credential_is_named_and_its_output_is_not() {
    for printed in [
        format!("{{token: token{CANARY}, status: "),
        format!("token{CANARY}"),
        format!("{{\"kind\":\"ExecCredential\",\"status\":{{\"expirationTimestamp\":\"{CANARY}\"}}}}"),
        format!("{{\"status\":{{\"token\":[\"{CANARY}\"]}}}}"),
        format!("{{\"status\":{{\"clientCertificateData\":\"{CANARY}\"}}}}"),
        format!("{{\"status\":{{\"clientCertificateData\":\"{CANARY}\",\"clientKeyData\":\"{CANARY}\"}}}}"),
        format!("{{\"status\":{{\"token\":\"a\\n{CANARY}\"}}}}"),
        String::new(),
    ] {
        let told = refused(&plugin(&format!("cat <<'END'\n{printed}\nEND")));
        assert!(told.starts_with("error: ") && told.lines().count() == 1, "{told}");
    }
    assert!(refused(&plugin("printf '\\377'")).contains("plugin /bin/sh printed no ExecCredential"));
}

#[test]
fn a_missing_plugin_is_named_with_the_install_hint_of_the_kubeconfig() {
    let mut user = plugin("");
    user["exec"]["command"] = "aws-not-there".into();
    user["exec"]["installHint"] = "Install it:\n\u{1b}[31mbrew install aws".into();
    let told = refused(&user);
    let expected = "error: getting credentials: exec: executable aws-not-there not found, although the kubeconfig uses it for credentials\n\
                    \x20 Install it:\n\x20 \\u{1b}[31mbrew install aws\n";
    assert_eq!(told, expected);
    user["exec"]["command"] = "./nor-there".into();
    user["exec"]["installHint"] = Value::Null;
    assert!(refused(&user).contains("/nor-there not found"));
    user["exec"]["command"] = "/dev/null".into();
    assert!(refused(&user).contains("exec: cannot run /dev/null: permission denied"));
}

#[test]
fn a_plugin_runs_once_and_gets_its_environment_and_cluster_info() {
    let folder = TempDir::new().unwrap();
    let count = folder.path().join("count");
    let script =
        format!("echo x >> {}; echo '{{\"status\":{{\"token\":\"'$CLIENT_SECRET'\"}}}}'", count.display());
    assert_eq!(sent(&plugin(&script)), format!("Bearer variable{CANARY}"));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
    let info =
        "test -z \"$(cat)\" && echo \"status: {token: $(echo $KUBERNETES_EXEC_INFO | tr -dc a-zA-Z)}\"";
    assert_eq!(
        sent(&plugin(info)),
        "Bearer apiVersionclientauthenticationkskindExecCredentialspecinteractivefalse"
            .replace("authenticationks", "authenticationksiov")
    );
}

#[test]
fn blanks_around_the_token_of_a_file_are_left_out() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    for text in ["abc", "abc\n", "abc\r\n", "\n abc \n\n"] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(sent(&json!({"tokenFile": file})), "Bearer abc", "{text:?}");
    }
    std::fs::write(&file, "\n").unwrap();
    assert!(refused(&json!({"tokenFile": file})).contains("token is empty"));
    std::fs::write(&file, format!("a\n{CANARY}")).unwrap();
    assert!(refused(&json!({"tokenFile": file})).contains("cannot be sent"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(&json!({"tokenFile": file})).contains("no such file or directory"));
}

#[test]
fn a_token_that_is_no_header_is_an_error_without_the_token() {
    for token in [format!("{CANARY}\n"), format!("a\r\n{CANARY}"), format!("\u{1}{CANARY}")] {
        let told = refused(&json!({"token": token}));
        assert!(told.contains("the token cannot be sent"), "{told}");
        let folder = TempDir::new().unwrap();
        for command in [&["--fetch-cert"][..], &["keys", "list"], &["cert", "show"], &["--validate"]] {
            let arguments = [command, &["--server", "http://127.0.0.1:1", "--token", &token]].concat();
            let sealed = b"apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a}\nspec: {encryptedData: {a: AgX}}\n";
            let ran = kubeseal(folder.path(), &arguments, sealed);
            assert!(ran.code == Some(1) && !ran.stderr.contains(CANARY), "{command:?} {}", ran.stderr);
        }
    }
    assert_eq!(sent(&json!({"token": "abc"})), "Bearer abc");
    assert_eq!(sent(&json!({"token": ""})), "");
    assert_eq!(sent(&json!({"username": "u", "password": "p\n"})), "Basic dTpwCg==");
}

#[test]
fn keys_certificates_and_providers_that_cannot_be_used_are_named_without_their_content() {
    let base64 = |text: &str| {
        let block = pem::encode(&pem::Pem::new("X", text.as_bytes()));
        block.lines().filter(|line| !line.starts_with('-')).collect::<String>()
    };
    let certificate = base64(include_str!("../../../core/tests/data/rsa2048.crt"));
    let damaged = base64(&format!("-----BEGIN PRIVATE KEY-----\n{CANARY}!\n-----END PRIVATE KEY-----\n"));
    let empty = base64(&format!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{CANARY}"));
    for (user, words) in [
        (
            json!({"client-certificate-data": certificate, "client-key-data": format!("!{CANARY}")}),
            "client-key-data is not base64",
        ),
        (
            json!({"client-certificate-data": certificate, "client-key-data": base64(CANARY)}),
            "client-key-data holds no readable PEM",
        ),
        (
            json!({"client-certificate-data": certificate, "client-key-data": damaged}),
            "client-key-data holds no readable PEM",
        ),
        (json!({"client-certificate-data": certificate, "client-key-data": empty}), "error: "),
        (json!({"client-certificate-data": CANARY, "client-key-data": empty}), "client-certificate-data"),
        (json!({"client-certificate-data": certificate}), "client-key is missing"),
        (json!({"client-key-data": empty}), "client-certificate is missing"),
        (
            json!({"client-certificate": "nofile", "client-key-data": empty}),
            "unable to read client-certificate",
        ),
        (
            json!({"auth-provider": {"name": "gcp", "config": {"id-token": format!("{CANARY}\n"), "cmd-path": "/bin/sh"}}}),
            "gke-gcloud-auth-plugin",
        ),
    ] {
        let told = refused(&user);
        assert!(told.contains(words), "{told}");
    }
    let folder = TempDir::new().unwrap();
    let expired =
        json!({"auth-provider": {"name": "oidc", "config": {"id-token": CANARY, "refresh-token": CANARY}}});
    let told = fetch_as(folder.path(), "https://127.0.0.1:1", &expired).stderr;
    assert!(told.contains("no usable token; log in again") && !told.contains(CANARY), "{told}");
    let authority = |data: &str| {
        let cluster = json!({"server": "https://127.0.0.1:1", "certificate-authority-data": data});
        let config = json!({"contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}]});
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        let ran = kubeseal(folder.path(), &["--fetch-cert", "--kubeconfig", "config"], b"");
        assert!(ran.code == Some(1) && !ran.stderr.contains(CANARY), "{}", ran.stderr);
        ran.stderr
    };
    assert!(authority(&format!("!{CANARY}")).contains("certificate-authority-data is not base64"));
    assert!(authority(&base64(CANARY)).contains("certificate-authority-data holds no readable PEM"));
    assert!(
        authority(&base64(&format!("-----BEGIN CERTIFICATE-----\n{CANARY}!\n-----END CERTIFICATE-----\n")))
            .contains("holds no readable PEM")
    );
}

#[test]
fn an_answer_that_cannot_be_read_is_not_quoted() {
    let body = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": [{"data": {"tls.key": format!("!{CANARY}")}}]}).to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let (address, _server) = serve(vec![answer.into_bytes()]);
    let folder = TempDir::new().unwrap();
    let ran = kubeseal(
        folder.path(),
        &["keys", "backup", "-o", "keys.yaml", "--server", &format!("http://{address}")],
        b"",
    );
    assert!(
        ran.code == Some(1) && !ran.stderr.contains(CANARY) && ran.stderr.contains("cannot be read (line 1"),
        "{}",
        ran.stderr
    );
}
