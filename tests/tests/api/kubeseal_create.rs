//! `kubeseal create` seals exactly the values that `kubectl create secret` writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Edition, Kubeseal, Laptop, workspace};
use serde_json::Value;

/// Arguments that both programs understand, after `create` and `create secret`.
const SAME: [&str; 36] = [
    "generic s --from-literal=a=b",
    "generic s --from-literal a=b --from-literal c=d",
    "generic s --from-literal a=",
    "generic s --from-literal a==",
    "generic s --from-literal a=b=c",
    "generic s --from-literal 'a=b,c'",
    "generic s --from-literal 'a= b '",
    "generic s --from-literal 'a=\"b\"'",
    "generic s --from-literal \"a='b'\"",
    "generic s --from-literal 'a=$HOME'",
    "generic s --from-literal 'a=Grüße 世界 🦀'",
    "generic s --from-literal '_.-=x'",
    "generic s --from-literal \"a=$(printf 'x\\ny')\"",
    "generic s --from-literal 'a=\\n'",
    "generic s --from-literal a=b --type example.org/own",
    "generic s --from-file one",
    "generic s --from-file=k=one",
    "generic s --from-file ./one --from-file k=two.bin",
    "generic s --from-file one,k=two.bin",
    "generic s --from-file '\"k=with,comma\"'",
    "generic s --from-file folder",
    "generic s --from-file folder/",
    "generic s --from-file folder --from-literal x=y",
    "generic s --from-file empty",
    "generic s --from-file large",
    "generic s --from-file folder/deep.txt",
    "generic s --from-file k=folder/deep.txt --from-file l=folder/deep.txt",
    "generic s --from-env-file plain.env",
    "generic s --from-env-file windows.env",
    "generic s --from-env-file bom.env",
    "generic s --from-env-file odd.env",
    "generic s --from-env-file plain.env,odd.env",
    "generic s --from-env-file plain.env --from-env-file bom.env",
    "generic s --from-env-file empty",
    "generic s --from-env-file long.env",
    "generic s --from-literal a=b -n other",
];

/// Arguments of kubectl, and those of kubeseal with the same meaning.
fn translated() -> Vec<(String, String)> {
    let registry = |server: &str, user: &str, email: &str, password: &str| {
        let common =
            format!("docker-registry s --docker-server '{server}' --docker-username '{user}'{email}");
        (
            format!("{common} --docker-password '{password}'"),
            format!("{common} --docker-password-file <(printf %s '{password}')"),
        )
    };
    let tls = |certificate: &str, key: &str| {
        let data = workspace::root().join("core/tests/data");
        let (certificate, key) = (data.join(certificate), data.join(key));
        let line = |cert: &str, of_key: &str| {
            format!("tls s {cert} {} {of_key} {}", certificate.display(), key.display())
        };
        (line("--cert", "--key"), line("--tls-cert", "--tls-key"))
    };
    vec![
        registry("r.example.org", "ci", "", "hunter2"),
        registry("https://r.example.org/v1/", "ci", " --docker-email a@b.c", "a b\"c\\d"),
        registry("r", "user&<name>", "", "<p>&'\"'\"'x"),
        registry("r", "ünï", " --docker-email ''", "世界🦀"),
        registry("r", "a:b", "", "c:d/e+f="),
        registry("r", "tab", "", "a\tb"),
        tls("rsa2048.crt", "rsa2048-pkcs1.pem"),
        tls("rsa2048.crt", "rsa2048-pkcs8.pem"),
        tls("ec.crt", "ec-sec1.pem"),
        tls("ec.crt", "ec-pkcs8.pem"),
    ]
}

