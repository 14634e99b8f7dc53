//! Templates for the oracle: mostly well-typed calls over a fixed context, some of them nonsense.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// The kind of an expression's result, as far as the generator distinguishes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Text,
    Int,
    Float,
    Bool,
    List,
    Dict,
    /// A constant pattern for the regex functions.
    Pattern,
    /// Text that is certainly valid UTF-8.
    Plain,
    Any,
}

use Kind::{Any, Bool, Dict, Float, Int, List, Pattern, Plain, Text};

const KINDS: [Kind; 9] = [Text, Int, Float, Bool, List, Dict, Pattern, Plain, Any];

#[rustfmt::skip]
const FUNCTIONS: &[(Kind, &str, &[Kind])] = &[
    (Text, "upper", &[Text]), (Text, "lower", &[Text]), (Text, "title", &[Text]), (Text, "untitle", &[Text]),
    (Text, "trim", &[Text]), (Text, "trimAll", &[Text, Text]), (Text, "trimPrefix", &[Text, Text]),
    (Text, "trimSuffix", &[Text, Text]), (Text, "trunc", &[Int, Text]), (Text, "substr", &[Int, Int, Text]),
    (Text, "abbrev", &[Int, Text]), (Text, "abbrevboth", &[Int, Int, Text]), (Text, "initials", &[Text]),
    (Text, "wrap", &[Int, Text]), (Text, "wrapWith", &[Int, Text, Text]), (Text, "repeat", &[Int, Text]),
    (Text, "replace", &[Text, Text, Text]), (Text, "cat", &[Any, Any]), (Text, "quote", &[Any, Any]),
    (Text, "squote", &[Any]), (Text, "indent", &[Int, Text]), (Text, "nindent", &[Int, Text]),
    (Text, "plural", &[Text, Text, Int]), (Text, "snakecase", &[Text]), (Text, "camelcase", &[Text]),
    (Text, "kebabcase", &[Text]), (Text, "swapcase", &[Text]), (Text, "nospace", &[Text]),
    (Text, "join", &[Text, Any]), (Text, "toString", &[Any]), (Text, "toJson", &[Any]), (Text, "toPrettyJson", &[Any]),
    (Text, "toRawJson", &[Any]), (Text, "b64enc", &[Text]), (Text, "b64dec", &[Text]), (Text, "b32enc", &[Text]),
    (Text, "b32dec", &[Text]), (Text, "sha1sum", &[Text]), (Text, "sha256sum", &[Text]), (Text, "sha512sum", &[Text]),
    (Text, "adler32sum", &[Text]), (Text, "base", &[Text]), (Text, "dir", &[Text]), (Text, "ext", &[Text]),
    (Text, "clean", &[Text]), (Text, "html", &[Any]), (Text, "js", &[Any]), (Text, "urlquery", &[Any]),
    (Text, "print", &[Any, Any, Any]), (Text, "println", &[Any]), (Text, "typeOf", &[Any]), (Text, "kindOf", &[Any]),
    (Text, "seq", &[Int, Int]), (Text, "regexQuoteMeta", &[Text]), (Text, "duration", &[Any]),
    (Text, "durationRound", &[Text]), (Text, "regexFind", &[Pattern, Plain]),
    (Text, "regexReplaceAll", &[Pattern, Plain, Text]), (Text, "regexReplaceAllLiteral", &[Pattern, Plain, Text]),
    (Int, "len", &[Any]), (Int, "int", &[Any]), (Int, "atoi", &[Text]),
    (Float, "float64", &[Any]), (Float, "addf", &[Any, Any]), (Float, "subf", &[Any, Any]), (Float, "mulf", &[Any, Any]),
    (Float, "divf", &[Any, Any]), (Float, "ceil", &[Any]), (Float, "floor", &[Any]), (Float, "round", &[Any, Int]),
    (Float, "maxf", &[Any, Any]), (Float, "minf", &[Any, Any]), (Float, "add1f", &[Any]),
    (Bool, "eq", &[Any, Any]), (Bool, "ne", &[Any, Any]), (Bool, "lt", &[Any, Any]), (Bool, "le", &[Any, Any]),
    (Bool, "gt", &[Int, Int]), (Bool, "ge", &[Text, Text]), (Bool, "not", &[Any]), (Bool, "empty", &[Any]),
    (Bool, "contains", &[Text, Text]), (Bool, "hasPrefix", &[Text, Text]), (Bool, "hasSuffix", &[Text, Text]),
    (Bool, "has", &[Any, List]), (Bool, "hasKey", &[Dict, Text]), (Bool, "deepEqual", &[Any, Any]),
    (Bool, "all", &[Any, Any]), (Bool, "any", &[Any, Any]), (Bool, "kindIs", &[Text, Any]), (Bool, "isAbs", &[Text]),
    (Bool, "regexMatch", &[Pattern, Plain]), (Bool, "semverCompare", &[Text, Text]),
    (List, "list", &[Any, Any, Any]), (List, "list", &[]), (List, "splitList", &[Text, Text]), (List, "until", &[Int]),
    (List, "untilStep", &[Int, Int, Int]), (List, "append", &[List, Any]), (List, "prepend", &[List, Any]),
    (List, "concat", &[List, List]), (List, "reverse", &[List]), (List, "uniq", &[List]), (List, "without", &[List, Any]),
    (List, "compact", &[List]), (List, "rest", &[List]), (List, "initial", &[List]), (List, "sortAlpha", &[Any]),
    (List, "toStrings", &[Any]), (List, "slice", &[List, Int]), (List, "slice", &[List, Int, Int]),
    (List, "chunk", &[Int, List]), (List, "pluck", &[Text, Dict, Dict]), (List, "regexFindAll", &[Pattern, Plain, Int]),
    (List, "regexSplit", &[Pattern, Plain, Int]),
    (Dict, "dict", &[Text, Any, Text, Any]), (Dict, "dict", &[Any]), (Dict, "set", &[Dict, Text, Any]),
    (Dict, "unset", &[Dict, Text]), (Dict, "pick", &[Dict, Text]), (Dict, "omit", &[Dict, Text]),
    (Dict, "merge", &[Dict, Dict]), (Dict, "mergeOverwrite", &[Dict, Dict]), (Dict, "deepCopy", &[Dict]),
    (Any, "add", &[Any, Any]), (Any, "sub", &[Any, Any]), (Any, "mul", &[Any, Any]), (Any, "div", &[Any, Any]),
    (Any, "mod", &[Any, Any]), (Any, "max", &[Any, Any]), (Any, "min", &[Any, Any]), (Any, "int64", &[Any]),
    (Any, "first", &[List]), (Any, "last", &[List]), (Any, "get", &[Dict, Text]), (Any, "default", &[Any, Any]),
    (Any, "coalesce", &[Any, Any]), (Any, "ternary", &[Any, Any, Bool]), (Any, "dig", &[Text, Any, Dict]),
    (Any, "and", &[Any, Any]), (Any, "or", &[Any, Any]), (Any, "index", &[List, Int]), (Any, "index", &[Dict, Text]),
    (Any, "fromJson", &[Text]), (Any, "split", &[Text, Text]), (Any, "splitn", &[Text, Int, Text]),
    (Any, "semver", &[Text]), (Any, "toDecimal", &[Any]), (Any, "deepCopy", &[Any]), (Any, "urlParse", &[Text]),
];

