//! What the figures were measured on, and how much memory work takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::metric::Kernels;

/// Between two looks at the process's memory.
const PAUSE: Duration = Duration::from_millis(10);

/// What the figures were measured on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Model of the CPU, or its architecture where the system does not say.
    pub cpu: String,
    /// Threads that run at once.
    pub cores: usize,
    /// Instruction set of the kernels.
    pub kernels: &'static str,
    /// Operating system and architecture.
    pub os: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let arch = std::env::consts::ARCH;
        let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned());
        Self {
            cpu: about.lines().find_map(named).unwrap_or_else(|| arch.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernels: Kernels::best().name,
            os: format!("{} {arch}", std::env::consts::OS),
        }
    }
}

/// Anonymous resident memory of the process around some work; pages of mapped files are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// When the work began.
    pub before_bytes: u64,
    /// The most that was seen during it, looking every 10 ms.
    pub peak_bytes: u64,
}

/// Does some work and looks at the memory that the process has meanwhile; none where the system does not say.
pub(super) fn with_peak<R>(work: impl FnOnce() -> R) -> (R, Option<Memory>) {
    let Some(before) = anonymous_bytes() else { return (work(), None) };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = || {
            let mut peak = before;
            while !is_done.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                peak = peak.max(anonymous_bytes().unwrap_or(0));
            }
            peak
        };
        let watcher = scope.spawn(watch);
        let done = Done(&is_done);
        let result = work();
        let after = anonymous_bytes().unwrap_or(0);
        drop(done);
        let peak = watcher.join().unwrap_or(before).max(after);
        (result, Some(Memory { before_bytes: before, peak_bytes: peak }))
    })
}

/// Says so when it goes, also where the work panicked: the watcher is waited for then, too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn anonymous_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_cores_and_kernels() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && !machine.cpu.is_empty() && !machine.kernels.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_work_takes_is_seen() {
        let (sum, memory) =
            with_peak(|| vec![1u8; 64 << 20].iter().map(|&byte| u64::from(byte)).sum::<u64>());
        let memory = memory.unwrap();
        assert_eq!(sum, 64 << 20);
        assert!(memory.peak_bytes >= memory.before_bytes, "{memory:?}");
    }

    #[test]
    fn work_that_panics_is_not_watched_for_ever() {
        let work = || with_peak(|| panic!("no such work"));
        assert!(std::panic::catch_unwind(work).is_err());
    }
}
