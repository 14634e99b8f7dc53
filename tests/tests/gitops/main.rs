//! Our controller and kubeseal with the tools that deliver manifests. `cargo xtask gitops` runs these tests.
//!
//! Each test has a control plane of its own and tells its story on docs/gitops.md.

#![cfg(test)]

mod helm;
mod kustomize;
mod scene;
mod story;
