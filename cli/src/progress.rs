//! Progress bars: on a terminal only, after a second, and erased at the end.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::io::is_dumb_terminal;

const QUIET: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{bar:30} {pos}/{len} {msg} {eta}";

/// A progress bar on stderr.
pub(crate) struct Progress {
    bar: ProgressBar,
    begin: Instant,
    is_on_terminal: bool,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new(total: usize, unit: &'static str) -> Self {
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        // A template that is not understood is replaced by the library's own.
        bar.set_style(
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(unit);
        let is_on_terminal = io::stderr().is_terminal() && !is_dumb_terminal();
        Self { bar, begin: Instant::now(), is_on_terminal }
    }

    /// Counts finished work.
    pub(crate) fn advance(&self, by: usize) {
        if self.is_on_terminal && self.bar.is_hidden() && self.begin.elapsed() >= QUIET {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(u64::try_from(by).unwrap_or_default());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
