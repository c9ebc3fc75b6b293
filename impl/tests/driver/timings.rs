//! Requirement E11: impossible timings are refused, with what would be right.

use crate::support::config;
use kontiki::driver::{
    Driver, DriverConfigError, DriverStartError, Instant, MAX_INCARNATIONS, Timings, TimingsError,
};
use kontiki::storage::MemoryStore;
use std::time::Duration;

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn the_usual_timings_are_possible_and_so_are_those_in_proportion() {
    assert_eq!(Timings::default().check(), Ok(()));
    for timeout in [10, 150, 1000, 60_000] {
        assert_eq!(Timings::for_election_timeout(milliseconds(timeout)).check(), Ok(()));
    }
}

#[test]
fn heartbeats_come_several_times_per_election_timeout_whatever_the_clocks() {
    let mut timings = Timings { heartbeat_interval: milliseconds(320), ..Timings::default() };
    assert_eq!(timings.check(), Ok(()));
    // 3 × 320 ms, which a slow clock makes more of, and a round trip.
    timings.drift_ppm = 50_000;
    let refused = timings.check().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "with heartbeats every 320ms, an election timeout of 1s deposes leaders that live: set it \
         to 1.028s or more, or send heartbeats more often"
    );
    timings.election_timeout = milliseconds(1028);
    assert_eq!(timings.check(), Ok(()));
    timings.election_timeout -= Duration::from_nanos(1);
    assert!(matches!(timings.check(), Err(TimingsError::Heartbeats { .. })));
}

#[test]
fn an_election_is_over_before_the_next_server_wakes() {
    let mut timings = Timings { disk_write: milliseconds(230), ..Timings::default() };
    assert_eq!(timings.check(), Ok(()));
    timings.disk_write = milliseconds(231);
    let refused = timings.check().unwrap_err();
    let (takes, least) = (milliseconds(502), milliseconds(1004));
    let election_timeout = milliseconds(1000);
    assert_eq!(refused, TimingsError::Elections { election_timeout, takes, least });
    timings.election_timeout = least;
    assert_eq!(timings.check(), Ok(()));
}

#[test]
fn a_slow_disk_is_no_stalled_disk() {
    let timings = Timings { disk_stalled: milliseconds(999), ..Timings::default() };
    let refused = timings.check().unwrap_err();
    let (disk_stalled, least) = (milliseconds(999), milliseconds(1000));
    assert_eq!(refused, TimingsError::DiskStalled { disk_stalled, least });
}

#[test]
fn what_takes_no_time_and_clocks_that_are_broken_are_refused() {
    let refused = |change: fn(&mut Timings)| {
        let mut timings = Timings::default();
        change(&mut timings);
        timings.check().unwrap_err()
    };
    let zero = |name| TimingsError::Zero { name };

    assert_eq!(
        refused(|timings| timings.election_timeout = Duration::ZERO),
        zero("election_timeout")
    );
    assert_eq!(
        refused(|timings| timings.heartbeat_interval = Duration::ZERO),
        zero("heartbeat_interval")
    );
    assert_eq!(refused(|timings| timings.disk_stalled = Duration::ZERO), zero("disk_stalled"));
    assert_eq!(refused(|timings| timings.read_again = Duration::ZERO), zero("read_again"));
    assert_eq!(
        refused(|timings| timings.request_timeout = Duration::ZERO),
        zero("request_timeout")
    );
    let drift_ppm = 100_000;
    assert_eq!(refused(|timings| timings.drift_ppm = 100_000), TimingsError::Drift { drift_ppm });
    let forever = Timings::for_election_timeout(Duration::MAX);
    assert_eq!(forever.check(), Ok(()));
}

#[test]
fn a_driver_does_not_start_with_what_is_impossible() {
    let start = |config| Driver::start(config, MemoryStore::new(), Instant::ORIGIN).err();
    let mut broken = config();
    broken.timings.drift_ppm = 200_000;
    let drift = DriverConfigError::Timings(TimingsError::Drift { drift_ppm: 200_000 });
    assert_eq!(start(broken), Some(DriverStartError::Config(drift)));
    let mut broken = config();
    broken.raft.incarnation = MAX_INCARNATIONS;
    let incarnation = MAX_INCARNATIONS;
    let too_large = DriverConfigError::IncarnationTooLarge { incarnation };
    assert_eq!(start(broken), Some(DriverStartError::Config(too_large)));
    let mut even = config();
    even.raft.leases = true;
    even.timings.drift_ppm = 200;
    assert_eq!(start(even.clone()), None);
    even.timings.drift_ppm = 199;
    let too_good = DriverConfigError::LeasesWithoutDrift { drift_ppm: 199 };
    assert_eq!(start(even.clone()), Some(DriverStartError::Config(too_good)));
    even.raft.leases = false;
    assert_eq!(start(even), None);
    let mut broken = config();
    broken.limits.batch_bytes = 0;
    let zero = DriverConfigError::ZeroLimit { name: "batch_bytes" };
    assert_eq!(start(broken), Some(DriverStartError::Config(zero)));
    let mut broken = config();
    broken.raft.limits.batch_bytes = 0;
    assert!(matches!(start(broken), Some(DriverStartError::Server(_))));
}
