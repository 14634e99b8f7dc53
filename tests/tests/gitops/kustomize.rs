//! Kustomize, as it is built into kubectl, with the folders of `deploy/gitops/kustomize`.

use crate::scene::{Scene, value};
use crate::story::Story;

const SYSTEM: &str = "kustomize";

#[tokio::test]
async fn an_overlay_has_its_own_secrets_and_shares_those_of_scope_cluster_wide() {
    let (_scene, laptop) = Scene::set(&["shop", "shop-stage"], "kustomize/environments").await;
    let mut story = Story::begin(laptop, SYSTEM, 1, "Bases, overlays and components");
    story.say(
        "`prod` sets `namespace`, `stage` also `namePrefix`. What both share is in `base`, sealed with scope cluster-wide; `metrics` is a \
         component, which only `prod` includes.",
    );
    story.run(
        "echo pull | kubeseal create docker-registry registry --scope cluster-wide --docker-server registry.example.org \\\n    \
         --docker-username ci --docker-password-file - --cert cert.pem -w base/sealed-registry.yaml",
    );
    story.run(
        "kubeseal create generic database -n shop --from-literal password=of-prod --cert cert.pem \\\n    \
         -w prod/sealed-database.yaml",
    );
    story.run(
        "kubeseal create generic database -n shop-stage --scope namespace-wide --from-literal password=of-stage \\\n    \
         --cert cert.pem -w stage/sealed-database.yaml",
    );
    story.run(
        "kubeseal create generic metrics-token -n shop --generate token --cert cert.pem -w metrics/sealed-metrics-token.yaml",
    );
    story.run("kubeseal lint .");
    story.run("kubectl apply -k prod");
    story.run("kubectl apply -k stage");
    let synced = |namespace: &str| {
        format!("kubectl wait sealedsecrets --all -n {namespace} --for=condition=Synced --timeout=60s")
    };
    story.run(&synced("shop"));
    story.run(&synced("shop-stage"));
    assert_eq!(story.run(&value("shop", "database", "password")), "of-prod");
    assert_eq!(story.run(&value("shop-stage", "stage-database", "password")), "of-stage");
    let used = "-o jsonpath='{.spec.template.spec.imagePullSecrets[*].name} {..secretRef.name}'";
    let used = |namespace: &str, name: &str| format!("kubectl get deployment {name} -n {namespace} {used}");
    assert_eq!(story.run(&used("shop", "shop")), "registry database metrics-token");
    assert_eq!(story.run(&used("shop-stage", "stage-shop")), "stage-registry stage-database");
    story.quietly("kubectl get secret registry -n shop && kubectl get secret stage-registry -n shop-stage");
    story.end();
}

#[tokio::test]
async fn a_transformer_that_moves_a_strict_item_is_found_by_lint_and_named_by_the_controller() {
    let (_scene, laptop) = Scene::set(&["shop", "shop-test"], "kustomize/plain").await;
    let mut story = Story::begin(laptop, SYSTEM, 3, "Bad input: an overlay that moves a strict item");
    story.say(
        "A strict item decrypts under one name in one namespace. An overlay that changes either is found before it is committed:",
    );
    story.quietly("mkdir base && printf 'resources: [sealed-database.yaml]\\n' > base/kustomization.yaml");
    story.quietly(
        "kubeseal create generic database -n shop --from-literal password=x --cert cert.pem -w base/sealed-database.yaml",
    );
    story.write("test/kustomization.yaml", "namespace: shop-test\nresources: [../base]\n");
    let found = story.fails("kubeseal lint .");
    assert!(found.contains("test/kustomization.yaml:1: error[KS040]"), "{found}");
    story.say("If it is applied nevertheless, no Secret is created, and the status says that the item was not sealed for this place:");
    story.run("kubectl apply -k test");
    story.quietly(
        "kubectl wait sealedsecret/database -n shop-test --for=condition=Synced=false --timeout=60s",
    );
    let message = story.run(
        "kubectl get sealedsecret database -n shop-test -o jsonpath='{.status.conditions[?(@.type==\"Synced\")].message}'",
    );
    assert!(message.contains("no key could decrypt secret (password)"), "{message}");
    story.fails("kubectl get secret database -n shop-test");
    story.say(
        "Seal the item once for each overlay, in the overlay's own folder, or, if all environments may share the value, with \
         `--scope cluster-wide`:",
    );
    story.run(
        "kubeseal create generic database --scope cluster-wide --from-literal password=x --cert cert.pem --force \\\n    \
         -w base/sealed-database.yaml",
    );
    story.run("kubeseal lint .");
    story.run("kubectl apply -k test");
    story.until(&value("shop-test", "database", "password"), "x").await;
    story.end();
}

#[tokio::test]
async fn pods_start_anew_when_a_sealed_value_changes() {
    let (_scene, laptop) = Scene::set(&["shop"], "kustomize/app").await;
    let mut story = Story::begin(laptop, SYSTEM, 2, "Pods that start anew when a value changes");
    let sealing = |value: &str| {
        format!(
            "kubeseal create generic database -n shop --from-literal password={value} --cert cert.pem --force -w sealed-database.yaml"
        )
    };
    let annotation =
        "kubectl get deployment shop -n shop -o jsonpath='{.spec.template.metadata.annotations.sealed}'";
    story.say(
        "The annotation of the Pods is the name of a ConfigMap that kustomize generates from the sealed file.",
    );
    story.run(&sealing("one"));
    story.run("kubectl apply -k .");
    let first = story.run(annotation);
    assert!(first.starts_with("sealed-database-"), "{first}");
    story.until(&value("shop", "database", "password"), "one").await;
    story.quietly("kubectl apply -k .");
    assert_eq!(story.quietly(annotation), first, "nothing has changed");
    story.run(&sealing("two"));
    story.run("kubectl apply -k .");
    let second = story.run(annotation);
    assert_ne!(second, first);
    story.until(&value("shop", "database", "password"), "two").await;
    story.end();
}
