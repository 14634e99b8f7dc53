//! Invocations with a running controller.

use super::case::{Case, differs, same, with};
use super::differences as why;
use super::files::*;

/// Cases with a controller in a namespace, which further arguments name.
pub(crate) const ONLINE: &[Case] = &[
    // The certificate of the controller.
    same("--fetch-cert", ""),
    same("--fetch-cert -w out.pem", ""),
    same("--fetch-cert -o yaml --allow-empty-data", ""),
    same("--fetch-cert --request-timeout 30s --disable-compression", ""),
    same("", S),
    same("-o yaml", TWICE),
    same("-w out.yaml -f s.yaml", ""),
    same("", NO_NAMESPACE),
    same("-n given", NO_NAMESPACE),
    same("--raw --scope cluster-wide", "x"),
    same("--raw --name n", "x"),
    same("--raw --scope namespace-wide", "x"),
    same("--merge-into sealed.json", ITEM),
    same("--cert nofile", S),
    // Credentials.
    same("--fetch-cert --kubeconfig token.config", ""),
    same("--fetch-cert --kubeconfig tokenfile.config", ""),
    same("--fetch-cert --kubeconfig exec.config", ""),
    same("--kubeconfig exec.config", NO_NAMESPACE),
    same("--fetch-cert --kubeconfig named.config", ""),
    differs(
        "--fetch-cert --kubeconfig nobody.config",
        "",
        1,
        "User \"system:anonymous\" cannot get",
        why::CLIENT,
    ),
    same("--fetch-cert --kubeconfig wrong.config", ""),
    same("--fetch-cert --kubeconfig basic.config", ""),
    same("--fetch-cert --as system:anonymous", ""),
    same("--fetch-cert --as someone --as-group a --as-group b --as-uid 7", ""),
    same("--fetch-cert --kubeconfig token.config --token wrong", ""),
    with(&[("KUBECONFIG", "nofile:first.config:token.config")], same("", NO_NAMESPACE)),
    with(&[("SEALED_SECRETS_KUBECONFIG", "token.config")], same("", NO_NAMESPACE)),
    differs(
        "--fetch-cert --kubeconfig foreign.config --insecure-skip-tls-verify",
        "",
        0,
        "warning: the certificate comes from ",
        why::PLAIN_HTTP,
    ),
    differs(
        "--fetch-cert --kubeconfig foreign.config",
        "",
        1,
        "error: cannot get sealed secret service: ",
        why::CLIENT,
    ),
    differs("--fetch-cert --kubeconfig failing.config", "", 1, "error: ", why::CLIENT),
    differs("--fetch-cert --server http://127.0.0.1:1", "", 1, "Get \"http://127.0.0.1:1/", why::CLIENT),
    // Choice of the controller.
    same("--fetch-cert --controller-name nope", ""),
    same("--controller-namespace nope", S),
    // Validation.
    same("--validate -f own.json", ""),
    same("--validate -f own.yaml", ""),
    same("--validate -f own-v1.yaml", ""),
    same("--validate", SEALED),
    same("--validate -f mixed.yaml", ""),
    differs(
        "--validate -f nofile",
        "",
        1,
        "--secret-file: open nofile: no such file or directory",
        why::UNREADABLE,
    ),
    differs(
        "--validate -f slip.yaml",
        "",
        1,
        "spec.encryptedData[\"b\"]: no key could decrypt secret (b)",
        why::NO_CIPHERTEXT,
    ),
    differs("--validate", "", 1, "no SealedSecret found", why::NOTHING),
    differs("--validate -f s.json", "", 1, "expected a SealedSecret", why::NO_SECRET),
    differs("--validate -f own.json -w s.json", "", 1, "cannot be used with --validate", why::LEFT_EMPTY),
    // Re-encryption.
    differs(
        "--re-encrypt -f commented.yaml",
        "",
        0,
        "      url: 'x://{{ .a }}' # kept too\n",
        why::REWRITTEN,
    ),
    differs("--rotate -f own.json -w out.json", "", 0, "Flag --rotate has been deprecated", why::ROTATE),
    differs("--re-encrypt -f empty", "", 1, "no SealedSecret found", why::NOTHING),
    differs("--re-encrypt -f s.json", "", 1, "expected a SealedSecret", why::NO_SECRET),
    differs(
        "--re-encrypt",
        SEALED,
        1,
        "document 1, line 1, shop/db: cannot re-encrypt secret: ",
        why::RENEWED,
    ),
    differs("--re-encrypt -f mixed.yaml", "", 1, ": cannot re-encrypt secret: ", why::RENEWED),
    differs(
        "--re-encrypt -f slip.yaml",
        "",
        1,
        "spec.encryptedData[\"b\"]: no key could decrypt secret (b)",
        why::NO_CIPHERTEXT,
    ),
];

/// Results with upstream's controller: it drops the data of the template.
pub(crate) const ONLINE_WITH_UPSTREAMS_CONTROLLER: &[Case] = &[
    differs("--re-encrypt -f own.json", "", 0, "\"team\": \"a\"", why::RENDERED),
    differs("--re-encrypt -f own.json -w out.json", "", 0, "\"team\": \"a\"", why::RENDERED),
    differs("--re-encrypt -f own-v1.yaml", "", 1, "seal the Secret again", why::RENDERED),
    differs("--re-encrypt -f own.yaml", "", 0, "        team: a\n", why::RENDERED),
];

/// Results with our controller: it keeps all fields.
pub(crate) const ONLINE_WITH_OUR_CONTROLLER: &[Case] = &[
    same("--re-encrypt -f own.json", ""),
    same("--re-encrypt -f own.json -w out.json", ""),
    same("--re-encrypt -f own.yaml", ""),
    differs("--re-encrypt -f own-v1.yaml", "", 0, "spec: {data: ", why::REWRITTEN),
];
