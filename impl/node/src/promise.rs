//! What a server promises leaders that have leases, across a start with other settings (rule C4).

use crate::book::{self, Book};
use crate::clock::Clock;
use crate::error::StartError;
use kontiki::driver::DriverConfig;
use kontiki_store::Directory;
use std::thread;
use std::time::Duration;

/// How long a server ignores candidates after it has heard a leader, because leaders rely on that. Nothing
/// without leases.
pub(crate) fn promised(config: &DriverConfig) -> Duration {
    let nanoseconds = match config.raft.leases {
        true => u64::try_from(config.timings.election_timeout.as_nanos()).unwrap_or(u64::MAX),
        false => 0,
    };
    Duration::from_nanos(nanoseconds)
}

/// Waits until what the server promised before it was stopped is over, if it promises less from now on. Then
/// notes in the book what it promises. To be called before the server listens to anybody, and by whoever has
/// locked the directory.
///
/// A server that promises as much as before, or more, need not wait: its driver starts in contact with a
/// leader, as it were.
pub(crate) fn keep(
    book: &mut Book,
    promise: Duration,
    directory: &dyn Directory,
    clock: Clock,
) -> Result<(), StartError> {
    if book.promise == promise {
        return Ok(());
    }
    if book.promise > promise {
        tracing::info!(promised = ?book.promise, "waits until what it promised leaders is over");
        let over = clock.now().plus(book.promise);
        while clock.now() < over {
            thread::sleep(clock.until(over));
        }
    }
    book.promise = promise;
    let failed = |source| StartError::Members { file: directory.describe(book::FILE), source };
    book.write(directory).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Stage;
    use kontiki::ServerId;
    use kontiki::core::Config;
    use kontiki_store::RealDirectory;
    use std::collections::BTreeSet;

    #[test]
    fn only_servers_with_leases_promise_and_for_an_election_timeout() {
        let mut config = DriverConfig::new(Config::new(ServerId(1), [ServerId(1)]), 1);
        assert_eq!(promised(&config), Duration::ZERO);
        config.raft.leases = true;
        assert_eq!(promised(&config), config.timings.election_timeout);
        config.timings.election_timeout = Duration::MAX;
        let most = Duration::from_nanos(u64::MAX);
        assert_eq!(promised(&config), most);
    }

    #[test]
    fn a_server_that_promises_less_than_before_waits_until_the_old_promise_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let directory = RealDirectory::at(folder.path()).unwrap();
        let mut book = Book::new(Stage::Member, BTreeSet::new());
        let clock = Clock::start(1_000_000);
        // So much is promised that the test would not end if it were waited for.
        let (long, short) = (Duration::from_secs(1 << 30), Duration::from_millis(50));
        let mut start = |promise| {
            let began = clock.now();
            keep(&mut book, promise, &directory, clock).unwrap();
            assert_eq!(Book::read(&directory).unwrap().unwrap().promise, promise);
            clock.now().since(began)
        };
        start(short);
        assert!(start(Duration::ZERO) >= short);
        start(short);
        start(long);
        start(long);
    }
}
