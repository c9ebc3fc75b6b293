//! All states of many scopes: explorers agree, reductions are exact, and mutations and claims come out as they must.

mod claims;
mod explorers;
mod mutants;
mod reductions;

use kontiki_model::jobs::{self, Done, Job, Limits};
use std::sync::{Mutex, PoisonError};

/// Does all jobs, as many at a time as there are cores, within the memory that a command may take if nothing is said.
/// Another test that asks for as much waits: two of them at once would take twice the memory, and be no faster.
fn do_all<T: Send>(jobs: Vec<Job<'_, T>>) -> Vec<Done<T>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    jobs::run(jobs, &Limits::default()).jobs
}
