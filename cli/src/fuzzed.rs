//! Bodies of the fuzz targets of this program, and tests that run them over the kept corpora.

pub use crate::flags::flags;
pub use crate::kubeconfig::kubeconfig;
pub use crate::project::project;

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

    #[test]
    fn kept_project_files_judge_paths_or_are_refused_with_a_line() {
        replay("project", project);
    }
}
