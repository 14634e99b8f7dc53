//! Helm with the chart `deploy/gitops/helm/shop`.

use crate::setup::{Setup, value};
use crate::transcript::Transcript;

const SYSTEM: &str = "helm";

/// The command that writes the values file with these values, sealed.
fn values(token: &str, password: &str) -> String {
    format!(
        "cat > prod.yaml <<END\n\
         sealed:\n  \
           apiToken: $(printf {token} | kubeseal --raw -n shop --name api --cert cert.pem)\n  \
           cachePassword: $(printf {password} | kubeseal --raw --scope cluster-wide --cert cert.pem)\n\
         END"
    )
}

/// Waits until the three Secrets of the release have these values.
async fn until_values(transcript: &mut Transcript, [password, token, cache]: [&str; 3]) {
    transcript.until(&value("shop", "database", "password"), password).await;
    transcript.until(&value("shop", "api", "token"), token).await;
    transcript.until(&value("shop", "shop-cache", "password"), cache).await;
}

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_with_its_secrets() {
    let (_setup, laptop) = Setup::new(&["shop"], "helm").await;
    let mut transcript = Transcript::begin(laptop, SYSTEM, 1, "Sealed values three ways");
    transcript.explain(
        "A whole manifest among the templates is the simplest way; `kubeseal set`, `edit` and `reencrypt` work on it as on any other file:",
    );
    transcript.run(
        "kubeseal create generic database -n shop --from-literal password=one --cert cert.pem \\\n    \
         -w shop/templates/database.yaml",
    );
    transcript.explain(
        "Single items can be values. The item of `api` is strict; that of `RELEASE-cache` is cluster-wide, since its name and namespace are \
         those of the release:",
    );
    transcript.run(&values("token-1", "cache-1"));
    transcript.run("kubeseal lint .");
    transcript.run("helm install shop shop -n shop -f prod.yaml | grep STATUS");
    transcript.run("kubectl wait sealedsecrets --all -n shop --for=condition=Synced --timeout=60s");
    until_values(&mut transcript, ["one", "token-1", "cache-1"]).await;
    transcript
        .explain("An upgrade changes the values, and a rollback restores those of the former revision:");
    transcript.run("printf two | kubeseal set shop/templates/database.yaml password --cert cert.pem");
    transcript.run(&values("token-2", "cache-2"));
    transcript.run("helm upgrade shop shop -n shop -f prod.yaml | grep -E 'STATUS|REVISION'");
    until_values(&mut transcript, ["two", "token-2", "cache-2"]).await;
    transcript.run("helm rollback shop 1 -n shop");
    until_values(&mut transcript, ["one", "token-1", "cache-1"]).await;
    transcript.explain("The Secrets are deleted with the release:");
    transcript.run("helm uninstall shop -n shop");
    transcript.until("kubectl get sealedsecrets,secrets -n shop", "No resources found").await;
    transcript.end();
}

#[tokio::test]
async fn a_strict_item_under_a_name_of_the_release_does_not_decrypt_in_another_release() {
    let (_setup, laptop) = Setup::new(&["shop"], "helm").await;
    let mut transcript =
        Transcript::begin(laptop, SYSTEM, 2, "Bad input: a template that names a strict item");
    let message = "kubectl get sealedsecret blue-api -n shop -o jsonpath='{.status.conditions[?(@.type==\"Synced\")].message}'";
    transcript.explain(
        "Here the template derives the name of `api` from the release, but its item was sealed with the strict scope for the release `shop`. \
         A file does not say for which name an item was sealed, so `lint` cannot know; the controller says it in the status of the release \
         `blue`:",
    );
    transcript.run("sed -i 's/name: api/name: {{ .Release.Name }}-api/' shop/templates/api.yaml");
    transcript.quietly(&values("token-1", "cache-1").replace("--name api", "--name shop-api"));
    transcript.run("helm install blue shop -n shop -f prod.yaml | grep STATUS");
    transcript.run("kubectl wait sealedsecret/blue-api -n shop --for=condition=Synced=false --timeout=60s");
    let output = transcript.run(message);
    assert!(output.contains("no key could decrypt secret (token)"), "{output}");
    transcript.until(&value("shop", "blue-cache", "password"), "cache-1").await;
    transcript.explain(
        "Give the SealedSecret the annotation of a wider scope, and seal its item with it. The cluster-wide `blue-cache` needed nothing:",
    );
    transcript.run(
        "sed -i 's|^metadata:|&\\n  annotations: {sealedsecrets.bitnami.com/namespace-wide: \"true\"}|' shop/templates/api.yaml",
    );
    transcript.quietly(
        &values("token-1", "cache-1").replace("-n shop --name api", "-n shop --scope namespace-wide"),
    );
    transcript
        .run("printf token-1 | kubeseal --raw -n shop --scope namespace-wide --cert cert.pem | cut -c1-20");
    transcript.run("helm upgrade blue shop -n shop -f prod.yaml | grep STATUS");
    transcript.until(&value("shop", "blue-api", "token"), "token-1").await;
    transcript.end();
}
