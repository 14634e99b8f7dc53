//! Bodies of the fuzz targets of this program; here they run over what fuzzing has kept.

pub use crate::flags::flags;
pub use crate::kubeconfig::kubeconfig;

#[cfg(test)]
#[path = "../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    use super::corpus::replay;
    use super::*;

    #[test]
    fn kept_command_lines_are_read_as_the_words_they_are_passed_on_as() {
        replay("flags", flags);
    }

    #[test]
    fn kept_kubeconfigs_lead_to_a_cluster_or_are_refused_without_their_tokens() {
        replay("kubeconfig", kubeconfig);
    }
}
