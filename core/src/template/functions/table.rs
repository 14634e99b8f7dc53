//! Table of all functions: name, parameters, the type of variadic arguments, and the body.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{
    builtins, certificates, conversion, crypto, dates, dicts, encoding, flow, keys, lists, math, merge,
    passwords, paths, patterns, random, reflection, semver, semver_constraint, strings, time_methods, urls,
    words, wrapping,
};
use crate::template::context::Nature::{Costly, CostlyAndVolatile, Pure, Volatile};
use crate::template::context::Ty::{Any, Bool, Certificate, Float, Int, List, Map, Text, Time, Uint32};
use crate::template::context::{Body, Function, Nature, Ty};
use crate::template::value::{IntType, Reference, Value};

const fn f(name: &'static str, parameters: &'static [Ty], run: Body) -> Function {
    Function { name, parameters, variadic: None, nature: Pure, run }
}

const fn v(name: &'static str, parameters: &'static [Ty], further: Ty, run: Body) -> Function {
    Function { name, parameters, variadic: Some(further), nature: Pure, run }
}

const fn n(nature: Nature, name: &'static str, parameters: &'static [Ty], run: Body) -> Function {
    Function { name, parameters, variadic: None, nature, run }
}

/// Built-in functions of text/template. Sprig's `slice` replaces the built-in one.
#[rustfmt::skip]
pub(super) static BUILTINS: &[Function] = &[
    v("and", &[Any], Any, builtins::never_called),
    v("call", &[Any], Any, builtins::call),
    v("eq", &[Any], Any, builtins::eq),
    f("ge", &[Any, Any], builtins::ge),
    f("gt", &[Any, Any], builtins::gt),
    v("html", &[], Any, builtins::html),
    v("index", &[Any], Any, builtins::index),
    v("js", &[], Any, builtins::js),
    f("le", &[Any, Any], builtins::le),
    f("len", &[Any], builtins::len),
    f("lt", &[Any, Any], builtins::lt),
    f("ne", &[Any, Any], builtins::ne),
    f("not", &[Any], builtins::not),
    v("or", &[Any], Any, builtins::never_called),
    v("print", &[], Any, builtins::print),
    v("printf", &[Text], Any, builtins::printf),
    v("println", &[], Any, builtins::println),
    v("urlquery", &[], Any, builtins::urlquery),
];