const TEXTS: &[&str] = &[
    ".foo",
    ".user",
    ".password",
    ".list",
    ".json",
    ".multi",
    ".uni",
    ".num",
    ".empty",
    ".b64",
    "(index . \"my-key\")",
    "\"\"",
    "\"a\"",
    "\"héllo\"",
    "\"A b-C_d\"",
    "\"1.2.3-rc.1\"",
    "\">=1.2 <2\"",
    "\"http://u:p@h:80/a%20b?q=1#f\"",
    "\",\"",
    "\"12\"",
    "\"-0x1F\"",
    "\"1.50\"",
    "\"a/../b/c.tar.gz\"",
    "\"\\x00\\xff\\u2028<&>'\\\"\"",
    "\"x\\n\\ty\"",
    "`{\"a\":[1,null]}`",
    "\"HTTPServer2Go\"",
    "\"日本語\"",
    "\"90061\"",
    "\"1h30m\"",
];
const PLAINS: &[&str] =
    &[".foo", ".uni", ".list", "\"\"", "\"aabbab\"", "\"a1 b22\\nc333\"", "\"héé wörld\""];
const PATTERNS: &[&str] = &[
    "\"a*\"",
    "\"\"",
    "\"[a-c]+\"",
    "\"(b)(.)?\"",
    "`\\d{1,2}`",
    "`\\b\\w`",
    "\"(?m)^.\"",
    "`[^\\s]+$`",
    "\"a|ab|é\"",
    "\"(?i)H\"",
    "\"(?P<n>a)b\"",
    "\"a**\"",
    "\"[\"",
    "\"x{2,1}\"",
    "`\\pL\\PL`",
    "\".\"",
];
const INTS: &[&str] = &["0", "1", "2", "3", "7", "-1", "-2", "12", "0x10", "'a'", "(len .foo)", "1e1"];
const FLOATS: &[&str] = &["1.5", "-0.25", "1e6", "1e21", "3.0", "0.1", "1e-7", "123456.789"];
const ANYTHING: &[&str] =
    &[".nope", "nil", "$", ".", "$.foo", "true", "(dict \"k\" nil)", "(list nil)", "1i"];
