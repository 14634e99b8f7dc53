//! Values to seal: their maximum size, and random ones.

use rand::distr::{Alphanumeric, SampleString as _};
use zeroize::Zeroizing;

use crate::error::Error;

/// The name of stdin and stdout in place of a file.
pub(crate) const STDIN: &str = "-";
/// The API server's limit for all values of a Secret, in bytes.
pub(crate) const MAXIMUM_SIZE: usize = 1 << 20;

const DEFAULT_LENGTH: usize = 32;
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=1024;

/// Returns the reason why a value cannot be an item; it does not quote the value.
pub(crate) fn refused_size(key: &str, value: &[u8]) -> Option<String> {
    let is_refused = value.len() > MAXIMUM_SIZE;
    is_refused.then(|| format!("{key}: the value has more than 1 MiB, the most that a Secret can hold"))
}

/// True if the file is stdin.
pub(crate) fn is_stdin(file: &str) -> bool {
    matches!(file, STDIN | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0")
}

/// The error of an empty stdin: a command before the pipe that fails writes nothing, and would replace a good value.
pub(crate) fn empty_stdin(key: &str) -> Error {
    Error::Value(format!(
        "{key}: stdin is empty; nothing was written; for an empty value use --from-file with the file /dev/null"
    ))
}

/// Parses the length of a generated value; without one it is 32.
///
/// # Errors
/// When it is not a number from 16 to 1024.
pub(crate) fn length_of_generated(text: Option<&str>) -> Result<usize, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(DEFAULT_LENGTH) };
    let length = text.parse().ok().filter(|length| LENGTHS.contains(length));
    length.ok_or_else(|| Error::Argument("--generate: a length is a number from 16 to 1024".to_owned()))
}

/// Random letters and digits.
pub(crate) fn generated(length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Alphanumeric.sample_string(&mut rand::rng(), length).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_values_are_letters_and_digits_of_the_length_and_never_the_same() {
        let (one, two) = (generated(64), generated(64));
        assert!(one.len() == 64 && one.iter().all(u8::is_ascii_alphanumeric) && one != two);
    }

    #[test]
    fn lengths_are_from_16_to_1024() {
        let length = |text| length_of_generated(text).ok();
        assert_eq!((length(None), length(Some("")), length(Some("16"))), (Some(32), Some(32), Some(16)));
        assert_eq!(
            (length(Some("1024")), length(Some("1025")), length(Some("15"))),
            (Some(1024), None, None)
        );
        assert_eq!((length(Some("x")), length(Some("-20"))), (None, None));
    }
}
