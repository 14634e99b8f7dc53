//! Certificates and keys in all common formats, from files and URLs.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, Ran, SECRET, kubeseal, seal, seal_free, serve, serve_once};

const PEM: &str = include_str!("../../../core/tests/data/rsa2048.crt");
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa4096.crt");
const ELLIPTIC: &str = include_str!("../../../core/tests/data/ec.crt");
const WITHOUT_END: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/without-end.crt");
const KEY: &str = include_str!("../../../core/tests/data/rsa2048-pkcs1.pem");
const KEY_PKCS8: &str = include_str!("../../../core/tests/data/rsa2048-pkcs8.pem");
/// The fingerprint that `ssh-keygen -lf` prints for the key of both certificates.
const FINGERPRINT: &str = "SHA256:d7vDRpnXNiJzDkmyznDUSjyxvtAkyQgqS6HKJqYJJvA";

fn der(pem: &str) -> Vec<u8> {
    pem::parse(pem).unwrap().into_contents()
}

fn base64(bytes: &[u8]) -> String {
    let block = pem::encode(&pem::Pem::new("X", bytes));
    block.lines().filter(|line| !line.starts_with('-')).collect()
}

fn utf16(text: &str, word: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(word).collect()
}

/// Every accepted form of a PEM text.
fn forms(pem: &str) -> Vec<(&'static str, Vec<u8>)> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let edges: Vec<&str> = pem.lines().filter(|line| line.starts_with('-')).collect();
    vec![
        ("plain", pem.into()),
        ("CRLF", pem.replace('\n', "\r\n").into()),
        ("CR", pem.replace('\n', "\r").into()),
        ("byte order mark", format!("\u{feff}{pem}").into()),
        ("UTF-16LE", utf16(&format!("\u{feff}{pem}"), u16::to_le_bytes)),
        ("UTF-16BE", utf16(&format!("\u{feff}{pem}"), u16::to_be_bytes)),
        ("UTF-16LE without mark", utf16(pem, u16::to_le_bytes)),
        ("text around", format!("Bag Attributes\n  friendlyName: x\n{pem}\nend\n").into()),
        ("indented", format!("    {}", pem.replace('\n', "\n    ")).into()),
        ("one line", format!("{} {body} {}", edges[0], edges[1]).into()),
        ("escaped line breaks", pem.replace('\n', "\\n").into()),
        ("DER", der(pem)),
        ("base64 of PEM", base64(pem.as_bytes()).into()),
        (
            "base64 of PEM in lines",
            format!("{}\n{}\n", &base64(pem.as_bytes())[..80], &base64(pem.as_bytes())[80..]).into(),
        ),
        ("base64 of DER", base64(&der(pem)).into()),
        ("base64 without padding", base64(pem.as_bytes()).trim_end_matches('=').into()),
    ]
}

#[test]
fn a_certificate_is_used_in_every_form_in_which_people_keep_one() {
    let folder = TempDir::new().unwrap();
    for (form, bytes) in forms(PEM) {
        std::fs::write(folder.path().join("cert"), bytes).unwrap();
        let ran = kubeseal(
            folder.path(),
            &["--cert", "cert", "--cert-fingerprint", FINGERPRINT],
            SECRET.as_bytes(),
        );
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{form}");
    }
    std::fs::write(folder.path().join("cert"), format!("{PEM}{ELLIPTIC}")).unwrap();
    assert_eq!(
        kubeseal(folder.path(), &["--cert", "cert"], SECRET.as_bytes()).code,
        Some(0),
        "the first counts"
    );
}

#[test]
fn a_certificate_without_an_expiry_seals_with_a_warning() {
    let folder = TempDir::new().unwrap();
    let sealed = kubeseal(folder.path(), &["--cert", WITHOUT_END], SECRET.as_bytes());
    assert_eq!((sealed.code, sealed.stderr.as_str()), (Some(0), ""));
    let shown = seal_free(&["cert", "show", "--cert", WITHOUT_END]);
    assert!(shown.stdout.contains("\nvalid until  no end\n"), "{}", shown.stdout);
    let yaml = seal_free(&["cert", "show", "--cert", WITHOUT_END, "-o", "yaml"]).stdout;
    assert!(
        yaml.contains("\nexpired: false\n") && yaml.contains("\nnotAfter: \"9999-12-31T23:59:59Z\"\n"),
        "{yaml}"
    );
}

