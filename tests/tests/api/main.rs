//! Black-box tests on a real API server. `cargo xtask test` runs them.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upstream_peers;
