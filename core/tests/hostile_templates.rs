//! Templates written to do harm: each ends with a budget error, in little memory, on a test thread's small stack.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sealed_secrets_core::template::{
    Budget, Class, Data, Elapsed, TemplateError, render_secret, render_text,
};

use self::world::Still;

const HOUR: Duration = Duration::from_hours(1);
const PROCESSOR_HOUR: Elapsed = Elapsed { processor: HOUR, wall: Duration::ZERO };
const WALL_HOUR: Elapsed = Elapsed { processor: Duration::ZERO, wall: HOUR };

fn failure(template: &str) -> TemplateError {
    render_text("key", template, &Data::new(), &Budget::default(), &mut Still::forever()).unwrap_err()
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    [open.repeat(depth), middle.to_owned(), close.repeat(depth)].concat()
}

const LOOP: &str = "{{range until 100000}}";

#[expect(clippy::too_many_lines, reason = "a list")]
fn hostile() -> Vec<String> {
    let mut templates: Vec<String> = [
        // Endless work.
        "{{define \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}",
        "{{define \"a\"}}{{template \"b\" .}}{{end}}{{define \"b\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}",
        "{{define \"r\"}}x{{template \"r\" (list .)}}{{end}}{{template \"r\" 1}}",
        "{{define \"r\"}}{{template \"r\"}}{{template \"r\"}}{{end}}{{template \"r\"}}",
        "{{template \"key\"}}",
        "{{define \"r\"}}{{if lt . 18}}{{template \"r\" (int (add1 .))}}{{template \"r\" (int (add1 .))}}{{end}}{{end}}{{template \"r\" 0}}{{template \"r\" 0}}{{template \"r\" 0}}{{template \"r\" 0}}",
        "{{range 9223372036854775807}}{{end}}",
        "{{range int64 9223372036854775807}}{{.}}{{end}}",
        "{{range 3000000}}{{end}}",
        "{{range 2000}}{{range 2000}}{{end}}{{end}}",
        "{{range $i := 2000}}{{range $j := 2000}}{{add $i $j}}{{end}}{{end}}",
        "{{$x := 0}}{{range 5000000}}{{$x = add1 $x}}{{end}}",
        // Large values.
        "{{repeat 1000000000 \"x\"}}",
        "{{repeat 9223372036854775807 \"xx\"}}",
        "{{repeat 5000000 \"x\" | len}}",
        "{{repeat 2000000 \"x\"}}",
        "{{until 1000000000}}",
        "{{until -1000000000}}",
        "{{untilStep 0 9223372036854775807 1}}",
        "{{untilStep 9223372036854775807 -9223372036854775807 -2 | len}}",
        "{{seq 1000000000}}",
        "{{seq 0 1 9223372036854775806}}",
        "{{seq 1 9223372036854775806}}",
        "{{printf \"%10000000d\" 1}}",
        "{{printf \"%9999999s\" \"x\"}}",
        "{{printf \"%.9999999f\" 1.0}}",
        "{{printf \"%.9999999d\" 1}}",
        "{{printf \"%0*d\" 1000000 1}}{{printf \"%1000000s\" \"\"}}{{printf \"%1000000s\" \"\"}}",
        "{{indent 1000000000 \"a\\nb\"}}",
        "{{nindent 9223372036854775807 \"a\"}}",
        "{{indent 100000 (repeat 100000 \"\\n\")}}",
        "{{randAlpha 1000000000}}",
        "{{randAlphaNum 9223372036854775807}}",
        "{{randAscii 1000000000}}",
        "{{randNumeric 1000000000}}",
        "{{randBytes 1000000000}}",
        "{{replace \"x\" (repeat 100000 \"y\") (repeat 100000 \"x\")}}",
        "{{replace \"\" (repeat 100000 \"y\") (repeat 100000 \"x\")}}",
        "{{wrapWith 1 (repeat 100000 \"y\") (repeat 100000 \"x\")}}",
        "{{join (repeat 100000 \"y\") (until 100000)}}",
        "{{regexReplaceAll \"x\" (repeat 100000 \"x\") (repeat 100000 \"y\")}}",
        "{{split \"\" (repeat 1000000 \"x\")}}",
        "{{splitList \"\" (repeat 4000000 \"x\") | len}}",
        "{{repeat 3000000 \"<\" | html}}",
        "{{repeat 2000000 \"\\x00\" | toJson}}",
        "{{repeat 2000000 \"\\x00\" | quote}}",
        "{{repeat 3000000 \" \" | js | len}}{{repeat 3000000 \"é\" | urlquery}}",
        "{{$s := \"x\"}}{{range 64}}{{$s = cat $s $s}}{{end}}",
        "{{$s := \"xxxxxxxx\"}}{{range 200}}{{$s = b64enc $s}}{{end}}",
        "{{$s := \"\\\"\"}}{{range 64}}{{$s = quote $s}}{{end}}",
        "{{$s := \"\\\"\"}}{{range 64}}{{$s = toJson $s}}{{end}}",
        "{{$l := list 1}}{{range 64}}{{$l = concat $l $l}}{{end}}",
        "{{$l := list}}{{range 100000}}{{$l = append $l 1}}{{end}}",
        "{{$l := list}}{{range 100000}}{{$l = prepend $l (repeat 1000 \"x\")}}{{end}}",
        "{{$d := dict}}{{range $i := 3000000}}{{$_ := set $d (toString $i) $i}}{{end}}",
        "{{range 1000}}{{repeat 100000 \"x\" | sha256sum}}{{end}}",
        "{{range 100}}{{repeat 1000000 \"x\" | len}}{{end}}",
        "{{uniq (until 5000)}}",
        "{{chunk 1 (until 100000)}}",
        "{{fromJson (printf \"[%s1]\" (repeat 1000000 \"1,\"))}}",
        // Depth of values.
        "{{$l := list}}{{range 100000}}{{$l = list $l}}{{end}}{{$l}}",
        "{{$l := list}}{{range 1000}}{{$l = list $l}}{{end}}{{toJson $l}}",
        "{{$l := list}}{{range 1000}}{{$l = list $l}}{{end}}{{deepCopy $l}}",
        "{{$l := list}}{{$m := list}}{{range 1000}}{{$l = list $l}}{{$m = list $m}}{{end}}{{deepEqual $l $m}}",
        "{{$d := dict}}{{$_ := set $d \"self\" $d}}{{$d}}",
        "{{$d := dict}}{{$_ := set $d \"self\" $d}}{{toJson $d}}",
        "{{$d := dict}}{{$_ := set $d \"self\" $d}}{{deepCopy $d}}",
        "{{$d := dict}}{{$_ := set $d \"self\" (list $d)}}{{printf \"%#v\" $d}}",
        "{{$d := dict}}{{$_ := set $d \"a\" $d}}{{$e := dict}}{{$_ := set $e \"a\" $e}}{{merge $d $e}}",
        "{{$d := dict \"a\" 1}}{{range 1000}}{{$d = dict \"a\" $d \"b\" $d}}{{end}}{{$d}}",
        "{{$l := list 1}}{{range 40}}{{$l = list $l $l}}{{end}}{{toJson $l}}",
        "{{fromJson (repeat 100000 \"[\")}}",
        "{{fromJson (repeat 1000 \"{\\\"a\\\":\")}}",
        // Costly functions.
        "{{range 5}}{{bcrypt \"x\"}}{{end}}",
        "{{range 5}}{{htpasswd \"u\" \"x\"}}{{end}}",
        "{{range 5}}{{genPrivateKey \"ed25519\"}}{{end}}",
        "{{range 5}}{{genPrivateKey \"ecdsa\"}}{{end}}",
        "{{range 5}}{{derivePassword 1 \"unknown\" \"p\" \"u\" \"s\"}}{{end}}",
        // Regular expressions.
        "{{regexMatch \"((a{100}){100}){100}\" \"a\"}}",
        "{{regexMatch \"(\\\\pL{500}){500}\" \"a\"}}",
        "{{regexFind (repeat 100000 \"(a?)\") \"a\"}}",
        "{{range $i := 100000}}{{regexMatch (printf \"a%d\" $i) \"a\"}}{{end}}",
        "{{range 100000}}{{regexMatch \"(a|b)*c\" (repeat 10000 \"ab\")}}{{end}}",
        // Texts that certificates hold several times.
        "{{genCAWithKey (repeat 1170000 (b64dec \"/w==\")) 1 (genPrivateKey \"ed25519\")}}",
        "{{semverCompare (repeat 100000 \">1 \") \"1.0.0\"}}",
    ]
    .map(str::to_owned)
    .to_vec();
    // Depth of the template itself.
    templates.push(nested("{{if true}}", "x", "{{end}}", 10_000));
    templates.push(nested("{{range list 1}}", "x", "{{end}}", 1_000));
    templates.push(nested("{{with 1}}", "x", "{{end}}", 300));
    templates.push(format!("{{{{{}}}}}", nested("(", "1", ")", 100_000)));
    templates.push(format!("{{{{{}}}}}", nested("(print ", "1", ")", 300)));
    templates.push(format!("{{{{b64enc {}}}}}", nested("(b64enc ", "\"x\"", ")", 250)));
    templates.push(format!("{LOOP}{LOOP}{{{{end}}}}{{{{end}}}}"));
    templates.push("{{print 1}}".repeat(1_000_000));
    // Variables of all running calls.
    let variables = "{{$a:=1}}".repeat(1_990);
    templates.push(format!(
        "{{{{define \"r\"}}}}{variables}{{{{template \"r\"}}}}{{{{end}}}}{{{{template \"r\"}}}}"
    ));
    templates
}

