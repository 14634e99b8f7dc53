//! `create docker-registry`: credentials for images.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use super::output::{NewSecret, OutputFlags, expect_no_value};
use super::sources::{Values, expect_size};
use crate::error::{Error, FileProblem};
use crate::workflow::is_stdin;
use crate::{io, prompt};

/// Create a SealedSecret of type kubernetes.io/dockerconfigjson
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    kubeseal create docker-registry pull -n shop --docker-server registry.example.org --docker-username ci -w pull.yaml")]
pub(crate) struct DockerRegistry {
    /// Name of the SealedSecret, and of its Secret
    name: String,
    #[arg(hide = true)]
    surplus: Vec<String>,
    /// The registry
    #[arg(long, value_name = "HOST")]
    docker_server: String,
    /// The user
    #[arg(long, value_name = "USER")]
    docker_username: String,
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    docker_email: Option<String>,
    /// Take the password from this file (`-` is stdin) instead of a prompt; a final line break is not part of it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    docker_password_file: Option<String>,
    #[arg(long, hide = true)]
    docker_password: Option<String>,
    #[command(flatten)]
    output: OutputFlags,
}

impl DockerRegistry {
    /// Seals the credentials, and writes the SealedSecrets.
    ///
    /// # Errors
    /// When the password cannot be read, or a file exists; then nothing is written.
    pub(super) fn run(&self) -> Result<(), Error> {
        expect_no_value(&self.surplus)?;
        if self.docker_password.is_some() {
            return Err(Error::Argument(
                "--docker-password: command lines end up in the shell history; leave the flag out to be asked, or use --docker-password-file FILE"
                    .to_owned(),
            ));
        }
        if self.docker_server.is_empty() || self.docker_username.is_empty() {
            return Err(Error::Argument(
                "--docker-server and --docker-username must not be empty".to_owned(),
            ));
        }
        if self.docker_password_file.is_none() && !prompt::is_possible() {
            return Err(Error::NoTerminal("docker-password".to_owned()));
        }
        let secret = NewSecret { name: &self.name, type_: Some("kubernetes.io/dockerconfigjson") };
        self.output.check(&secret)?;
        self.output.write(
            &secret,
            |_| Ok(()),
            || {
                let values = Values::from([(".dockerconfigjson".to_owned(), self.config(&self.password()?))]);
                expect_size(&values)?;
                Ok(values)
            },
        )
    }

    fn password(&self) -> Result<Zeroizing<String>, Error> {
        let Some(file) = &self.docker_password_file else { return prompt::hidden("docker-password") };
        let bytes = if is_stdin(file) { io::read_stdin_value("the password") } else { io::read_named(file) }?;
        let text = String::from_utf8(bytes).map_err(|_| FileProblem::NotUtf8.of(file))?;
        let text = Zeroizing::new(text);
        let password =
            text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if password.is_empty() {
            return Err(FileProblem::Field("the password is empty".to_owned()).of(file));
        }
        Ok(Zeroizing::new(password.to_owned()))
    }

    /// The JSON that kubectl writes, byte for byte.
    fn config(&self, password: &str) -> Zeroizing<Vec<u8>> {
        let text = |text: &str| Zeroizing::new(go_json(text));
        let auth = Zeroizing::new(
            STANDARD.encode(Zeroizing::new(format!("{}:{password}", self.docker_username)).as_bytes()),
        );
        let email = self.docker_email.as_deref().filter(|email| !email.is_empty());
        let email = email.map(|email| format!("\"email\":{},", go_json(email))).unwrap_or_default();
        let entry = Zeroizing::new(format!(
            "{{\"username\":{},\"password\":{},{email}\"auth\":\"{}\"}}",
            go_json(&self.docker_username),
            *text(password),
            *auth
        ));
        Zeroizing::new(format!("{{\"auths\":{{{}:{}}}}}", go_json(&self.docker_server), *entry).into_bytes())
    }
}

/// A JSON string as Go's encoder writes it.
fn go_json(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut output = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String does not fail.
                let _ = write!(output, "\\u{:04x}", u32::from(character));
            }
            other => output.push(other),
        }
    }
    output
}
