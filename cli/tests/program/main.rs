//! The program itself, without a cluster.

#![cfg(test)]

mod arguments;
mod bad_input;
mod certificates;
mod credentials;
mod edits;
mod items;
mod keys;
mod kills;
mod namespaces;
mod run;
mod terminal;
mod transcripts;
