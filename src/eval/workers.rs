//! Work on several threads at once: pools of a given size, and workers that share a list of tasks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// A pool of so many threads.
pub(super) fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("invariant: a pool of at least one thread can be built")
}

/// Does the tasks 0 to `count`, each by whichever of the `workers` is free, a thread each; gives what came of them in their
/// order. `progress` is told of every one that is done.
///
/// # Errors
/// The first task that fails ends the work.
pub(super) fn share<W: Send, T: Send, E: Send>(
    workers: Vec<W>,
    count: usize,
    work: impl Fn(&mut W, usize) -> Result<T, E> + Sync,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<T>, E> {
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for mut worker in workers {
            let (sender, next, is_over, work) = (sender.clone(), &next, &is_over, &work);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= count {
                        break;
                    }
                    let result = work(&mut worker, task);
                    is_over.fetch_or(result.is_err(), Ordering::Relaxed);
                    if sender.send((task, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (done, (task, result)) in receiver.into_iter().enumerate() {
            results[task] = Some(result?);
            progress(done + 1);
        }
        Ok(())
    })?;
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks_and_a_failure_ends_the_work() {
        let mut told = Vec::new();
        let squares =
            share(vec![(); 3], 50, |(), task| Ok::<_, ()>(task * task), &mut |done| told.push(done));
        assert_eq!(squares.unwrap(), (0..50).map(|task| task * task).collect::<Vec<_>>());
        assert_eq!(told, (1..=50).collect::<Vec<_>>());
        let done = AtomicUsize::new(0);
        let failing = |(): &mut (), task| {
            done.fetch_add(1, Ordering::Relaxed);
            if task == 3 { Err(task) } else { Ok(()) }
        };
        assert_eq!(share(vec![()], 1000, failing, &mut |_| ()), Err(3));
        assert_eq!(done.into_inner(), 4);
    }
}