const FORMATS: &[&str] = &[
    "%v",
    "%s",
    "%d",
    "%q",
    "%x",
    "%X",
    "%t",
    "%T",
    "%5v|",
    "%-6v|",
    "%06d",
    "%+d",
    "%+v",
    "%#v",
    "%.2f",
    "%8.3f",
    "%e",
    "%g",
    "%G",
    "%c",
    "%U",
    "%#U",
    "%#x",
    "% x",
    "%b",
    "%o",
    "%O",
    "%+q",
    "%#q",
    "%.3s",
    "%[2]v %[1]v",
    "%*d",
    "%%",
    "%z",
    "%",
    "%!",
    "%08v",
    "% d",
    "%#g",
    "%.0f",
    "%10q",
    "%x",
    "%[3]d",
    "%-08d|",
    "%+.1e",
    "%6.2v",
];
const TOKENS: &[&str] = &[
    "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil", "true",
    ".", ".foo", "$x", "$", ":=", "=", "|", "(", ")", ",", " ", " ", " ", "\"t\"", "`r`", "1", "1.5", "-3",
    "'c'", "print", "len", "list", "x", "/*", "*/", "-", "}}", "{{", "{{- ", " -}}", "\n", "..", "0x", "1e",
    "é", "$x.y", ".a.b", "eq",
];

type Expressions = HashMap<Kind, BoxedStrategy<String>>;

fn leaves() -> Expressions {
    let leaf = |kind| match kind {
        Text => select(TEXTS).prop_map(str::to_owned).boxed(),
        Plain => select(PLAINS).prop_map(str::to_owned).boxed(),
        Pattern => select(PATTERNS).prop_map(str::to_owned).boxed(),
        Int => select(INTS).prop_map(str::to_owned).boxed(),
        Float => select(FLOATS).prop_map(str::to_owned).boxed(),
        Bool => select(&["true", "false"][..]).prop_map(str::to_owned).boxed(),
        List => Just("(list 1 \"b\" 2.5)".to_owned()).boxed(),
        Dict => Just("(dict \"foo\" 1 \"b\" (dict \"c\" \"d\"))".to_owned()).boxed(),
        Any => {
            let all: Vec<&str> = [TEXTS, INTS, FLOATS, ANYTHING].concat();
            select(all).prop_map(str::to_owned).boxed()
        }
    };
    KINDS.into_iter().map(|kind| (kind, leaf(kind))).collect()
}

fn call(name: &'static str, arguments: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    arguments.prop_map(move |arguments| format!("({name} {})", arguments.join(" "))).boxed()
}

