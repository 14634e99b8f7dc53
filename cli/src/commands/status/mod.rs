//! `status` lists what needs attention in the cluster.

mod object_state;

use clap::Args;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::names::{refused_name, refused_namespace};
use sealed_secrets_crds::names::SEALED_SECRET_KIND;
use serde_json::json;

use self::object_state::ObjectState;
use super::keys;
use super::outcome::Outcome;
use crate::api::ApiServer;
use crate::error::{Error, Refusal};
use crate::io;
use crate::options::ClusterOptions;
use crate::report::{self, ReportFormat, table};
use crate::session::Session;

/// Objects of one response of the API server.
const PAGE: u32 = 500;
/// Lists that are begun anew, because their continuation has expired.
const ATTEMPTS: usize = 3;

/// List the SealedSecrets of the cluster that need attention
#[derive(Debug, Args)]
#[command(
    long_about = "List the SealedSecrets of the cluster that are not decrypted, that are sealed with an old key (Stale), or with a key that\n\
                  may have leaked (KeyCompromised), with the controller's reason. If there are any, the exit code is 3.\n\
                  With --key: those that need this key, which therefore cannot be retired.",
    after_help = "Examples:\n  \
                  kubeseal status -A                               in all namespaces\n  \
                  kubeseal status db -n shop                       one SealedSecret\n  \
                  kubeseal status -A --key SHA256:q3Zt0aBcDeFgHiJk which objects need this key?"
)]
pub(crate) struct Status {
    /// Names of SealedSecrets (default: all)
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces")]
    names: Vec<String>,
    /// Namespace (default: that of the kubeconfig's context)
    #[arg(short, long, value_name = "NAMESPACE", env = "SEALED_SECRETS_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,
    /// All namespaces, whatever -n says
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// List the SealedSecrets that need this key: the name of a SealingKey, or the beginning of a fingerprint
    #[arg(long, value_name = "NAME|FINGERPRINT")]
    key: Option<String>,
    /// List those without a problem, too
    #[arg(long)]
    all: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", alias = "format")]
    output: ReportFormat,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Status {
    /// Prints the SealedSecrets that need attention, or those that need a key.
    ///
    /// # Errors
    /// When the SealedSecrets cannot be read, a named one does not exist, or the objects that need a key are not all known.
    pub(super) fn run(&self) -> Result<Outcome, Error> {
        let refused = self.namespace.as_deref().and_then(refused_namespace);
        if let Some(refusal) = refused.or_else(|| self.names.iter().find_map(|name| refused_name(name))) {
            return Err(Error::Argument(refusal));
        }
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let fingerprint = self.key.as_deref().map(|key| keys::fingerprint_of(api, key)).transpose()?;
        let mut found = self.objects(&session, api)?;
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        match fingerprint {
            Some(fingerprint) => self.write_users(&found, &fingerprint),
            None => self.write(&found),
        }
    }

    fn objects(&self, session: &Session<'_>, api: &ApiServer) -> Result<Vec<ObjectState>, Error> {
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", SEALED_SECRET_KIND));
        let namespace = self.namespace.clone().filter(|namespace| !namespace.is_empty());
        let objects: Api<DynamicObject> = if self.all_namespaces {
            Api::all_with(api.client.clone(), &kind)
        } else {
            let namespace = namespace.map_or_else(|| session.namespace(), Ok)?;
            Api::namespaced_with(api.client.clone(), &namespace, &kind)
        };
        let failed = |refusal| {
            let cause = match refusal {
                Refusal::UnknownKind => {
                    "the API server does not know them; their CRD is not installed".to_owned()
                }
                refusal => refusal.to_string(),
            };
            Error::ReadObjects { url: api.url.clone(), cause }
        };
        if self.names.is_empty() {
            return listed(api, &objects).map_err(failed);
        }
        let get = |name: &String| Ok(ObjectState::of(&api.run(objects.get(name)).map_err(failed)?));
        self.names.iter().map(get).collect()
    }

    fn write(&self, found: &[ObjectState]) -> Result<Outcome, Error> {
        let is_listed = |state: &&ObjectState| self.all || !self.names.is_empty() || state.needs_attention();
        let listed_objects: Vec<&ObjectState> = found.iter().filter(is_listed).collect();
        let head = ["NAME", "SYNCED", "STATE", "MESSAGE"].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> =
            std::iter::once(head).chain(listed_objects.iter().map(|state| state.row())).collect();
        let text = if listed_objects.is_empty() { String::new() } else { table(&rows) };
        report::write(self.output, &values(&listed_objects), &text)?;
        if found.iter().any(ObjectState::is_synced) && found.iter().all(ObjectState::lacks_keys) {
            io::warn(
                "this controller does not record which keys the SealedSecrets need: those that are Stale or KeyCompromised are not known",
            );
        }
        let problems = found.iter().filter(|state| state.needs_attention()).count();
        io::log(&totals(found.len(), problems));
        Ok(if problems == 0 { Outcome::Success } else { Outcome::Findings })
    }

    /// Lists the objects that need a key.
    fn write_users(&self, found: &[ObjectState], fingerprint: &str) -> Result<Outcome, Error> {
        let users: Vec<&ObjectState> = found.iter().filter(|state| state.items_of(fingerprint) > 0).collect();
        let head = ["NAME", "ITEMS"].map(str::to_owned).to_vec();
        let row = |state: &&ObjectState| vec![state.shown_name(), state.items_of(fingerprint).to_string()];
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(users.iter().map(row)).collect();
        let text = if users.is_empty() { String::new() } else { table(&rows) };
        report::write(self.output, &values(&users), &text)?;
        let items: u64 = users.iter().map(|state| state.items_of(fingerprint)).sum();
        io::log(&format!(
            "{} of {} SealedSecrets need {fingerprint}, with {}",
            users.len(),
            found.len(),
            number(items, "item")
        ));
        let unknown = found.iter().filter(|state| !state.has_known_keys()).count();
        if unknown > 0 {
            return Err(Error::Value(format!(
                "the keys of {unknown} of {} SealedSecrets are not known, and they may need {fingerprint}, too: they were never \
                 decrypted in their present form, or by another controller, which does not record the keys",
                found.len()
            )));
        }
        Ok(Outcome::Success)
    }
}

fn values(states: &[&ObjectState]) -> serde_json::Value {
    json!({ "objects": states.iter().map(|state| state.value()).collect::<Vec<_>>() })
}

fn number(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn totals(all: usize, problems: usize) -> String {
    match (all, problems) {
        (0, _) => "there are no SealedSecrets".to_owned(),
        (1, 0) => "the SealedSecret needs no attention".to_owned(),
        (all, 0) => format!("{all} SealedSecrets, and none needs attention"),
        (all, problems) => format!("{problems} of {all} SealedSecrets need attention"),
    }
}

/// All objects, one page after the other.
fn listed(api: &ApiServer, objects: &Api<DynamicObject>) -> Result<Vec<ObjectState>, Refusal> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match listed_once(api, objects) {
            Err(refusal @ Refusal::Expired(_)) => last = Some(refusal),
            result => return result,
        }
    }
    Err(last.unwrap_or_else(|| Refusal::Other("the list is longer than its snapshot is kept".to_owned())))
}

fn listed_once(api: &ApiServer, objects: &Api<DynamicObject>) -> Result<Vec<ObjectState>, Refusal> {
    let mut states = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.run(objects.list(&params))?;
        states.extend(page.items.iter().map(ObjectState::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(states),
        }
    }
}

impl ObjectState {
    fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status");
        Self::new(
            object.namespace().unwrap_or_default(),
            object.name_any(),
            object.metadata.generation,
            status,
        )
    }
}
