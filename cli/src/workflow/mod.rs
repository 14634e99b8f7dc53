//! The steps that subcommands on files of a repository share: rules of the project file, certificates, objects of a file, and edits.

mod bound_files;
mod certificates;
mod destination;
mod edits;
mod files;
mod flags;
mod new_file;
mod objects;
mod parallel;
mod private_keys;
mod sealed_files;
mod text_merge;
mod values;

pub(crate) use bound_files::{
    BoundFile, BoundItems, BoundObject, Wanted, bound_files, bound_objects, by_cluster,
};
pub(crate) use certificates::{Certificates, Sealer};
pub(crate) use destination::{Destination, Destinations, absolute};
pub(crate) use edits::{ATTEMPTS, Edited, write_edited, write_prepared};
pub(crate) use files::{Content, Listed, SourceFile, files, is_manifest, listed, path_of};
pub(crate) use flags::{ObjectFlags, SealingFlags, given};
pub(crate) use new_file::expect_free;
pub(crate) use objects::{Binding, agreed, expect_editable, parse, sealed_secrets, select, shown_object};
pub(crate) use parallel::{both, in_parallel, map_in_parallel, processors};
pub(crate) use private_keys::{key_files, key_ring, private_keys};
pub(crate) use sealed_files::{SealedFile, failure, files_with_sealed_secrets};
pub(crate) use text_merge::{merge_bytes, merge_texts};
pub(crate) use values::{
    MAXIMUM_SIZE, STDIN, empty_stdin, generated, is_stdin, length_of_generated, refused_size,
};
