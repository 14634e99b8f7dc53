//! Black-box tests on a real API server. `cargo xtask test` runs them.

#![cfg(test)]

mod chart_applied;
mod chart_from_upstream;
mod chart_installed;
mod chart_namespaced;
mod controller_contention;
mod controller_first_sync;
mod controller_flags;
mod controller_http;
mod controller_keys;
mod controller_ownership;
mod controller_refuses;
mod controller_repairs;
mod controller_status;
mod controller_templates;
mod controller_unseals;
mod custom_resource_definition;
mod differential;
mod existing_installation;
mod faults;
mod gitops_judges;
mod gitops_recipes;
mod harness;
mod http_differential;
mod image;
mod key_scene;
mod kubeseal_edits;
mod kubeseal_key_backups;
mod kubeseal_keys;
mod kubeseal_keys_of_controller;
mod kubeseal_proxy;
mod pages;
mod release;
mod rotation_doors;
mod rotation_faults;
mod rotation_policy;
mod rotation_sealing_keys;
mod rotation_with_upstream;
mod scene;
mod support;
mod upstream_decisions;
mod upstream_peers;
mod usage_conditions;
mod usage_retirement;
mod with_upstream;
