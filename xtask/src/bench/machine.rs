//! A description of the machine on which the figures were measured.

use std::fs;

/// Processor, cores and kernel in one paragraph, without a host name.
pub(crate) fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = field(&processors, "model name").unwrap_or("unknown processor");
    let wide = if has_ifma(&processors) { "with" } else { "without" };
    // The version is followed by the name of a build.
    let version = kernel.trim().split('-').next().unwrap_or_default();
    format!("{model} ({wide} AVX-512 IFMA), {} cores, Linux {version}.\n", cores())
}

/// Returns true if the processor has the instructions for which the stricter limits apply.
pub(crate) fn is_wide() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|processors| has_ifma(&processors))
}

/// The number of processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn has_ifma(processors: &str) -> bool {
    field(processors, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "avx512ifma"))
}

fn field<'a>(processors: &'a str, name: &str) -> Option<&'a str> {
    let line = processors.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_and_its_instructions_are_read() {
        let processors = "model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx512ifma sse\n";
        assert_eq!(field(processors, "model name"), Some("Some CPU @ 2 GHz"));
        assert!(has_ifma(processors));
        assert!(!has_ifma("flags : fpu avx512ifmax"));
    }
}
