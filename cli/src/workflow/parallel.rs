//! Work on several things at the same time.

use std::convert::Infallible;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Number of jobs from which on they are shared out.
const MANY: usize = 16;
/// Number of jobs that a thread takes at a time, so that threads seldom wait for each other.
const AT_A_TIME: usize = 8;

/// Returns the number of processors of this process.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Calls `background` on another thread while `foreground` runs on this one.
pub(crate) fn both<B: Send, F>(
    background: impl FnOnce() -> B + Send,
    foreground: impl FnOnce() -> F,
) -> (B, F) {
    thread::scope(|scope| {
        let background = scope.spawn(background);
        let foreground = foreground();
        (background.join().unwrap_or_else(|panic| resume_unwind(panic)), foreground)
    })
}

/// Calls `work` for each job, on all processors if there are many. Returns the results in the order of the jobs.
pub(crate) fn map_in_parallel<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    if jobs.len() < MANY {
        return jobs.iter().map(work).collect();
    }
    let numbered: Vec<(usize, &[J])> = jobs.chunks(AT_A_TIME).enumerate().collect();
    let mut results = Vec::with_capacity(numbered.len());
    let Ok(()) = in_parallel(
        &numbered,
        processors(),
        |(_, jobs)| Ok::<_, Infallible>(jobs.iter().map(&work).collect::<Vec<R>>()),
        |(number, _), done| results.push((*number, done)),
    );
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().flat_map(|(_, done)| done).collect()
}

/// Calls `work` for each job, up to `workers` at the same time, and `done` on this thread with each result. After a failure no
/// further job is begun.
///
/// # Errors
/// The first failure.
pub(crate) fn in_parallel<J: Sync, R: Send, E: Send>(
    jobs: &[J],
    workers: usize,
    work: impl Fn(&J) -> Result<R, E> + Sync,
    mut done: impl FnMut(&J, R),
) -> Result<(), E> {
    let waiting = Mutex::new(jobs.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (next, work) = (&next, &work);
    thread::scope(|scope| {
        let (sender, results) = channel();
        for _ in 0..workers.min(jobs.len()) {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(job) = next() {
                    let result = work(job);
                    if result.is_err() {
                        while next().is_some() {}
                    }
                    if sender.send((job, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut failure = Ok(());
        for (job, result) in results {
            match result {
                Ok(result) => done(job, result),
                Err(cause) => failure = failure.and(Err(cause)),
            }
        }
        failure
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_job_is_done_once_and_no_more_than_the_workers_run_at_a_time() {
        let jobs: Vec<usize> = (0..50).collect();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |job: &usize| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(job * 2)
        };
        let mut results = Vec::new();
        in_parallel(&jobs, 2, work, |job, result| results.push((*job, result))).unwrap();
        results.sort_unstable();
        assert_eq!(results, jobs.iter().map(|job| (*job, job * 2)).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn results_are_in_the_order_of_the_jobs_also_if_the_first_takes_longest() {
        for length in [0, 1, MANY - 1, MANY, 1000] {
            let jobs: Vec<usize> = (0..length).collect();
            let work = |job: &usize| {
                if *job == 0 {
                    thread::sleep(Duration::from_millis(50));
                }
                job * 2
            };
            let wanted: Vec<usize> = jobs.iter().map(|job| job * 2).collect();
            assert_eq!(map_in_parallel(&jobs, work), wanted);
        }
    }

    #[test]
    fn after_a_failure_no_job_starts_and_finished_results_are_kept() {
        let jobs: Vec<usize> = (0..50).collect();
        let begun = AtomicUsize::new(0);
        let work = |job: &usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            if *job == 3 { Err("broken") } else { Ok(()) }
        };
        let mut done = Vec::new();
        assert_eq!(in_parallel(&jobs, 1, work, |job, ()| done.push(*job)), Err("broken"));
        assert_eq!((done, begun.load(Ordering::SeqCst)), (vec![0, 1, 2], 4));
    }
}
