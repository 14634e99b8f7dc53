//! One invocation, with the expected result of the comparison.

/// The expected result of the comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Exit code, streams and files are equal.
    Same,
    /// Ours differs on purpose: its exit code, a text of its streams or files, and the original's behaviour in the
    /// words of docs/differences.md.
    Differs { code: i32, says: &'static str, difference: &'static str },
}

/// One invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// Words after the program's name.
    pub(crate) line: &'static str,
    /// Standard input.
    pub(crate) input: &'static str,
    /// Environment.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// The expected result of the comparison.
    pub(crate) verdict: Verdict,
}

pub(crate) const fn same(line: &'static str, input: &'static str) -> Case {
    Case { line, input, variables: &[], verdict: Verdict::Same }
}

pub(crate) const fn with(variables: &'static [(&'static str, &'static str)], case: Case) -> Case {
    Case { variables, ..case }
}

pub(crate) const fn differs(
    line: &'static str,
    input: &'static str,
    code: i32,
    says: &'static str,
    difference: &'static str,
) -> Case {
    Case { line, input, variables: &[], verdict: Verdict::Differs { code, says, difference } }
}