fn write_files(folder: &Path) {
    let write = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
    fs::create_dir_all(folder.join("folder/below")).unwrap();
    write("one", b"line\n");
    write("two.bin", &[0, 0xff, b'\n', b'\r', 0xfe]);
    write("with,comma", b"x");
    write("empty", b"");
    write("large", &vec![b'x'; 200_000]);
    write("folder/deep.txt", b"deep");
    write("folder/.hidden", b"h");
    write("folder/below/not.txt", b"no");
    std::os::unix::fs::symlink("deep.txt", folder.join("folder/link")).unwrap();
    write("plain.env", b"A=1\nB=two words\n# comment\n\nC=\n");
    write("windows.env", b"A=1\r\nB=2\r\n");
    write("bom.env", b"\xef\xbb\xbfX=1\nY=2\n");
    write("odd.env", b"  lead=x\n\tD= y \nE='q'\nF=\"q\"\nG=a=b\nH.i-j_k=#no comment\nI=last");
    write("long.env", &[b"L=", &*vec![b'x'; 30_000], b"\n"].concat());
}

/// The data of a Secret in JSON: base64 by key, and its type.
fn data(json: &str) -> (BTreeMap<String, String>, String) {
    let secret: Value = serde_json::from_str(json).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = secret["data"].as_object().cloned().unwrap_or_default();
    (entries.iter().map(|(key, value)| (key.clone(), text(value))).collect(), text(&secret["type"]))
}

#[test]
fn create_seals_the_values_of_kubectl_create_secret_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let kubeseal = Edition::Ours.kubeseal().unwrap();
    let laptop = Laptop::with(folder.path(), Path::new("/nonexistent"), &[&kubectl, &kubeseal]).unwrap();
    let test_data = workspace::root().join("core/tests/data");
    let (certificate, key) = (test_data.join("rsa4096.crt"), test_data.join("rsa2048-pkcs1.pem"));
    let of_tests = test_data.join("rsa2048.crt");
    let opens = Kubeseal::of(Edition::Ours).unwrap();
    let mut cases: Vec<(String, String)> =
        SAME.iter().map(|line| ((*line).to_owned(), (*line).to_owned())).collect();
    cases.extend(translated());
    assert!(cases.len() >= 40);
    let bash = |line: &str| {
        fs::write(folder.path().join("line.sh"), line).unwrap();
        laptop.shell("bash -e line.sh").unwrap()
    };
    for (theirs, ours) in cases {
        let expected = bash(&format!("kubectl create secret {theirs} --dry-run=client -o json"));
        // A certificate of TLS must not be the one that seals, so there the key is not at hand: the lengths must do.
        let is_own = ours.contains("rsa2048.crt");
        let cert = if is_own { &certificate } else { &of_tests };
        let namespace = if ours.contains("-n other") { "" } else { "-n shop" };
        let sealed = bash(&format!("kubeseal create {ours} {namespace} --cert {}", cert.display()));
        if is_own {
            assert_eq!(lengths_of_sealed(&sealed), lengths(&data(&expected).0), "{ours}");
            continue;
        }
        let opened = opens
            .run(&["--recovery-unseal", "--recovery-private-key", key.to_str().unwrap()], &sealed)
            .unwrap()
            .ok()
            .unwrap();
        let (values, type_) = data(&opened);
        assert_eq!(values, data(&expected).0, "{ours}");
        assert_eq!(type_, data(&expected).1, "{ours}");
    }
}

fn lengths(values: &BTreeMap<String, String>) -> BTreeMap<String, usize> {
    let length = |text: &String| text.trim_end_matches('=').len() * 3 / 4;
    values.iter().map(|(key, value)| (key.clone(), length(value))).collect()
}

/// The lengths of the plaintexts: a ciphertext of a key of 4096 bits has 2 + 512 + 16 bytes more.
fn lengths_of_sealed(text: &str) -> BTreeMap<String, usize> {
    let items = text.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    let items = items.filter(|(_, value)| value.starts_with("Ag"));
    let length = |value: &str| value.split(' ').next().unwrap().trim_end_matches('=').len() * 3 / 4 - 530;
    items.map(|(key, value)| (key.to_owned(), length(value))).collect()
}
