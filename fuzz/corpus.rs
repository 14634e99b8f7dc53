//! Kept inputs of the fuzz targets: each is a line of fuzz/corpus/TARGET.txt, as `[u8]::escape_ascii` writes it.

use std::path::{Path, PathBuf};
use std::str::Bytes;

/// The file with the inputs of a target.
pub(crate) fn file(target: &str) -> PathBuf {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    corpus.join(target).with_extension("txt")
}

/// The input that stands in a line.
pub(crate) fn input_of(line: &str) -> Vec<u8> {
    let mut input = Vec::new();
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        input.push(if byte == b'\\' { escaped(&mut bytes) } else { byte });
    }
    input
}

fn escaped(bytes: &mut Bytes<'_>) -> u8 {
    match bytes.next().unwrap_or_default() {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => (hex_digit(bytes) << 4) | hex_digit(bytes),
        other => other,
    }
}

fn hex_digit(bytes: &mut Bytes<'_>) -> u8 {
    let digit = bytes.next().and_then(|byte| char::from(byte).to_digit(16));
    digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default()
}

/// Runs `body` with every input of a target.
#[cfg(test)]
pub(crate) fn replay(target: &str, body: impl Fn(&[u8])) {
    let file = file(target);
    let corpus = std::fs::read_to_string(&file).unwrap();
    assert!(!corpus.is_empty(), "{} is empty", file.display());
    for (number, line) in (1..).zip(corpus.lines()) {
        // Shown by a test that fails.
        println!("fuzz/corpus/{target}.txt:{number}: {line}");
        body(&input_of(line));
    }
}
