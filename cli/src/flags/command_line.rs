//! The parser of the command line: flags, unexpected words, and the start of a subcommand.

use std::iter::Peekable;

use super::{FLAGS, Flag, Flags, Group, UsageError};

/// A command line in the flag grammar.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    /// The flags, up to the subcommand if there is one.
    pub(crate) flags: Flags,
    /// The words that are neither a flag nor its value.
    pub(crate) surplus: Vec<Surplus>,
    /// The subcommand and all that follows it.
    pub(crate) subcommand: Vec<String>,
    /// Warnings about words that are read in another way than by pflag.
    pub(crate) remarks: Vec<String>,
}

/// A word that is neither a flag nor its value.
#[derive(Debug)]
pub(crate) struct Surplus {
    pub(crate) word: String,
    /// The flag before it, which has its value already.
    pub(crate) after: Option<&'static Flag>,
}

impl CommandLine {
    /// Parses the words after the program's name, up to the first of `subcommands` that is not the value of a flag.
    ///
    /// # Errors
    /// At the first word that the grammar refuses.
    pub(crate) fn parse(
        words: impl IntoIterator<Item = String>,
        subcommands: &[&str],
    ) -> Result<Self, UsageError> {
        let mut line = Self::default();
        let mut words = words.into_iter().peekable();
        let mut after = None;
        while let Some(word) = words.next() {
            if word.is_empty() {
                line.remarks.push("an empty argument is ignored; was a variable empty?".to_owned());
                continue;
            }
            if word == "--" {
                line.surplus.extend(words.map(|word| Surplus { word, after: None }));
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                after = Some(line.long(long, &word, &mut words)?);
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                after = Some(line.flags.letters(letters, &mut words)?);
            } else if line.surplus.is_empty() && subcommands.contains(&word.as_str()) {
                line.subcommand = [word].into_iter().chain(words).collect();
                break;
            } else {
                line.surplus.push(Surplus { word, after: after.take() });
            }
        }
        Ok(line)
    }

    fn long(
        &mut self,
        long: &str,
        word: &str,
        rest: &mut Peekable<impl Iterator<Item = String>>,
    ) -> Result<&'static Flag, UsageError> {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        if name.is_empty() || name.starts_with('-') {
            return Err(UsageError::Syntax(word.to_owned()));
        }
        let flag = find(name).ok_or_else(|| UsageError::Unknown(name.to_owned()))?;
        let value = match value {
            Some(value) => value.to_owned(),
            None if flag.kind.is_bool() => self.truth_value(name, rest),
            None => rest.next().ok_or_else(|| UsageError::NoValue(format!("--{name}")))?,
        };
        self.flags.add(flag, value)?;
        Ok(flag)
    }

    /// The value of a boolean flag without `=`. pflag ignores a value that follows, so that `--raw false` means true.
    fn truth_value(&mut self, name: &str, rest: &mut Peekable<impl Iterator<Item = String>>) -> String {
        let is_value =
            |word: &String| word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false");
        let Some(value) = rest.next_if(is_value) else { return "true".to_owned() };
        let value = value.to_ascii_lowercase();
        self.remarks
            .push(format!("--{name} {value} is read as --{name}={value}; write it with the equals sign"));
        value
    }

    /// The words of the subcommand, followed by the flags that preceded it; empty without a subcommand. Flags without effect are left
    /// out.
    pub(crate) fn subcommand_words(&self) -> Vec<String> {
        let mut words = self.subcommand.clone();
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let flags =
            FLAGS.iter().filter(|flag| flag.group != Group::Log).flat_map(|flag| self.flags.words(flag));
        if !words.is_empty() {
            words.splice(end..end, flags);
        }
        words
    }
}

impl Flags {
    /// Writes the flag once for each value; empty if it was not given or is false.
    fn words(&self, flag: &Flag) -> Vec<String> {
        if flag.kind.is_bool() {
            return self.is_on(flag.name).then(|| format!("--{}", flag.name)).into_iter().collect();
        }
        self.texts(flag.name).iter().map(|value| format!("--{}={value}", flag.name)).collect()
    }

    fn letters(
        &mut self,
        letters: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<&'static Flag, UsageError> {
        let mut characters = letters.chars();
        let letter = characters.next().unwrap_or_default();
        if letter == 'h' {
            return Err(UsageError::Help);
        }
        let unknown = || UsageError::UnknownLetter { letter, word: letters.to_owned() };
        let flag = FLAGS.iter().find(|flag| flag.short == Some(letter)).ok_or_else(unknown)?;
        let attached = characters.as_str();
        let value = match attached.strip_prefix('=') {
            Some(value) if !value.is_empty() => value.to_owned(),
            _ if !attached.is_empty() => attached.to_owned(),
            _ => rest.next().ok_or_else(|| UsageError::NoValue(format!("'{letter}' in -{letters}")))?,
        };
        self.add(flag, value)?;
        Ok(flag)
    }
}

fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> CommandLine {
        CommandLine::parse(line.split_whitespace().map(str::to_owned), &["keys", "cert"]).unwrap()
    }

    #[test]
    fn words_that_are_no_flags_are_kept_with_the_flag_before_them() {
        let line = parse("-f one.yaml two.yaml three.yaml --raw -- --raw");
        let surplus =
            line.surplus.iter().map(|surplus| (surplus.word.as_str(), surplus.after.map(|flag| flag.name)));
        let wanted = [("two.yaml", Some("secret-file")), ("three.yaml", None), ("--raw", None)];
        assert_eq!(surplus.collect::<Vec<_>>(), wanted);
        assert_eq!(parse("-").surplus[0].word, "-");
    }

    #[test]
    fn a_truth_value_behind_a_space_is_the_value_of_its_flag_and_remarked() {
        let line = parse("--raw false --validate TRUE --re-encrypt no");
        assert!(!line.flags.is_on("raw") && line.flags.is_on("validate") && line.flags.is_on("re-encrypt"));
        assert_eq!(line.remarks.len(), 2);
        assert!(line.remarks[0].starts_with("--raw false is read as --raw=false"));
        assert_eq!(line.surplus[0].word, "no");
        assert!(parse("--name false").remarks.is_empty(), "a text");
    }

    #[test]
    fn flags_before_a_subcommand_come_behind_it() {
        let line = parse("--request-timeout 5s --insecure-skip-tls-verify -v9 --raw=false keys list -o json");
        let wanted = "keys list -o json --insecure-skip-tls-verify --request-timeout=5s";
        assert_eq!(line.subcommand_words().join(" "), wanted);
        assert_eq!(parse("--context a keys x -- y").subcommand_words().join(" "), "keys x --context=a -- y");
        assert!(parse("-n keys --name cert").subcommand.is_empty(), "values");
        assert!(parse("x keys").subcommand.is_empty() && parse("-- keys").subcommand.is_empty());
    }
}
