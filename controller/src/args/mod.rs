//! The flags of upstream's controller, with their variables and defaults (docs/compatibility.md, section 1.2), and
//! `--kubeconfig`, `--deny-secret-types`, `--memory-limit` and the flags of the leader election.

mod environment;
mod value;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use jiff::SignedDuration;
use sealed_secrets_core::crypto::KeySize;
use sealed_secrets_core::keyring::OrderBy;
use sealed_secrets_core::rotation::RotationPolicy;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAME;

pub use environment::WrongVariable;
pub use value::{CutoffTime, ListenAddress, Networks, Pairs};
use value::{
    GoBool, bytes, duration, key_prefix, key_size, lease_duration, networks, order_by, pairs, subdomain,
};

const LEASE_DURATION: Duration = Duration::from_secs(15);

/// Decrypts SealedSecrets into Secrets inside a Kubernetes cluster.
///
/// Every flag can also be set by an environment variable: `SEALED_SECRETS_` and its name in capitals with `_` for `-`.
/// A flag takes precedence over its variable. An empty variable counts as not set.
#[derive(Debug, Parser)]
#[command(name = "controller", disable_version_flag = true)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag of upstream")]
pub struct Args {
    /// Kubeconfig file; by default the Pod's service account or, outside a cluster, kubectl's configuration
    #[arg(long, env = "SEALED_SECRETS_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Prefix of the names of key Secrets
    #[arg(long, env = "SEALED_SECRETS_KEY_PREFIX", default_value = "sealed-secrets-key", value_parser = key_prefix)]
    pub key_prefix: String,

    /// Size of new keys in bits: 2048, 3072, 4096 or 8192
    #[arg(long, env = "SEALED_SECRETS_KEY_SIZE", default_value = "4096", value_parser = key_size)]
    pub key_size: KeySize,

    /// Validity of the certificates of new keys
    #[arg(long, env = "SEALED_SECRETS_KEY_TTL", default_value = "87600h", value_parser = duration)]
    pub key_ttl: SignedDuration,

    /// Common name in the certificates of new keys
    #[arg(long, env = "SEALED_SECRETS_MY_CN", default_value = "")]
    pub my_cn: String,

    /// Age at which the newest key is replaced by a new one; 0 for never
    #[arg(long, env = "SEALED_SECRETS_KEY_RENEW_PERIOD", default_value = "720h", alias = "rotate-period", value_parser = duration)]
    pub key_renew_period: SignedDuration,

    /// Create a new key if the newest one is older than this time, for example "Mon, 02 Jan 2006 15:04:05 -0700"
    #[arg(long, env = "SEALED_SECRETS_KEY_CUTOFF_TIME", default_value = "", hide_default_value = true)]
    pub key_cutoff_time: CutoffTime,

    /// Order that decides which key is the newest: `CertNotBefore` or `SecretCreationTimestamp`
    #[arg(long, env = "SEALED_SECRETS_KEY_ORDER_PRIORITY", default_value = "CertNotBefore", value_parser = order_by)]
    pub key_order_priority: OrderBy,

    /// Decrypt the deprecated field spec.data
    #[arg(long, env = "SEALED_SECRETS_ACCEPT_DEPRECATED_V1_DATA", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub accept_deprecated_v1_data: bool,

    /// Watch all namespaces; if false, only the controller's own and the additional ones
    #[arg(long, env = "SEALED_SECRETS_ALL_NAMESPACES", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub all_namespaces: bool,

    /// Namespaces to watch in addition to the controller's own, comma-separated; implies that not all are watched
    #[arg(long, env = "SEALED_SECRETS_ADDITIONAL_NAMESPACES", value_delimiter = ',')]
    pub additional_namespaces: Vec<String>,

    /// Write conditions to the status of SealedSecrets
    #[arg(long, env = "SEALED_SECRETS_UPDATE_STATUS", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub update_status: bool,

    /// Listen address of the HTTP server for certificate, verify and rotate: HOST:PORT, or :PORT for every address
    #[arg(long, env = "SEALED_SECRETS_LISTEN_ADDR", default_value = ":8080")]
    pub listen_addr: ListenAddress,