/// Expressions whose arguments come from `inner`.
fn around(inner: &Expressions) -> Expressions {
    let of_kind = |kind: Kind| {
        let calls = FUNCTIONS
            .iter()
            .filter(|(result, ..)| *result == kind || (kind == Any && !matches!(result, Pattern | Plain)));
        let calls = calls.map(|(_, name, parameters)| {
            let arguments = parameters.iter().map(|parameter| inner[parameter].clone()).collect();
            (3, call(name, arguments))
        });
        let leaf = (40, inner[&kind].clone());
        Union::new_weighted(std::iter::once(leaf).chain(calls).collect()).boxed()
    };
    KINDS.into_iter().map(|kind| (kind, of_kind(kind))).collect()
}

fn printf(any: &BoxedStrategy<String>) -> BoxedStrategy<String> {
    let formats = prop::collection::vec(select(FORMATS), 1..3);
    let arguments = prop::collection::vec(any.clone(), 0..4);
    (formats, arguments)
        .prop_map(|(formats, arguments)| {
            format!("{{{{printf {:?} {}}}}}", formats.join(" "), arguments.join(" "))
        })
        .boxed()
}

fn soup() -> BoxedStrategy<String> {
    prop::collection::vec(select(TOKENS), 1..12)
        .prop_map(|tokens| format!("{{{{{}}}}}", tokens.concat()))
        .boxed()
}

fn statement(expressions: &Expressions) -> BoxedStrategy<String> {
    let (any, list, dict) = (&expressions[&Any], &expressions[&List], &expressions[&Dict]);
    let body = prop_oneof![
        any.clone().prop_map(|any| format!("{{{{{any}}}}}")),
        Just("<{{.}}>".to_owned()),
        Just("<{{.foo}}>".to_owned())
    ];
    prop_oneof![
        6 => any.clone().prop_map(|any| format!("{{{{ {any} }}}}")),
        1 => any.clone().prop_map(|any| format!(" \n{{{{- {any} -}}}}\t x")),
        2 => printf(any),
        2 => (any.clone(), body.clone(), body.clone()).prop_map(|(any, then, or)| format!("{{{{if {any}}}}}{then}{{{{else}}}}{or}{{{{end}}}}")),
        1 => (any.clone(), any.clone(), body.clone()).prop_map(|(first, second, body)| format!("{{{{with {first}}}}}{body}{{{{else with {second}}}}}{{{{.}}}}{{{{end}}}}")),
        2 => (list.clone(), body.clone()).prop_map(|(list, body)| format!("{{{{range $i, $e := {list}}}}}{{{{$i}}}}={{{{$e}}}}{body}{{{{else}}}}none{{{{end}}}}")),
        1 => (dict.clone(), body.clone()).prop_map(|(dict, body)| format!("{{{{range $k, $v := {dict}}}}}{{{{$k}}}}{{{{if eq $k \"b\"}}}}{{{{break}}}}{{{{end}}}}{body}{{{{end}}}}")),
        1 => any.clone().prop_map(|any| format!("{{{{range {any}}}}}{{{{.}}}},{{{{end}}}}")),
        1 => any.clone().prop_map(|any| format!("{{{{range $e := {any}}}}}{{{{with $.foo}}}}{{{{$e.foo}}}}{{{{end}}}}{{{{end}}}}")),
        1 => any.clone().prop_map(|any| format!("{{{{$v := {any}}}}}{{{{$v}}}}{{{{$v | toJson}}}}{{{{$v.foo}}}}")),
        1 => dict.clone().prop_map(|dict| format!("{{{{$d := {dict}}}}}{{{{$_ := set $d \"n\" (list $d.foo)}}}}{{{{$d}}}}")),
        1 => any.clone().prop_map(|any| format!("{{{{define \"t\"}}}}[{{{{.}}}}]{{{{end}}}}{{{{template \"t\" {any}}}}}")),
        1 => any.clone().prop_map(|any| format!("{{{{{any} | print | upper | len}}}}")),
        2 => soup(),
    ]
    .boxed()
}

/// One to three statements.
pub(crate) fn template() -> BoxedStrategy<String> {
    let expressions = around(&around(&leaves()));
    prop::collection::vec(statement(&expressions), 1..4).prop_map(|statements| statements.concat()).boxed()
}
