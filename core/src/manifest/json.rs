//! Nodes to JSON, for what is no Secret.

use serde_json::Value;

use super::node::{Node, NodeKind};
use super::scalar::{Resolved, go_text, resolve};

/// A node as JSON: truth values and nulls as YAML 1.1 has them, every other scalar as the text that Go's reader gives a field
/// of type string.
#[must_use]
pub fn json_of(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Scalar { text, plain: true } => match resolve(text) {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            _ => Value::String(go_text(text)),
        },
        NodeKind::Scalar { text, plain: false } => Value::String(text.clone()),
        NodeKind::Sequence(items) => items.iter().map(json_of).collect(),
        NodeKind::Mapping(entries) => {
            let texts = entries.iter().map(|(key, value)| (key.text().unwrap_or_default(), value));
            texts.map(|(key, value)| (key.to_owned(), json_of(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::split::documents;
    use super::*;

    #[test]
    fn words_are_what_yaml_1_1_makes_of_them_and_numbers_stay_text() {
        let text = "a: on\nb: ~\nc: 012\nd: 'yes'\ne: [{f: x}]\n";
        let wanted = json!({"a": true, "b": null, "c": "10", "d": "yes", "e": [{"f": "x"}]});
        assert_eq!(json_of(&documents(text).unwrap()[0].root), wanted);
    }
}
