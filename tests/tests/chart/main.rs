//! The Helm chart, as far as it can be judged without a cluster.

#[cfg(test)]
mod contradictions;
#[cfg(test)]
mod files;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod rendering;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod support;
#[cfg(test)]
mod values;
