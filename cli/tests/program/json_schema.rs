//! Validation by a JSON Schema, as far as the schema of SARIF uses it. A keyword that is not checked ends the test.

use fluent_uri::UriRef;
use serde_json::{Map, Value};

/// Asserts that the value is one of the schema, whose definitions are in it.
pub(crate) fn assert_valid(schema: &Value, value: &Value) {
    let problems = Checker { root: schema }.problems(schema, value, "");
    assert_eq!(problems, Vec::<String>::new());
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    fn problems(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let Value::Object(keywords) = schema else { panic!("a schema is an object: {schema}") };
        keywords
            .iter()
            .flat_map(|(keyword, wanted)| self.check(keywords, keyword, wanted, value, at))
            .collect()
    }

    fn check(
        &self,
        schema: &Map<String, Value>,
        keyword: &str,
        wanted: &Value,
        value: &Value,
        at: &str,
    ) -> Vec<String> {
        let unless =
            |holds: bool| if holds { Vec::new() } else { vec![format!("{at}: {keyword} {wanted}: {value}")] };
        match keyword {
            "description" | "title" | "default" | "$schema" | "$id" | "definitions" => Vec::new(),
            "$ref" => self.problems(self.definition(wanted.as_str().unwrap()), value, at),
            "type" => unless(is_of_type(wanted, value)),
            "enum" => unless(wanted.as_array().unwrap().contains(value)),
            "minimum" => unless(value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap())),
            "maximum" => unless(value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap())),
            "minItems" => {
                unless(value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()))
            }
            "uniqueItems" => unless(wanted == false || value.as_array().is_none_or(|items| is_unique(items))),
            "required" => {
                let names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                unless(
                    value
                        .as_object()
                        .is_none_or(|object| names.into_iter().all(|name| object.contains_key(name))),
                )
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items
                    .flat_map(|(index, item)| self.problems(wanted, item, &format!("{at}/{index}")))
                    .collect()
            }
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let known = fields.filter_map(|(name, field)| Some((name, wanted.get(name)?, field)));
                known
                    .flat_map(|(name, schema, field)| self.problems(schema, field, &format!("{at}/{name}")))
                    .collect()
            }
            "additionalProperties" => self.check_others(schema, wanted, value, at),
            "anyOf" => {
                let mut all = wanted.as_array().unwrap().iter();
                unless(all.any(|schema| self.problems(schema, value, at).is_empty()))
            }
            "oneOf" => {
                let fits = |schema: &&Value| self.problems(schema, value, at).is_empty();
                unless(wanted.as_array().unwrap().iter().filter(fits).count() == 1)
            }
            "format" => unless(value.as_str().is_none_or(|text| has_format(wanted.as_str().unwrap(), text))),
            _ => panic!("{at}: the keyword {keyword} is not checked"),
        }
    }

    fn check_others(
        &self,
        schema: &Map<String, Value>,
        wanted: &Value,
        value: &Value,
        at: &str,
    ) -> Vec<String> {
        let known = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
        let others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
        others
            .flat_map(|(name, field)| match wanted {
                Value::Bool(true) => Vec::new(),
                Value::Bool(false) => vec![format!("{at}: unknown field {name}")],
                schema => self.problems(schema, field, &format!("{at}/{name}")),
            })
            .collect()
    }

    fn definition(&self, reference: &str) -> &Value {
        self.root.pointer(reference.strip_prefix('#').unwrap()).unwrap()
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    match wanted.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => wanted.as_array().unwrap().iter().any(|one| is_of_type(one, value)),
    }
}

fn is_unique(items: &[Value]) -> bool {
    items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "uri" => UriRef::parse(text).is_ok_and(|uri| uri.has_scheme()),
        "uri-reference" => UriRef::parse(text).is_ok(),
        _ => panic!("the format {format} is not checked"),
    }
}

#[test]
fn a_value_that_breaks_one_keyword_of_a_schema_is_invalid() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {
            "a": {"$ref": "#/definitions/number"}, "b": {"type": "array", "uniqueItems": true, "minItems": 1, "items": {"enum": ["x", "y"]}},
            "c": {"format": "uri", "type": "string"}, "d": {"anyOf": [{"required": ["e"]}, {"required": ["f"]}]},
        },
        "definitions": {"number": {"type": ["integer", "null"], "minimum": 1, "maximum": 3}},
    });
    let problems = |text: &str| {
        Checker { root: &schema }.problems(&schema, &serde_json::from_str(text).unwrap(), "").len()
    };
    for good in
        [r#"{"a": 1}"#, r#"{"a": null, "b": ["x", "y"]}"#, r#"{"a": 3, "c": "https://a.b/c", "d": {"f": 1}}"#]
    {
        assert_eq!(problems(good), 0, "{good}");
    }
    for bad in [
        "[]",
        "{}",
        r#"{"a": 0}"#,
        r#"{"a": 4}"#,
        r#"{"a": "x"}"#,
        r#"{"a": 1, "z": 1}"#,
        r#"{"a": 1, "b": []}"#,
        r#"{"a": 1, "b": ["x", "x"]}"#,
        r#"{"a": 1, "b": ["z"]}"#,
        r#"{"a": 1, "c": "no scheme"}"#,
        r#"{"a": 1, "d": {}}"#,
    ] {
        assert!(problems(bad) > 0, "{bad}");
    }
}
