//! Annotations, labels, Secret keys and default names, upstream's and this project's own.

/// Annotation on a Secret or SealedSecret: the literal `"true"` selects [`Scope::ClusterWide`](crate::Scope::ClusterWide).
pub const CLUSTER_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/cluster-wide";
/// Annotation on a Secret or SealedSecret: the literal `"true"` selects [`Scope::NamespaceWide`](crate::Scope::NamespaceWide).
pub const NAMESPACE_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/namespace-wide";
/// Annotation on an existing Secret: `"true"` lets a SealedSecret of the same name take it over.
pub const MANAGED_ANNOTATION: &str = "sealedsecrets.bitnami.com/managed";
/// Annotation on an existing Secret: `"true"` lets a SealedSecret of the same name merge its items into it.
pub const PATCH_ANNOTATION: &str = "sealedsecrets.bitnami.com/patch";
/// Annotation in `spec.template.metadata`: `"true"` creates the Secret without an ownerReference.
pub const SKIP_SET_OWNER_REFERENCES_ANNOTATION: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
/// Label on a key Secret. The value [`SEALING_KEY_ACTIVE`] adds the key to the key ring.
pub const SEALING_KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
/// Value of [`SEALING_KEY_LABEL`]: the key decrypts and may be the primary key.
pub const SEALING_KEY_ACTIVE: &str = "active";
/// Value of [`SEALING_KEY_LABEL`]: the key decrypts and may not be the primary key yet. Upstream ignores such a Secret.
pub const SEALING_KEY_PENDING: &str = "pending";
/// Value of [`SEALING_KEY_LABEL`], also used by upstream: the key is compromised and off the key ring.
pub const SEALING_KEY_COMPROMISED: &str = "compromised";
/// Value of [`SEALING_KEY_LABEL`]: the key is unused and off the key ring.
pub const SEALING_KEY_RETIRED: &str = "retired";
/// Annotation on a key Secret: the user-requested `spec.state` of its SealingKey, `Compromised` or `Retired`.
pub const KEY_STATE_ANNOTATION: &str = "sealedsecrets.rs/state";
/// Annotation on a Secret with values that change with each rendering: UID, generation and scope of the SealedSecret from which
/// they were rendered.
pub const RENDERED_FROM_ANNOTATION: &str = "sealedsecrets.rs/rendered-from";
/// Annotation on a key Secret: RFC 3339 time at which [`KEY_STATE_ANNOTATION`] got its value.
pub const STATE_SINCE_ANNOTATION: &str = "sealedsecrets.rs/state-since";
/// Annotation on a key Secret: RFC 3339 time since which the key counts as compromised. Later states keep it; it is removed only
/// when a user puts the key back on the key ring.
pub const COMPROMISED_SINCE_ANNOTATION: &str = "sealedsecrets.rs/compromised-since";
/// Annotation on a key Secret: RFC 3339 time until which a compromised key still decrypts.
pub const DECRYPT_UNTIL_ANNOTATION: &str = "sealedsecrets.rs/decrypt-until";
/// Annotation on a key Secret: RFC 3339 time at which the key left the key ring. Written together with the label that removes it.
pub const OFF_RING_SINCE_ANNOTATION: &str = "sealedsecrets.rs/off-ring-since";
/// Annotation on a key Secret: RFC 3339 time since which nothing in the cluster has needed the key.
pub const UNUSED_SINCE_ANNOTATION: &str = "sealedsecrets.rs/unused-since";
/// Annotation on the SealingKeyPolicy: requests that the newest key be no older than this RFC 3339 time.
pub const ROTATE_REQUESTED_AT_ANNOTATION: &str = "sealedsecrets.rs/rotate-requested-at";
/// Name of the only SealingKeyPolicy that is in force.
pub const DEFAULT_POLICY_NAME: &str = "default";
/// Annotation written by `kubectl apply`. Contains the whole object, plaintext included.
pub const KUBECTL_LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation written by `kubecfg`. Contains the whole object, plaintext included.
pub const KUBECFG_LAST_APPLIED_ANNOTATION: &str = "kubecfg.ksonnet.io/last-applied-configuration";

/// Default namespace in which `kubeseal` looks for the controller.
pub const DEFAULT_CONTROLLER_NAMESPACE: &str = "kube-system";
/// Default name of the controller's Service.
pub const DEFAULT_CONTROLLER_NAME: &str = "sealed-secrets-controller";
/// Default prefix of the names of key Secrets.
pub const DEFAULT_KEY_PREFIX: &str = "sealed-secrets-key";

/// `apiVersion` of a [`SealedSecret`](crate::SealedSecret).
pub const SEALED_SECRET_API_VERSION: &str = "bitnami.com/v1alpha1";
/// `kind` of a [`SealedSecret`](crate::SealedSecret).
pub const SEALED_SECRET_KIND: &str = "SealedSecret";
