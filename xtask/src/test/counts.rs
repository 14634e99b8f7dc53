//! Counts of results.

use std::ops::AddAssign;

/// Results of checks or tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    /// Tests that a filter left out.
    pub(crate) filtered: u32,
}

impl Counts {
    /// A check as a whole.
    pub(crate) fn one(success: bool) -> Self {
        Self { passed: u32::from(success), failed: u32::from(!success), ..Self::default() }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.filtered += other.filtered;
    }
}
