//! Templates that keep the processor busy: however large its arguments, no function works for long without a look at the clock, and
//! neither does the parser.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::{Budget, Data, Sources, render_text};

/// What a clock that is asked to stop a rendering may be kept waiting.
const LIMIT: Duration = Duration::from_millis(200);
/// What the controller gives the rendering of an object: what comes later is not reached.
const RENDERING: Duration = Duration::from_secs(2);
/// Bytes of the largest value.
const LARGE: usize = (4 << 20) - 64;

/// The processor time of this thread, which does not pass while others use the processor.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the measurement is in the test, not in the crate")]
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// Elsewhere all time.
#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(now);
    START.elapsed()
}

/// A clock that runs out as the controller's does, but in processor time, and remembers how long it was not looked at.
struct Stopwatch {
    /// The processor time at which the rendering began.
    start: Duration,
    looked: Instant,
    /// When the processor time was read, which takes longer than looking at a clock, and what it was.
    read: Instant,
    processor: Duration,
    /// The longest time between two looks, of those beyond the limit.
    longest: Duration,
}

impl Stopwatch {
    fn started() -> Self {
        let (now, processor) = (now(), processor_time());
        Self { start: processor, looked: now, read: now, processor, longest: Duration::ZERO }
    }

    fn look(&mut self) {
        let now = now();
        let is_late = now - self.looked > LIMIT;
        if is_late || now - self.read > LIMIT / 10 {
            let processor = processor_time();
            if is_late {
                self.longest = self.longest.max(processor.saturating_sub(self.processor));
            }
            (self.read, self.processor) = (now, processor);
        }
        self.looked = now;
    }
}

#[expect(clippy::disallowed_methods, reason = "the measurement is in the test, not in the crate")]
fn now() -> Instant {
    Instant::now()
}

