//! Inputs that fuzzing has kept, for the tests that run them on the stable compiler.

use std::path::Path;

/// Runs `body` with every input of the corpus of `target`.
pub(crate) fn replay(target: &str, body: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.sort();
    for file in files {
        // Shown by a test that fails.
        println!("{}", file.display());
        body(&std::fs::read(file).unwrap());
    }
}
