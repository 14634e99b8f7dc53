//! Kubeconfig files, written as JSON, which every parser of kubeconfigs accepts.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{IoContext, Result};

/// The credentials of a client.
pub(crate) enum Credentials<'a> {
    /// Files with a client certificate and its key.
    Certificate { certificate: &'a Path, key: &'a Path },
    /// A bearer token.
    Token(&'a str),
}

impl Credentials<'_> {
    fn user(&self) -> Value {
        match self {
            Self::Certificate { certificate, key } => {
                json!({ "client-certificate": certificate, "client-key": key })
            }
            Self::Token(token) => json!({ "token": token }),
        }
    }
}

/// Writes a kubeconfig with one context into `file`.
pub(crate) fn write(
    file: &Path,
    server: &str,
    authority: &Path,
    who: &Credentials<'_>,
    namespace: &str,
) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "local", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "local", "user": who.user() }],
        "contexts": [{ "name": "local", "context": { "cluster": "local", "user": "local", "namespace": namespace } }],
        "current-context": "local",
    });
    fs::write(file, format!("{config:#}\n")).when(|| format!("write {}", file.display()))
}
