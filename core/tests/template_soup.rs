//! Stable counterpart of `fuzz/fuzz_targets/template.rs`: rendering ends without a panic for any text.

mod world;

use proptest::prelude::*;
use proptest::sample::select;
use sealed_secrets_core::template::{Budget, Data, is_volatile, render_text};

use self::world::Still;

fn functions() -> Vec<&'static str> {
    let sprig = include_str!("data/sprig-functions.txt").lines().filter_map(|line| line.split(' ').next());
    sprig
        .chain(["and", "or", "not", "eq", "lt", "len", "index", "printf", "html", "js", "urlquery", "call"])
        .collect()
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn token() -> impl Strategy<Value = String> {
    let syntax = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "(",
        ")",
        "|",
        ":=",
        "=",
        ",",
        " ",
        " ",
        ".",
        "$",
        "$x",
        ".text",
        ".json",
        "if ",
        "else ",
        "end",
        "range ",
        "with ",
        "define ",
        "template ",
        "block ",
        "break",
        "continue",
        "nil",
        "true",
        "/*",
        "*/",
        "\"",
        "`",
        "'",
    ];
    let values = [
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "0x1p-2",
        "1e308",
        "1i",
        "'é'",
        "\"a\"",
        "\"\\xff\"",
        "\"%v%*d%[9]x\"",
        "\"2006-01-02 MST -07:00 .000\"",
        "\"[a-z&&b]**\"",
        "\"1.x || ^2\"",
        "\"http://[::1%25a]:1/\"",
        "(list 1 nil)",
        "(dict \"a\" 1)",
        "(now)",
        "(semver \"1.2.3\")",
        "(toDate \"2006\" \"2020\")",
    ];
    prop_oneof![
        4 => select(syntax.to_vec()).prop_map(str::to_owned),
        3 => select(values.to_vec()).prop_map(|value| format!(" {value} ")),
        4 => select(functions()).prop_map(|name| format!(" {name} ")),
        1 => any::<char>().prop_map(String::from),
    ]
}

fn call() -> impl Strategy<Value = String> {
    let values = [
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1e308",
        "nil",
        "true",
        "\"a\"",
        "\"\"",
        "\"\\xff\\xc3\"",
        ".text",
        ".json",
        "(list 1 nil \"a\")",
        "(list)",
        "(dict \"a\" 1)",
        "(now)",
        "(semver \"1.2.3\")",
        "(until 3)",
        "(splitList \",\" \"b,a\")",
        "(int64 -1)",
        "(toDate \"2006\" \"2020\")",
        "\"%08.3v|%+q|%#x\"",
        "\"2006-002 __2 MST\"",
        "\"-1h2.5s\"",
        "\"[\"",
        "\">=1.x\"",
        "\"//h:1/%41?q#f\"",
    ];
    let arguments = prop::collection::vec(select(values.to_vec()), 0..6);
    (select(functions()), arguments)
        .prop_map(|(name, arguments)| format!("{{{{ {name} {} }}}}", arguments.join(" ")))
}

fn render(text: &str) {
    let items = Data::from([
        ("text".to_owned(), b"h\xffllo".to_vec().into()),
        ("json".to_owned(), b"{\"a\":[1,null]}".to_vec().into()),
    ]);
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    let _ = render_text("soup", text, &items, &budget, &mut Still::forever());
    let _ = is_volatile(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_renders_or_fails_without_a_panic(text in ".{0,200}") {
        render(&text);
        render(&format!("{{{{{text}}}}}"));
    }

    #[test]
    fn any_row_of_tokens_renders_or_fails_without_a_panic(tokens in prop::collection::vec(token(), 0..30)) {
        render(&tokens.concat());
        render(&format!("{{{{{}}}}}", tokens.concat()));
    }

    #[test]
    fn any_call_returns_or_fails_without_a_panic(call in call()) {
        render(&call);
    }
}
