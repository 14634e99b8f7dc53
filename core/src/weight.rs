//! How much memory a SealedSecret takes while it is worked on.

/// Copies of its text that there are at the same time while the Secret is written: the one that is there, the one that is wanted,
/// the request and the answer.
const COPIES: usize = 7;

/// What all copies of a field or element take besides its text, its places in the managedFields included.
const NODE: usize = 700;

/// The bytes of heap that an object takes at most of which `texts` are the JSON texts that its author decides on.
#[must_use]
pub fn heap_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| COPIES * text.len() + NODE * nodes(text)).sum()
}

/// At least as many as there are fields and elements in a JSON text: each follows a comma or an opening bracket.
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
    fn fields_and_elements_are_counted_and_what_stands_in_strings_is_not() {
        for (json, expected) in [("7", 0), (r#"{"a":1,"b":[2,3]}"#, 4), (r#"{"a":"{,[\",,,","b":"\\"}"#, 2)] {
            assert_eq!(nodes(json), expected, "{json}");
        }
    }
}
