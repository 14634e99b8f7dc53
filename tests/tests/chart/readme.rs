//! The table of values in the chart's README, generated from values.yaml.

use std::fmt::Write as _;
use std::fs;

use crate::support::{assert_recorded, chart};

const BEGIN: &str = "<!-- values -->\n";
const END: &str = "<!-- end of values -->\n";

/// A line `key:` or `key: value`, with the number of spaces before it.
fn key(line: &str) -> Option<(usize, &str, &str)> {
    let text = line.trim_start();
    let (name, value) = text.split_once(':')?;
    let is_key = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_key.then(|| (line.len() - text.len(), name, value.trim()))
}

/// The default as written in values.yaml. A default of several lines consists of the lines below that are indented further.
fn default(value: &str, below: &[&str], indent: usize) -> String {
    let inner = || {
        let lines = below.iter().take_while(|line| line.len() - line.trim_start().len() > indent);
        lines.map(|line| line.trim()).collect::<Vec<_>>()
    };
    match value {
        "" => format!("{{{}}}", inner().join(", ")),
        "|" => inner().join(" "),
        "~" => "null".to_owned(),
        value => value.to_owned(),
    }
}

/// A table for each section. A key is listed if a comment precedes it; other keys only contain such keys.
fn tables(values: &str) -> String {
    let lines: Vec<_> = values.lines().collect();
    let mut tables = String::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut description = None;
    for (number, line) in lines.iter().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            write!(tables, "\n### {title}\n\n| value | meaning | default |\n|---|---|---|\n").unwrap();
        } else if let Some(comment) = line.trim_start().strip_prefix("# ") {
            description = Some(comment);
        } else if let Some((indent, name, value)) = key(line) {
            parents.retain(|(parent, _)| *parent < indent);
            parents.push((indent, name));
            let path: Vec<_> = parents.iter().map(|(_, name)| *name).collect();
            if let Some(description) = description.take() {
                let default = default(value, &lines[number + 1..], indent);
                writeln!(tables, "| `{}` | {description} | `{default}` |", path.join(".")).unwrap();
            }
        } else {
            description = None;
        }
    }
    tables + "\n"
}

#[test]
fn the_readme_lists_every_value() {
    let file = chart().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    assert_recorded(&file, &format!("{before}{BEGIN}{}{END}{after}", tables(&values)));
}

#[test]
fn every_value_is_described() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let lines: Vec<_> = values.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let Some((_, name, value)) = key(line) else { continue };
        let above = lines[number - 1].trim_start();
        let inside_a_default = ["cpu", "memory", "kind", "name"].contains(&name) && !above.starts_with('#');
        assert!(value.is_empty() || above.starts_with("# ") || inside_a_default, "{name} is not described");
    }
}

#[test]
fn a_key_without_a_comment_only_holds_others() {
    let values = "## T\n\na:\n  # What b is\n  b: 1\n  # Both\n  c:\n    d: x\n    e: y\n";
    let expected = "\n### T\n\n| value | meaning | default |\n|---|---|---|\n\
                    | `a.b` | What b is | `1` |\n| `a.c` | Both | `{d: x, e: y}` |\n\n";
    assert_eq!(tables(values), expected);
}
