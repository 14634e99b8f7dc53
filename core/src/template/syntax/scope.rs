//! The names of variables in scope, found without looking through all of them.

use std::collections::HashMap;

pub(super) struct Scope<'t> {
    names: Vec<&'t str>,
    /// How many variables in scope have a name; a later one hides an earlier one.
    counts: HashMap<&'t str, usize>,
}

impl<'t> Scope<'t> {
    /// The scope that has only `$`.
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

    /// Forgets the variables declared since there were `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        for name in self.names.drain(length.min(self.names.len())..) {
            if let Some(count) = self.counts.get_mut(name) {
                *count -= 1;
            }
        }
    }
}
