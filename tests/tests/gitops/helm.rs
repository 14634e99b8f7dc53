//! Helm with the chart `deploy/gitops/helm/shop`.

use crate::scene::{Scene, value};
use crate::story::Story;

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
async fn until_values(story: &mut Story, [password, token, cache]: [&str; 3]) {
    story.until(&value("shop", "database", "password"), password).await;
    story.until(&value("shop", "api", "token"), token).await;
    story.until(&value("shop", "shop-cache", "password"), cache).await;
}

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_with_its_secrets() {
    let (_scene, laptop) = Scene::set(&["shop"], "helm").await;
    let mut story = Story::begin(laptop, SYSTEM, 1, "Sealed values three ways");
    story.say(
        "A whole manifest among the templates is the simplest way; `kubeseal set`, `edit` and `reencrypt` work on it as on any other file:",
    );
    story.run(
        "kubeseal create generic database -n shop --from-literal password=one --cert cert.pem \\\n    \
         -w shop/templates/database.yaml",
    );
    story.say(
        "Single items can be values. The item of `api` is strict; that of `RELEASE-cache` is cluster-wide, since its name and namespace are \
         those of the release:",
    );
    story.run(&values("token-1", "cache-1"));
    story.run("kubeseal lint .");
    story.run("helm install shop shop -n shop -f prod.yaml | grep STATUS");
    story.run("kubectl wait sealedsecrets --all -n shop --for=condition=Synced --timeout=60s");
    until_values(&mut story, ["one", "token-1", "cache-1"]).await;
    story.say("An upgrade changes the values, and a rollback restores those of the former revision:");
    story.run("printf two | kubeseal set shop/templates/database.yaml password --cert cert.pem");
    story.run(&values("token-2", "cache-2"));
    story.run("helm upgrade shop shop -n shop -f prod.yaml | grep -E 'STATUS|REVISION'");
    until_values(&mut story, ["two", "token-2", "cache-2"]).await;
    story.run("helm rollback shop 1 -n shop");
    until_values(&mut story, ["one", "token-1", "cache-1"]).await;
    story.say("The Secrets are deleted with the release:");
    story.run("helm uninstall shop -n shop");
    story.until("kubectl get sealedsecrets,secrets -n shop", "No resources found").await;
    story.end();
}

#[tokio::test]
async fn a_strict_item_under_a_name_of_the_release_does_not_decrypt_in_another_release() {
    let (_scene, laptop) = Scene::set(&["shop"], "helm").await;
    let mut story = Story::begin(laptop, SYSTEM, 2, "Bad input: a template that names a strict item");
    let message = "kubectl get sealedsecret blue-api -n shop -o jsonpath='{.status.conditions[?(@.type==\"Synced\")].message}'";
    story.say(
        "Here the template derives the name of `api` from the release, but its item was sealed with the strict scope for the release `shop`. \
         A file does not say for which name an item was sealed, so `lint` cannot know; the controller says it in the status of the release \
         `blue`:",
    );
    story.run("sed -i 's/name: api/name: {{ .Release.Name }}-api/' shop/templates/api.yaml");
    story.quietly(&values("token-1", "cache-1").replace("--name api", "--name shop-api"));
    story.run("helm install blue shop -n shop -f prod.yaml | grep STATUS");
    story.run("kubectl wait sealedsecret/blue-api -n shop --for=condition=Synced=false --timeout=60s");
    let said = story.run(message);
    assert!(said.contains("no key could decrypt secret (token)"), "{said}");
    story.until(&value("shop", "blue-cache", "password"), "cache-1").await;
    story.say(
        "Give the SealedSecret the annotation of a wider scope, and seal its item with it. The cluster-wide `blue-cache` needed nothing:",
    );
    story.run(
        "sed -i 's|^metadata:|&\\n  annotations: {sealedsecrets.bitnami.com/namespace-wide: \"true\"}|' shop/templates/api.yaml",
    );
    story.quietly(
        &values("token-1", "cache-1").replace("-n shop --name api", "-n shop --scope namespace-wide"),
    );
    story.run("printf token-1 | kubeseal --raw -n shop --scope namespace-wide --cert cert.pem | cut -c1-20");
    story.run("helm upgrade blue shop -n shop -f prod.yaml | grep STATUS");
    story.until(&value("shop", "blue-api", "token"), "token-1").await;
    story.end();
}