    /// Listen address of the metrics: HOST:PORT, or :PORT for every address
    #[arg(long, env = "SEALED_SECRETS_LISTEN_METRICS_ADDR", default_value = ":8081")]
    pub listen_metrics_addr: ListenAddress,

    /// Factor for the limits on the templates of one object: steps, output, memory and slow functions
    #[arg(long, env = "SEALED_SECRETS_TEMPLATE_BUDGET", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub template_budget: u32,

    /// Minimum level of log lines: DEBUG, INFO, WARN or ERROR
    #[arg(long, env = "SEALED_SECRETS_LOG_LEVEL", default_value = "INFO", ignore_case = true, value_parser = ["DEBUG", "INFO", "WARN", "ERROR"])]
    pub log_level: String,

    /// Format of log lines: text or json
    #[arg(long, env = "SEALED_SECRETS_LOG_FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,

    /// Print lines of level INFO to standard output; if false, every line goes to standard error
    #[arg(long, env = "SEALED_SECRETS_LOG_INFO_STDOUT", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub log_info_stdout: bool,

    /// Process only SealedSecrets with these labels, for example "app=shop,tier!=test"
    #[arg(long, env = "SEALED_SECRETS_LABEL_SELECTOR", default_value = "")]
    pub label_selector: String,

    /// Sustained rate limit of verify and rotate, in requests per second and client
    #[arg(long, env = "SEALED_SECRETS_RATE_LIMIT", default_value = "2")]
    pub rate_limit: NonZeroU32,

    /// Burst of verify and rotate: requests of one client that are accepted at once
    #[arg(long, env = "SEALED_SECRETS_RATE_LIMIT_BURST", default_value = "2")]
    pub rate_limit_burst: NonZeroU32,

    /// Networks and addresses of proxies whose X-Forwarded-For header is trusted, comma-separated; the API servers' own
    /// addresses are added
    #[arg(long, env = "SEALED_SECRETS_TRUSTED_PROXIES", default_value = "", hide_default_value = true, value_parser = networks)]
    pub trusted_proxies: Networks,

    /// Number of retries of a failing object before it waits for a change; unlimited by default
    #[arg(long, env = "SEALED_SECRETS_MAX_UNSEAL_RETRIES")]
    pub max_unseal_retries: Option<u32>,

    /// Types of Secrets that the controller never writes, comma-separated, for example
    /// "kubernetes.io/service-account-token"
    #[arg(long, env = "SEALED_SECRETS_DENY_SECRET_TYPES", value_delimiter = ',')]
    pub deny_secret_types: Vec<String>,

    /// Memory of the container in bytes or with Ki, Mi or Gi, half of which is available to SealedSecrets; by default
    /// the container's limit, if it has one
    #[arg(long, env = "SEALED_SECRETS_MEMORY_LIMIT", value_parser = bytes)]
    pub memory_limit: Option<u64>,

    /// Annotations on new key Secrets: KEY=VALUE, comma-separated
    #[arg(long, env = "SEALED_SECRETS_PRIVATEKEY_ANNOTATIONS", default_value = "", hide_default_value = true, value_parser = pairs)]
    pub privatekey_annotations: Pairs,

    /// Labels on new key Secrets: KEY=VALUE, comma-separated
    #[arg(long, env = "SEALED_SECRETS_PRIVATEKEY_LABELS", default_value = "", hide_default_value = true, value_parser = pairs)]
    pub privatekey_labels: Pairs,

    /// Watch key Secrets for changes; this controller always does
    #[arg(long, env = "SEALED_SECRETS_WATCH_FOR_SECRETS", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub watch_for_secrets: bool,

    /// Do not recreate Secrets that were deleted, nor revert those that were edited
    #[arg(long, env = "SEALED_SECRETS_SKIP_RECREATE", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub skip_recreate: bool,

