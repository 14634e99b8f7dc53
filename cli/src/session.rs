//! The connection to one cluster. A run has one for each cluster that it needs.

use std::cell::OnceCell;
use std::time::Duration;

use kube::config::Kubeconfig;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAMESPACE;

use crate::api::ApiServer;
use crate::error::Error;
use crate::kubeconfig;
use crate::options::ClusterOptions;

/// Kubeconfig and client, loaded lazily and at most once.
pub(crate) struct Session<'o> {
    options: &'o ClusterOptions,
    kubeconfig: OnceCell<Result<Option<Kubeconfig>, String>>,
    api: OnceCell<ApiServer>,
}

impl<'o> Session<'o> {
    /// Creates a session; loads nothing yet.
    pub(crate) fn new(options: &'o ClusterOptions) -> Self {
        Self { options, kubeconfig: OnceCell::new(), api: OnceCell::new() }
    }

    /// The name of the controller's Service, if it was given.
    pub(crate) fn controller_name(&self) -> Option<&str> {
        self.options.controller_name.as_deref()
    }

    /// The longest time of a request; `None` without a limit.
    ///
    /// # Errors
    /// When `--request-timeout` is not a duration.
    pub(crate) fn request_timeout(&self) -> Result<Option<Duration>, Error> {
        self.options.request_timeout.as_deref().map_or(Ok(None), kubeconfig::timeout)
    }

    /// The namespace of the current context.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub(crate) fn namespace(&self) -> Result<String, Error> {
        kubeconfig::namespace(self.kubeconfig()?, self.options)
    }

    /// The client of the API server. Sends no request.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub(crate) fn api(&self) -> Result<&ApiServer, Error> {
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        let timeout = self.request_timeout()?;
        let mut config = kubeconfig::config(self.kubeconfig()?, self.options)?;
        config.read_timeout = timeout.or(config.read_timeout);
        let namespace = self.options.controller_namespace.as_deref().unwrap_or(DEFAULT_CONTROLLER_NAMESPACE);
        let api = ApiServer::new(config, namespace.to_owned(), timeout)?;
        Ok(self.api.get_or_init(|| api))
    }

    fn kubeconfig(&self) -> Result<Option<&Kubeconfig>, Error> {
        let read = self.kubeconfig.get_or_init(|| kubeconfig::read(self.options));
        read.as_ref().map(Option::as_ref).map_err(|cause| Error::Kubeconfig(cause.clone()))
    }
}