impl Sources for Stopwatch {
    fn now(&mut self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn local_zone(&mut self) -> TimeZone {
        TimeZone::UTC
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn expired(&mut self) -> bool {
        self.look();
        self.processor.saturating_sub(self.start) > RENDERING
    }
}

/// The longest time without a look at the clock if it is beyond the limit, from the beginning of a rendering to what is left to do
/// after it.
fn longest_wait(template: &str, items: &Data) -> Duration {
    let used = items.iter().filter(|(name, _)| template.contains(&format!(".{name}")));
    let used: Data = used.map(|(name, item)| (name.clone(), item.clone())).collect();
    let mut clock = Stopwatch::started();
    let _ = render_text("key", template, &used, &Budget::default(), &mut clock);
    clock.look();
    clock.longest
}

/// Tries again what took too long, since the machine may have been at fault.
fn assert_quick(templates: &[String], items: &Data) {
    let wait = |template: &String| {
        let waits = (0..3).map(|_| longest_wait(template, items));
        waits.take_while_inclusive(|wait| *wait > LIMIT).min().unwrap()
    };
    let slow: Vec<String> = templates
        .iter()
        .map(|template| (wait(template), template))
        .filter(|(wait, _)| *wait > LIMIT)
        .map(|(wait, template)| format!("{wait:?}: {}", template.chars().take(200).collect::<String>()))
        .collect();
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

trait TakeWhileInclusive: Iterator + Sized {
    /// All items up to the first that does not fit, that one included.
    fn take_while_inclusive(self, fits: impl Fn(&Self::Item) -> bool) -> impl Iterator<Item = Self::Item> {
        let mut is_over = false;
        self.map_while(move |item| {
            let taken = (!is_over).then_some(item)?;
            is_over = !fits(&taken);
            Some(taken)
        })
    }
}

impl<I: Iterator> TakeWhileInclusive for I {}

fn items() -> Data {
    let filled = |unit: &[u8]| unit.repeat(LARGE / unit.len());
    let units: [(&str, &[u8]); 21] = [
        ("a", b"a"),
        ("spaces", b" "),
        ("invalid", b"\xff"),
        ("wide", "É".as_bytes()),
        ("han", "漢".as_bytes()),
        ("mixed", b"aB1- "),
        ("upper", b"A"),
        ("digits", b"1"),
        ("zeros", b"0"),
        ("marks", b"%["),
        ("percents", b"%"),
        ("lines", b"\n"),
        ("less", b"<"),
        ("path", b"/a"),
        ("dots", b"1."),
        ("seconds", b"1s"),
        ("layout", b"2006"),
        ("escapes", b"\\u0041"),
        ("brackets", b"["),
        ("lists", b"[],"),
        ("numbers", b"1,"),
    ];
    let mut items = Data::from(units.map(|(name, unit)| (name.to_owned(), filled(unit).into())));
    // Compared with "a", it differs in the last byte only.
    let mut b = filled(b"a");
    *b.last_mut().unwrap() = b'b';
    items.insert("b".to_owned(), b.into());
    items
}

/// Variables that templates below use.
const VARIABLES: [(&str, &str); 5] = [
    ("$refs", "{{$refs := list .a .b}}{{range 14}}{{$refs = concat $refs $refs}}{{end}}"),
    ("$map", "{{$map := dict .a 1 .b 2 .wide 3 \"x\" (list .a .b)}}"),
    ("$keys", "{{$keys := dict}}{{range $i := 10000}}{{$_ := set $keys (toString $i) 1}}{{end}}"),
    ("$deep", "{{$deep := list .a}}{{range 190}}{{$deep = list $deep}}{{end}}"),
    ("$wood", "{{$wood := list .a}}{{range 60}}{{$wood = list $wood $wood}}{{end}}"),
];

fn with_variables(action: &str) -> String {
    let used = VARIABLES.iter().filter(|(name, _)| action.contains(name)).map(|(_, text)| *text);
    used.chain([action]).collect()
}

/// Arguments of a type; the functions are tried with the first of each, then with the second of each, and so on.
fn arguments(ty: &str) -> &'static [&'static str] {
    match ty {
        "string" => &[".a", ".wide", ".mixed", ".spaces"],
        "interface {}" => &[".a", "$refs", "$wood", ".digits"],
        "int" => &["1", "1000000", "9223372036854775807", "-1"],
        "uint32" => &["1"],
        "float64" => &["0.5"],
        "bool" => &["true"],
        "map[string]interface {}" => &["$map", "$keys"],
        "[]interface {}" => &["$refs", "(list)"],
        "time.Time" => &["(now)"],
        "time.Duration" => &["((now).Sub (now))"],
        "*time.Location" => &["((now).Location)"],
        "*semver.Version" => &["(semver \"1.2.3-a\")"],
        "sprig.certificate" => &["(genCAWithKey \"x\" 1 (genPrivateKey \"ed25519\"))"],
        other => panic!("no arguments of type {other}"),
    }
}

fn receiver(of: &str) -> &'static str {
    match of {
        "time" => "(now)",
        "zone" => "((now).Location)",
        "duration" => "((now).Sub (now))",
        "month" => "((now).Month)",
        "version" => "(semver \"1.2.3-a\")",
        other => panic!("no receiver {other}"),
    }
}

/// How many sets of arguments each function is tried with.
const SETS: usize = 4;

/// Calls of the function that a line describes, such as `abbrev func(int, string) string`.
fn calls(line: &str) -> Vec<String> {
    let (name, rest) = line.split_once(" func(").unwrap();
    let parameters: Vec<&str> =
        rest.split(')').next().unwrap().split(", ").filter(|ty| !ty.is_empty()).collect();
    let head = match name.split_once('.') {
        Some((of, method)) => format!("{}.{method}", receiver(of)),
        None => name.to_owned(),
    };
    let call = |set: usize, further: usize| {
        let arguments = parameters.iter().flat_map(|ty| {
            let pool = arguments(ty.trim_start_matches("..."));
            vec![pool[set % pool.len()]; if ty.starts_with("...") { further } else { 1 }]
        });
        let arguments: Vec<_> = arguments.collect();
        with_variables(&format!("{{{{$result := {head} {}}}}}", arguments.join(" ")))
    };
    // What is slow by design is tried less often, and runs on another thread.
    let is_slow = ["gen", "bcrypt", "htpasswd", "derive"].iter().any(|slow| name.starts_with(slow));
    let mut calls: Vec<String> = (0..if is_slow { 1 } else { SETS }).map(|set| call(set, 3)).collect();
    if rest.contains("...") {
        calls.extend([call(0, 2000), call(3, 2000)]);
    }
    calls
}

fn table() -> impl Iterator<Item = &'static str> {
    include_str!("data/sprig-functions.txt")
        .lines()
        .chain(include_str!("data/builtins-and-methods.txt").lines())
}

#[test]
fn no_function_of_the_table_works_for_long_without_a_look_at_the_clock() {
    let names: BTreeSet<_> = table().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), table().count());
    let templates: Vec<String> = table().flat_map(calls).collect();
    assert_quick(&templates, &items());
}

