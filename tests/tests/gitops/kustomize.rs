//! Kustomize, as it is built into kubectl, with the folders of `deploy/gitops/kustomize`.

use crate::setup::{Setup, value};
use crate::transcript::Transcript;

const SYSTEM: &str = "kustomize";

#[tokio::test]
async fn an_overlay_has_its_own_secrets_and_shares_those_of_scope_cluster_wide() {
    let (_setup, laptop) = Setup::new(&["shop", "shop-stage"], "kustomize/environments").await;
    let mut transcript = Transcript::begin(laptop, SYSTEM, 1, "Bases, overlays and components");
    transcript.explain(
        "`prod` sets `namespace`, `stage` also `namePrefix`. What both share is in `base`, sealed with scope cluster-wide; `metrics` is a \
         component, which only `prod` includes.",
    );
    transcript.run(
        "echo pull | kubeseal create docker-registry registry --scope cluster-wide --docker-server registry.example.org \\\n    \
         --docker-username ci --docker-password-file - --cert cert.pem -w base/sealed-registry.yaml",
    );
    transcript.run(
        "kubeseal create generic database -n shop --from-literal password=of-prod --cert cert.pem \\\n    \
         -w prod/sealed-database.yaml",
    );
    transcript.run(
        "kubeseal create generic database -n shop-stage --scope namespace-wide --from-literal password=of-stage \\\n    \
         --cert cert.pem -w stage/sealed-database.yaml",
    );
    transcript.run(
        "kubeseal create generic metrics-token -n shop --generate token --cert cert.pem -w metrics/sealed-metrics-token.yaml",
    );
    transcript.run("kubeseal lint .");
    transcript.run("kubectl apply -k prod");
    transcript.run("kubectl apply -k stage");
    let synced = |namespace: &str| {
        format!("kubectl wait sealedsecrets --all -n {namespace} --for=condition=Synced --timeout=60s")
    };
    transcript.run(&synced("shop"));
    transcript.run(&synced("shop-stage"));
    assert_eq!(transcript.run(&value("shop", "database", "password")), "of-prod");
    assert_eq!(transcript.run(&value("shop-stage", "stage-database", "password")), "of-stage");
    let used = "-o jsonpath='{.spec.template.spec.imagePullSecrets[*].name} {..secretRef.name}'";
    let used = |namespace: &str, name: &str| format!("kubectl get deployment {name} -n {namespace} {used}");
    assert_eq!(transcript.run(&used("shop", "shop")), "registry database metrics-token");
    assert_eq!(transcript.run(&used("shop-stage", "stage-shop")), "stage-registry stage-database");
    transcript
        .quietly("kubectl get secret registry -n shop && kubectl get secret stage-registry -n shop-stage");
    transcript.end();
}

#[tokio::test]
async fn a_transformer_that_moves_a_strict_item_is_found_by_lint_and_named_by_the_controller() {
    let (_setup, laptop) = Setup::new(&["shop", "shop-test"], "kustomize/plain").await;
    let mut transcript =
        Transcript::begin(laptop, SYSTEM, 3, "Bad input: an overlay that moves a strict item");
    transcript.explain(
        "A strict item decrypts under one name in one namespace. An overlay that changes either is found before it is committed:",
    );
    transcript
        .quietly("mkdir base && printf 'resources: [sealed-database.yaml]\\n' > base/kustomization.yaml");
    transcript.quietly(
        "kubeseal create generic database -n shop --from-literal password=x --cert cert.pem -w base/sealed-database.yaml",
    );
    transcript.write("test/kustomization.yaml", "namespace: shop-test\nresources: [../base]\n");
    let found = transcript.fails("kubeseal lint .");
    assert!(found.contains("test/kustomization.yaml:1: error[KS040]"), "{found}");
    transcript.explain("If it is applied nevertheless, no Secret is created, and the status says that the item was not sealed for this place:");
    transcript.run("kubectl apply -k test");
    transcript.quietly(
        "kubectl wait sealedsecret/database -n shop-test --for=condition=Synced=false --timeout=60s",
    );
    let message = transcript.run(
        "kubectl get sealedsecret database -n shop-test -o jsonpath='{.status.conditions[?(@.type==\"Synced\")].message}'",
    );
    assert!(message.contains("no key could decrypt secret (password)"), "{message}");
    transcript.fails("kubectl get secret database -n shop-test");
    transcript.explain(
        "Seal the item once for each overlay, in the overlay's own folder, or, if all environments may share the value, with \
         `--scope cluster-wide`:",
    );
    transcript.run(
        "kubeseal create generic database --scope cluster-wide --from-literal password=x --cert cert.pem --force \\\n    \
         -w base/sealed-database.yaml",
    );
    transcript.run("kubeseal lint .");
    transcript.run("kubectl apply -k test");
    transcript.until(&value("shop-test", "database", "password"), "x").await;
    transcript.end();
}

#[tokio::test]
async fn pods_start_anew_when_a_sealed_value_changes() {
    let (_setup, laptop) = Setup::new(&["shop"], "kustomize/app").await;
    let mut transcript = Transcript::begin(laptop, SYSTEM, 2, "Pods that start anew when a value changes");
    let sealing = |value: &str| {
        format!(
            "kubeseal create generic database -n shop --from-literal password={value} --cert cert.pem --force -w sealed-database.yaml"
        )
    };
    let annotation =
        "kubectl get deployment shop -n shop -o jsonpath='{.spec.template.metadata.annotations.sealed}'";
    transcript.explain(
        "The annotation of the Pods is the name of a ConfigMap that kustomize generates from the sealed file.",
    );
    transcript.run(&sealing("one"));
    transcript.run("kubectl apply -k .");
    let first = transcript.run(annotation);
    assert!(first.starts_with("sealed-database-"), "{first}");
    transcript.until(&value("shop", "database", "password"), "one").await;
    transcript.quietly("kubectl apply -k .");
    assert_eq!(transcript.quietly(annotation), first, "nothing has changed");
    transcript.run(&sealing("two"));
    transcript.run("kubectl apply -k .");
    let second = transcript.run(annotation);
    assert_ne!(second, first);
    transcript.until(&value("shop", "database", "password"), "two").await;
    transcript.end();
}
