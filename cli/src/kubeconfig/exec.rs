//! Exec plugins: commands that print credentials (client.authentication.k8s.io). Their standard output and their arguments are never
//! shown. Lines of their standard error are logged with secrets masked; an interactive plugin writes it to the terminal itself.

use std::io::{self, IsTerminal as _};
use std::process::{Command, ExitStatus, Output, Stdio};

use kube::config::{ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use sealed_secrets_core::manifest::{documents, json_of};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, go_message};
use crate::io::log;

/// Shortest value of a variable that is masked; shorter ones occur in any text.
const MIN_SECRET_LENGTH: usize = 4;
/// Shortest word of the standard output that is masked in the standard error.
const MIN_PRINTED_LENGTH: usize = 8;

/// The credential that a plugin prints.
pub(super) struct Credential {
    pub(super) token: Option<Zeroizing<String>>,
    /// A client certificate and its key, PEM.
    pub(super) identity: Option<(Zeroizing<String>, Zeroizing<String>)>,
}

/// Runs the plugin. An interactive one inherits stderr; the lines of any other are logged with secrets masked.
///
/// # Errors
/// When it is missing, fails, or prints no credential.
pub(super) fn run(plugin: &ExecConfig, cluster: &ExecAuthCluster) -> Result<Credential, Error> {
    let name = plugin.command.as_deref().unwrap_or_default();
    let failed = |cause: String| Error::Kubeconfig(format!("getting credentials: exec: {cause}"));
    if name.is_empty() {
        return Err(failed("the kubeconfig names no command".to_owned()));
    }
    let has_terminal = io::stdin().is_terminal();
    if plugin.interactive_mode == Some(ExecInteractiveMode::Always) && !has_terminal {
        return Err(failed(format!("plugin {name} needs a terminal as standard input")));
    }
    let is_interactive = has_terminal && plugin.interactive_mode != Some(ExecInteractiveMode::Never);
    let output =
        command(name, plugin, cluster, is_interactive).output().map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Error::MissingPlugin {
                name: name.to_owned(),
                hint: plugin.install_hint.clone().unwrap_or_default(),
            },
            _ => failed(format!("cannot run {name}: {}", go_message(&cause))),
        })?;
    let Output { status, stdout, stderr } = output;
    let stdout = Zeroizing::new(stdout);
    for line in masked_lines(&stderr, plugin, &stdout) {
        log(&format!("{name}: {line}"));
    }
    if !status.success() {
        return Err(failed(format!("executable {name} {}", failure(status))));
    }
    credential(&stdout).ok_or_else(|| {
        failed(format!(
            "plugin {name} printed no ExecCredential with a token, or a client certificate and its key"
        ))
    })
}

fn command(name: &str, plugin: &ExecConfig, cluster: &ExecAuthCluster, is_interactive: bool) -> Command {
    let mut spec = json!({"interactive": is_interactive});
    if let (true, Some(spec), Ok(cluster)) =
        (plugin.provide_cluster_info, spec.as_object_mut(), serde_json::to_value(cluster))
    {
        spec.insert("cluster".to_owned(), cluster);
    }
    let info = json!({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec});
    let mut command = Command::new(name);
    command.args(plugin.args.iter().flatten()).envs(variables(plugin));
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    // Standard input may be the Secret to seal.
    command.stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() });
    command.stderr(if is_interactive { Stdio::inherit() } else { Stdio::piped() }).stdout(Stdio::piped());
    command
}

fn variables(plugin: &ExecConfig) -> impl Iterator<Item = (&String, &String)> {
    plugin.env.iter().flatten().filter_map(|entry| Some((entry.get("name")?, entry.get("value")?)))
}

fn failure(status: ExitStatus) -> String {
    status
        .code()
        .map_or_else(|| format!("failed with {status}"), |code| format!("failed with exit code {code}"))
}

/// The lines of stderr; values of the kubeconfig's variables and words that also occur in stdout are masked.
fn masked_lines(stderr: &[u8], plugin: &ExecConfig, stdout: &[u8]) -> Vec<String> {
    let printed = Zeroizing::new(String::from_utf8_lossy(stdout).into_owned());
    let is_end = |character: char| character.is_whitespace() || "\"',{}[]".contains(character);
    let printed = printed.split(is_end).filter(|word| word.len() >= MIN_PRINTED_LENGTH);
    let given = variables(plugin).map(|(_, value)| value.as_str());
    let mut secrets: Vec<&str> =
        given.filter(|value| value.len() >= MIN_SECRET_LENGTH).chain(printed).collect();
    // One secret may contain another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let hidden = |text: String, secret: &&str| text.replace(*secret, "***");
    let text = secrets.iter().fold(String::from_utf8_lossy(stderr).into_owned(), hidden);
    text.lines().map(str::to_owned).collect()
}

/// Parses an `ExecCredential` in JSON or YAML; `None` without a usable credential.
fn credential(stdout: &[u8]) -> Option<Credential> {
    let documents = documents(str::from_utf8(stdout).ok()?).ok()?;
    let printed = json_of(&documents.first()?.root);
    let status = printed.get("status")?;
    let text = |field: &str| {
        let text = status.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(|text| Zeroizing::new(text.to_owned()))
    };
    let token = text("token");
    let identity = text("clientCertificateData").zip(text("clientKeyData"));
    (token.is_some() || identity.is_some()).then_some(Credential { token, identity })
}
