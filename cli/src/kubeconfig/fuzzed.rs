//! The body of the fuzz target `kubeconfig`.

use std::path::Path;

use secrecy::ExposeSecret;

use super::*;

/// Any text as a kubeconfig: it leads to a cluster, or is refused with words that do not tell its token. Nothing that it names is
/// run or opened.
///
/// # Panics
/// Where it is not.
pub fn kubeconfig(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(mut read) = file::parse(text) else { return };
    file::resolve_paths(&mut read, Path::new("/folder"));
    let Ok(merged) = read.clone().merge(read) else { return };
    let Ok((cluster, user)) = chosen(&merged, &Flags::default()) else { return };
    let cluster = Cluster { certificate_authority: None, ..cluster };
    let user = AuthInfo { token_file: None, client_certificate: None, client_key: None, exec: None, ..user };
    let token = user.token.clone();
    let Err(error) = connection(cluster, user) else { return };
    let words = error.to_string();
    let token = token.as_ref().map(ExposeSecret::expose_secret).filter(|token| token.len() > 8);
    let is_told = token.is_some_and(|token| words.contains(token) && text.matches(token).count() == 1);
    assert!(!is_told, "{words}");
}
