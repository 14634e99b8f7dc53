//! Tests of the Helm chart without a cluster.

#![cfg(test)]

mod contradictions;
mod files;
mod readme;
mod rendering;
mod rights;
mod support;
mod values;