    /// No effect; accepted for compatibility (the garbage collector deletes the Secrets of deleted SealedSecrets)
    #[arg(long, env = "SEALED_SECRETS_OLD_GC_BEHAVIOR", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub old_gc_behavior: bool,

    /// Rate limit of requests to the API server, per second; unlimited by default and if negative
    #[arg(long, env = "SEALED_SECRETS_KUBECLIENT_QPS", allow_hyphen_values = true)]
    pub kubeclient_qps: Option<f32>,

    /// Burst of requests to the API server if --kubeclient-qps is set
    #[arg(long, env = "SEALED_SECRETS_KUBECLIENT_BURST", default_value = "10", allow_hyphen_values = true)]
    pub kubeclient_burst: i32,

    /// Timeout for reading a request, ten seconds at most
    #[arg(long, env = "SEALED_SECRETS_READ_TIMEOUT", default_value = "2m", value_parser = duration)]
    pub read_timeout: SignedDuration,

    /// Timeout for answering a request
    #[arg(long, env = "SEALED_SECRETS_WRITE_TIMEOUT", default_value = "2m", value_parser = duration)]
    pub write_timeout: SignedDuration,

    /// Omit the names of SealedSecrets from the metrics; namespaces remain in the counters of failures and repairs
    #[arg(long, env = "SEALED_SECRETS_METRICS_OMIT_SECRET_LABELS", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub metrics_omit_secret_labels: bool,

    /// Take part in the election of a leader among several replicas: the leader alone writes
    #[arg(long, env = "SEALED_SECRETS_LEADER_ELECT", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, action = ArgAction::Set)]
    pub leader_elect: bool,

    /// Name of the Lease of the election, in the controller's namespace; by default sealed-secrets-controller
    #[arg(long, env = "SEALED_SECRETS_LEADER_ELECT_RESOURCE_NAME", value_parser = subdomain)]
    pub leader_elect_resource_name: Option<String>,

    /// Time after which another replica takes the Lease of a leader that has died: 5s to 10m in whole seconds; by
    /// default 15s
    #[arg(long, env = "SEALED_SECRETS_LEADER_ELECT_LEASE_DURATION", value_parser = lease_duration)]
    pub leader_elect_lease_duration: Option<Duration>,

    /// Print version and exit
    #[arg(long, action = ArgAction::SetTrue)]
    pub version: bool,
}

impl Args {
    /// Returns the rotation policy of the flags.
    #[must_use]
    pub fn rotation_policy(&self) -> RotationPolicy {
        RotationPolicy {
            every: (self.key_renew_period > SignedDuration::ZERO).then_some(self.key_renew_period),
            requests: self.key_cutoff_time.timestamp().into_iter().collect(),
            ..RotationPolicy::default()
        }
    }

    /// Returns the limits on the templates of one object.
    #[must_use]
    pub fn template_budget(&self) -> Budget {
        Budget::default().times(self.template_budget)
    }

    /// Returns the treatment of `spec.data`: accepted or refused.
    #[must_use]
    pub fn v1_data(&self) -> V1Data {
        if self.accept_deprecated_v1_data { V1Data::Accepted } else { V1Data::Refused }
    }

    /// Returns the name of the Lease of the leader election.
    #[must_use]
    pub fn lease_name(&self) -> &str {
        self.leader_elect_resource_name.as_deref().unwrap_or(DEFAULT_CONTROLLER_NAME)
    }

    /// Returns the duration of that Lease.
    #[must_use]
    pub fn lease_duration(&self) -> Duration {
        self.leader_elect_lease_duration.unwrap_or(LEASE_DURATION)
    }

    /// Returns the types of Secrets that are never written.
    #[must_use]
    pub fn denied_types(&self) -> BTreeSet<String> {
        let types = self.deny_secret_types.iter().map(|name| name.trim());
        types.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Returns the namespaces to watch, `None` for all. Additional namespaces imply that not all are watched.
    #[must_use]
    pub fn watched_namespaces(&self, own: &str) -> Option<Vec<String>> {
        let additional =
            self.additional_namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let mut names: Vec<String> = additional.map(str::to_owned).collect();
        if self.all_namespaces && names.is_empty() {
            return None;
        }
        names.push(own.to_owned());
        names.sort();
        names.dedup();
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["controller"].iter().chain(flags))
    }

