//! The thread of the state machine.

use super::writer::WriteJob;
use super::{Signal, Watch, given_up};
use crate::machine::{SnapshotImage, StateMachine};
use crate::request::{Seen, Waiter, Waiting, failure};
use crate::snapshot::{SnapshotReader, write_snapshot};
use kontiki::driver::{Event, Outcome};
use kontiki::storage::LogStore;
use kontiki::{Entries, LogIndex, Payload, Snapshot, SnapshotId};
use kontiki_store::FileStore;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};

/// What the state machine is to do, in order.
pub(crate) enum MachineJob<M: StateMachine> {
    Apply(Entries),
    Restore(SnapshotId),
    TakeSnapshot(Box<Snapshot>),
    /// Somebody waits for what the state machine says, now that everything before has been done.
    Answer(Waiter<M>, Outcome),
}

/// A state machine, and what its thread needs besides.
pub(crate) struct Executor<M: StateMachine> {
    pub(crate) machine: M,
    pub(crate) store: FileStore,
    pub(crate) inbox: Sender<Signal<M>>,
    pub(crate) writer: Sender<WriteJob>,
    pub(crate) stopping: Arc<AtomicBool>,
    /// The answers to the entries that were executed last.
    pub(crate) answers: VecDeque<(LogIndex, M::Answer)>,
    /// The last index that the state machine has executed, or was restored to.
    pub(crate) executed: LogIndex,
    /// The state means nothing, and nobody is told of it. Either the state machine has failed. Or the
    /// snapshot that it was being restored from has been replaced by a newer one, from which it has yet to
    /// be restored.
    pub(crate) is_void: bool,
}

impl<M: StateMachine> Executor<M> {
    /// Executes until nobody asks for anything any more.
    pub(crate) fn run(mut self, jobs: &Receiver<MachineJob<M>>) {
        let failure = |how| Event::StateMachineFailed { how };
        let inbox = self.inbox.clone();
        let _watch = Watch { inbox, failure, thread: "state machine" };
        for job in jobs {
            match job {
                MachineJob::Apply(entries) => self.apply(&entries),
                MachineJob::Restore(snapshot) => self.restore(snapshot),
                MachineJob::TakeSnapshot(snapshot) => self.take_snapshot(*snapshot),
                MachineJob::Answer(waiter, outcome) => self.answer(waiter, &outcome),
            }
        }
    }

    fn tell(&self, event: Event) {
        // If the driver is gone, nobody has to know.
        drop(self.inbox.send(Signal::Event(event)));
    }

    fn apply(&mut self, entries: &Entries) {
        self.answers.clear();
        if self.is_void {
            return;
        }
        let commands = entries.iter().filter_map(|entry| match &entry.payload {
            Payload::Command(command) => Some((entry.index, command.clone())),
            _ => None,
        });
        let commands: Vec<_> = commands.collect();
        let answers = self.machine.apply_all(&commands);
        let (gave, got) = (answers.len(), commands.len());
        let miscounted =
            || (gave != got).then(|| format!("it gave {gave} answers to {got} commands"));
        if let Some(how) = self.machine.failure().or_else(miscounted) {
            self.is_void = true;
            return self.tell(Event::StateMachineFailed { how });
        }
        self.answers.extend(commands.iter().map(|(index, _)| *index).zip(answers));
        if let Some(index) = entries.last_index() {
            self.executed = index;
            self.tell(Event::Executed { index });
        }
    }

    fn restore(&mut self, id: SnapshotId) {
        self.answers.clear();
        let mut reader = SnapshotReader::new(self.store.clone(), id);
        match reader.restore(&mut self.machine) {
            Ok(()) => {
                self.is_void = false;
                self.executed = id.last.index;
                self.tell(Event::Executed { index: id.last.index });
            }
            // Another order to restore follows, from a newer one.
            Err(_) if reader.is_replaced() && self.has_newer(id) => self.is_void = true,
            Err(error) => {
                let how = format!("it cannot be restored from the snapshot {id}: {error}");
                self.is_void = true;
                self.tell(Event::StateMachineFailed { how });
            }
        }
    }

    fn has_newer(&self, id: SnapshotId) -> bool {
        let newest = self.store.snapshot().ok().flatten();
        newest.is_some_and(|newest| newest.id.last.index > id.last.index)
    }

    fn take_snapshot(&mut self, of: Snapshot) {
        let snapshot = of.id;
        if self.is_void {
            return self.tell(Event::SnapshotFailed { snapshot });
        }
        if let Err(error) = self.spawn_snapshot(of) {
            given_up(snapshot, &error);
            self.tell(Event::SnapshotFailed { snapshot });
        }
    }

    /// The image is taken here and now, and written elsewhere.
    fn spawn_snapshot(&self, of: Snapshot) -> std::io::Result<()> {
        let image: SnapshotImage = self.machine.snapshot();
        let (store, stopping) = (self.store.clone(), Arc::clone(&self.stopping));
        let (inbox, writer) = (self.inbox.clone(), self.writer.clone());
        super::spawn("snapshot", move || {
            let snapshot = of.id;
            let mut failed = Failed { inbox, snapshot, done: false };
            match write_snapshot(&store, image, &stopping) {
                Ok((draft, size)) => {
                    let of = Snapshot { size, ..of };
                    let keep = WriteJob::KeepSnapshot(Box::new((of, draft)));
                    failed.done = writer.send(keep).is_ok();
                }
                Err(error) => given_up(snapshot, &error),
            }
        })?;
        Ok(())
    }

