//! Jobs side by side: so many at a time, the longest first, none begun while memory is short.

use crate::console::{grouped, progress_bar, remark, seconds};
use crate::resources::{cpu_time, peak_memory, reset_peak_memory, resident_memory};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar};
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fmt;
use std::io::{IsTerminal, stderr};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much memory may be taken if nothing is said, in MiB.
const MOST_MEMORY: u64 = 2048;

/// How many jobs run at a time.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// How many things to do at once; as many as there are cores if nothing is said.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Do nothing more at once than may fit in this much memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = MOST_MEMORY)]
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { jobs: None, memory: MOST_MEMORY }
    }
}

impl Limits {
    fn workers(&self) -> usize {
        self.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

/// Something to be done beside others.
pub struct Job<'a, T> {
    /// Shows how far it is; its prefix is the job's name.
    pub bar: ProgressBar,
    /// How much there is to do, in states; `None` if nobody knows.
    pub size: Option<u64>,
    /// Does it. Gives what came of it, in words and otherwise.
    pub work: Work<'a, T>,
}

/// What a job does.
pub type Work<'a, T> = Box<dyn FnOnce(&ProgressBar) -> (String, T) + Send + 'a>;

impl<'a, T: 'a> Job<'a, T> {
    /// A job whose progress is not looked at.
    pub fn plain(name: &str, size: Option<u64>, work: impl FnOnce() -> T + Send + 'a) -> Self {
        let work: Work<'a, T> = Box::new(|_| ("done".to_string(), work()));
        Job { bar: progress_bar(name, size), size, work }
    }

    /// The same job, with what comes of it made into something else.
    pub fn map<U>(self, into: impl FnOnce(T) -> U + Send + 'a) -> Job<'a, U> {
        let Job { bar, size, work } = self;
        let work = Box::new(move |bar: &ProgressBar| {
            let (said, result) = work(bar);
            (said, into(result))
        });
        Job { bar, size, work }
    }
}

/// A job that is done.
pub struct Done<T> {
    /// What came of it.
    pub result: T,
    /// How long it took by the clock.
    pub time: Duration,
    /// What it took of the machine. What jobs beside one another take cannot be told apart.
    pub usage: Option<Usage>,
}

/// What was taken of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time.
    pub cpu_time: Duration,
    /// The most memory that the process held, in bytes.
    pub peak_memory: u64,
}

impl<T> fmt::Display for AllDone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, Usage { cpu_time, peak_memory }) = (seconds(self.time), self.usage);
        let (cpu, most) = (seconds(cpu_time), grouped(peak_memory >> 20));
        write!(f, "In all {time} by the clock, {cpu} of processors, {most} MiB at most")
    }
}

/// How often it is said what runs, where nobody watches a terminal.
const SAY: Duration = Duration::from_secs(10);
/// How long a job that has no room waits until it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// About as much as one state takes while it is checked; more than most take.
const BYTES_A_STATE: u64 = 128;

/// All jobs, done.
pub struct AllDone<T> {
    /// In the order in which they were given, whatever the limits.
    pub jobs: Vec<Done<T>>,
    /// How long all of it took by the clock.
    pub time: Duration,
    /// What all of it took of the machine.
    pub usage: Usage,
}

impl<T> AllDone<T> {
    /// Has what came of the jobs printed, and says after that what all of it took.
    ///
    /// # Errors
    /// As `print`.
    pub fn report<R, E>(self, print: impl FnOnce(Vec<Done<T>>) -> Result<R, E>) -> Result<R, E> {
        let took = self.to_string();
        let printed = print(self.jobs)?;
        remark(took);
        Ok(printed)
    }
}

/// Does all jobs.
pub fn run<T: Send>(jobs: Vec<Job<'_, T>>, limits: &Limits) -> AllDone<T> {
    let (started, cpu_started) = (Instant::now(), cpu_time());
    reset_peak_memory();
    let jobs = side_by_side(jobs, limits);
    let alone = jobs.iter().filter_map(|done| done.usage);
    let most = alone.map(|usage| usage.peak_memory).fold(peak_memory(), u64::max);
    let cpu_time = cpu_time().saturating_sub(cpu_started);
    AllDone { jobs, time: started.elapsed(), usage: Usage { cpu_time, peak_memory: most } }
}

fn side_by_side<T: Send>(jobs: Vec<Job<'_, T>>, limits: &Limits) -> Vec<Done<T>> {
    let all = jobs.len();
    let mut waiting: Vec<(usize, Job<'_, T>)> = jobs.into_iter().enumerate().collect();
    waiting.sort_by_key(|(_, job)| Reverse(job.size.unwrap_or(u64::MAX)));
    let workers = limits.workers().min(all);
    let pool = Pool {
        memory: limits.memory.saturating_mul(1 << 20),
        alone: workers == 1,
        bars: MultiProgress::new(),
        waiting: Mutex::new(Waiting { jobs: waiting.into(), running: Vec::new() }),
        room: Condvar::new(),
    };
    thread::scope(|scope| {
        let (to, done) = channel();
        for _ in 0..workers {
            let (to, pool) = (to.clone(), &pool);
            scope.spawn(|| pool.work(to));
        }
        drop(to);
        pool.collect(all, &done)
    })
}

struct Pool<'a, T> {
    memory: u64,
    alone: bool,
    bars: MultiProgress,
    waiting: Mutex<Waiting<'a, T>>,
    room: Condvar,
}

struct Waiting<'a, T> {
    /// Jobs not begun yet, the longest first, each with its place among all.
    jobs: VecDeque<(usize, Job<'a, T>)>,
    running: Vec<Running>,
}

