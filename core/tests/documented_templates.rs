//! Checks that every example in docs/templates.md gives the documented result.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod world;

use std::collections::BTreeMap;

use sealed_secrets_core::template::{Budget, Data, is_volatile, render_secret, render_text};
use zeroize::Zeroizing;

use self::world::Still;

const PAGE: &str = include_str!("../../docs/templates.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(opening.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

fn items() -> Data {
    let lines = blocks("items")[0].lines().map(|line| line.split_once(": ").unwrap());
    lines.map(|(key, value)| (key.to_owned(), Zeroizing::new(value.as_bytes().to_vec()))).collect()
}

fn templates(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    entries.iter().map(|(key, text)| ((*key).to_owned(), text.map(str::to_owned))).collect()
}

fn rendered(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, String> {
    let rendered =
        render_secret(&templates(entries), &items(), &Budget::default(), &mut Still::forever()).unwrap();
    rendered.data.into_iter().map(|(key, value)| (key, String::from_utf8(value.to_vec()).unwrap())).collect()
}

#[test]
fn every_example_gives_the_result_on_the_page() {
    let examples = blocks("template");
    assert!(examples.len() >= 8);
    for example in examples {
        let (template, expected) = example.split_once("\n---\n").unwrap();
        let output = render_text("example", template, &items(), &Budget::default(), &mut Still::forever());
        let output = output.unwrap_or_else(|error| panic!("{template}: {error}"));
        assert_eq!(String::from_utf8_lossy(&output), expected, "{template}");
    }
}

#[test]
fn the_documented_limits_are_the_defaults() {
    let budget = Budget::default();
    for limit in [
        "| rendered output | 1 MiB |".to_owned(),
        format!("| depth of `template` calls | {} |", budget.recursion),
        format!("| depth of blocks, parentheses, lists in lists | {} |", budget.nesting),
        format!("| calls of functions that make keys or hash passwords | {} |", budget.costly),
        format!("| one value | {} MiB |", budget.value >> 20),
        format!("| values made while rendering | {} MiB |", budget.memory >> 20),
    ] {
        assert!(PAGE.contains(&limit), "{limit}");
    }
    assert_eq!((budget.output, budget.steps), (1 << 20, 2_000_000));
}

// Output of upstream's kubeseal 0.40.0 with --recovery-unseal for the same manifests.
#[test]
fn a_template_sees_its_siblings_as_they_are_written() {
    let data = rendered(&[
        ("z", Some("{{/* */}}zz")),
        ("b", Some("{{.z}}|{{.c}}")),
        ("c", None),
        ("d", Some("{{ `{{x}}` }}")),
        ("e", Some("{{.d}}")),
    ]);
    assert_eq!(data["b"], "{{/* */}}zz|<no value>");
    assert_eq!(data["z"], "zz");
    assert_eq!(data["e"], "{{ `{{x}}` }}");
    assert!(!data.contains_key("c"));
}

#[test]
fn an_item_wins_over_a_template_of_the_same_key() {
    let data = rendered(&[("user", Some("template")), ("b", Some("{{.user}}"))]);
    assert_eq!((data["user"].as_str(), data["b"].as_str()), ("admin", "admin"));
}

#[test]
fn a_template_hidden_by_an_item_still_fails() {
    for text in ["{{fail `no`}}", "{{syntax"] {
        let result = render_secret(
            &templates(&[("user", Some(text))]),
            &items(),
            &Budget::default(),
            &mut Still::forever(),
        );
        assert_eq!(result.unwrap_err().key, "user");
    }
}

#[test]
fn null_removes_an_item_that_templates_still_see() {
    let data = rendered(&[("password", None), ("b", Some("{{.user}}{{len .password}}"))]);
    assert_eq!(data["b"], "admin12");
    assert!(!data.contains_key("password"));
    assert!(data.contains_key("host"));
}

#[test]
fn keys_that_use_the_clock_or_randomness_are_known() {
    let entries = [
        ("plain", Some("{{.user}}{{date \"2006\" 0}}")),
        ("random", Some("{{if false}}{{randAlpha 3}}{{end}}")),
        ("clock", Some("{{date \"2006\" \"no time\"}}")),
        ("quoted", Some("{{\"now\"}} now")),
        ("sibling", Some("{{.random}}")),
        ("user", Some("{{now}}")),
    ];
    let rendered =
        render_secret(&templates(&entries), &items(), &Budget::default(), &mut Still::forever()).unwrap();
    assert_eq!(rendered.volatile.iter().map(String::as_str).collect::<Vec<_>>(), ["clock", "random"]);
    assert!(is_volatile("{{genCA \"x\" 1}}"));
    assert!(!is_volatile("{{upper \"genCA\"}} {{/* now */}}"));
}

#[test]
fn debug_does_not_print_rendered_text() {
    let rendered = render_secret(
        &templates(&[("a", Some("{{.password}}"))]),
        &items(),
        &Budget::default(),
        &mut Still::forever(),
    )
    .unwrap();
    assert!(!format!("{rendered:?}").contains("<or>"));
}
