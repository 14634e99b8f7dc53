//! Startup and graceful shutdown of the controller.

pub(crate) mod error;
mod leader_work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kube::Client;
use sealed_secrets_crds::SealingKeyPolicy;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAME;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::api::client;
use crate::api::optional_crd_watch::Follower;
use crate::api::servers;
use crate::args::Args;
use crate::http;
use crate::http::{
    ConnectionTimeouts, HttpState, Limits, RateLimiter, Readiness, RequestHandler, Requirement,
    ShutdownTimeouts, TrustedProxies,
};
use crate::installation;
use crate::keystore::{Inputs, Keystore};
use crate::leadership::record::identity;
use crate::leadership::timing::Timing;
use crate::leadership::{Election, Leadership, Settings};
use crate::metrics::Metrics;
use crate::sealed_secret::Selection;
use crate::usage::KeyUsageIndex;
use error::StartError;
use leader_work::LeaderWork;

const STACK: usize = 8 << 20;
/// Limit of open connections, on each of the two ports.
const CONNECTIONS: usize = 512;
/// Header read timeout, so that slow clients cannot occupy all connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Lifetime of a connection; then the client has to reconnect.
const CONNECTION_LIFETIME: Duration = Duration::from_mins(5);
/// Timeout for a client to read its answer, so that unread answers cannot use up the memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout of the last request of a connection that has reached its lifetime.
const REQUEST_GRACE: Duration = Duration::from_secs(20);
/// Time during which others may still send requests to a replica that is no longer ready.
const DRAIN: Duration = Duration::from_secs(3);
/// The same where other replicas go on serving: endpoints lag behind the end of a Pod.
const DRAIN_WITH_REPLICAS: Duration = Duration::from_secs(5);
/// Time after the drain for the rest of requests that arrive then.
const RECEIVE: Duration = Duration::from_millis(500);
/// Time after the drain for answers to requests that have arrived.
const ANSWER: Duration = Duration::from_secs(4);

/// Time from SIGTERM to the end of the process: rendering cannot be interrupted, and the process does not wait for it. Kubernetes waits
/// 30 seconds before it kills.
const END: Duration = Duration::from_secs(4);
/// The same where other replicas go on serving.
const END_WITH_REPLICAS: Duration = Duration::from_secs(10);

/// Time to release the Lease at the end: the API server may not answer, and the replica serves no longer than [`DRAIN_WITH_REPLICAS`].
const RELEASE: Duration = Duration::from_secs(4);

/// Runs until SIGTERM or SIGINT, then completes the work in flight.
///
/// # Errors
/// If it cannot start, or a task that should run forever has ended.
pub fn run(args: Args) -> Result<(), StartError> {
    if args.version {
        return print_version();
    }
    let (stop, runtime) = (stop_on_signal()?, runtime()?);
    let outcome = runtime.block_on(serve(args, stop));
    // A key that is being generated is no longer needed, and takes long.
    runtime.shutdown_background();
    outcome
}

/// Returns a runtime with one thread for the network; CPU-intensive work runs on blocking threads. So a process whose election is
/// stuck does not respond to the liveness probe either.
fn runtime() -> std::io::Result<Runtime> {
    // The deepest allowed template needs 1.6 MiB of stack in an unoptimized build.
    Builder::new_multi_thread().worker_threads(1).enable_all().thread_stack_size(STACK).build()
}

fn print_version() -> Result<(), StartError> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "controller version: v{}", env!("CARGO_PKG_VERSION"))?)
}

