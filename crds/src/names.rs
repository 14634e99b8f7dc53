//! Every annotation, label, Secret key and default name that upstream and this project share.

/// Annotation on a Secret or SealedSecret: the literal `"true"` selects [`Scope::ClusterWide`](crate::Scope::ClusterWide).
pub const CLUSTER_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/cluster-wide";
/// Annotation on a Secret or SealedSecret: the literal `"true"` selects [`Scope::NamespaceWide`](crate::Scope::NamespaceWide).
pub const NAMESPACE_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/namespace-wide";
/// Annotation on an existing Secret: `"true"` lets a SealedSecret of the same name take it over.
pub const MANAGED_ANNOTATION: &str = "sealedsecrets.bitnami.com/managed";
/// Annotation on an existing Secret: `"true"` lets a SealedSecret of the same name merge its items into it.
pub const PATCH_ANNOTATION: &str = "sealedsecrets.bitnami.com/patch";
/// Annotation in `spec.template.metadata`: `"true"` leaves the ownerReference out of the Secret.
pub const SKIP_SET_OWNER_REFERENCES_ANNOTATION: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
/// Label on a key Secret; the value [`SEALING_KEY_ACTIVE`] puts the key on the ring.
pub const SEALING_KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
/// Value of [`SEALING_KEY_LABEL`]: the key decrypts and may lead.
pub const SEALING_KEY_ACTIVE: &str = "active";
/// Value of [`SEALING_KEY_LABEL`]: the key decrypts but does not lead yet; upstream ignores such a Secret.
pub const SEALING_KEY_PENDING: &str = "pending";
/// Value of [`SEALING_KEY_LABEL`]: the key is off the ring, because somebody else may have it; upstream's word.
pub const SEALING_KEY_COMPROMISED: &str = "compromised";
/// Value of [`SEALING_KEY_LABEL`]: the key is off the ring, because nothing needs it.
pub const SEALING_KEY_RETIRED: &str = "retired";
/// Annotation on a key Secret: the state that a person gave its SealingKey, `Compromised` or `Retired`.
pub const KEY_STATE_ANNOTATION: &str = "sealedsecrets.rs/state";
/// Annotation on a key Secret: since when [`KEY_STATE_ANNOTATION`] says so, RFC 3339.
pub const STATE_SINCE_ANNOTATION: &str = "sealedsecrets.rs/state-since";
/// Annotation on a key Secret: since when somebody else may have the key, RFC 3339. It stays whatever is said of the key later,
/// until a person puts it back.
pub const COMPROMISED_SINCE_ANNOTATION: &str = "sealedsecrets.rs/compromised-since";
/// Annotation on a key Secret: until when a compromised key still decrypts, RFC 3339.
pub const DECRYPT_UNTIL_ANNOTATION: &str = "sealedsecrets.rs/decrypt-until";
/// Annotation on a key Secret: since when it is off the ring, RFC 3339. Written together with the label that takes it off.
pub const OFF_RING_SINCE_ANNOTATION: &str = "sealedsecrets.rs/off-ring-since";
/// Annotation on a key Secret: since when nothing in the cluster has needed it, RFC 3339.
pub const UNUSED_SINCE_ANNOTATION: &str = "sealedsecrets.rs/unused-since";
/// Annotation on the SealingKeyPolicy: the newest key must not be older than this moment, RFC 3339.
pub const ROTATE_REQUESTED_AT_ANNOTATION: &str = "sealedsecrets.rs/rotate-requested-at";
/// Name of the one SealingKeyPolicy that is in force.
pub const DEFAULT_POLICY_NAME: &str = "default";
/// Annotation that `kubectl apply` writes; it carries the whole object, plaintext included.
pub const KUBECTL_LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation that `kubecfg` writes; it carries the whole object, plaintext included.
pub const KUBECFG_LAST_APPLIED_ANNOTATION: &str = "kubecfg.ksonnet.io/last-applied-configuration";

/// Namespace in which `kubeseal` looks for the controller when nothing else is said.
pub const DEFAULT_CONTROLLER_NAMESPACE: &str = "kube-system";
/// Name of the controller's Service when nothing else is said.
pub const DEFAULT_CONTROLLER_NAME: &str = "sealed-secrets-controller";
/// Prefix of the names of key Secrets when nothing else is said.
pub const DEFAULT_KEY_PREFIX: &str = "sealed-secrets-key";

/// `apiVersion` of a [`SealedSecret`](crate::SealedSecret).
pub const SEALED_SECRET_API_VERSION: &str = "bitnami.com/v1alpha1";
/// `kind` of a [`SealedSecret`](crate::SealedSecret).
pub const SEALED_SECRET_KIND: &str = "SealedSecret";
