//! Body of the fuzz target `kubeconfig`.

use std::path::Path;

use secrecy::ExposeSecret;

use super::*;

/// Parses a text as a kubeconfig. It names a cluster, or is refused with a message that does not contain its token. No program or
/// file that it names is run or opened.
///
/// # Panics
/// If the message contains the token.
pub fn kubeconfig(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(mut read) = file::parse(text) else { return };
    file::resolve_paths(&mut read, Path::new("/folder"));
    let Ok(merged) = read.clone().merge(read) else { return };
    let Ok((cluster, user)) = chosen(&merged, &ClusterOptions::default()) else { return };
    let cluster = Cluster { certificate_authority: None, ..cluster };
    let user = AuthInfo { token_file: None, client_certificate: None, client_key: None, exec: None, ..user };
    let token = user.token.clone();
    let Err(error) = connection(cluster, user) else { return };
    let message = error.to_string();
    let token = token.as_ref().map(ExposeSecret::expose_secret).filter(|token| token.len() > 8);
    let is_quoted = token.is_some_and(|token| message.contains(token) && text.matches(token).count() == 1);
    assert!(!is_quoted, "{message}");
}
