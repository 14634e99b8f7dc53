//! Estimates the memory that reconciling a SealedSecret takes.

/// Number of simultaneous copies of the object's text while the Secret is written: existing and desired Secret, request and
/// response.
const COPIES: usize = 7;

/// Bytes for all copies of a field or element besides its text, its managedFields entries included.
const NODE: usize = 700;

/// Returns an upper bound of the heap bytes for an object, given `texts`, the JSON texts of its user-controlled fields.
#[must_use]
pub fn heap_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| heap_for(text.len(), nodes(text))).sum()
}

/// Returns an upper bound of the heap bytes for so many bytes of text in so many fields.
#[must_use]
pub const fn heap_for(bytes: usize, fields: usize) -> usize {
    COPIES.saturating_mul(bytes).saturating_add(NODE.saturating_mul(fields))
}

/// Returns an upper bound of the number of fields and elements in a JSON text: each follows a comma or an opening bracket.
fn nodes(json: &str) -> usize {
    let (mut nodes, mut is_in_string, mut is_escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b',' | b'{' | b'[' if !is_in_string => nodes += 1,
            _ => {}
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_elements_are_counted_and_the_content_of_strings_is_not() {
        for (json, expected) in [("7", 0), (r#"{"a":1,"b":[2,3]}"#, 4), (r#"{"a":"{,[\",,,","b":"\\"}"#, 2)] {
            assert_eq!(nodes(json), expected, "{json}");
        }
    }
}
