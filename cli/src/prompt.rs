//! Hidden prompts for values.

use std::io::{self, IsTerminal as _};

use zeroize::Zeroizing;

use crate::error::Error;
use crate::interrupt::HiddenInput;

/// Returns true if a value can be asked for.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a value on the terminal, which does not show it.
///
/// # Errors
/// When there is no terminal, or the answer is empty.
pub(crate) fn hidden(label: &str) -> Result<Zeroizing<String>, Error> {
    if !is_possible() {
        return Err(Error::NoTerminal(label.to_owned()));
    }
    // Before the prompt appears, which `rpassword` shows before it hides what is typed: a fast answer would be seen.
    let hidden = HiddenInput::start();
    let answer = match rpassword::prompt_password(format!("{label} (hidden): ")) {
        Ok(answer) => Zeroizing::new(answer),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Zeroizing::default(),
        // SIGINT was sent: it ends the program.
        Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {
            drop(hidden);
            loop {
                std::thread::park();
            }
        }
        Err(cause) => return Err(Error::File { operation: "read", path: "the terminal".to_owned(), cause }),
    };
    if answer.is_empty() { Err(Error::EmptyAnswer(label.to_owned())) } else { Ok(answer) }
}
