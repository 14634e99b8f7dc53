//! Credentials of the user, loaded and checked before any request, so that no error of a later layer quotes a token, key or
//! password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::config::{AuthInfo, AuthProviderConfig, Cluster, ExecAuthCluster};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::exec;
use crate::error::{Error, go_message};

/// Replaces files and exec plugins by the credentials that they hold.
///
/// # Errors
/// When a credential cannot be read or used; the error never quotes it.
pub(super) fn load(mut user: AuthInfo, cluster: &ExecAuthCluster) -> Result<AuthInfo, Error> {
    user.auth_provider.as_ref().map_or(Ok(()), check_provider)?;
    user.token = user.token.filter(|token| !token.expose_secret().is_empty());
    let token_file = user.token_file.take().filter(|path| !path.is_empty());
    let mut source = "the token".to_owned();
    if let Some(path) = token_file.filter(|_| user.token.is_none()) {
        user.token = Some(read_token(&path)?.as_str().into());
        source = format!("the token in {path}");
    }
    let has_password = user.username.is_some() && user.password.is_some();
    let plugin =
        user.exec.take().filter(|_| user.token.is_none() && !has_password && user.auth_provider.is_none());
    load_identity(&mut user)?;
    if let Some(plugin) = plugin {
        let credential = exec::run(&plugin, cluster)?;
        source = format!("the token of exec plugin {}", plugin.command.unwrap_or_default());
        user.token = credential.token.as_deref().map(|token| token.as_str().into());
        if let Some((certificate, key)) = credential.identity {
            user.client_certificate_data = Some(STANDARD.encode(certificate.as_bytes()));
            user.client_key_data = Some(STANDARD.encode(key.as_bytes()).into());
            load_identity(&mut user)?;
        }
    }
    user.token.as_ref().map_or(Ok(()), |token| check_token(token.expose_secret(), &source))?;
    Ok(user)
}

/// Replaces the file of the certificate authority by its content.
///
/// # Errors
/// When the file cannot be read, or is not PEM.
pub(super) fn with_authority(mut cluster: Cluster) -> Result<Cluster, Error> {
    let file = cluster.certificate_authority.take();
    let pem =
        pem_of("certificate-authority", cluster.certificate_authority_data.as_deref(), file.as_deref())?;
    cluster.certificate_authority_data = pem.map(|pem| STANDARD.encode(&pem));
    Ok(cluster)
}

fn failed(text: &str) -> Error {
    Error::Kubeconfig(format!("invalid configuration: {text}"))
}

fn unreadable(what: &str, file: &str, cause: &std::io::Error) -> Error {
    failed(&format!("unable to read {what} {file}: {}", go_message(cause)))
}

/// Accepts `oidc` only. client-go dropped the other providers, too; the library runs their commands and sends any output as a token.
fn check_provider(provider: &AuthProviderConfig) -> Result<(), Error> {
    let instead = match provider.name.as_str() {
        "oidc" => return Ok(()),
        "gcp" => "gke-gcloud-auth-plugin",
        "azure" => "kubelogin",
        _ => "one of its own",
    };
    Err(failed(&format!(
        "the auth provider {:?} is not supported; use an exec plugin, {instead}",
        provider.name
    )))
}

/// Reads a token and trims it, as client-go does.
fn read_token(path: &str) -> Result<Zeroizing<String>, Error> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|cause| unreadable("tokenFile", path, &cause))?;
    match text.trim() {
        "" => Err(failed(&format!("tokenFile {path} is empty"))),
        token => Ok(Zeroizing::new(token.to_owned())),
    }
}

fn check_token(token: &str, source: &str) -> Result<(), Error> {
    HeaderValue::from_str(token).map(drop).map_err(|_| {
        failed(&format!(
            "{source} cannot be sent: it has a line break or another character that HTTP headers cannot hold"
        ))
    })
}

/// Replaces the files of client certificate and key by their content.
fn load_identity(user: &mut AuthInfo) -> Result<(), Error> {
    let files = (user.client_certificate.take(), user.client_key.take());
    let certificate =
        pem_of("client-certificate", user.client_certificate_data.as_deref(), files.0.as_deref())?;
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = pem_of("client-key", key, files.1.as_deref())?;
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_none() { "client-key" } else { "client-certificate" };
        return Err(failed(&format!("{missing} is missing; a client certificate needs its key")));
    }
    user.client_certificate_data = certificate.map(|pem| STANDARD.encode(&pem));
    user.client_key_data = key.map(|pem| STANDARD.encode(&pem).into());
    Ok(())
}

/// The PEM text of the field with the suffix `-data`, else of the file that the field without it names.
fn pem_of(what: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let (pem, source) = match (data.filter(|data| !data.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(data), _) => {
            let digits: Zeroizing<String> = Zeroizing::new(data.split_ascii_whitespace().collect());
            let source = format!("{what}-data");
            (
                STANDARD.decode(digits.as_bytes()).map_err(|_| failed(&format!("{source} is not base64")))?,
                source,
            )
        }
        (None, Some(file)) => {
            (std::fs::read(file).map_err(|cause| unreadable(what, file, &cause))?, format!("{what} {file}"))
        }
        (None, None) => return Ok(None),
    };
    let pem = Zeroizing::new(pem);
    let wanted = if what == "client-key" { "PRIVATE KEY" } else { "CERTIFICATE" };
    let blocks = pem::parse_many(&*pem).unwrap_or_default();
    if !blocks.iter().any(|block| block.tag().ends_with(wanted)) {
        return Err(failed(&format!("{source} holds no readable PEM block {wanted:?}")));
    }
    Ok(Some(pem))
}