/// Sprig's `GenericFuncMap` without `env`, `expandenv` and `getHostByName`.
#[rustfmt::skip]
pub(super) static SPRIG: &[Function] = &[
    f("abbrev", &[Int, Text], wrapping::abbrev),
    f("abbrevboth", &[Int, Int, Text], wrapping::abbrevboth),
    v("add", &[], Any, math::add),
    f("add1", &[Any], math::add1),
    f("add1f", &[Any], math::add1f),
    v("addf", &[], Any, math::addf),
    f("adler32sum", &[Text], crypto::adler32sum),
    n(Volatile, "ago", &[Any], dates::ago),
    v("all", &[], Any, flow::all),
    v("any", &[], Any, flow::any),
    f("append", &[Any, Any], lists::push),
    f("atoi", &[Text], conversion::atoi),
    f("b32dec", &[Text], encoding::b32dec),
    f("b32enc", &[Text], encoding::b32enc),
    f("b64dec", &[Text], encoding::b64dec),
    f("b64enc", &[Text], encoding::b64enc),
    f("base", &[Text], paths::base),
    n(CostlyAndVolatile, "bcrypt", &[Text], passwords::bcrypt),
    v("biggest", &[Any], Any, math::max),
    f("buildCustomCert", &[Text, Text], certificates::build_custom),
    f("camelcase", &[Text], words::camelcase),
    v("cat", &[], Any, strings::cat),
    f("ceil", &[Any], math::ceil),
    f("chunk", &[Int, Any], lists::chunk),
    f("clean", &[Text], paths::clean),
    v("coalesce", &[], Any, flow::coalesce),
    f("compact", &[Any], lists::compact),
    v("concat", &[], Any, lists::concat),
    f("contains", &[Text, Text], strings::contains),
    f("date", &[Text, Any], dates::date),
    f("dateInZone", &[Text, Any, Text], dates::date_in_zone),
    f("dateModify", &[Text, Time], dates::date_modify),
    f("date_in_zone", &[Text, Any, Text], dates::date_in_zone),
    f("date_modify", &[Text, Time], dates::date_modify),
    f("decryptAES", &[Text, Text], crypto::decrypt_aes),
    f("deepCopy", &[Any], reflection::deep_copy),
    f("deepEqual", &[Any, Any], reflection::deep_equals),
    v("default", &[Any], Any, flow::default),
    n(Costly, "derivePassword", &[Uint32, Text, Text, Text, Text], passwords::derive),
    v("dict", &[], Any, dicts::dict),
    v("dig", &[], Any, dicts::dig),
    f("dir", &[Text], paths::dir),
    f("div", &[Any, Any], math::div),
    v("divf", &[Any], Any, math::divf),
    f("duration", &[Any], dates::duration),
    f("durationRound", &[Any], dates::duration_round),
    f("empty", &[Any], flow::empty),
    n(Volatile, "encryptAES", &[Text, Text], crypto::encrypt_aes),
    f("ext", &[Text], paths::ext),
    f("fail", &[Text], flow::fail),
    f("first", &[Any], lists::first),
    f("float64", &[Any], conversion::float64),
    f("floor", &[Any], math::floor),
    f("fromJson", &[Text], encoding::from_json),
    n(CostlyAndVolatile, "genCA", &[Text, Int], certificates::ca),
    n(CostlyAndVolatile, "genCAWithKey", &[Text, Int, Text], certificates::ca),
    n(CostlyAndVolatile, "genPrivateKey", &[Text], keys::generate),
    n(CostlyAndVolatile, "genSelfSignedCert", &[Text, List, List, Int], certificates::self_signed),
    n(CostlyAndVolatile, "genSelfSignedCertWithKey", &[Text, List, List, Int, Text], certificates::self_signed),
    n(CostlyAndVolatile, "genSignedCert", &[Text, List, List, Int, Certificate], certificates::signed),
    n(CostlyAndVolatile, "genSignedCertWithKey", &[Text, List, List, Int, Certificate, Text], certificates::signed),
    f("get", &[Map, Text], dicts::get),
    f("has", &[Any, Any], lists::has),
    f("hasKey", &[Map, Text], dicts::has_key),
    f("hasPrefix", &[Text, Text], strings::has_prefix),
    f("hasSuffix", &[Text, Text], strings::has_suffix),
    f("hello", &[], strings::hello),
    f("htmlDate", &[Any], dates::html_date),
    f("htmlDateInZone", &[Any, Text], dates::html_date_in_zone),
    n(CostlyAndVolatile, "htpasswd", &[Text, Text], passwords::htpasswd),
    f("indent", &[Int, Text], strings::indent),
    f("initial", &[Any], lists::initial),
    f("initials", &[Text], words::initials),
    f("int", &[Any], conversion::int),
    f("int64", &[Any], conversion::int64),
    f("isAbs", &[Text], paths::is_abs),
    f("join", &[Text, Any], lists::join),
    f("kebabcase", &[Text], words::kebabcase),
    v("keys", &[], Map, dicts::keys),
    f("kindIs", &[Text, Any], reflection::kind_is),
    f("kindOf", &[Any], reflection::kind_of),
    f("last", &[Any], lists::last),
    v("list", &[], Any, lists::list),
    f("lower", &[Text], words::lower),
    v("max", &[Any], Any, math::max),
    v("maxf", &[Any], Any, math::maxf),
    v("merge", &[Map], Map, merge::merge),
    v("mergeOverwrite", &[Map], Map, merge::merge_overwrite),
    v("min", &[Any], Any, math::min),
    v("minf", &[Any], Any, math::minf),
    f("mod", &[Any, Any], math::modulo),
    v("mul", &[Any], Any, math::mul),
    v("mulf", &[Any], Any, math::mulf),
    f("mustAppend", &[Any, Any], lists::push),
    f("mustChunk", &[Int, Any], lists::chunk),
    f("mustCompact", &[Any], lists::compact),
    f("mustDateModify", &[Text, Time], dates::must_date_modify),
    f("mustDeepCopy", &[Any], reflection::deep_copy),
    f("mustFirst", &[Any], lists::first),
    f("mustFromJson", &[Text], encoding::must_from_json),
    f("mustHas", &[Any, Any], lists::has),
    f("mustInitial", &[Any], lists::initial),
    f("mustLast", &[Any], lists::last),
    v("mustMerge", &[Map], Map, merge::merge),
    v("mustMergeOverwrite", &[Map], Map, merge::merge_overwrite),
    f("mustPrepend", &[Any, Any], lists::prepend),
    f("mustPush", &[Any, Any], lists::push),
    f("mustRegexFind", &[Text, Text], patterns::find),
    f("mustRegexFindAll", &[Text, Text, Int], patterns::find_all),
    f("mustRegexMatch", &[Text, Text], patterns::is_match),
    f("mustRegexReplaceAll", &[Text, Text, Text], patterns::replace_all),
    f("mustRegexReplaceAllLiteral", &[Text, Text, Text], patterns::replace_all_literal),
    f("mustRegexSplit", &[Text, Text, Int], patterns::split),
    f("mustRest", &[Any], lists::rest),
    f("mustReverse", &[Any], lists::reverse),
    v("mustSlice", &[Any], Any, lists::slice),
    f("mustToDate", &[Text, Text], dates::must_to_date),
    f("mustToJson", &[Any], encoding::must_to_json),
    f("mustToPrettyJson", &[Any], encoding::must_to_pretty_json),
    f("mustToRawJson", &[Any], encoding::must_to_raw_json),
    f("mustUniq", &[Any], lists::uniq),
    v("mustWithout", &[Any], Any, lists::without),
    f("must_date_modify", &[Text, Time], dates::must_date_modify),
    f("nindent", &[Int, Text], strings::nindent),
    f("nospace", &[Text], words::nospace),
    n(Volatile, "now", &[], dates::now),
    v("omit", &[Map], Text, dicts::omit),
    f("osBase", &[Text], paths::base),
    f("osClean", &[Text], paths::clean),
    f("osDir", &[Text], paths::dir),
    f("osExt", &[Text], paths::ext),
    f("osIsAbs", &[Text], paths::is_abs),
    v("pick", &[Map], Text, dicts::pick),
    v("pluck", &[Text], Map, dicts::pluck),
    f("plural", &[Text, Text, Int], strings::plural),
    f("prepend", &[Any, Any], lists::prepend),
    f("push", &[Any, Any], lists::push),
    v("quote", &[], Any, strings::quote),
    n(Volatile, "randAlpha", &[Int], random::alpha),
    n(Volatile, "randAlphaNum", &[Int], random::alphanumeric),
    n(Volatile, "randAscii", &[Int], random::ascii),
    n(Volatile, "randBytes", &[Int], random::bytes),
    n(Volatile, "randInt", &[Int, Int], random::int),
    n(Volatile, "randNumeric", &[Int], random::numeric),
    f("regexFind", &[Text, Text], patterns::find),
    f("regexFindAll", &[Text, Text, Int], patterns::find_all),
    f("regexMatch", &[Text, Text], patterns::is_match_or_false),
    f("regexQuoteMeta", &[Text], patterns::quote_meta),
    f("regexReplaceAll", &[Text, Text, Text], patterns::replace_all),
    f("regexReplaceAllLiteral", &[Text, Text, Text], patterns::replace_all_literal),
    f("regexSplit", &[Text, Text, Int], patterns::split),
    f("repeat", &[Int, Text], strings::repeat),
    f("replace", &[Text, Text, Text], strings::replace),
    f("rest", &[Any], lists::rest),
    f("reverse", &[Any], lists::reverse),
    v("round", &[Any, Int], Float, math::round),
    f("semver", &[Text], semver::semver),
    f("semverCompare", &[Text, Text], semver_constraint::compare),
    v("seq", &[], Int, math::seq),
    f("set", &[Map, Text, Any], dicts::set),
    f("sha1sum", &[Text], crypto::sha1sum),
    f("sha256sum", &[Text], crypto::sha256sum),
    f("sha512sum", &[Text], crypto::sha512sum),
    n(Volatile, "shuffle", &[Text], random::shuffle),
    v("slice", &[Any], Any, lists::slice),
    f("snakecase", &[Text], words::snakecase),
    f("sortAlpha", &[Any], lists::sort_alpha),
    f("split", &[Text, Text], strings::split),
    f("splitList", &[Text, Text], strings::split_list),
    f("splitn", &[Text, Int, Text], strings::splitn),
    v("squote", &[], Any, strings::squote),
    f("sub", &[Any, Any], math::sub),
    v("subf", &[Any], Any, math::subf),
    f("substr", &[Int, Int, Text], strings::substr),
    f("swapcase", &[Text], words::swapcase),
    f("ternary", &[Any, Any, Bool], flow::ternary),
    f("title", &[Text], words::title),
    f("toDate", &[Text, Text], dates::to_date),
    f("toDecimal", &[Any], conversion::to_decimal),
    f("toJson", &[Any], encoding::to_json),
    f("toPrettyJson", &[Any], encoding::to_pretty_json),
    f("toRawJson", &[Any], encoding::must_to_raw_json),
    f("toString", &[Any], conversion::to_string),
    f("toStrings", &[Any], conversion::to_strings),
    f("trim", &[Text], strings::trim),
    f("trimAll", &[Text, Text], strings::trim_all),
    f("trimPrefix", &[Text, Text], strings::trim_prefix),
    f("trimSuffix", &[Text, Text], strings::trim_suffix),
    f("trimall", &[Text, Text], strings::trim_all),
    f("trunc", &[Int, Text], strings::trunc),
    v("tuple", &[], Any, lists::list),
    f("typeIs", &[Text, Any], reflection::type_is),
    f("typeIsLike", &[Text, Any], reflection::type_is_like),
    f("typeOf", &[Any], reflection::type_of),
    f("uniq", &[Any], lists::uniq),
    f("unixEpoch", &[Time], dates::unix_epoch),
    f("unset", &[Map, Text], dicts::unset),
    f("until", &[Int], math::until),
    f("untilStep", &[Int, Int, Int], math::until_step),
    f("untitle", &[Text], words::untitle),
    f("upper", &[Text], words::upper),
    f("urlJoin", &[Map], urls::join),
    f("urlParse", &[Text], urls::parse),
    n(Volatile, "uuidv4", &[], random::uuid),
    f("values", &[Map], dicts::values),
    v("without", &[Any], Any, lists::without),
    f("wrap", &[Int, Text], wrapping::wrap),
    f("wrapWith", &[Int, Text, Text], wrapping::wrap_with),
];

