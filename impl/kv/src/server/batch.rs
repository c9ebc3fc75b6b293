//! What clients ask together goes to the node together.
//!
//! All writes that arrive in one turn of the event loop are one log entry, and all reads are one read. So what
//! a log entry costs, and a round of heartbeats for a read, is shared by as many clients as ask at the same
//! time.

use crate::machine::{EntryAnswers, Query, Replicated};
use crate::operation::{Answer, begin_entry};
use kontiki_node::kontiki::SessionCommand;
use kontiki_node::kontiki::driver::{Consistency, Doubt};
use kontiki_node::kontiki::sessions::Outcome;
use kontiki_node::{Handle, RequestError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, oneshot};
use tokio::task;

/// No more bytes of operations go together. A single operation may have more.
pub(super) const TOGETHER: usize = 256 << 10;

/// An answer to each operation, or one failure for all of them.
pub(super) type Answers = Result<Vec<Answer>, RequestError>;

/// Whether operations change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Read,
}

/// What clients ask, until it goes to the node.
pub(super) struct Batches {
    handle: Handle<Replicated>,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    writes: Batch,
    reads: Batch,
}

#[derive(Default)]
struct Batch {
    operations: Vec<u8>,
    /// Who asked for how many of them, in order.
    clients: Vec<(usize, oneshot::Sender<Answers>)>,
}

/// In milliseconds since 1970.
pub(super) fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Batches {
    pub(super) fn new(handle: Handle<Replicated>) -> Arc<Batches> {
        Arc::new(Batches { handle, waiting: Mutex::default(), wake: Notify::new() })
    }

    /// Asks for so many operations, which are encoded one behind the other and all of this kind.
    pub(super) async fn ask(&self, kind: Kind, operations: &[u8], count: usize) -> Answers {
        let (answer, wait) = oneshot::channel();
        {
            let mut waiting = self.locked();
            let batch = match kind {
                Kind::Write => &mut waiting.writes,
                Kind::Read => &mut waiting.reads,
            };
            if batch.operations.len() + operations.len() > TOGETHER {
                self.begin(kind, std::mem::take(batch));
            }
            batch.operations.extend_from_slice(operations);
            batch.clients.push((count, answer));
        }
        self.wake.notify_one();
        wait.await.unwrap_or(Err(RequestError::Unknown(Doubt::Stopped)))
    }

    /// Hands on what clients ask, for as long as it is polled.
    pub(super) async fn run(&self) {
        loop {
            self.wake.notified().await;
            // Whoever else has something to ask does so first.
            task::yield_now().await;
            let Waiting { writes, reads } = std::mem::take(&mut *self.locked());
            self.begin(Kind::Write, writes);
            self.begin(Kind::Read, reads);
        }
    }

    fn begin(&self, kind: Kind, batch: Batch) {
        if batch.clients.is_empty() {
            return;
        }
        let (handle, time) = (self.handle.clone(), clock());
        let Batch { operations, clients } = batch;
        task::spawn(async move {
            let answers = match kind {
                Kind::Write => {
                    let mut entry = begin_entry(time);
                    entry.extend_from_slice(&operations);
                    write(&handle, entry).await
                }
                Kind::Read => {
                    handle.read(Consistency::Linearizable, Query { operations, time }).await
                }
            };
            tell(clients, answers);
        });
    }

    /// What is behind the lock is whole at every moment, so a panic of another thread does no harm.
    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has an entry executed outside of sessions.
pub(super) async fn write(handle: &Handle<Replicated>, entry: Vec<u8>) -> Answers {
    let command = SessionCommand::Outside { command: entry.into() }.encode();
    match handle.write(command).await? {
        Outcome::Executed(EntryAnswers(answers)) => Ok(answers),
        // It was no command to the state machine: that of a server of another version.
        _ => Ok(Vec::new()),
    }
}

/// Gives all clients their parts. Those that do not wait any more are told nothing.
fn tell(clients: Vec<(usize, oneshot::Sender<Answers>)>, answers: Answers) {
    match answers {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for (count, client) in clients {
                drop(client.send(Ok(answers.by_ref().take(count).collect())));
            }
        }
        Err(error) => {
            clients.into_iter().for_each(|(_, client)| drop(client.send(Err(error.clone()))));
        }
    }
}

/// Writes an entry without operations when the time of a key has come, so that log time goes on.
pub(super) async fn expire(handle: Handle<Replicated>, machine: Arc<crate::machine::Outside>) {
    const OFTEN: u64 = 20;
    loop {
        let (next, now) = (machine.next_deadline(), clock());
        let wait = match next <= now {
            // Only the leader does so. Others are refused, and look again.
            true => match write(&handle, begin_entry(now)).await {
                Ok(_) => 0,
                Err(_) => OFTEN,
            },
            false => (next - now).min(OFTEN),
        };
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }
}