async fn serve(args: Args, Stop { graceful: stop, at_once }: Stop) -> Result<(), StartError> {
    let asked_for_key = signal(SignalKind::user_defined1())?;
    let listener = http::listen(&args.listen_addr, "listen-addr").await?;
    let metrics_listener = http::listen(&args.listen_metrics_addr, "listen-metrics-addr").await?;
    let leadership = if args.leader_elect { Leadership::elected() } else { Leadership::unelected() };
    let metrics = Arc::new(Metrics::new(args.metrics_omit_secret_labels, &leadership));
    let namespace = installation::namespace();
    let Connected { args, client, election } = tokio::select! {
        connected = connect(args, namespace.clone(), Arc::clone(&metrics), leadership.clone()) => connected?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace, "{DEFAULT_CONTROLLER_NAME} starts");

    warn_about_ineffective_flags(&args);
    let (timeouts, proxies) = (timeouts(&args), trusted_proxies(&args, &client));
    let (keys, work) = parts(client, args, namespace, &metrics, &leadership);
    let http_state = http_state(&work, proxies, &stop);
    let servers = tokio::spawn(http::serve(listener, http_state, timeouts, stop.clone()));
    let metrics_server = tokio::spawn(http::serve_metrics(metrics_listener, metrics, timeouts, stop.clone()));
    let time_to_end = if election.is_some() { END_WITH_REPLICAS } else { END };

    let all_work = async {
        let resigned = CancellationToken::new();
        let working = async {
            work.run(&leadership, &stop).await?;
            resigned.cancel();
            Ok(())
        };
        tokio::try_join!(working, elect(election, resigned.clone()))?;
        drop(tokio::join!(servers, metrics_server));
        Ok::<(), StartError>(())
    };
    tokio::select! {
        // These never return; only a panic ends them.
        stopped = keys.run(asked_for_key) => return Err(stopped),
        ended = all_work => ended?,
        () = at_once.cancelled() => tracing::warn!("second signal: stopping at once"),
        () = overdue(&stop, time_to_end) => {
            tracing::warn!("stopping with unfinished work, which is resumed after the next start");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// The flags, and the clients that they describe.
struct Connected {
    args: Args,
    client: Client,
    election: Option<Election>,
}

/// Creates the clients on a thread of their own: an exec plugin of the kubeconfig blocks it, and must not block signals.
async fn connect(
    args: Args,
    namespace: String,
    metrics: Arc<Metrics>,
    leadership: Leadership,
) -> Result<Connected, StartError> {
    let runtime = Handle::current();
    let connecting = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let requests = Arc::clone(metrics.api_requests());
            let client = client::connect(&args, requests, leadership.clone()).await?;
            let election = election(&args, &namespace, &metrics, &leadership).await?;
            Ok(Connected { args, client, election })
        })
    });
    connecting.await.map_err(|_| StartError::Stopped("the connection to the API server"))?
}

/// Creates this replica's part in the election, if a flag asks for one.
async fn election(
    args: &Args,
    namespace: &str,
    metrics: &Metrics,
    leadership: &Leadership,
) -> Result<Option<Election>, StartError> {
    if !args.leader_elect {
        return Ok(None);
    }
    let client = client::connect_for_election(args, Arc::clone(metrics.api_requests())).await?;
    let settings = Settings {
        namespace: namespace.to_owned(),
        name: args.lease_name().to_owned(),
        identity: identity(&installation::replica_name(), rand::random()),
        timing: Timing::new(args.lease_duration()),
    };
    Ok(Some(Election::new(client, settings, leadership.clone())))
}

/// Takes part in the election until `resigned`, if there is one. A Lease that cannot be released by then expires.
async fn elect(election: Option<Election>, resigned: CancellationToken) -> Result<(), StartError> {
    let Some(election) = election else { return Ok(()) };
    let run = AbortOnDropHandle::new(tokio::spawn(election.run(resigned.clone())));
    let overdue = async {
        resigned.cancelled().await;
        tokio::time::sleep(RELEASE).await;
    };
    tokio::select! {
        ended = run => ended.map_err(|_| StartError::Stopped("the leader election")),
        () = overdue => Ok(()),
    }
}

/// Creates the parts that run in every replica, and those that run while it leads.
fn parts(
    client: Client,
    args: Args,
    namespace: String,
    metrics: &Arc<Metrics>,
    leadership: &Leadership,
) -> (Keys, LeaderWork) {
    let absence_logged = Arc::default();
    let policies = Follower::new(client.clone(), &namespace, &absence_logged);
    let desired_states = watch::Sender::default();
    let selection = Selection {
        namespaces: args.watched_namespaces(&namespace),
        labels: args.label_selector.clone(),
        repair: !args.skip_recreate,
    };
    let usage = Arc::new(KeyUsageIndex::new(selection.is_all()));
    let inputs = Inputs {
        policies: policies.subscribe(),
        desired_states: desired_states.subscribe(),
        key_usage: Arc::clone(&usage),
    };
    let keystore = Keystore::new(&client, &args, &namespace, inputs, leadership.clone());
    let work = LeaderWork {
        ring: keystore.subscribe(),
        views: keystore.views(),
        key_refresh: keystore.key_refresh(),
        policies: policies.subscribe(),
        metrics: Arc::clone(metrics),
        client,
        args,
        namespace,
        selection,
        usage,
        desired_states,
        absence_logged,
    };
    (Keys { keystore, policies, metrics: Arc::clone(metrics) }, work)
}

/// The tasks of every replica that deal with keys.
struct Keys {
    keystore: Keystore,
    policies: Follower<SealingKeyPolicy>,
    metrics: Arc<Metrics>,
}