/// Finds a function by name.
pub(crate) fn lookup(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<HashMap<&str, &Function>> =
        LazyLock::new(|| BUILTINS.iter().chain(SPRIG).map(|function| (function.name, function)).collect());
    BY_NAME.get(name).copied()
}

pub(crate) fn is_function(name: &str) -> bool {
    lookup(name).is_some()
}

/// Returns true for functions that use the clock or random bytes for any arguments.
pub(crate) fn is_volatile(name: &str) -> bool {
    lookup(name).is_some_and(|function| matches!(function.nature, Volatile | CostlyAndVolatile))
}

/// Finds a method of a value by name.
pub(crate) fn method(receiver: &Value, name: &str) -> Option<&'static Function> {
    let methods = match receiver {
        Value::Time(_) => time_methods::OF_TIME,
        Value::Zone(_) => time_methods::OF_ZONE,
        Value::Int(_, IntType::Duration) => time_methods::OF_DURATION,
        Value::Int(_, IntType::Month | IntType::Weekday) => time_methods::OF_NAMED_NUMBER,
        Value::Version(_, Reference::Direct) if semver::NEEDS_POINTER.contains(&name) => return None,
        Value::Version(..) => semver::METHODS,
        _ => return None,
    };
    methods.iter().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::context::Ty::{Duration, Version, Zone};

    fn go_type(ty: Ty) -> &'static str {
        match ty {
            Any => "interface {}",
            Int => "int",
            Uint32 => "uint32",
            Float => "float64",
            Bool => "bool",
            Text => "string",
            Map => "map[string]interface {}",
            List => "[]interface {}",
            Time => "time.Time",
            Certificate => "sprig.certificate",
            Zone => "*time.Location",
            Duration => "time.Duration",
            Version => "*semver.Version",
        }
    }

    fn signature(function: &Function) -> String {
        let fixed = function.parameters.iter().map(|ty| go_type(*ty).to_owned());
        let further = function.variadic.map(|ty| format!("...{}", go_type(ty)));
        format!("{} func({})", function.name, fixed.chain(further).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn the_table_has_exactly_sprigs_functions_with_their_parameters() {
        let of_go: Vec<_> = include_str!("../../../tests/data/sprig-functions.txt").lines().collect();
        let ours: Vec<_> = SPRIG.iter().map(signature).collect();
        assert_eq!(of_go.len(), 208);
        for (go, ours) in of_go.iter().zip(&ours) {
            let result = go.strip_prefix(ours.as_str());
            assert!(result.is_some_and(|result| result.starts_with(' ')), "Go: {go}; ours: {ours}");
        }
        assert_eq!(of_go.len(), ours.len());
    }

    #[test]
    fn the_hostile_templates_know_all_other_functions_and_methods() {
        let listed: Vec<_> = include_str!("../../../tests/data/builtins-and-methods.txt").lines().collect();
        let methods = [
            ("time", time_methods::OF_TIME),
            ("zone", time_methods::OF_ZONE),
            ("duration", time_methods::OF_DURATION),
            ("month", time_methods::OF_NAMED_NUMBER),
            ("version", semver::METHODS),
        ];
        let methods = methods.iter().flat_map(|(receiver, methods)| {
            methods.iter().map(move |method| format!("{receiver}.{}", signature(method)))
        });
        let ours: Vec<_> = BUILTINS.iter().map(signature).chain(methods).collect();
        assert_eq!(listed, ours);
    }

    #[test]
    fn functions_that_reach_out_of_the_template_do_not_exist() {
        for name in ["env", "expandenv", "getHostByName"] {
            assert!(!is_function(name), "{name}");
        }
    }
}