/// The most memory this process ever used, in KiB.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the measurement is in the test, not in the crate")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn hostile_templates_end_with_a_budget_error_in_little_memory() {
    let templates = hostile();
    assert!(templates.len() >= 60);
    #[cfg(target_os = "linux")]
    let before = peak_memory();
    let mut wrong = Vec::new();
    for template in &templates {
        let start: String = template.chars().take(100).collect();
        match render_text("key", template, &Data::new(), &Budget::default(), &mut Still::forever()) {
            Err(error) if error.class == Class::Budget => {}
            other => wrong.push(format!("{start}: {:?}", other.map(|output| output.len()))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    #[cfg(target_os = "linux")]
    assert!(
        peak_memory() - before < 64 * 1024,
        "{} KiB more than the {before} before",
        peak_memory() - before
    );
}

#[test]
fn processor_time_that_is_used_up_differs_from_time_that_passed_while_others_had_the_processor() {
    for (elapsed, class) in [(PROCESSOR_HOUR, Class::Expired), (WALL_HOUR, Class::Interrupted)] {
        let mut clock = Still::until_look(10, elapsed);
        let template = "{{range 1000000}}{{end}}";
        let error = render_text("key", template, &Data::new(), &Budget::default(), &mut clock).unwrap_err();
        assert_eq!(error.class, class);
    }
}

#[test]
fn no_processor_time_of_slow_functions_is_too_much_though_a_rendering_does_not_last_for_ever() {
    let template = "{{$_ := bcrypt \"x\"}}{{$_ := htpasswd \"u\" \"x\"}}{{range 1000}}{{end}}done";
    let render = |slow: Elapsed| {
        let mut clock = Still::forever();
        clock.slow = slow;
        render_text("key", template, &Data::new(), &Budget::default(), &mut clock)
    };
    assert_eq!(render(PROCESSOR_HOUR).unwrap().as_slice(), b"done");
    assert_eq!(render(WALL_HOUR).unwrap_err().class, Class::Interrupted);
}

#[test]
fn all_keys_of_an_object_share_one_budget() {
    let template = Some("{{repeat 600000 \"x\"}}".to_owned());
    let templates = BTreeMap::from([("a".to_owned(), template.clone()), ("b".to_owned(), template)]);
    let error =
        render_secret(&templates, &Data::new(), &Budget::default(), &mut Still::forever()).unwrap_err();
    assert_eq!((error.key.as_str(), error.class), ("b", Class::Budget));
}

#[test]
fn recursion_as_deep_as_the_budget_allows_does_not_overflow_the_stack() {
    let blocks =
        nested("{{if true}}", "{{if gt . 0}}{{template \"r\" (int (sub . 1))}}{{end}}", "{{end}}", 150);
    let template = format!("{{{{define \"r\"}}}}{blocks}{{{{end}}}}{{{{template \"r\" 498}}}}done");
    // So many frames take more memory than an object has by default.
    let budget = Budget { memory: 64 << 20, ..Budget::default() };
    let output = render_text("key", &template, &Data::new(), &budget, &mut Still::forever()).unwrap();
    assert!(output.ends_with(b"done"));
    let parentheses = format!("{{{{{}}}}}", nested("(print ", "1", ")", 190));
    assert!(
        render_text("key", &parentheses, &Data::new(), &Budget::default(), &mut Still::forever()).is_ok()
    );
}

#[test]
fn an_error_names_the_position_and_never_the_value() {
    let items = Data::from([("password".to_owned(), b"canary-7".to_vec().into())]);
    for template in [
        "\n  {{fail .password}}",
        "\n  {{b64dec .password | mustFromJson}}",
        "\n  {{index .password 100}}",
        "\n  {{.password.field}}",
        "\n  {{substr 9 1 .password}}",
        "\n  {{mustRegexMatch (print \"[\" .password) \"\"}}",
        "\n  {{range .password}}{{end}}",
        "\n  {{semver .password}}",
        "\n  {{template \"t\" .password}}",
    ] {
        let error =
            render_text("the-key", template, &items, &Budget::default(), &mut Still::forever()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!((error.key.as_str(), error.line), ("the-key", 2), "{text}");
    }
    assert_eq!(failure("{{env \"HOME\"}}").class, Class::UnknownFunction);
    assert_eq!(failure("{{").class, Class::Syntax);
    assert_eq!(failure("{{fail \"x\"}}").function.as_deref(), Some("fail"));
}
