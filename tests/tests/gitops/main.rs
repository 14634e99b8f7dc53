//! Our controller and kubeseal with the tools that deliver manifests. `cargo xtask gitops` runs these tests.
//!
//! Each test has a control plane of its own, and its commands with their output are a section of docs/gitops.md.

#![cfg(test)]

mod helm;
mod kustomize;
mod setup;
mod transcript;