impl Keys {
    /// Runs the tasks. Returns the first one that has ended, which only a panic causes.
    async fn run(self, asked_for_key: Signal) -> StartError {
        let (metrics, views) = (self.metrics, self.keystore.views());
        let measure = async move { metrics.keys().follow(views).await };
        tokio::select! {
            _ = tokio::spawn(measure) => StartError::Stopped("the metrics of keys"),
            _ = tokio::spawn(self.keystore.run(asked_for_key)) => StartError::Stopped("the keystore"),
            _ = tokio::spawn(self.policies.run()) => StartError::Stopped("the watch of policies"),
        }
    }
}

/// Waits until this time has passed after `stop`.
async fn overdue(stop: &CancellationToken, time_to_end: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time_to_end).await;
}

/// Returns the proxies of the flag; the addresses of API servers are added later.
fn trusted_proxies(args: &Args, client: &Client) -> Arc<TrustedProxies> {
    let proxies = Arc::new(TrustedProxies::new(args.trusted_proxies.clone()));
    tokio::spawn(servers::follow(client.clone(), Arc::clone(&proxies)));
    proxies
}

fn http_state(work: &LeaderWork, proxies: Arc<TrustedProxies>, stop: &CancellationToken) -> HttpState {
    let LeaderWork { args, ring, key_refresh, metrics, .. } = work;
    let limits = Limits { per_second: args.rate_limit.get().into(), burst: args.rate_limit_burst.get() };
    let (reading, writing) = (limit(args.read_timeout), limit(args.write_timeout));
    let requirement = if args.leader_elect {
        Requirement::RecentKeys(Arc::clone(key_refresh))
    } else {
        Requirement::SealedSecrets(Arc::clone(metrics.api_requests()))
    };
    let key_refresh = Arc::clone(key_refresh);
    HttpState {
        readiness: Readiness { ring: ring.clone(), requirement, stop: stop.clone() },
        request_handler: RequestHandler::new(ring.clone(), key_refresh, args.v1_data(), reading, writing),
        ring: ring.clone(),
        limiter: RateLimiter::new(limits, Instant::now()),
        proxies,
        metrics: Arc::clone(metrics),
    }
}

fn timeouts(args: &Args) -> ConnectionTimeouts {
    ConnectionTimeouts {
        connections: CONNECTIONS,
        headers: limit(args.read_timeout).min(HEADER_TIMEOUT),
        answer: limit(args.write_timeout).min(ANSWER_TIMEOUT),
        connection: CONNECTION_LIFETIME,
        request_grace: limit(args.write_timeout).min(REQUEST_GRACE),
        shutdown: ShutdownTimeouts {
            drain: if args.leader_elect { DRAIN_WITH_REPLICAS } else { DRAIN },
            receive: RECEIVE,
            answer: ANSWER,
        },
    }
}

/// Converts a timeout. 0 or less means none, as in Go.
fn limit(timeout: SignedDuration) -> Duration {
    Duration::try_from(timeout).ok().filter(|limit| !limit.is_zero()).unwrap_or(Duration::MAX)
}

/// Warns about flags that have no effect: those of upstream that are accepted so that its charts work, and those that need
/// another flag.
fn warn_about_ineffective_flags(args: &Args) {
    let lease = [
        args.leader_elect_resource_name.as_ref().map(|_| "--leader-elect-resource-name"),
        args.leader_elect_lease_duration.map(|_| "--leader-elect-lease-duration"),
    ];
    for flag in lease.into_iter().flatten().filter(|_| !args.leader_elect) {
        tracing::warn!("{flag} has no effect without --leader-elect");
    }
    if args.old_gc_behavior {
        tracing::warn!(
            "--old-gc-behavior has no effect: the cluster deletes the Secret of a deleted SealedSecret"
        );
    }
}

/// The shutdown requests of signals.
struct Stop {
    /// Cancelled by the first SIGTERM or SIGINT.
    graceful: CancellationToken,
    /// Cancelled by the second signal.
    at_once: CancellationToken,
}

