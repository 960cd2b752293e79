//! Connections: taken up to a number, heads read and answers written within a time, and finished before the service stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::patient::Patient;
use super::silent::Silent;
use super::{ServeError, Service};

/// How often manifests are looked at.
const WATCH: Duration = Duration::from_secs(1);
/// After a connection could not be taken (no file descriptor is left, say), nothing is tried for so long.
const RECOVERY: Duration = Duration::from_millis(50);
/// Head of a request at most, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Serves until a signal says stop.
pub(super) async fn serve(
    service: &Arc<Service>,
    router: Router,
    ready: &mut dyn FnMut(SocketAddr),
) -> Result<(), ServeError> {
    let options = &service.options;
    let refused = |source| ServeError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
    let mut stop = std::pin::pin!(stop_signal()?);
    ready(listener.local_addr()?);
    let watch = tokio::spawn(watch(service.clone()));
    let places = Arc::new(Semaphore::new(options.max_connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(MAX_HEAD_BYTES);
    let silent = Silent::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(RECOVERY).await;
                continue;
            }
        };
        // Those that say nothing keep nobody out; who comes while all others speak waits, and the rest in the system's queue.
        if places.available_permits() == 0 {
            silent.hang_up_on_oldest();
        }
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = &mut stop => break,
        };
        // Answers are written whole: waiting for more to send gains nothing.
        let _ = stream.set_nodelay(true);
        let (entry, routes) = (silent.enter(), TowerToHyperService::new(router.clone()));
        let heard = entry.clone();
        let service_of = service_fn(move |request| {
            let (heard, routes) = (heard.clone(), routes.clone());
            async move {
                if !heard.speaks() {
                    // Its end is on its way: nothing is begun.
                    std::future::pending::<()>().await;
                }
                let answer = routes.call(request).await;
                heard.falls_silent();
                answer
            }
        });
        let connection =
            builder.serve_connection(TokioIo::new(Patient::new(stream, options.timeout)), service_of);
        let connection = graceful.watch(connection);
        let metrics = service.metrics.clone();
        tokio::spawn(async move {
            metrics.connections.inc();
            tokio::select! {
                // Clients that break off are nobody's fault.
                _ = connection => (),
                () = entry.hung_up() => (),
            }
            entry.speaks();
            metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    watch.abort();
    service.health.stop();
    tracing::info!(connections = graceful.count(), "stopping: requests that run are finished");
    if tokio::time::timeout(options.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were broken off: they took longer than the grace");
    }
    Ok(())
}

/// Ends with SIGINT or SIGTERM.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}

/// Ends with Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler the service is stopped by force only.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Opens new commits as they appear.
async fn watch(service: Arc<Service>) {
    let mut tick = tokio::time::interval(WATCH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let names: Vec<String> = service.catalogue.names().map(str::to_owned).collect();
        let of_all = service.clone();
        let renewed = tokio::task::spawn_blocking(move || {
            names.iter().for_each(|name| super::collections::renewed_by_itself(&of_all, name));
        });
        if let Err(error) = renewed.await {
            tracing::error!(%error, "looking for new commits failed");
        }
    }
}
