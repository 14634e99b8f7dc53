//! Every function at its largest arguments, and what is worst for single ones.

use sealed_secrets_core::template::Data;

/// Items of nearly as many bytes as a value may have.
pub(crate) fn items(value: usize) -> Data {
    let filled = |unit: &[u8]| unit.repeat((value - 64) / unit.len());
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

/// Number of sets of arguments that each function is tried with.
const SETS: usize = 4;

/// Calls of the function that a line describes, such as `abbrev func(int, string) string`.
pub(crate) fn calls(line: &str) -> Vec<String> {
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

pub(crate) fn table() -> impl Iterator<Item = &'static str> {
    include_str!("../data/sprig-functions.txt")
        .lines()
        .chain(include_str!("../data/builtins-and-methods.txt").lines())
}

/// The most expensive arguments of single functions.
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
    "{{$pairs := list .a}}{{range 32}}{{$pairs = list $pairs $pairs}}{{end}}{{genSelfSignedCert \"x\" $pairs (list) 1}}",
    "{{$chain := list .a}}{{range 60000}}{{$chain = list $chain}}{{end}}{{genSelfSignedCert \"x\" (list) $chain 1}}",
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
    "{{regexMatch (print \"(?i)\" (repeat 300 \"[!-\\\\Q\u{10ffff}\\\\E]\")) \"a\"}}",
    "{{regexMatch (print \"(\\\\Q\\\\E?i)\" (repeat 200 \"[\\\\x00-\\\\x{10FFFF}]\")) \"a\"}}",
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

/// The most expensive calls of single functions, as templates.
pub(crate) fn templates() -> Vec<String> {
    let mut templates: Vec<String> = ACTIONS.iter().map(|action| with_variables(action)).collect();
    templates.push(format!("{{{{mulf {}}}}}", "1.7976931348623157e308 ".repeat(2500)));
    for factors in [1800, 2500] {
        templates.push(format!("{{{{divf 1 {}}}}}", "5e-324 ".repeat(factors)));
    }
    templates.push(with_variables(&format!("{{{{pick $keys {}}}}}", ".a .b ".repeat(5000))));
    templates.push(format!("{{{{range 1000}}}}{{{{$x := coalesce {}}}}}{{{{end}}}}", "\"\" ".repeat(50_000)));
    templates.push(format!("{{{{dict {}}}}}", "$.a 1 $.b 2 ".repeat(5000)));
    templates
}