/// What is worst for single functions.
const ACTIONS: &[&str] = &[
    // Products of lengths.
    "{{trimAll (repeat 1200000 \"a\") (repeat 4000000 \"b\") | len}}",
    "{{trimAll .han .wide | len}}",
    "{{sortAlpha $refs | len}}",
    "{{uniq $refs | len}}",
    "{{without $refs .b .b .b .b | len}}",
    "{{has \"x\" $refs}}",
    "{{range 2000}}{{$x := has .b $refs}}{{end}}",
    "{{deepEqual $refs (reverse $refs)}}",
    "{{deepEqual $wood (list $wood)}}",
    "{{range 100000}}{{$x := eq $.a $.b}}{{end}}",
    "{{range 100000}}{{$x := lt $.a $.b}}{{end}}",
    "{{range 100000}}{{$x := index $map $.a}}{{end}}",
    "{{range 100000}}{{$x := hasPrefix $.a $.b}}{{end}}",
    "{{range 100000}}{{$x := trimPrefix $.a $.a}}{{end}}",
    "{{range 100000}}{{$x := contains $.b $.a}}{{end}}",
    "{{range 100000}}{{$x := int $.digits}}{{end}}",
    "{{range 100000}}{{$x := atoi $.zeros}}{{end}}",
    "{{range 100000}}{{$x := toDecimal $.zeros}}{{end}}",
    "{{range 100000}}{{$x := duration $.zeros}}{{end}}",
    "{{range 100000}}{{$x := base $.a}}{{$x = ext $.a}}{{end}}",
    "{{range 100000}}{{$x := printf \"%.1s\" $.wide}}{{end}}",
    "{{range 100000}}{{$x := regexMatch $.a $.a}}{{end}}",
    "{{join .a $refs | len}}",
    "{{toString $refs | len}}",
    "{{toJson $refs | len}}",
    "{{toPrettyJson $wood | len}}",
    "{{print $wood | len}}",
    "{{deepCopy $wood | len}}",
    "{{keys $keys $keys $keys | sortAlpha | len}}",
    "{{values $keys | len}}",
    "{{toJson $deep | len}}",
    "{{merge $keys $keys (deepCopy $keys) | len}}",
    "{{genSelfSignedCertWithKey \"x\" (list) $refs 1 (genPrivateKey \"ed25519\")}}",
    "{{genCAWithKey .a 1 .a}}",
    "{{buildCustomCert .a .a}}",
    "{{buildCustomCert (b64enc \"x\") .invalid}}",
    // Regular expressions.
    "{{regexMatch \"[0-4](?:[0-9]{100}){60}[a-z]\" (randNumeric 100000)}}",
    "{{regexMatch \"[0-4](?:[0-9]{100}){60}[a-z]\" .digits}}",
    "{{regexMatch \"(?:[01]*1[01]{14})z\" .digits}}",
    "{{regexMatch \"(?:a?){400}a{400}b\" .a}}",
    "{{regexMatch \"(?s).{400}(?:a|aa)+z\" .a}}",
    "{{regexFind \"(?s).*z\" .a}}",
    "{{regexFindAll \".*[^A-Z]|[A-Z]\" .upper -1 | len}}",
    "{{regexFindAll \"\" .wide -1 | len}}",
    "{{regexFindAll \"b?\" .a 1000000 | len}}",
    "{{regexReplaceAll \"(a|aa|aaa)*\" .a \"$1\" | len}}",
    "{{regexReplaceAll \"(a)\" .a \"$1$1$1\" | len}}",
    "{{regexReplaceAll \"((((((((((.))))))))))\" .wide \"$9\" | len}}",
    "{{regexReplaceAll (repeat 1300 \"()\") .a \"$1\" | len}}",
    "{{regexReplaceAll \"a\" \"aaaa\" .percents | len}}",
    "{{regexReplaceAll \"a\" .a (repeat 100000 \"$x\") | len}}",
    "{{regexReplaceAllLiteral \"a\" .a \"\" | len}}",
    "{{regexSplit \"a\" .a -1 | len}}",
    "{{regexMatch (repeat 1300 \"\\\\pL\") \"a\"}}",
    "{{regexMatch (print \"(?i)\" (repeat 8 \"[\\\\x00-\\\\x{10FFFF}]\")) \"a\"}}",
    "{{regexMatch (print \"(?i)\" (repeat 150 \"[\\\\x00-\\\\x{10FFFF}]\")) \"a\"}}",
    "{{regexMatch (print \"(?i)\" (repeat 400 \"[\\\\S]\")) \"a\"}}",
    "{{regexMatch (print \"(?i)\" (repeat 1000 \"\\\\pL\")) \"a\"}}",
    "{{regexMatch (print \"(?i)\" (repeat 200 \"[!-\u{10ffff}]\")) \"a\"}}",
    "{{regexMatch (repeat 2000 \"{\") \"a\"}}",
    "{{regexMatch (print \"[\" (repeat 1000 \"[:\")) \"a\"}}",
    "{{regexMatch \"(\\\\pL{30}){30}\" .han}}",
    "{{range $i := 100}}{{$x := regexMatch (printf \"(?i)\\\\PL%d\" $i) \"a\"}}{{end}}",
    // Formats.
    "{{printf .marks 1 | len}}",
    "{{printf .percents | len}}",
    "{{printf \"%x\" .a | len}}",
    "{{printf \"% #x\" .a | len}}",
    "{{printf \"%q\" .wide | len}}",
    "{{printf \"%+q\" .han | len}}",
    "{{printf \"%#q\" .han | len}}",
    "{{printf \"%#q\" .invalid | len}}",
    "{{printf \"%.1000000s\" .wide | len}}",
    "{{printf \"%1000000s\" .invalid | len}}",
    "{{printf \"%#v\" $refs | len}}",
    "{{printf (repeat 1000 \"%1000000d\") 1 | len}}",
    "{{printf (repeat 100000 \"%[1]*[1]d\") 1000 | len}}",
    "{{printf (repeat 100000 \"%.1100e\") 1e-300 | len}}",
    "{{print .digits .zeros | len}}",
    // Numbers and dates.
    "{{add .digits .zeros}}",
    "{{addf .digits .zeros}}",
    "{{seq 1 100000 | len}}",
    "{{until 60000 | len}}",
    "{{date .layout 0}}",
    "{{date (repeat 4000 \"2006\") 0 | len}}",
    "{{toDate (repeat 4000 \"5 \") (repeat 4000 \"1 \")}}",
    "{{dateModify .seconds (now)}}",
    "{{dateModify (repeat 8000 \"1s\") (now)}}",
    "{{durationRound .seconds}}",
    "{{range 20000}}{{$x := dateInZone \"2006\" 0 (repeat 200 \"x\")}}{{end}}",
    "{{semver .dots}}",
    "{{semver (print \"1.2.3-\" (repeat 2000 \"1.\") \"1\")}}",
    "{{semverCompare (repeat 1300 \">1 \") \"1.2.3\"}}",
    "{{semverCompare (repeat 1300 \"1||\") \"1.2.3\"}}",
    // Reading and writing.
    "{{fromJson .brackets}}",
    "{{fromJson .spaces}}",
    "{{fromJson (print \"\\\"\" (trunc 4000000 .escapes) \"\\\"\")}}",
    "{{fromJson (print \"[\" (trunc 300000 .lists) \"[]]\") | len}}",
    "{{fromJson (print \"[\" (trunc 300000 .numbers) \"1]\") | len}}",
    "{{fromJson .digits}}",
    "{{toJson .han | len}}",
    "{{toJson .less | len}}",
    "{{b64dec .a | len}}",
    "{{b64dec .invalid | len}}",
    "{{b32enc .a | len}}",
    "{{b32dec .upper | len}}",
    "{{adler32sum .invalid}}",
    "{{sha512sum .invalid}}",
    "{{encryptAES \"x\" .a | len}}",
    "{{decryptAES \"x\" .a | len}}",
    "{{html .less | len}}",
    "{{js .han | len}}",
    "{{urlquery (trunc 1000000 .invalid) | len}}",
    "{{urlParse (trunc 200000 .path) | len}}",
    "{{urlJoin (dict \"path\" (trunc 200000 .wide) \"host\" (trunc 200000 .wide)) | len}}",
    "{{clean .path | len}}",
    "{{clean (trunc 200000 .path) | len}}",
    // Words and lines.
    "{{upper .wide | len}}",
    "{{swapcase .wide | len}}",
    "{{title .han | len}}",
    "{{camelcase (trunc 60000 .wide) | len}}",
    "{{snakecase (trunc 60000 .wide) | len}}",
    "{{kebabcase (trunc 60000 .han) | len}}",
    "{{snakecase (trunc 60000 .mixed) | len}}",
    "{{snakecase (trunc 60000 .upper) | len}}",
    "{{snakecase (print (trunc 30000 .invalid) \"A\" (trunc 30000 .invalid)) | len}}",
    "{{replace \"a\" \"\" .a | len}}",
    "{{replace \"\" \"x\" (trunc 1000000 .wide) | len}}",
    "{{replace .b .a .a | len}}",
    "{{indent 1 .lines | len}}",
    "{{indent 0 .lines | len}}",
    "{{wrap 1 .mixed | len}}",
    "{{wrap 2000000 .spaces | len}}",
    "{{wrapWith 1 \"x\" .a | len}}",
    "{{split \"\" (trunc 30000 .wide) | len}}",
    "{{splitList \"a\" .a | len}}",
    "{{splitList (trunc 2000000 .b) .a | len}}",
    "{{shuffle (trunc 1000000 .wide) | len}}",
    "{{randAlpha 1900000 | len}}",
    "{{randBytes 3000000 | len}}",
    "{{abbrevboth 1000000 2000000 .a | len}}",
    // Slow by design.
    "{{genPrivateKey \"rsa\" | len}}",
    "{{derivePassword 1 \"long\" .a .a .a}}",
    "{{bcrypt \"x\"}}{{htpasswd .a \"x\"}}",
];

