//! The program itself, without a cluster.

#![cfg(test)]

mod arguments;
mod bad_input;
mod certificates;
mod changing_certificates;
mod children;
mod completions;
mod conflicts;
mod controllers;
mod create;
mod credentials;
mod edit;
mod editor_memory;
mod edits;
mod full_disks;
mod git_install;
mod git_merge;
mod git_textconv;
mod hostile_repositories;
mod inspect;
mod invalid_keys;
mod items;
mod json_schema;
mod keys;
mod kills;
mod lint;
mod lint_corpus;
mod namespaces;
mod permissions;
mod project_files;
mod prompts;
mod reencrypt;
mod reports;
mod repositories;
mod run;
mod seal;
mod session;
mod set_unset;
mod special_files;
mod streams;
mod terminal;
mod transcripts;
mod unseal;
mod verify;
mod workspace;
