//! The Helm chart, as far as it can be judged without a cluster.

#![cfg(test)]

mod contradictions;
mod files;
mod readme;
mod rendering;
mod rights;
mod support;
mod values;
