//! Tests of the Helm chart without a cluster.

#![cfg(test)]

mod contradictions;
mod files;
mod permissions;
mod readme;
mod rendering;
mod support;
mod values;
