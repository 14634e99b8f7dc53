//! Variables of the running templates, with lookup by name.

use std::collections::HashMap;

use super::super::value::Value;

/// Value of the dot or of a variable. Go distinguishes a nil element of a list or map from an absent value: a field of the former
/// is an error, a field of the latter is absent too.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) value: Value,
    pub(super) is_item: bool,
}

impl From<Value> for Held {
    fn from(value: Value) -> Self {
        Self { value, is_item: false }
    }
}

pub(super) struct Variables<'t> {
    stack: Vec<(&'t str, Held)>,
    /// Stack indices of the variables of each name, the innermost last.
    places: HashMap<&'t str, Vec<usize>>,
    /// Stack index of the first variable of the running template. A template does not see its caller's variables.
    base: usize,
}

impl<'t> Variables<'t> {
    /// Bytes of a variable: its place on the stack, and the index of that.
    pub(super) const ENTRY: usize = size_of::<(&str, Held)>() + size_of::<usize>();

    /// Creates a stack with only `$`.
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

    /// Removes the variables declared since the stack had this `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        for (name, _) in self.stack.drain(length.min(self.stack.len())..) {
            if let Some(places) = self.places.get_mut(name) {
                places.pop();
            }
        }
    }

    /// Hides all variables behind a new `$`. Returns the argument for [`Self::leave_template`].
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
