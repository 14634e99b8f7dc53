//! What keys are to be like: the flags, and over them the policy in force.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::keyring::OrderBy;
use sealed_secrets_core::rotation::RotationPolicy;
use sealed_secrets_crds::names::ROTATE_REQUESTED_AT_ANNOTATION;
use sealed_secrets_crds::{KeyOrder, KeySource, PolicyDuration, SealingKeyPolicy};

use crate::args::Args;

/// What new keys are like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Making {
    /// Of the names of their Secrets.
    pub(crate) prefix: String,
    pub(crate) size: KeySize,
    /// Of the certificate.
    pub(crate) validity: SignedDuration,
    /// Of the certificate.
    pub(crate) common_name: String,
}

/// What becomes of keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) making: Making,
    pub(crate) order_by: OrderBy,
    pub(crate) rotation: RotationPolicy,
}

/// What the annotation of a policy asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// As it is written.
    pub(crate) text: String,
    /// `None` when that is no time.
    pub(crate) moment: Option<Timestamp>,
}

impl Request {
    pub(crate) fn of(policy: &SealingKeyPolicy) -> Option<Self> {
        let text = policy.annotations().get(ROTATE_REQUESTED_AT_ANNOTATION)?.clone();
        Some(Self { moment: text.parse().ok(), text })
    }
}

impl Rules {
    pub(crate) fn of_flags(args: &Args) -> Self {
        Self {
            making: Making {
                prefix: args.key_prefix.clone(),
                size: args.key_size,
                validity: args.key_ttl,
                common_name: args.my_cn.clone(),
            },
            order_by: args.key_order_priority,
            rotation: args.rotation_policy(),
        }
    }

    /// These rules where the policy says nothing else. Moments that were asked for add up: whoever asks, the newest key must
    /// not be older (key-rotation rule 2).
    pub(crate) fn under(&self, policy: &SealingKeyPolicy) -> Self {
        let mut rules = self.clone();
        rules.make_as(policy);
        rules.rotate_as(policy);
        rules.keep_as(policy);
        rules
    }

    fn make_as(&mut self, policy: &SealingKeyPolicy) {
        let Some(wanted) = policy.spec.generate.clone() else { return };
        let making = &mut self.making;
        making.size = wanted.key_size.and_then(|bits| KeySize::from_bits(bits.into())).unwrap_or(making.size);
        making.validity = wanted.certificate_validity.and_then(length).unwrap_or(making.validity);
        wanted.common_name.into_iter().for_each(|name| making.common_name = name);
        wanted.secret_prefix.into_iter().for_each(|prefix| making.prefix = prefix);
    }

    fn rotate_as(&mut self, policy: &SealingKeyPolicy) {
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
        rotation.requests.extend(Request::of(policy).and_then(|request| request.moment));
    }

    fn keep_as(&mut self, policy: &SealingKeyPolicy) {
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

/// `None` for none at all.
fn length(duration: PolicyDuration) -> Option<SignedDuration> {
    Some(SignedDuration::from_secs(duration.as_seconds())).filter(|length| !length.is_zero())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;

    fn flags() -> Rules {
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
        Rules::of_flags(&Args::try_parse_from(flags).unwrap())
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
    fn every_field_of_a_policy_is_heeded() {
        let spec = json!({
            "suspend": true, "keySource": "External",
            "generate": {"keySize": 2048, "certificateValidity": "2d", "commonName": "", "secretPrefix": "other"},
            "rotation": {"every": "2w", "activationDelay": "90m"},
            "primary": {"orderBy": "CertNotBefore", "pin": "k"},
            "retention": {"keepAtLeast": 5, "retireWhenUnusedFor": "1d", "deleteAfterRetired": "4w"}
        });
        let hours = SignedDuration::from_hours;
        let expected = Rules {
            making: Making {
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
        let rules = flags().under(&policy(&json!({}), &spec));
        assert_eq!(rules.rotation, RotationPolicy { every: None, ..flags().rotation });
    }

    #[test]
    fn all_moments_that_are_asked_for_count() {
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
        assert_eq!(Request::of(&policy), Some(Request { text: "tomorrow".to_owned(), moment: None }));
    }
}
