//! `completion` prints a completion script for a shell, and the words of files that the script offers.

use clap_complete::Shell;

use super::candidates::candidates;
use super::command;
use super::grammar::parsed;
use crate::error::Error;
use crate::io;

/// The word after `completion` by which a script asks for words.
const CANDIDATES: &str = "candidates";

/// Prints the script for a shell, or the words that it asks for.
///
/// # Errors
/// When the words after `completion` are not one of bash, zsh and fish, or stdout cannot be written.
pub(super) fn run(words: &[String]) -> Result<(), Error> {
    if let [_, candidates_word, dashes, words @ ..] = words
        && candidates_word == CANDIDATES
        && dashes == "--"
    {
        let found = candidates(words).into_iter().map(|word| word + "\n");
        return io::write(None, found.collect::<String>().as_bytes());
    }
    let completion = command::completion().bin_name("kubeseal completion");
    let matches = parsed(words, |words| completion.clone().try_get_matches_from(words))?;
    let shell = match matches.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "kubeseal", &mut script);
    io::write(None, with_words_of_files(shell, &String::from_utf8_lossy(&script)).as_bytes())
}

/// The script, which first asks this program for the words that files decide. They are never evaluated by the shell.
fn with_words_of_files(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Zsh => {
            // With two colons zsh completes no flag behind the first of several arguments.
            let script = script.replace("\n'*::", "\n'*:");
            script.replacen("_kubeseal() {\n", &format!("_kubeseal() {{\n{ZSH}"), 1)
        }
        Shell::Fish => format!("{script}{FISH}"),
        _ => {
            let function = format!("{BASH}\nif [[ \"${{BASH_VERSINFO[0]}}\" -eq 4 && ");
            let script = script.replacen("if [[ \"${BASH_VERSINFO[0]}\" -eq 4 && ", &function, 1);
            script.replace("complete -F _kubeseal -o", "complete -F _kubeseal_words -o")
        }
    }
}

const BASH: &str = r#"_kubeseal_words() {
    local word
    local -a found=()
    while IFS= read -r word; do
        found+=("${word}")
    done < <("$1" completion candidates -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#found[@]} -gt 0 ]]; then
        COMPREPLY=("${found[@]}")
    else
        _kubeseal "$@"
    fi
}
"#;

const ZSH: &str = r#"    local -a found
    found=("${(@f)$(command "${(Q)words[1]}" completion candidates -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    found=(${found:#})
    if (( ${#found} )); then
        compadd -- "${found[@]}"
        return 0
    fi

"#;

const FISH: &str = r#"
function __fish_kubeseal_candidates
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] completion candidates -- $words[2..-1] 2>/dev/null | string replace -r -- '^--[a-z]+=' ''
end

complete -c kubeseal -n "__fish_kubeseal_using_subcommand set unset" -a "(__fish_kubeseal_candidates)"
complete -c kubeseal -n "not __fish_kubeseal_needs_command" -l for -r -f -a "(__fish_kubeseal_candidates)"
complete -c kubeseal -n "__fish_kubeseal_using_subcommand unseal" -l item -r -f -a "(__fish_kubeseal_candidates)"
"#;
