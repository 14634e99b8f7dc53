//! Kubeconfig files: found, parsed and merged.

use std::env;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use kube::config::{AuthInfo, Kubeconfig};
use sealed_secrets_core::manifest::{documents, json_of};

use crate::io;
use crate::options::ClusterOptions;

/// Reads and merges the files; the first one that sets a value wins. `None` without files, unless a flag names a cluster.
///
/// # Errors
/// The message for a file that cannot be read.
pub(crate) fn read(options: &ClusterOptions) -> Result<Option<Kubeconfig>, String> {
    if let Some(path) = &options.kubeconfig {
        if !Path::new(path).exists() {
            return Err(format!("stat {path}: no such file or directory"));
        }
        return load(Path::new(path)).map(Some);
    }
    let listed: Vec<_> = match env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => env::split_paths(&list).collect(),
        None => default_file()?.into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in listed.iter().filter(|path| path.exists()) {
        let next = load(path)?;
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(|cause| cause.to_string())?,
            None => next,
        });
    }
    let ClusterOptions { server, cluster, context, user, .. } = options;
    let is_named = [server, cluster, context, user].into_iter().any(Option::is_some);
    Ok(merged.or_else(|| is_named.then(Kubeconfig::default)))
}

/// `~/.kube/config`, which nobody has named, so that it is not waited for if it is a pipe.
fn default_file() -> Result<Option<PathBuf>, String> {
    let Some(file) = env::home_dir().map(|home| home.join(".kube").join("config")) else { return Ok(None) };
    if file.exists() {
        io::expect_regular(&file.display().to_string()).map_err(|error| error.to_string())?;
    }
    Ok(Some(file))
}

fn load(path: &Path) -> Result<Kubeconfig, String> {
    let failed = |cause: String| format!("error loading config file \"{}\": {cause}", path.display());
    let text = std::fs::read_to_string(path).map_err(|cause| failed(cause.to_string()))?;
    let mut kubeconfig = parse(&text).map_err(failed)?;
    if let Some(folder) = path.parent() {
        resolve_paths(&mut kubeconfig, folder);
    }
    Ok(kubeconfig)
}

/// Parses the text of a kubeconfig.
///
/// # Errors
/// The cause, which quotes no value.
pub(super) fn parse(text: &str) -> Result<Kubeconfig, String> {
    let documents = documents(text).map_err(|cause| cause.to_string())?;
    let Some(document) = documents.first() else { return Ok(Kubeconfig::default()) };
    // The library's own parser is of another YAML version, and its errors may quote a token.
    serde_path_to_error::deserialize(json_of(&document.root))
        .map_err(|cause| format!("{} has a value of the wrong type", cause.path()))
}

/// Resolves paths in the file relative to its folder.
pub(super) fn resolve_paths(kubeconfig: &mut Kubeconfig, folder: &Path) {
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(cluster.certificate_authority.as_mut(), folder);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        let AuthInfo { client_certificate, client_key, token_file, exec, .. } = user;
        for path in [client_certificate, client_key, token_file] {
            resolve(path.as_mut(), folder);
        }
        // A bare word is looked up in PATH.
        let command = exec.as_mut().and_then(|exec| exec.command.as_mut());
        resolve(command.filter(|command| command.contains(MAIN_SEPARATOR)), folder);
    }
}

fn resolve(path: Option<&mut String>, folder: &Path) {
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "clusters: [{name: 12, cluster: {server: s, certificate-authority: ca.crt}}]\nusers:\n\
                    - {name: a, user: {exec: {command: ./plugin, apiVersion: v}, tokenFile: /abs}}\n\
                    - {name: b, user: {exec: {command: plugin, apiVersion: v}}}\n";
        std::fs::write(&file, text).unwrap();
        let read = load(&file).unwrap();
        let within = |name: &str| Some(folder.path().join(name).to_str().unwrap().to_owned());
        let cluster = read.clusters[0].cluster.clone().unwrap();
        assert_eq!((read.clusters[0].name.as_str(), cluster.certificate_authority), ("12", within("ca.crt")));
        let user = |at: usize| read.auth_infos[at].auth_info.clone().unwrap();
        assert_eq!(
            (user(0).exec.unwrap().command, user(0).token_file),
            (within("./plugin"), Some("/abs".into()))
        );
        assert_eq!(user(1).exec.unwrap().command.as_deref(), Some("plugin"));
    }

    #[test]
    fn no_message_about_a_kubeconfig_quotes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "users: [{name: a, user: {token: [hunter2]}}]").unwrap();
        let expected = "users[0].user.token has a value of the wrong type";
        assert!(load(&file).unwrap_err().ends_with(expected));
        for text in ["users: [{name: a, user: {token: [hunter2]}}]", "token: 'hunter2", "a: hunter2: x"] {
            std::fs::write(&file, text).unwrap();
            let error = load(&file).unwrap_err();
            assert!(error.starts_with("error loading config file") && !error.contains("hunter2"), "{error}");
        }
    }
}