/// Waits for signals on a thread and a runtime of their own: a thread that is busy when two signals arrive would see one.
fn stop_on_signal() -> Result<Stop, StartError> {
    let stop = Stop { graceful: CancellationToken::new(), at_once: CancellationToken::new() };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let (graceful, at_once) = (stop.graceful.clone(), stop.at_once.clone());
    let wait = async move {
        for asked in [graceful, at_once] {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
            asked.cancel();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use ::http::{Request, Response, StatusCode};
    use clap::Parser as _;
    use kube::client::Body;
    use rustix::process::{getpid, kill_process};
    use sealed_secrets_core::keyring::KeyRing;
    use sealed_secrets_crds::{SealedSecret, SealedSecretSpec};
    use tower::service_fn;

    use super::*;
    use crate::leadership::candidate::Tenure;
    use crate::sealed_secret::object::{ObjectKey, ObjectVersion};
    use crate::usage::ObjectKeyUsage;

    /// A client whose requests are all refused.
    fn refused_client() -> Client {
        let refusing = service_fn(async |_: Request<Body>| {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::FORBIDDEN;
            Ok::<_, std::io::Error>(answer)
        });
        Client::new(refusing, "default")
    }

    /// The work of a leader of all namespaces with these flags.
    fn leader_work(flags: &[&str], leadership: &Leadership) -> LeaderWork {
        let args = Args::try_parse_from(["controller"].iter().chain(flags)).unwrap();
        let metrics = Arc::new(Metrics::new(false, leadership));
        parts(refused_client(), args, "kube-system".to_owned(), &metrics, leadership).1
    }

    /// An election in which every request is refused. With the longest durations a deadline overflows: a panic.
    fn election(lease_duration: Duration) -> Election {
        let settings = Settings {
            namespace: "kube-system".to_owned(),
            name: "sealed-secrets".to_owned(),
            identity: identity("pod", 1),
            timing: Timing::new(lease_duration),
        };
        Election::new(refused_client(), settings, Leadership::elected())
    }

    #[tokio::test]
    async fn an_election_that_ends_by_itself_ends_the_process_and_one_that_has_resigned_does_not() {
        let going_on = CancellationToken::new();
        let ended = elect(Some(election(Duration::MAX)), going_on).await;
        assert!(matches!(ended, Err(StartError::Stopped("the leader election"))), "{ended:?}");
        let resigned = CancellationToken::new();
        resigned.cancel();
        elect(Some(election(Duration::from_secs(15))), resigned).await.unwrap();
        elect(None, CancellationToken::new()).await.unwrap();
    }

    #[test]
    fn signals_are_noticed_while_the_runtime_is_busy() {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let (runtime, stop) = (runtime().unwrap(), stop_on_signal().unwrap());
        let (end, waiting) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move { waiting.recv() });
        for token in [stop.graceful, stop.at_once] {
            kill_process(getpid(), rustix::process::Signal::INT).unwrap();
            let deadline = Instant::now() + TIMEOUT;
            while !token.is_cancelled() {
                assert!(Instant::now() < deadline);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        drop(end);
    }

    #[tokio::test]
    async fn what_a_term_has_learned_of_objects_is_forgotten_at_its_end() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        leadership.publish(Tenure::LeadsUntil(now + Duration::from_mins(1)), None, now);
        let work = leader_work(&["--leader-elect"], &leadership);
        let object = SealedSecret::new("db", SealedSecretSpec::default());
        let (name, version) = (ObjectKey::of(&object), ObjectVersion::of(&object.metadata));
        work.usage.expect(name.clone(), version);
        work.usage.note(&name, version, ObjectKeyUsage::of(Vec::new(), 0));
        work.usage.listed();
        work.metrics.condition(&object, false);
        assert!(work.usage.report(&KeyRing::default()).is_some(), "a key could retire");
        work.work_until(async {}, &leadership, &CancellationToken::new()).await.unwrap();
        assert_eq!(
            work.usage.report(&KeyRing::default()),
            None,
            "until the next term has decrypted everything"
        );
        let page = work.metrics.render();
        assert!(!page.contains("condition_info{") && !page.contains("unsynced_objects{"), "{page}");
    }

    #[tokio::test]
    async fn readiness_depends_on_sealed_secrets_only_without_an_election() {
        let readiness = |flags: &[&str]| {
            let work = leader_work(flags, &Leadership::elected());
            let proxies = Arc::new(TrustedProxies::new(work.args.trusted_proxies.clone()));
            http_state(&work, proxies, &CancellationToken::new()).readiness.requirement
        };
        assert!(matches!(readiness(&[]), Requirement::SealedSecrets(_)));
        assert!(matches!(readiness(&["--leader-elect"]), Requirement::RecentKeys(_)));
    }

    #[test]
    fn what_is_stuck_in_the_election_keeps_the_liveness_probe_from_being_answered() {
        let runtime = runtime().unwrap();
        assert_eq!(runtime.metrics().num_workers(), 1, "all tasks share a thread");
    }
}