#[test]
fn an_input_that_is_not_a_certificate_is_named_by_its_kind() {
    let folder = TempDir::new().unwrap();
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let manifest = "apiVersion: v1\nkind: Secret\ndata:\n  tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\n";
    // The first bytes that OpenSSL writes; the rest is not read.
    let signed_data = [
        &[0x30, 0x82, 0x01, 0x00, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02][..],
        &[0xa0; 99],
    ]
    .concat();
    let keystore = [&[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03, 0x30, 0x82][..], &[0xa0; 99]].concat();
    for (bytes, what) in [
        (&b""[..], "is empty"),
        (b" \n\t\n", "is empty"),
        (&utf16("\u{feff}\n", u16::to_le_bytes), "is empty"),
        (KEY.as_bytes(), "holds a private key"),
        (&der(KEY), "holds a private key"),
        (&der(KEY_PKCS8), "holds a private key"),
        (base64(KEY.as_bytes()).as_bytes(), "holds a private key"),
        (request.as_bytes(), "holds a request for a certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds a bare public key"),
        (b"ssh-rsa AAAA x@y\n", "holds a bare public key"),
        (b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", "holds a PKCS#7 bundle"),
        (&signed_data, "holds a PKCS#7 bundle"),
        (&keystore, "holds a PKCS#12 keystore"),
        (b"<!DOCTYPE html><title>Sign in</title>", "holds a web page"),
        (manifest.as_bytes(), "holds JSON or YAML"),
        (b"{\"kind\":\"Status\",\"code\":404}", "holds JSON or YAML"),
        (&PEM.as_bytes()[..400], "holds a PEM block that is cut short or damaged"),
        (PEM.replacen('M', "!", 1).as_bytes(), "holds a PEM block that is cut short or damaged"),
        (b"rubbish", "holds neither PEM nor DER"),
        (&[0, 159, 146, 150], "holds neither PEM nor DER"),
    ] {
        std::fs::write(folder.path().join("cert"), bytes).unwrap();
        for arguments in [&["--cert", "cert"][..], &["cert", "show", "--cert", "cert"]] {
            let ran = kubeseal(folder.path(), arguments, SECRET.as_bytes());
            let expected =
                format!("error: data does not contain any valid RSA or ECDSA certificates: cert {what}");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{what}");
            assert!(ran.stderr.starts_with(&expected), "{what}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_private_key_is_read_in_every_common_format() {
    let folder = TempDir::new().unwrap();
    let sealed = seal(&["-o", "yaml"], SECRET).stdout;
    let recover = |bytes: &[u8]| {
        std::fs::write(folder.path().join("key"), bytes).unwrap();
        let arguments = ["--recovery-unseal", "--recovery-private-key", "key"];
        kubeseal(folder.path(), &arguments, sealed.as_bytes())
    };
    let manifest = format!("apiVersion: v1\nkind: Secret\ndata: {{tls.key: {}}}\n", base64(KEY.as_bytes()));
    let further = [
        ("manifest", manifest.clone().into()),
        ("manifest in UTF-16", utf16(&format!("\u{feff}{manifest}"), u16::to_le_bytes)),
    ];
    for (form, bytes) in forms(KEY).into_iter().chain(forms(KEY_PKCS8)).chain(further) {
        let ran = recover(&bytes);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{form}");
    }
    for (bytes, what) in [
        (&b""[..], "key: the file is empty, but a private key is wanted"),
        (PEM.as_bytes(), "key: the file holds a certificate, but"),
        (&der(PEM), "key: the file holds a certificate, but"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "key: the file holds a private key in OpenSSH's own form",
        ),
        (&KEY.as_bytes()[..800], "key: the file holds a PEM block that is cut short or damaged"),
        (include_bytes!("../../../core/tests/data/ec-sec1.pem"), "key: private key is not an RSA key"),
    ] {
        let ran = recover(bytes);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{what}");
        assert!(ran.stderr.starts_with(&format!("error: {what}")), "{what}: {}", ran.stderr);
    }
}

#[test]
#[cfg(unix)]
fn recovered_plaintext_is_its_owners_alone_also_in_a_file_that_was_not() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("plain.yaml");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let sealed = seal(&[], SECRET).stdout;
    let arguments =
        ["--recovery-unseal", "--recovery-private-key", crate::workspace::KEY, "-w", "plain.yaml"];
    assert_eq!(kubeseal(folder.path(), &arguments, sealed.as_bytes()).code, Some(0));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn only_the_certificate_that_its_fingerprint_names_is_used_wherever_it_comes_from() {
    let folder = TempDir::new().unwrap();
    let (url, _server) = serve_once(std::fs::read(OTHER).unwrap(), || ());
    std::fs::write(folder.path().join("sealed.yaml"), "precious").unwrap();
    for arguments in [
        &["--cert", OTHER][..],
        &["--cert", &url, "-w", "out.yaml"],
        &["--cert", OTHER, "--fetch-cert", "-w", "out.yaml"],
        &["--cert", OTHER, "--raw", "--scope", "cluster-wide"],
        &["cert", "show", "--cert", OTHER],
    ] {
        let ran = kubeseal(
            folder.path(),
            &[arguments, &["--cert-fingerprint", FINGERPRINT]].concat(),
            SECRET.as_bytes(),
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        let names_both = ran.stderr.contains(FINGERPRINT) && ran.stderr.matches("SHA256:").count() == 2;
        assert!(names_both, "{}", ran.stderr);
        assert!(!folder.path().join("out.yaml").exists());
    }
    for arguments in [&["--fetch-cert"][..], &[], &["cert", "show"]] {
        let arguments = [arguments, &["--cert-fingerprint", FINGERPRINT, "--cert", CERTIFICATE]].concat();
        let ran = kubeseal(folder.path(), &arguments, SECRET.as_bytes());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }
}

fn with_variable(name: &str, value: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env(name, value).args(arguments).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(SECRET.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_fingerprint_is_also_taken_from_its_variable_and_never_ignored() {
    for (arguments, value, code) in [
        (&["--cert", CERTIFICATE][..], FINGERPRINT, 0),
        (&["--cert", CERTIFICATE], "", 0),
        (&["--cert", OTHER], FINGERPRINT, 1),
        (&["cert", "show", "--cert", OTHER], FINGERPRINT, 1),
        (&["cert", "show", "--cert", CERTIFICATE], "", 0),
        (&["--cert", CERTIFICATE], "SHA256:short", 1),
        (&["--cert", CERTIFICATE], "d7vDRpnXNiJzDkmyznDUSjyxvtAkyQgqS6HKJqYJJvA", 1),
        (&["cert", "show", "--cert", CERTIFICATE], "MD5:00", 1),
    ] {
        let ran = with_variable("SEALED_SECRETS_CERT_FINGERPRINT", value, arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?} {value} {}", ran.stderr);
    }
}

#[test]
fn a_certificate_over_plain_http_is_warned_of_unless_its_fingerprint_is_named() {
    let warned = |arguments: &[&str]| {
        let (url, server) = serve_once(PEM.into(), || ());
        let ran = seal_free_with_input(&[arguments, &["--cert", &url]].concat());
        server.join().unwrap();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr.starts_with(&format!("warning: the certificate comes from {url} without encryption: "))
    };
    for arguments in [&[][..], &["--fetch-cert"], &["cert", "show"]] {
        assert!(warned(arguments), "{arguments:?}");
        assert!(!warned(&[arguments, &["--cert-fingerprint", FINGERPRINT]].concat()), "{arguments:?}");
    }
    let redirect = |to: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    };
    let (url, second) = serve_once(PEM.into(), || ());
    let (address, first) = serve(vec![redirect(&url)]);
    let ran = seal_free_with_input(&["--cert", &format!("http://{address}")]);
    assert!(ran.code == Some(0) && ran.stderr.contains(&url), "{}", ran.stderr);
    drop((first.join().unwrap(), second.join().unwrap()));
}

fn seal_free_with_input(arguments: &[&str]) -> Ran {
    kubeseal(TempDir::new().unwrap().path(), arguments, SECRET.as_bytes())
}

#[test]
fn a_server_that_is_silent_is_given_up_after_the_request_timeout() {
    // The system accepts the connections; no server responds.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cert.pem", listener.local_addr().unwrap());
    for arguments in [
        &["--cert", &url][..],
        &["cert", "show", "--cert", &url],
        &["--fetch-cert", "--cert", &url],
        &["--fetch-cert", "--server", &url],
    ] {
        let ran = seal_free_with_input(&[arguments, &["--request-timeout", "0.2s"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        let words = if arguments.contains(&"--server") { "timed out" } else { "no answer within 200ms" };
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let (url, _server) = serve_once(PEM.into(), || ());
    let ran = seal_free_with_input(&["--cert", &url, "--request-timeout", "soon"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("Invalid timeout value"), "{}", ran.stderr);
}

#[test]
fn an_address_without_encryption_is_asked_of_the_proxy_as_a_whole() {
    let answer = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .into_bytes()
    };
    let ask = |user: &str, arguments: &[&str], body: &str| {
        let (address, server) = serve(vec![answer(body)]);
        let ran = with_variable("http_proxy", &format!("http://{user}{address}"), arguments);
        (ran, server.join().unwrap().remove(0))
    };
    let (ran, request) = ask("", &["--cert", "http://certs.example.test/a/cert.pem?x=1"], PEM);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(request.starts_with("GET http://certs.example.test/a/cert.pem?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.to_lowercase().contains("\r\nhost: certs.example.test\r\n")
            && !request.to_lowercase().contains("proxy-auth"),
        "{request}"
    );
    let (_, request) = ask("me:hunter%32@", &["--cert", "http://u:p@certs.example.test:8080"], "");
    assert!(request.starts_with("GET http://certs.example.test:8080/ HTTP/1.1\r\n"), "{request}");
    let request = request.to_lowercase();
    assert!(request.contains("\r\nproxy-authorization: basic bwu6ahvudgvymg==\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: basic dtpw\r\n"), "{request}");
    let (_, request) = ask("", &["--fetch-cert", "--server", "http://api.example.test"], "{}");
    assert!(request.starts_with("GET http://api.example.test/api/v1/namespaces/"), "{request}");
}

#[test]
fn an_address_with_encryption_still_goes_through_a_tunnel() {
    let (address, server) =
        serve(vec![b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n".to_vec()]);
    let ran = with_variable(
        "HTTPS_PROXY",
        &format!("http://{address}"),
        &["--cert", "https://certs.example.test/c"],
    );
    assert_eq!(ran.code, Some(1));
    assert!(server.join().unwrap()[0].starts_with("CONNECT certs.example.test:443 HTTP/1.1\r\n"));
}

#[test]
fn files_are_never_warned_of() {
    let folder = TempDir::new().unwrap();
    let ran = kubeseal(Path::new(folder.path()), &["--cert", CERTIFICATE], SECRET.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}