struct Running {
    place: usize,
    bar: ProgressBar,
    /// The memory that is kept free for it.
    needs: u64,
}

/// Sent by a worker: which job is done, what is to be said of it, and what came of it.
type Sent<T> = (usize, String, Done<T>);

impl<'a, T> Pool<'a, T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<'a, T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, to: Sender<Sent<T>>) {
        while let Some((place, job)) = self.next() {
            let ends = Ends { pool: self, place };
            if self.alone {
                reset_peak_memory();
            }
            let (started, cpu_started) = (Instant::now(), cpu_time());
            let (said, result) = (job.work)(&job.bar);
            let usage = self.alone.then(|| Usage {
                cpu_time: cpu_time().saturating_sub(cpu_started),
                peak_memory: peak_memory(),
            });
            let time = started.elapsed();
            drop(ends);
            let said = format!("{}: {said}, {}", job.bar.prefix(), seconds(time));
            if to.send((place, said, Done { result, time, usage })).is_err() {
                return;
            }
        }
    }

    /// The longest job that nobody does yet, once there is room for it.
    fn next(&self) -> Option<(usize, Job<'a, T>)> {
        let mut waiting = self.waiting();
        loop {
            let needs = waiting.jobs.front()?.1.size.unwrap_or(0).saturating_mul(BYTES_A_STATE);
            let kept: u64 = waiting.running.iter().map(|one| one.needs).sum();
            let held = resident_memory().max(kept);
            if waiting.running.is_empty() || held.saturating_add(needs) <= self.memory {
                let (place, job) = waiting.jobs.pop_front()?;
                let bar = self.bars.add(job.bar.clone());
                bar.reset();
                waiting.running.push(Running { place, bar, needs });
                return Some((place, job));
            }
            let waited = self.room.wait_timeout(waiting, LOOK_AGAIN);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says what happens, and puts what comes in order.
    fn collect(&self, all: usize, done: &Receiver<Sent<T>>) -> Vec<Done<T>> {
        let mut results: Vec<Option<Done<T>>> = (0..all).map(|_| None).collect();
        let mut count = 0;
        let mut say_at = Instant::now() + SAY;
        loop {
            match done.recv_timeout(say_at.saturating_duration_since(Instant::now())) {
                Ok((place, said, one)) => {
                    count += 1;
                    results[place] = Some(one);
                    self.bars.suspend(|| remark(said));
                }
                Err(RecvTimeoutError::Timeout) => {
                    say_at += SAY;
                    if !stderr().is_terminal() {
                        let running = self.waiting().how_far();
                        remark(format_args!("{count} of {all} done; running: {running}"));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        results.into_iter().flatten().collect()
    }
}

impl<T> Waiting<'_, T> {
    /// What runs and how far it is, in words.
    fn how_far(&self) -> String {
        let shown = self.running.iter().map(|Running { bar, .. }| {
            let of = bar.length().map_or(String::new(), |all| format!(" of {}", grouped(all)));
            format!("{} {}{of} {}", bar.prefix(), grouped(bar.position()), bar.message())
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}

/// A job that runs; dropped when it ends, however it ends.
struct Ends<'p, 'a, T> {
    pool: &'p Pool<'a, T>,
    place: usize,
}

impl<T> Drop for Ends<'_, '_, T> {
    fn drop(&mut self) {
        let mut waiting = self.pool.waiting();
        if let Some(at) = waiting.running.iter().position(|one| one.place == self.place) {
            let ended = waiting.running.swap_remove(at);
            ended.bar.finish_and_clear();
            self.pool.bars.remove(&ended.bar);
        }
        self.pool.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn limits(jobs: usize, memory: u64) -> Limits {
        Limits { jobs: NonZeroUsize::new(jobs), memory }
    }

    fn job<'a, T: 'a>(size: Option<u64>, work: impl FnOnce() -> T + Send + 'a) -> Job<'a, T> {
        Job::plain("test", size, work)
    }

    #[test]
    fn the_longest_is_begun_first_and_the_order_kept() {
        let begun = AtomicUsize::new(0);
        let sizes = [Some(1), Some(3), None, Some(2)];
        let jobs = sizes.map(|size| job(size, || begun.fetch_add(1, Ordering::Relaxed)));
        let done = run(jobs.into(), &limits(1, 1)).jobs;
        assert!(done.iter().all(|one| one.usage.is_some()));
        assert_eq!(done.iter().map(|one| one.result).collect::<Vec<_>>(), [3, 1, 0, 2]);
    }

    /// How many of some jobs run at once.
    fn most_at_once(limits: &Limits) -> usize {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(30));
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let done = run((0..6).map(|_| job(Some(1_000_000), work)).collect(), limits);
        assert_eq!(done.jobs.len(), 6);
        assert!(done.jobs.iter().all(|one| one.usage.is_none()));
        most.into_inner()
    }

    #[test]
    fn no_more_run_at_once_than_there_is_room_for() {
        assert_eq!(most_at_once(&limits(3, 1_000_000)), 3);
        // Two need 245 MiB, three 367.
        assert_eq!(most_at_once(&limits(6, 300)), 2);
        assert_eq!(most_at_once(&limits(6, 0)), 1);
    }

    #[test]
    fn a_job_that_panics_does_not_hold_the_others_up() {
        let caught = std::panic::catch_unwind(|| {
            let jobs = [true, false, false].map(|panics| job(Some(9), move || assert!(!panics)));
            run(jobs.into(), &limits(2, 0))
        });
        assert!(caught.is_err());
    }
}
