//! From flags to a running controller, and to its clean end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kube::Client;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAME;
use sealed_secrets_crds::{SealingKey, SealingKeyPolicy};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::backoff::Failures;
use crate::context::{Context, RingReceiver};
use crate::error::StartError;
use crate::http::{Desk, Interface, Limits, Patience, RateLimiter, Readiness, TrustedProxies};
use crate::key_list::KeyList;
use crate::keystore::{Guidance, Keystore};
use crate::metrics::Metrics;
use crate::own_kinds::Follower;
use crate::policy::Reporter;
use crate::sealed_secret::Selection;
use crate::sealing_keys::SealingKeys;
use crate::usage::Ledger;
use crate::work_limits::WorkLimits;
use crate::{api_servers, client, home, http, sealed_secret};

const STACK: usize = 8 << 20;
/// On each of the two ports.
const CONNECTIONS: usize = 512;
/// Nobody needs longer for the headers of a request, so that slow ones cannot use up the connections.
const HEADERS: Duration = Duration::from_secs(10);
/// A connection that is older is asked to go; then clients connect again.
const CONNECTION: Duration = Duration::from_mins(5);
/// For a client to read its answer, so that unread ones cannot use up the memory.
const ANSWER: Duration = Duration::from_secs(20);
/// How long others send requests to a replica that is not ready any more.
const FAREWELL: Duration = Duration::from_secs(3);
/// A Pod has 30 seconds to end.
const LAST_REQUEST: Duration = Duration::from_secs(20);

/// What is in flight at SIGTERM gets this long, so that the process ends within five seconds: rendering cannot be interrupted, and
/// waits for nobody. Kubernetes waits 30 seconds before it kills.
const LAST_WORK: Duration = Duration::from_secs(4);

/// Runs until SIGTERM or SIGINT, then finishes what is in flight.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub fn run(args: Args) -> Result<(), StartError> {
    if args.version {
        return print_version();
    }
    // The deepest template that is allowed needs 1.6 MiB in an unoptimized build.
    // One thread waits for the network; what takes time runs on others that may block.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_stack_size(STACK)
        .build()?;
    let outcome = runtime.block_on(serve(args));
    // A key that is being made is of no use any more, and takes long.
    runtime.shutdown_background();
    outcome
}

fn print_version() -> Result<(), StartError> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "controller version: v{}", env!("CARGO_PKG_VERSION"))?)
}

