//! Which values a flag takes; Go's words where it takes them not.

use sealed_secrets_crds::Scope;

use super::Kind;

/// The values that a text stands for, or why the flag does not take it.
pub(super) fn check(kind: Kind, text: &str) -> Result<Vec<String>, String> {
    let one = || vec![text.to_owned()];
    match kind {
        Kind::Text | Kind::Repeated => Ok(one()),
        Kind::List => list(text),
        Kind::Bool | Kind::LogBool if truth(text).is_some() => Ok(one()),
        Kind::Bool => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
        Kind::Scope if text.parse::<Scope>().is_ok() => Ok(one()),
        Kind::Scope => Err("must be one of: strict, namespace-wide, cluster-wide".to_owned()),
        Kind::LogSize if text.parse::<u64>().is_ok() => Ok(one()),
        Kind::LogBool | Kind::LogSize => Err("parse error".to_owned()),
        Kind::LogLevel if text.parse::<i32>().is_ok() => Ok(one()),
        Kind::LogSeverity if is_severity(text) => Ok(one()),
        Kind::LogLevel | Kind::LogSeverity => {
            Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        }
        Kind::LogModules if text.split(',').all(is_module) => Ok(one()),
        Kind::LogModules => Err("syntax error: expect comma-separated list of filename=N".to_owned()),
        Kind::LogPlace => place(text).map(|()| one()),
    }
}

/// Whether a truth value is true.
pub(super) fn is_true(text: &str) -> bool {
    truth(text) == Some(true)
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn is_severity(text: &str) -> bool {
    ["INFO", "WARNING", "ERROR", "FATAL"].contains(&text.to_ascii_uppercase().as_str())
        || text.parse::<i32>().is_ok()
}

fn is_module(pattern: &str) -> bool {
    pattern.is_empty()
        || pattern
            .split_once('=')
            .is_some_and(|(name, level)| !name.is_empty() && level.parse::<i32>().is_ok())
}

fn place(text: &str) -> Result<(), String> {
    let expected = || "syntax error: expect file.go:234".to_owned();
    if text.is_empty() {
        return Ok(());
    }
    let (file, line) = text.split_once(':').ok_or_else(expected)?;
    if !file.contains('.') {
        return Err(expected());
    }
    match line.parse::<i64>() {
        Ok(line) if line > 0 => Ok(()),
        Ok(_) => Err("negative or zero value for level".to_owned()),
        Err(_) => Err(expected()),
    }
}

/// One line of comma-separated values (RFC 4180): a field in quotes may hold commas, and quotes doubled.
fn list(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        rest = after;
    }
    if text.ends_with(',') {
        fields.push(String::new());
    }
    Ok(fields)
}

fn plain_field(text: &str) -> Result<(String, &str), String> {
    let (field, after) = text.split_once(',').unwrap_or((text, ""));
    if field.contains('"') {
        return Err("parse error: bare \" in non-quoted-field".to_owned());
    }
    Ok((field.to_owned(), after))
}

fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let stray = || "parse error: extraneous or missing \" in quoted-field".to_owned();
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (piece, after) = rest.split_once('"').ok_or_else(stray)?;
        field.push_str(piece);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None if after.is_empty() => return Ok((field, "")),
            None => return after.strip_prefix(',').map(|after| (field, after)).ok_or_else(stray),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_as_comma_separated_values() {
        assert_eq!(list("a,b").unwrap(), ["a", "b"]);
        assert_eq!(list("\"a,b\",c\"").err(), Some("parse error: bare \" in non-quoted-field".to_owned()));
        assert_eq!(list("\"a,\"\"b\",c").unwrap(), ["a,\"b", "c"]);
        assert_eq!(list("a,").unwrap(), ["a", ""]);
        assert!(list("").unwrap().is_empty());
        assert!(list("\"a").is_err());
    }
}
