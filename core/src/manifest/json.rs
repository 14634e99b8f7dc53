//! Converts nodes to JSON, for objects other than Secrets.

use serde_json::{Number, Value};

use super::node::{Node, NodeKind};
use super::scalar::{Resolved, go_text, resolve};

/// Converts a node to JSON: booleans and nulls as in YAML 1.1, every other scalar as the text that Go's reader stores in a field
/// of type string.
#[must_use]
pub fn json_of(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Scalar { text, plain: true } => match resolve(text) {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            _ => Value::String(go_text(text)),
        },
        NodeKind::Scalar { text, plain: false } => Value::String(text.to_string()),
        NodeKind::Sequence(items) => items.iter().map(json_of).collect(),
        NodeKind::Mapping(entries) => {
            let texts = entries.iter().map(|(key, value)| (key.text().unwrap_or_default(), value));
            texts.map(|(key, value)| (key.to_owned(), json_of(value))).collect()
        }
    }
}

/// Converts a node to JSON as kubectl sends objects of unknown types: unquoted scalars have their YAML 1.1 types. Numbers that
/// JSON cannot represent become strings.
#[must_use]
pub fn json_as_sent(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Scalar { text, plain: true } => number(text).map_or_else(|| json_of(node), Value::Number),
        NodeKind::Scalar { .. } => json_of(node),
        NodeKind::Sequence(items) => items.iter().map(json_as_sent).collect(),
        NodeKind::Mapping(entries) => {
            let texts = entries.iter().map(|(key, value)| (key.text().unwrap_or_default(), value));
            texts.map(|(key, value)| (key.to_owned(), json_as_sent(value))).collect()
        }
    }
}

fn number(text: &str) -> Option<Number> {
    match resolve(text) {
        Resolved::Int(value) => Number::from_i128(value),
        Resolved::Float(value) => Number::from_f64(value),
        Resolved::Null | Resolved::Bool(_) | Resolved::Text => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::split::documents;
    use super::*;

    #[test]
    fn words_are_resolved_as_in_yaml_1_1_and_numbers_stay_text() {
        let text = "a: on\nb: ~\nc: 012\nd: 'yes'\ne: [{f: x}]\n";
        let wanted = json!({"a": true, "b": null, "c": "10", "d": "yes", "e": [{"f": "x"}]});
        assert_eq!(json_of(&documents(text).unwrap()[0].root), wanted);
    }

    #[test]
    fn sent_numbers_are_numbers() {
        let text = "a: {b: yes, d: 012, e: 1.5, g: '7'}\nlist: [1, x]\n";
        let wanted = json!({"a": {"b": true, "d": 10, "e": 1.5, "g": "7"}, "list": [1, "x"]});
        assert_eq!(json_as_sent(&documents(text).unwrap()[0].root), wanted);
    }
}
