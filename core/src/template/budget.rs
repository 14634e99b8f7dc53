//! The limits of one object's templates, and the meter of their usage.
//!
//! Every limit but those of time is deterministic: the same templates over the same items end the same way everywhere.

use std::time::Duration;

use super::error::{Failure, Outcome};
use super::sources::Elapsed;

/// Limits on the templates of one object. All of one object's data keys share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Nodes evaluated, functions called and, in proportion to size, bytes and elements handled.
    pub steps: u64,
    /// Bytes of all rendered values together.
    pub output: usize,
    /// Bytes of one value: a string, or a list or map with its own overhead but not what its elements hold.
    pub value: usize,
    /// Bytes allocated for values over the whole rendering, whether still in use or not, and what a function takes while it runs.
    /// The heap never holds much more at the same time.
    pub memory: usize,
    /// Depth of `{{template}}` calls.
    pub recursion: usize,
    /// Depth of blocks and parentheses in a template, and of lists and maps inside each other.
    pub nesting: usize,
    /// Calls of functions that are slow by design: making keys, bcrypt, scrypt.
    pub costly: u32,
    /// Processor time of the rendering, without slow functions, which [`Self::costly`] bounds: how long one takes depends on the
    /// machine and on chance.
    pub processor: Duration,
    /// Time by the clock, also for slow functions and for waiting.
    pub wall: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: 2_000_000,
            output: 1 << 20,
            value: 4 << 20,
            memory: 12 << 20,
            recursion: 500,
            nesting: 200,
            costly: 4,
            processor: Duration::from_secs(2),
            wall: Duration::from_mins(2),
        }
    }
}

impl Budget {
    /// This budget with all amounts multiplied. Depths stay, since they guard the stack, the size of one value, since it bounds what
    /// happens between two looks at the clock, and times, since others wait meanwhile.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        let size = |amount: usize| amount.saturating_mul(usize::try_from(factor).unwrap_or(usize::MAX));
        Self {
            steps: self.steps.saturating_mul(u64::from(factor)),
            output: size(self.output),
            memory: size(self.memory),
            costly: self.costly.saturating_mul(factor),
            ..self.clone()
        }
    }
}

/// Steps between two checks of the clock.
const STEPS_BETWEEN_CLOCK_CHECKS: u64 = 256;

/// Counts what a rendering uses up.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    steps: u64,
    memory: usize,
    output: usize,
    costly: u32,
    next_check: u64,
}

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), steps: 0, memory: 0, output: 0, costly: 0, next_check: 0 }
    }

    /// Returns the deadline of a rendering that begins `now`.
    pub(crate) fn ends_of_time(&self, now: Elapsed) -> Elapsed {
        Elapsed {
            processor: now.processor.saturating_add(self.budget.processor),
            wall: now.wall.saturating_add(self.budget.wall),
        }
    }

    /// Counts `count` steps. Returns true if the clock is to be checked.
    pub(crate) fn step(&mut self, count: u64) -> Outcome<bool> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > self.budget.steps {
            return Err(Failure::budget("too many steps"));
        }
        let due = self.steps >= self.next_check;
        if due {
            self.next_check = self.steps.saturating_add(STEPS_BETWEEN_CLOCK_CHECKS);
        }
        Ok(due)
    }

    /// Charges `bytes` of memory before they are allocated.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Outcome<()> {
        self.fits(bytes)?;
        self.affords(bytes)?;
        self.memory += bytes;
        Ok(())
    }

    /// Checks that `bytes` of temporary memory fit into the budget; charges nothing. They may be more than a value.
    pub(crate) fn affords(&self, bytes: usize) -> Outcome<()> {
        if bytes > self.budget.memory.saturating_sub(self.memory) {
            return Err(Failure::budget("too much memory"));
        }
        Ok(())
    }

    pub(crate) fn print(&mut self, bytes: usize) -> Outcome<()> {
        self.output = self.output.saturating_add(bytes);
        if self.output > self.budget.output {
            return Err(Failure::budget("too much output"));
        }
        Ok(())
    }

    pub(crate) fn costly(&mut self) -> Outcome<()> {
        self.costly += 1;
        if self.costly > self.budget.costly {
            return Err(Failure::budget("too many calls of costly functions"));
        }
        Ok(())
    }

    pub(crate) fn recursion(&self, depth: usize) -> Outcome<()> {
        if depth > self.budget.recursion {
            return Err(Failure::budget("templates call each other too deeply"));
        }
        Ok(())
    }

    pub(crate) fn nesting(&self, depth: usize) -> Outcome<()> {
        if depth > self.budget.nesting {
            return Err(Failure::budget("nested too deeply"));
        }
        Ok(())
    }

    /// Refuses a value of `bytes` bytes without paying for it.
    pub(crate) fn fits(&self, bytes: usize) -> Outcome<()> {
        if bytes > self.budget.value {
            return Err(Failure::budget("a value is too large"));
        }
        Ok(())
    }

    /// The largest value that may still be made.
    pub(crate) fn room(&self) -> usize {
        self.budget.value.min(self.budget.memory.saturating_sub(self.memory))
    }
}
