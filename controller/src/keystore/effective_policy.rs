//! The effective policy: the flags, overridden by the policy in force.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::keyring::OrderBy;
use sealed_secrets_core::rotation::RotationPolicy;
use sealed_secrets_crds::names::ROTATE_REQUESTED_AT_ANNOTATION;
use sealed_secrets_crds::{KeyOrder, KeySource, PolicyDuration, SealingKeyPolicy};

use crate::args::Args;

/// Properties of new keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GenerationConfig {
    /// Prefix of the names of the key Secrets.
    pub(crate) prefix: String,
    pub(crate) size: KeySize,
    /// Validity of the certificate.
    pub(crate) validity: SignedDuration,
    /// Common name of the certificate.
    pub(crate) common_name: String,
}

/// The rules for keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EffectivePolicy {
    pub(crate) generation_config: GenerationConfig,
    pub(crate) order_by: OrderBy,
    pub(crate) rotation: RotationPolicy,
}

/// The request in the annotation of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The text of the annotation.
    pub(crate) text: String,
    /// `None` if the text is not a time.
    pub(crate) time: Option<Timestamp>,
}

impl Request {
    pub(crate) fn of(policy: &SealingKeyPolicy) -> Option<Self> {
        let text = policy.annotations().get(ROTATE_REQUESTED_AT_ANNOTATION)?.clone();
        Some(Self { time: text.parse().ok(), text })
    }
}

impl EffectivePolicy {
    pub(crate) fn of_flags(args: &Args) -> Self {
        Self {
            generation_config: GenerationConfig {
                prefix: args.key_prefix.clone(),
                size: args.key_size,
                validity: args.key_ttl,
                common_name: args.my_cn.clone(),
            },
            order_by: args.key_order_priority,
            rotation: args.rotation_policy(),
        }
    }

    /// Returns these rules, overridden by the policy. Requested times accumulate: the newest key must not be older
    /// than any of them (docs/rotation-rules.md, rule 2).
    pub(crate) fn under(&self, policy: &SealingKeyPolicy) -> Self {
        let mut in_force = self.clone();
        in_force.apply_generation(policy);
        in_force.apply_rotation(policy);
        in_force.apply_retention(policy);
        in_force
    }

    fn apply_generation(&mut self, policy: &SealingKeyPolicy) {
        let Some(wanted) = policy.spec.generate.clone() else { return };
        let generation_config = &mut self.generation_config;
        generation_config.size = wanted
            .key_size
            .and_then(|bits| KeySize::from_bits(bits.into()))
            .unwrap_or(generation_config.size);
        generation_config.validity =
            wanted.certificate_validity.and_then(length).unwrap_or(generation_config.validity);
        wanted.common_name.into_iter().for_each(|name| generation_config.common_name = name);
        wanted.secret_prefix.into_iter().for_each(|prefix| generation_config.prefix = prefix);
    }

    fn apply_rotation(&mut self, policy: &SealingKeyPolicy) {
        let spec = &policy.spec;
        let rotation = &mut self.rotation;
        rotation.suspended = spec.suspend.unwrap_or(rotation.suspended);
        rotation.external = spec.key_source.map_or(rotation.external, |source| source == KeySource::External);
        let wanted = spec.rotation.clone().unwrap_or_default();
        if let Some(every) = wanted.every {
            rotation.every = length(every);
        }
        if let Some(delay) = wanted.activation_delay {
            rotation.activation_delay = length(delay).unwrap_or_default();
        }
        rotation.requests.extend(wanted.rotate_after.map(|time| time.0));
        rotation.requests.extend(Request::of(policy).and_then(|request| request.time));
    }

    fn apply_retention(&mut self, policy: &SealingKeyPolicy) {
        let choice = policy.spec.primary.clone().unwrap_or_default();
        match choice.order_by {
            Some(KeyOrder::CertNotBefore) => self.order_by = OrderBy::CertNotBefore,
            Some(KeyOrder::SecretCreationTimestamp) => self.order_by = OrderBy::SecretCreationTimestamp,
            None => {}
        }
        let rotation = &mut self.rotation;
        rotation.pin = choice.pin.filter(|pin| !pin.is_empty());
        let retention = policy.spec.retention.clone().unwrap_or_default();
        if let Some(least) = retention.keep_at_least {
            rotation.keep_at_least = usize::try_from(least).unwrap_or(usize::MAX);
        }
        rotation.retire_when_unused_for = retention.retire_when_unused_for.and_then(length);
        rotation.delete_after_retired = retention.delete_after_retired.and_then(length);
    }
}

