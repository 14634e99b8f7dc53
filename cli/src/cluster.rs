//! The API server, reached only when something in the cluster is asked for.

use std::future::Future;

use k8s_openapi::api::core::v1::Service;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::args::Args;
use crate::error::{Error, Result};

/// The certificate of the controller, through the API server's service proxy: `http:NAME:PORT`, where PORT is the name of
/// the Service's first port, which is what upstream's roles allow.
///
/// # Errors
/// When the API server, the Service or the controller does not answer.
pub(crate) fn fetch_certificate(args: &Args) -> Result<String> {
    wait(async {
        let client = client(config(args).await?)?;
        let (namespace, name) = (&args.controller_namespace, &args.controller_name);
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let service = services.get(name).await.map_err(|error| Error::Service(sentence(&error)))?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.into_iter().next().and_then(|port| port.name).unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:{port}/proxy/v1/cert.pem");
        get(&client, &path).await.map_err(Error::Fetch)
    })
}

/// What a web server has at this URL. Proxy variables are heeded.
///
/// # Errors
/// When it does not answer with success.
pub(crate) fn download(url: &str) -> Result<String> {
    let failed = |text: String| Error::CertificateFile(url.to_owned(), text);
    wait(async {
        let uri: http::Uri = url.parse().map_err(|_| failed("not a URL".to_owned()))?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |host| host.as_str())
        );
        let file = kubeconfig_for(&origin).map_err(failed)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let config = config.map_err(|error| failed(error.to_string()))?;
        get(&client(config)?, &path).await.map_err(failed)
    })
}

/// A kubeconfig that knows nothing but this server: the loader then takes the proxy from the environment.
fn kubeconfig_for(origin: &str) -> std::result::Result<Kubeconfig, String> {
    let file = serde_json::json!({
        "clusters": [{"name": "web", "cluster": {"server": origin}}],
        "contexts": [{"name": "web", "context": {"cluster": "web", "user": ""}}],
        "current-context": "web"
    });
    serde_json::from_value(file).map_err(|error| error.to_string())
}

/// The namespace of the current context, as kubectl sees it: none where there is no kubeconfig.
pub(crate) fn current_namespace(args: &Args) -> Option<String> {
    wait(async { config(args).await.map(|config| config.default_namespace) }).ok()
}

async fn config(args: &Args) -> Result<Config> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let loaded = match &args.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| Error::Kubeconfig(chain(&error)))?;
            Config::from_custom_kubeconfig(file, &options).await
        }
        None => Config::from_kubeconfig(&options).await,
    };
    loaded.map_err(|error| Error::Kubeconfig(chain(&error)))
}

fn client(config: Config) -> Result<Client> {
    Client::try_from(config).map_err(|error| Error::Kubeconfig(chain(&error)))
}

async fn get(client: &Client, path: &str) -> std::result::Result<String, String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map_err(|error| sentence(&error))
}

/// An API server's answer in its own words, or every cause of a connection that failed.
fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => chain(other),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    // A cause that its effect already quotes is not worth repeating.
    texts.dedup_by(|cause, effect| effect.contains(cause.as_str()));
    texts.join(": ")
}

/// Runs to the end on this thread.
fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::Kubeconfig(error.to_string()))?.block_on(work)
}
