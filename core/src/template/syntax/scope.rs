//! Names of the variables in scope, with lookup by name.

use std::collections::HashMap;

pub(super) struct Scope<'t> {
    names: Vec<&'t str>,
    /// Number of variables in scope per name. A later one hides an earlier one.
    counts: HashMap<&'t str, usize>,
}

impl<'t> Scope<'t> {
    /// Creates a scope with only `$`.
    pub(super) fn new() -> Self {
        Self { names: vec!["$"], counts: HashMap::from([("$", 1)]) }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.counts.get(name).is_some_and(|count| *count > 0)
    }

    pub(super) fn declare(&mut self, name: &'t str) {
        self.names.push(name);
        *self.counts.entry(name).or_default() += 1;
    }

    /// Removes the variables declared since the scope had this `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        for name in self.names.drain(length.min(self.names.len())..) {
            if let Some(count) = self.counts.get_mut(name) {
                *count -= 1;
            }
        }
    }
}