#[test]
fn no_function_works_for_long_on_what_is_worst_for_it() {
    let mut templates: Vec<String> = ACTIONS.iter().map(|action| with_variables(action)).collect();
    templates.push(format!("{{{{mulf {}}}}}", "1.7976931348623157e308 ".repeat(2500)));
    templates.push(format!("{{{{divf 1 {}}}}}", "1e-308 ".repeat(2500)));
    templates.push(with_variables(&format!("{{{{pick $keys {}}}}}", ".a .b ".repeat(5000))));
    templates.push(format!("{{{{range 1000}}}}{{{{$x := coalesce {}}}}}{{{{end}}}}", "\"\" ".repeat(50_000)));
    templates.push(format!("{{{{dict {}}}}}", "$.a 1 $.b 2 ".repeat(5000)));
    assert_quick(&templates, &items());
}

#[test]
fn the_parser_does_not_work_for_long_without_a_look_at_the_clock() {
    let define = |name: &str, body: &str| format!("{{{{define \"{name}\"}}}}{body}{{{{end}}}}");
    let numbered = |before: &str, after: &str| {
        let all: Vec<String> = (0..20_000).map(|number| format!("{{{{{before}{number}{after}}}}}")).collect();
        all.concat()
    };
    let (declarations, references) = (numbered("$v", " := 1"), numbered("$v", ""));
    let templates = [
        format!("{declarations}{references}"),
        format!("{declarations}{{{{range 2000}}}}{{{{$v0}}}}{{{{end}}}}"),
        define("t", &format!("{}{{{{.}}}}", " ".repeat(700_000))) + &define("t", "").repeat(30_000),
        define("t", &" ".repeat(700_000)) + &define("t", " ").repeat(30_000),
        format!("{{{{${} := 1}}}}", "é".repeat(700_000)),
        format!("{{{{.{}}}}}", "é".repeat(700_000)),
        format!("{{{{{}}}}}", "é ".repeat(500_000)),
        format!("{{{{$x := .}}}}{}", format!("{{{{$x.{}}}}}", "é".repeat(2000)).repeat(300)),
        format!("{{{{{}}}}}", "1".repeat(1_500_000)),
        format!("{{{{{}}}}}", "1 ".repeat(700_000)),
        format!("{{{{print {}}}}}", "\"\" ".repeat(100_000)),
        format!("{{{{\"{}", "\\".repeat(1_500_000)),
        format!("{{{{\"{}\"}}}}", "\\x41".repeat(350_000)),
        format!("{{{{`{}`}}}}", "\r".repeat(1_500_000)),
        format!("{{{{{}1}}}}", " ".repeat(1_500_000)),
        format!("{{{{$d := dict}}}}{{{{$_ := set $d \"a\" $d}}}}{{{{$d{}}}}}", ".a".repeat(500_000)),
        "{{/*".repeat(300_000),
        "{{/**/}}".repeat(180_000),
        "{{1}}".repeat(300_000),
        "{{break}}".repeat(150_000),
        "{{if 1}}".repeat(199) + &"{{break}}".repeat(100_000),
        "{{range 1}}".to_owned() + &"{{if 1}}".repeat(190) + &"{{break}}".repeat(100_000),
        "{{if 1}}{{else if 1}}".to_owned() + &"{{else if 1}}".repeat(100_000) + "{{end}}",
        "{{(".repeat(500_000),
        "{{1|".repeat(300_000),
    ];
    assert_quick(&templates, &items());
}
