//! The variables of the templates being run, found without looking through all of them.

use std::collections::HashMap;

use super::Held;

pub(super) struct Variables<'t> {
    stack: Vec<(&'t str, Held)>,
    /// Where on the stack the variables of each name are, the innermost last.
    places: HashMap<&'t str, Vec<usize>>,
    /// Where those of the template being run begin; a template does not see its caller's.
    base: usize,
}

impl<'t> Variables<'t> {
    /// Only `$`.
    pub(super) fn new(dollar: Held) -> Self {
        let mut variables = Self { stack: Vec::new(), places: HashMap::new(), base: 0 };
        variables.push("$", dollar);
        variables
    }

    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, name: &'t str, value: Held) {
        self.places.entry(name).or_default().push(self.stack.len());
        self.stack.push((name, value));
    }

    /// Forgets the variables declared since there were `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        for (name, _) in self.stack.drain(length.min(self.stack.len())..) {
            if let Some(places) = self.places.get_mut(name) {
                places.pop();
            }
        }
    }

    /// Hides all variables behind a new `$`. Gives what [`Self::leave_template`] needs.
    pub(super) fn enter_template(&mut self, dollar: Held) -> usize {
        let base = std::mem::replace(&mut self.base, self.stack.len());
        self.push("$", dollar);
        base
    }

    pub(super) fn leave_template(&mut self, base: usize, length: usize) {
        self.base = base;
        self.truncate(length);
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name)?.last().copied().filter(|place| *place >= self.base)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Held> {
        self.stack.get(self.place(name)?).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Held> {
        let place = self.place(name)?;
        self.stack.get_mut(place).map(|(_, value)| value)
    }
}