    #[test]
    fn the_defaults_are_upstreams() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.key_prefix, "sealed-secrets-key");
        assert_eq!(args.key_renew_period, SignedDuration::from_hours(720));
        assert_eq!(args.key_ttl, SignedDuration::from_hours(87_600));
        assert_eq!(args.listen_addr, ListenAddress { host: String::new(), port: 8080 });
        assert_eq!(args.watched_namespaces("kube-system"), None);
        assert!(args.update_status && args.accept_deprecated_v1_data);
    }

    #[test]
    fn booleans_take_a_value_only_after_an_equals_sign_as_pflag_does() {
        assert!(!parse(&["--all-namespaces=false"]).unwrap().all_namespaces);
        assert!(!parse(&["--all-namespaces=F"]).unwrap().all_namespaces);
        assert!(parse(&["--all-namespaces"]).unwrap().all_namespaces);
        assert!(parse(&["--all-namespaces", "false"]).is_err());
    }

    #[test]
    fn additional_namespaces_mean_the_own_one_and_these() {
        let args = parse(&["--additional-namespaces=b, a,,b"]).unwrap();
        assert_eq!(args.watched_namespaces("own"), Some(vec!["a".into(), "b".into(), "own".into()]));
        assert_eq!(
            parse(&["--all-namespaces=false"]).unwrap().watched_namespaces("own"),
            Some(vec!["own".into()])
        );
    }

    #[test]
    fn no_type_of_secret_is_denied_unless_it_is_named() {
        assert!(parse(&[]).unwrap().denied_types().is_empty());
        let args = parse(&["--deny-secret-types=kubernetes.io/tls, Opaque,,"]).unwrap();
        assert_eq!(args.denied_types(), ["Opaque", "kubernetes.io/tls"].map(str::to_owned).into());
    }

    #[test]
    fn a_cutoff_time_is_rfc_1123_with_a_numeric_zone() {
        let args = parse(&["--key-cutoff-time", "Mon, 02 Jan 2006 15:04:05 -0700"]).unwrap();
        assert_eq!(args.rotation_policy().requests, ["2006-01-02T22:04:05Z".parse().unwrap()]);
        assert!(parse(&["--key-cutoff-time", "yesterday"]).is_err());
    }

    #[test]
    fn a_key_prefix_is_the_valid_beginning_of_a_name() {
        assert!(parse(&["--key-prefix", "my-keys2"]).is_ok());
        for prefix in ["", "My", "a.b", &"a".repeat(246)] {
            assert!(parse(&["--key-prefix", prefix]).is_err(), "{prefix:?}");
        }
    }

    #[test]
    fn labels_of_keys_are_pairs() {
        let args = parse(&["--privatekey-labels", "team=a, env=prod"]).unwrap();
        let expected = BTreeMap::from([("team".to_owned(), "a".to_owned()), ("env".into(), "prod".into())]);
        assert_eq!(args.privatekey_labels, expected);
        assert!(parse(&["--privatekey-labels", "team"]).is_err());
    }

    /// Every flag of upstream (docs/compatibility.md, section 1.2) with its default here. Three are empty on purpose:
    /// objects are retried without limit, and requests to the API server are not rate-limited.
    const FLAGS: [(&str, &str); 32] = [
        ("accept-deprecated-v1-data", "true"),
        ("additional-namespaces", ""),
        ("all-namespaces", "true"),
        ("key-cutoff-time", ""),
        ("key-order-priority", "CertNotBefore"),
        ("key-prefix", "sealed-secrets-key"),
        ("key-renew-period", "720h"),
        ("key-size", "4096"),
        ("key-ttl", "87600h"),
        ("kubeclient-burst", "10"),
        ("kubeclient-qps", ""),
        ("label-selector", ""),
        ("listen-addr", ":8080"),
        ("listen-metrics-addr", ":8081"),
        ("log-format", "text"),
        ("log-info-stdout", "true"),
        ("log-level", "INFO"),
        ("max-unseal-retries", ""),
        ("metrics-omit-secret-labels", "false"),
        ("my-cn", ""),
        ("old-gc-behavior", "false"),
        ("privatekey-annotations", ""),
        ("privatekey-labels", ""),
        ("rate-limit", "2"),
        ("rate-limit-burst", "2"),
        ("read-timeout", "2m"),
        ("skip-recreate", "false"),
        ("update-status", "true"),
        ("watch-for-secrets", "false"),
        ("write-timeout", "2m"),
        ("template-budget", "1"),
        ("trusted-proxies", ""),
    ];

    #[test]
    fn every_flag_has_its_variable_and_its_default_and_an_explanation() {
        let command = <Args as clap::CommandFactory>::command();
        for (name, default) in FLAGS {
            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name)).expect(name);
            let variable = format!("SEALED_SECRETS_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(flag.get_env().unwrap(), variable.as_str());
            let defaults: Vec<_> =
                flag.get_default_values().iter().map(|text| text.to_str().unwrap()).collect();
            assert_eq!(defaults.join(","), default, "{name}");
            assert!(flag.get_help().is_some(), "{name}");
        }
    }

    #[test]
    fn there_is_no_flag_beside_these() {
        let command = <Args as clap::CommandFactory>::command();
        let further: Vec<_> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|name| !FLAGS.iter().any(|(known, _)| known == name))
            .collect();
        let expected = [
            "kubeconfig",
            "deny-secret-types",
            "memory-limit",
            "leader-elect",
            "leader-elect-resource-name",
            "leader-elect-lease-duration",
            "version",
        ];
        assert_eq!(further, expected);
        assert_eq!(parse(&["--rotate-period=1h"]).unwrap().key_renew_period, SignedDuration::from_hours(1));
    }

    #[test]
    fn every_flag_of_the_original_is_taken_in_the_form_its_chart_writes() {
        let flags = [
            "--update-status",
            "--log-info-stdout=true",
            "--label-selector=a=b",
            "--rate-limit=10",
            "--rate-limit-burst=20",
            "--max-unseal-retries=7",
            "--privatekey-annotations=a=b",
            "--watch-for-secrets",
            "--skip-recreate",
            "--old-gc-behavior=false",
            "--kubeclient-qps=-1",
            "--kubeclient-burst=-1",
            "--read-timeout=1m30s",
            "--write-timeout=1m30s",
            "--metrics-omit-secret-labels",
        ];
        let args = parse(&flags).unwrap();
        assert_eq!((args.rate_limit.get(), args.max_unseal_retries), (10, Some(7)));
        assert!(args.skip_recreate && args.metrics_omit_secret_labels && !args.old_gc_behavior);
    }

    #[test]
    fn no_leader_is_elected_unless_a_flag_asks_for_it() {
        let args = parse(&[]).unwrap();
        assert!(!args.leader_elect && parse(&["--leader-elect"]).unwrap().leader_elect);
        assert_eq!(args.lease_name(), "sealed-secrets-controller");
        assert_eq!(args.lease_duration(), Duration::from_secs(15));
    }

    #[test]
    fn an_invalid_lease_flag_is_an_error_that_names_the_flag_and_its_values() {
        for (flag, value, range) in [
            ("--leader-elect-lease-duration", "4s", "5s to 10m"),
            ("--leader-elect-lease-duration", "10m1s", "5s to 10m"),
            ("--leader-elect-lease-duration", "5500ms", "5s to 10m"),
            ("--leader-elect-lease-duration", "soon", "5s to 10m"),
            ("--leader-elect-resource-name", "Upper", "a-z"),
            ("--leader-elect-resource-name", "", "a-z"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(range), "{error}");
        }
    }

    #[test]
    fn a_renew_period_of_zero_turns_renewal_off() {
        assert_eq!(parse(&["--key-renew-period=0"]).unwrap().rotation_policy().every, None);
    }
}