/// Converts a duration; `None` if it is zero.
fn length(duration: PolicyDuration) -> Option<SignedDuration> {
    Some(SignedDuration::from_secs(duration.as_seconds())).filter(|length| !length.is_zero())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;

    fn flags() -> EffectivePolicy {
        let flags = [
            "controller",
            "--key-prefix=own-key",
            "--key-size=3072",
            "--key-ttl=48h",
            "--my-cn=flag",
            "--key-renew-period=24h",
            "--key-order-priority=SecretCreationTimestamp",
            "--key-cutoff-time=Mon, 02 Jan 2006 15:04:05 -0700",
        ];
        EffectivePolicy::of_flags(&Args::try_parse_from(flags).unwrap())
    }

    fn policy(annotations: &Value, spec: &Value) -> SealingKeyPolicy {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
            "metadata": {"name": "default", "annotations": annotations}, "spec": spec
        }))
        .unwrap()
    }

    #[test]
    fn an_empty_policy_changes_nothing() {
        assert_eq!(flags().under(&policy(&json!({}), &json!({}))), flags());
        let empty = json!({"generate": {}, "rotation": {}, "primary": {}, "retention": {}});
        assert_eq!(flags().under(&policy(&json!({}), &empty)), flags());
    }

    #[test]
    fn every_field_of_a_policy_takes_effect() {
        let spec = json!({
            "suspend": true, "keySource": "External",
            "generate": {"keySize": 2048, "certificateValidity": "2d", "commonName": "", "secretPrefix": "other"},
            "rotation": {"every": "2w", "activationDelay": "90m"},
            "primary": {"orderBy": "CertNotBefore", "pin": "k"},
            "retention": {"keepAtLeast": 5, "retireWhenUnusedFor": "1d", "deleteAfterRetired": "4w"}
        });
        let hours = SignedDuration::from_hours;
        let expected = EffectivePolicy {
            generation_config: GenerationConfig {
                prefix: "other".to_owned(),
                size: KeySize::Rsa2048,
                validity: hours(48),
                common_name: String::new(),
            },
            order_by: OrderBy::CertNotBefore,
            rotation: RotationPolicy {
                suspended: true,
                external: true,
                every: Some(hours(14 * 24)),
                requests: flags().rotation.requests,
                activation_delay: SignedDuration::from_mins(90),
                pin: Some("k".to_owned()),
                keep_at_least: 5,
                retire_when_unused_for: Some(hours(24)),
                delete_after_retired: Some(hours(28 * 24)),
            },
        };
        assert_eq!(flags().under(&policy(&json!({}), &spec)), expected);
    }

    #[test]
    fn zero_turns_off_and_an_empty_pin_is_none() {
        let spec = json!({
            "rotation": {"every": "0", "activationDelay": "0s"}, "primary": {"pin": ""},
            "retention": {"retireWhenUnusedFor": "0s", "deleteAfterRetired": "0"}
        });
        let in_force = flags().under(&policy(&json!({}), &spec));
        assert_eq!(in_force.rotation, RotationPolicy { every: None, ..flags().rotation });
    }

    #[test]
    fn all_requested_times_count() {
        let annotated = json!({ROTATE_REQUESTED_AT_ANNOTATION: "2026-11-21T09:00:00Z"});
        let spec = json!({"rotation": {"rotateAfter": "2026-11-20T09:00:00Z"}});
        let requests: Vec<_> = flags()
            .under(&policy(&annotated, &spec))
            .rotation
            .requests
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(requests, ["2006-01-02T22:04:05Z", "2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z"]);
    }

    #[test]
    fn an_annotation_that_is_no_time_asks_for_nothing() {
        let policy = policy(&json!({ROTATE_REQUESTED_AT_ANNOTATION: "tomorrow"}), &json!({}));
        assert_eq!(flags().under(&policy), flags());
        assert_eq!(Request::of(&policy), Some(Request { text: "tomorrow".to_owned(), time: None }));
    }
}
