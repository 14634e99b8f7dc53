//! The part of the demo about key rotation: a new key is requested in Git, and the old one becomes unused.

use sealed_secrets_tests::{Laptop, Result};

use super::story::{Story, quote};

/// Runs this part after a Secret was sealed with the first key, in `git/database.yaml`.
pub(crate) fn rotate(story: &mut Story, laptop: &Laptop) -> Result<()> {
    story.chapter("A new key, requested through Git");
    let first = laptop.shell(&format!("{KEYS} -o jsonpath='{{.items[0].metadata.name}}'"))?;
    story.command(laptop, POLICY)?;
    story.command(laptop, "kubectl apply -f git/policy.yaml")?;
    let replaced = until(laptop, &first, "phase", "DecryptOnly");
    story.step(
        "the controller created a key, which seals from now on; the old key still decrypts",
        replaced,
    )?;
    let wait = "kubectl wait sealedsecret/database -n shop --for=condition=Stale --timeout=60s";
    story.step("the SealedSecret says that it is sealed with the first", laptop.shell(wait))?;
    until(laptop, &first, "usage.items", "1")?;
    laptop.shell(&format!("{WAIT_FOR_FIELD}='{{.status.usage.items}}'"))?;
    quote(&story.command(laptop, "kubeseal keys list")?);

    story.command(laptop, "kubeseal --re-encrypt -f git/database.yaml")?;
    story.command(laptop, "cd git && git add . && git commit --quiet --message 'new sealing key'")?;
    story.command(laptop, "kubectl apply -f git/database.yaml")?;
    let unused = until(laptop, &first, "usage.items", "0");
    story.step("nothing in the cluster needs the first key any more", unused)?;
    quote(&story.command(laptop, "kubeseal keys list")?);
    Ok(())
}

/// The command that waits until a field is set on every key.
const WAIT_FOR_FIELD: &str = "kubectl wait sealingkeys --all -n kube-system --timeout=60s --for=jsonpath";
const KEYS: &str = "kubectl get sealingkeys -n kube-system";

/// The command that writes the policy file.
const POLICY: &str = "cat > git/policy.yaml <<END
      apiVersion: sealedsecrets.rs/v1alpha1
      kind: SealingKeyPolicy
      metadata: {name: default, namespace: kube-system}
      spec:
        rotation: {rotateAfter: \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}
END";

fn until(laptop: &Laptop, key: &str, field: &str, value: &str) -> Result<()> {
    let wait = format!("kubectl wait sealingkey/{key} -n kube-system --timeout=60s");
    laptop.shell(&format!("{wait} --for=jsonpath='{{.status.{field}}}'={value}")).map(drop)
}