    fn answer(&mut self, waiter: Waiter<M>, outcome: &Outcome) {
        match (waiter.what, outcome) {
            (Waiting::Write(answer), Outcome::Applied { position }) => {
                // Answers are told in the order of the log.
                while self.answers.front().is_some_and(|(index, _)| *index < position.index) {
                    self.answers.pop_front();
                }
                let found = self.answers.pop_front();
                let found = found.filter(|(index, _)| *index == position.index);
                let found = found.map(|(index, value)| Seen { index, value });
                // Whoever does not wait any more is told nothing.
                drop(answer.send(found.ok_or_else(|| failure(outcome))));
            }
            (Waiting::Read(query, answer), Outcome::Readable { .. }) if !self.is_void => {
                let (index, value) = (self.executed, self.machine.query(query));
                drop(answer.send(Ok(Seen { index, value })));
            }
            (what, outcome) => what.tell(outcome),
        }
    }
}

/// Tells the driver that a snapshot is given up, unless it is done: after a panic, too.
struct Failed<M: StateMachine> {
    inbox: Sender<Signal<M>>,
    snapshot: SnapshotId,
    done: bool,
}

impl<M: StateMachine> Drop for Failed<M> {
    fn drop(&mut self) {
        if !self.done {
            let event = Event::SnapshotFailed { snapshot: self.snapshot };
            drop(self.inbox.send(Signal::Event(event)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::bytes::Bytes;
    use kontiki::{Configuration, Entry, LogPosition, ServerId, Term};
    use kontiki_store::{Identity, Opened, Options, RealDirectory};
    use std::io::{self, Read, Write};
    use std::sync::mpsc::channel;
    use tokio::sync::{Semaphore, oneshot};

    /// The length of all commands, which must not be more than 10.
    struct Length(u64);

    impl StateMachine for Length {
        type Answer = u64;
        type Query = ();
        type Reply = u64;

        fn apply(&mut self, _: LogIndex, command: &Bytes) -> u64 {
            self.0 += command.len() as u64;
            self.0
        }

        fn failure(&self) -> Option<String> {
            (self.0 > 10).then(|| "it is full".to_owned())
        }

        fn query(&self, (): ()) -> u64 {
            self.0
        }

        fn snapshot(&self) -> SnapshotImage {
            let length = self.0;
            Box::new(move |to: &mut dyn Write| to.write_all(&length.to_le_bytes()))
        }

        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Err(io::Error::other("it cannot"))
        }
    }

    fn at(index: u64) -> LogPosition {
        LogPosition { index: LogIndex(index), term: Term(1) }
    }

    fn id(index: u64, server: u64) -> SnapshotId {
        SnapshotId { last: at(index), taken_by: ServerId(server) }
    }

    fn apply(index: u64, command: &'static [u8]) -> MachineJob<Length> {
        let payload = Payload::Command(Bytes::from_static(command));
        let LogPosition { index, term } = at(index);
        MachineJob::Apply([Entry { index, term, payload }].into_iter().collect())
    }

    /// The state machine fails at one of these orders, and executes no command behind it. A snapshot and a read are
    /// asked for, too: nobody is told of the state, and above all it does not reach the disk. Gives what the driver
    /// is told before it hears that there is no snapshot.
    fn fails(orders: impl IntoIterator<Item = MachineJob<Length>>) -> Vec<Event> {
        let directory = tempfile::tempdir().unwrap();
        let directory = Arc::new(RealDirectory::at(directory.path()).unwrap());
        let identity = Identity { cluster: 1, group: 0, server: ServerId(1) };
        let Opened { store, .. } =
            kontiki_store::open(directory as _, identity, Options::default()).unwrap();
        let ((inbox, told), (writer, written), (jobs, to_do)) = (channel(), channel(), channel());
        let (answer, mut answered) = oneshot::channel();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let waiter = Waiter { what: Waiting::Read((), answer), _permit: permit };

        let own = Snapshot {
            id: id(6, 1),
            configuration: Configuration::default(),
            configuration_position: LogPosition::default(),
            size: 0,
        };
        orders.into_iter().for_each(|order| jobs.send(order).unwrap());
        jobs.send(MachineJob::TakeSnapshot(Box::new(own))).unwrap();
        let readable = Outcome::Readable { index: LogIndex(6) };
        jobs.send(MachineJob::Answer(waiter, readable)).unwrap();
        drop(jobs);
        let executor = Executor {
            machine: Length(0),
            store,
            inbox,
            writer,
            stopping: Arc::default(),
            answers: VecDeque::new(),
            executed: LogIndex::ZERO,
            is_void: false,
        };
        executor.run(&to_do);

        let mut events: Vec<Event> = told
            .iter()
            .filter_map(|signal| match signal {
                Signal::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        let last = events.pop();
        let is_given_up =
            matches!(last, Some(Event::SnapshotFailed { snapshot }) if snapshot == id(6, 1));
        assert!(is_given_up, "{last:?}");
        assert!(written.recv().is_err(), "a snapshot is on its way to disk");
        assert!(answered.try_recv().unwrap().is_err());
        events
    }

    /// What was ordered behind the snapshot that it cannot be restored from is not done over its old state.
    #[test]
    fn a_state_machine_that_cannot_be_restored_says_nothing_more() {
        let events = fails([MachineJob::Restore(id(5, 2)), apply(6, b"command")]);
        assert!(matches!(events[..], [Event::StateMachineFailed { .. }]), "{events:?}");
    }

    #[test]
    fn a_state_machine_that_cannot_go_on_says_why_and_nothing_more() {
        let events = fails([apply(4, b"short"), apply(5, b"too long"), apply(6, b"")]);
        assert!(
            matches!(&events[..], [
                Event::Executed { index: LogIndex(4) },
                Event::StateMachineFailed { how }
            ] if how == "it is full"),
            "{events:?}"
        );
    }
}