async fn serve(args: Args) -> Result<(), StartError> {
    let Stop { gently: stop, at_once } = stop_on_signal()?;
    let asked_for_key = signal(SignalKind::user_defined1())?;
    let listener = http::listen(&args.listen_addr, "listen-addr").await?;
    let metrics_listener = http::listen(&args.listen_metrics_addr, "listen-metrics-addr").await?;
    let metrics = Arc::new(Metrics::new(args.metrics_omit_secret_labels));
    let client = client::connect(&args, Arc::clone(metrics.api_requests())).await?;
    let namespace = home::namespace();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace, "{DEFAULT_CONTROLLER_NAME} starts");

    tell_what_flags_do_not_do(&args);
    let selection = Selection {
        namespaces: args.watched_namespaces(&namespace),
        labels: args.label_selector.clone(),
        repair: !args.skip_recreate,
    };
    let usage = Arc::new(Ledger::new(selection.is_all()));
    let keys = Keys::new(&client, &args, &namespace, &usage, &metrics);
    let (ring, key_list) = (keys.keystore.subscribe(), keys.keystore.key_list());
    let proxies = trusted_proxies(&args, &client);
    let context = Arc::new(Context {
        client,
        key_prefix: args.key_prefix.clone(),
        policies: keys.policies.subscribe(),
        v1_data: args.v1_data(),
        denied_types: args.denied_types(),
        update_status: args.update_status,
        max_retries: args.max_unseal_retries,
        ring: ring.clone(),
        key_list: Arc::clone(&key_list),
        metrics: Arc::clone(&metrics),
        usage,
        backoff: Failures::default(),
        work: WorkLimits::new(),
        template_budget: args.template_budget(),
        status_forgets: AtomicBool::new(false),
        namespace: namespace.clone(),
    });
    let patience = patience(&args);
    let interface = interface(&args, ring, key_list, proxies, &metrics, &stop);
    let servers = tokio::spawn(http::serve(listener, interface, patience, stop.clone()));
    let metrics_server = tokio::spawn(http::serve_metrics(metrics_listener, metrics, patience, stop.clone()));
    let work = tokio::spawn(sealed_secret::run(context, selection, stop.clone()));

    let all_work = async {
        work.await.map_err(|_| StartError::Stopped("the unsealer"))?;
        drop(tokio::join!(servers, metrics_server));
        Ok::<(), StartError>(())
    };
    tokio::select! {
        // These never end; only a panic would end them.
        stopped = keys.run(asked_for_key) => return Err(stopped),
        ended = all_work => ended?,
        () = at_once.cancelled() => tracing::warn!("second signal: stopping at once"),
        () = overdue(&stop) => tracing::warn!("stopping with work unfinished: it is done after the next start"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Everything about keys: their Secrets, and the kinds that show them.
struct Keys {
    keystore: Keystore,
    policies: Follower<SealingKeyPolicy>,
    shown: Follower<SealingKey>,
    mirror: SealingKeys,
    reporter: Reporter,
}

impl Keys {
    fn new(
        client: &Client,
        args: &Args,
        namespace: &str,
        ledger: &Arc<Ledger>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let told = Arc::default();
        let policies = Follower::new(client.clone(), namespace, &told);
        let shown = Follower::new(client.clone(), namespace, &told);
        let wishes = watch::Sender::default();
        let guidance = Guidance {
            policies: policies.subscribe(),
            wishes: wishes.subscribe(),
            ledger: Arc::clone(ledger),
        };
        let keystore = Keystore::new(client.clone(), args, namespace, guidance, Arc::clone(metrics));
        let (views, followed) = (keystore.views(), shown.subscribe());
        let mirror = SealingKeys::new(
            client.clone(),
            namespace,
            views.clone(),
            followed,
            ledger.subscribe(),
            wishes,
            keystore.key_list(),
        );
        let reporter =
            Reporter::new(client.clone(), namespace, policies.subscribe(), views, ledger.subscribe());
        Self { keystore, policies, shown, mirror, reporter }
    }

    /// Returns which part has stopped, which none does by itself.
    async fn run(self, asked_for_key: Signal) -> StartError {
        tokio::select! {
            _ = tokio::spawn(self.keystore.run(asked_for_key)) => StartError::Stopped("the keystore"),
            _ = tokio::spawn(self.policies.run()) => StartError::Stopped("the watch of policies"),
            _ = tokio::spawn(self.shown.run()) => StartError::Stopped("the watch of SealingKeys"),
            _ = tokio::spawn(self.mirror.run()) => StartError::Stopped("the writer of SealingKeys"),
            _ = tokio::spawn(self.reporter.run()) => StartError::Stopped("the writer of policies"),
        }
    }
}

/// Returns when what is in flight has had its time.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORK).await;
}

/// The proxies that the flag names; API servers join them.
fn trusted_proxies(args: &Args, client: &Client) -> Arc<TrustedProxies> {
    let proxies = Arc::new(TrustedProxies::new(args.trusted_proxies.clone()));
    tokio::spawn(api_servers::follow(client.clone(), Arc::clone(&proxies)));
    proxies
}

fn interface(
    args: &Args,
    ring: RingReceiver,
    key_list: Arc<KeyList>,
    proxies: Arc<TrustedProxies>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Interface {
    let limits = Limits { per_second: args.rate_limit.get().into(), burst: args.rate_limit_burst.get() };
    let (reading, writing) = (limit(args.read_timeout), limit(args.write_timeout));
    Interface {
        readiness: Readiness {
            ring: ring.clone(),
            api_requests: Arc::clone(metrics.api_requests()),
            stop: stop.clone(),
        },
        desk: Desk::new(ring.clone(), key_list, args.v1_data(), reading, writing),
        ring,
        limiter: RateLimiter::new(limits, Instant::now()),
        proxies,
        metrics: Arc::clone(metrics),
    }
}

fn patience(args: &Args) -> Patience {
    Patience {
        connections: CONNECTIONS,
        headers: limit(args.read_timeout).min(HEADERS),
        answer: limit(args.write_timeout).min(ANSWER),
        connection: CONNECTION,
        last_request: limit(args.write_timeout).min(LAST_REQUEST),
        farewell: FAREWELL,
    }
}

/// A timeout of 0 or less means none, as in Go.
fn limit(timeout: SignedDuration) -> Duration {
    Duration::try_from(timeout).ok().filter(|limit| !limit.is_zero()).unwrap_or(Duration::MAX)
}

/// Flags of upstream that are taken, so that its charts work, and have no effect.
fn tell_what_flags_do_not_do(args: &Args) {
    if args.old_gc_behavior {
        tracing::warn!(
            "--old-gc-behavior has no effect: the cluster deletes the Secret of a deleted SealedSecret"
        );
    }
}

/// What signals ask for.
struct Stop {
    /// Cancelled by the first SIGTERM or SIGINT.
    gently: CancellationToken,
    /// Cancelled by the second.
    at_once: CancellationToken,
}

fn stop_on_signal() -> Result<Stop, StartError> {
    let stop = Stop { gently: CancellationToken::new(), at_once: CancellationToken::new() };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (gently, at_once) = (stop.gently.clone(), stop.at_once.clone());
    tokio::spawn(async move {
        for asked in [gently, at_once] {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
            asked.cancel();
        }
    });
    Ok(stop)
}
