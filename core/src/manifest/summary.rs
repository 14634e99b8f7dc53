//! Summaries of ciphertexts, for diffs that people read.

use super::budget::Budget;
use super::node::Node;
use super::read::{Object, ciphertext, objects};
use super::sealed::is_sealed_secret;
use super::span::{items_of, quote_of, value_range};
use super::split::chunks;
use super::texts::{Splice, parse, spliced};
use crate::item_form::item_form;
use crate::receipt::digest;

/// Replaces each ciphertext of a SealedSecret by its summary, for example `<sealed 32 B 1f0c9a2e71b0>`: the length of the value, and
/// the hash of a receipt. Everything else stays, also documents that cannot be parsed.
#[must_use]
pub fn with_summaries(text: &str) -> String {
    let Ok(chunks) = chunks(text, &mut Budget::of_own_file()) else { return text.to_owned() };
    let mut output = String::with_capacity(text.len());
    let mut end = 0;
    for range in chunks {
        output.push_str(text.get(end..range.start).unwrap_or_default());
        output.push_str(&summarized(text.get(range.clone()).unwrap_or_default()));
        end = range.end;
    }
    output.push_str(text.get(end..).unwrap_or_default());
    output
}

fn summarized(text: &str) -> String {
    let Ok((documents, masked)) = parse(text) else { return text.to_owned() };
    let parsed = masked.as_ref().map_or(text, |masked| &masked.text);
    let sealed = documents.iter().flat_map(objects).filter(|object| is_sealed_secret(object.node));
    spliced(text, sealed.flat_map(|object| splices(parsed, object)).collect())
}

fn splices(text: &str, object: Object<'_>) -> Vec<Splice> {
    let entries = items_of(&object).map_or(&[][..], Node::entries);
    entries.iter().filter_map(|(key, value)| splice(text, object, key, value)).collect()
}

fn splice(text: &str, object: Object<'_>, key: &Node, value: &Node) -> Option<Splice> {
    let summary = summary(ciphertext(value).ok()?)?;
    let range = value_range(text, object.document, key, value);
    let quote = quote_of(text.get(range.clone())?);
    let is_own = !key.shared && !value.shared;
    is_own.then(|| Splice { range, text: format!("{quote}{summary}{quote}") })
}

/// Returns true if the text has the form of a ciphertext.
pub(super) fn is_ciphertext(text: &str) -> bool {
    item_form(text).is_some()
}

/// Returns the summary of a ciphertext; `None` for other texts.
fn summary(text: &str) -> Option<String> {
    let form = item_form(text)?;
    Some(format!("<sealed {} B {}>", form.value_bytes, digest(text)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// A text in the form of a ciphertext of a value of this length.
    fn item(length: usize) -> String {
        BASE64_STANDARD.encode([&[2, 0][..], &vec![7; 512 + 16 + length]].concat())
    }

    fn sealed(items: &str) -> String {
        format!("# top\nkind: SealedSecret\nspec:\n  encryptedData:{items}\n  template: {{}}  # end\n")
    }

    #[test]
    fn a_ciphertext_becomes_the_length_of_its_value_and_its_hash_in_every_style() {
        let (item, hash) = (item(3), digest(&item(3)));
        let (first, rest) = item.split_at(100);
        for (before, after) in [
            (format!("\n    a: {item}  # why"), format!("\n    a: <sealed 3 B {hash}>  # why")),
            (format!("\n    a: '{item}'"), format!("\n    a: '<sealed 3 B {hash}>'")),
            (format!(" {{\"a\": \"{item}\", b: x}}"), format!(" {{\"a\": \"<sealed 3 B {hash}>\", b: x}}")),
            (format!("\n    a:\n      {item}"), format!("\n    a:\n      <sealed 3 B {hash}>")),
        ] {
            assert_eq!(with_summaries(&sealed(&before)), sealed(&after));
        }
        let folded = with_summaries(&sealed(&format!("\n    a: |-\n      {first}\n      {rest}\n    b: x")));
        assert!(folded.contains("\n    a: <sealed 3 B ") && folded.contains(">\n    b: x\n"), "{folded}");
    }

    #[test]
    fn all_else_stays_and_one_unreadable_document_hides_no_other() {
        let item = item(32);
        let other = format!("kind: ConfigMap\nspec: {{encryptedData: {{a: {item}}}}}\n");
        for text in
            ["", "\u{feff}# x\r\n", "a: [", &other, &sealed("\n    a: AgX\n    b: 7\n    c: {}\n    d:")]
        {
            assert_eq!(with_summaries(text), text);
        }
        let two = format!("a: [\n---\n{}", sealed(&format!("\n    a: {item}")));
        let wanted = format!("<sealed 32 B {}>", digest(&item));
        assert_eq!(with_summaries(&two), two.replace(&item, &wanted));
        let template = format!(
            "{{{{- if .x }}}}\n{}\n{{{{- end }}}}\n",
            sealed(&format!("\n    a: {item}\n    b: {{{{ .y }}}}"))
        );
        assert_eq!(with_summaries(&template), template.replace(&item, &wanted));
    }

    #[test]
    fn shared_nodes_stay() {
        let text = sealed(&format!("\n    a: &x {0}\n    b: *x", item(1)));
        assert_eq!(with_summaries(&text), text);
    }
}
