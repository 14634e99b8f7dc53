//! The program itself, without a cluster.

#![cfg(test)]

mod bad_input;
mod certificates;
mod credentials;
mod edits;
mod items;
mod keys;
mod run;
mod terminal;
mod transcripts;
