//! Storage that fails on purpose: tests let the n-th write, sync or rename of the process be refused, or all from it on.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static ARMED: AtomicBool = AtomicBool::new(false);
static LASTING: AtomicBool = AtomicBool::new(false);
static AT: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// From now on operation number `at`, counted from 1, is refused; with `lasting`, all after it too.
pub fn arm(at: usize, lasting: bool) {
    SEEN.store(0, Ordering::SeqCst);
    AT.store(at, Ordering::SeqCst);
    LASTING.store(lasting, Ordering::SeqCst);
    ARMED.store(true, Ordering::SeqCst);
}

/// Nothing is refused any more. Gives how many operations were asked for since [`arm`].
pub fn disarm() -> usize {
    ARMED.store(false, Ordering::SeqCst);
    SEEN.load(Ordering::SeqCst)
}

/// Asked before each operation.
pub(super) fn check() -> io::Result<()> {
    match ARMED.load(Ordering::Relaxed) {
        false => Ok(()),
        true => counted(),
    }
}

#[cold]
fn counted() -> io::Result<()> {
    let (seen, at) = (SEEN.fetch_add(1, Ordering::SeqCst) + 1, AT.load(Ordering::SeqCst));
    match seen == at || seen > at && LASTING.load(Ordering::SeqCst) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}
