//! Black-box tests on a real API server. `cargo xtask test` runs them.

#[cfg(test)]
mod chart_applied;
#[cfg(test)]
mod chart_from_upstream;
#[cfg(test)]
mod chart_installed;
#[cfg(test)]
mod chart_namespaced;
#[cfg(test)]
mod controller_contention;
#[cfg(test)]
mod controller_first_sync;
#[cfg(test)]
mod controller_flags;
#[cfg(test)]
mod controller_http;
#[cfg(test)]
mod controller_keys;
#[cfg(test)]
mod controller_ownership;
#[cfg(test)]
mod controller_refuses;
#[cfg(test)]
mod controller_repairs;
#[cfg(test)]
mod controller_status;
#[cfg(test)]
mod controller_templates;
#[cfg(test)]
mod controller_unseals;
#[cfg(test)]
mod custom_resource_definition;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod existing_installation;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gitops_judges;
#[cfg(test)]
mod gitops_recipes;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http_differential;
#[cfg(test)]
mod image;
#[cfg(test)]
mod key_scene;
#[cfg(test)]
mod kubeseal_edits;
#[cfg(test)]
mod kubeseal_key_backups;
#[cfg(test)]
mod kubeseal_keys;
#[cfg(test)]
mod kubeseal_keys_of_controller;
#[cfg(test)]
mod kubeseal_proxy;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod release;
#[cfg(test)]
mod rotation_doors;
#[cfg(test)]
mod rotation_faults;
#[cfg(test)]
mod rotation_policy;
#[cfg(test)]
mod rotation_sealing_keys;
#[cfg(test)]
mod rotation_with_upstream;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upstream_decisions;
#[cfg(test)]
mod upstream_peers;
#[cfg(test)]
mod usage_conditions;
#[cfg(test)]
mod usage_retirement;
#[cfg(test)]
mod with_upstream;
