//! Figure 7 of the Raft paper: a leader repairs followers whose logs diverge in every way (L10).

use super::{Director, Story, StoryError};
use bytes::Bytes;
use kontiki_model::server::{Disk, Log};
use kontiki_specs::{Entry, LogIndex, Payload, ServerId, Term};

/// The log of the leader of term 8: the terms of its entries.
const LEADER: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];

/// One of the figure's followers.
struct Follower {
    /// The letter that the figure gives it.
    letter: char,
    /// The terms of its entries.
    terms: &'static [u64],
    /// What is wrong with its log.
    what: &'static str,
    /// Term and vote of S1, S2 and S3, such that these logs can have come about.
    elections: [(u64, Option<u64>); 3],
}

/// S3 led in term 6, and S1 has campaigned in term 7 without being heard.
const BEFORE_TERM_8: [(u64, Option<u64>); 3] = [(7, Some(1)), (6, None), (6, Some(3))];

const FOLLOWERS: &[Follower] = &[
    Follower {
        letter: 'a',
        terms: &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        what: "lacks the last entry",
        elections: BEFORE_TERM_8,
    },
    Follower {
        letter: 'b',
        terms: &[1, 1, 1, 4],
        what: "lacks the last six entries",
        elections: BEFORE_TERM_8,
    },
    Follower {
        letter: 'c',
        terms: &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        what: "has led in term 6 and has one more entry of that term",
        elections: [(7, Some(1)), (6, Some(2)), (6, Some(2))],
    },
    Follower {
        letter: 'd',
        terms: &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        what: "has led in term 7 and has two entries of that term, which nobody else has",
        elections: [(7, None), (7, Some(2)), (7, Some(2))],
    },
    Follower {
        letter: 'e',
        terms: &[1, 1, 1, 4, 4, 4, 4],
        what: "has two more entries of term 4, and lacks all that came after that term",
        elections: BEFORE_TERM_8,
    },
    Follower {
        letter: 'f',
        terms: &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        what: "has entries of terms 2 and 3 that nobody else has, and lacks all that came after",
        elections: BEFORE_TERM_8,
    },
];

/// One story for each follower of the figure.
pub(super) fn all() -> Result<Vec<Story>, StoryError> {
    FOLLOWERS.iter().map(repaired).collect()
}

/// S1 is to lead, S2 is the follower, and S3 has the leader's log, so that S1 can be elected
/// whatever S2 holds.
fn repaired(follower: &Follower) -> Result<Story, StoryError> {
    let Follower { letter, terms, what, elections } = follower;
    let about = format!(
        "Figure 7 of the paper, follower ({letter}): S1 is elected in term 8, and S2 {what}. In \
         the end S2 has the leader's log, and all of it is committed."
    );
    let scope = "servers = 3\nterms = 8\nlog = 12\nbatch = 3";
    let mut cluster = Director::new(&format!("figure-7-{letter}"), &about, scope)?;
    let logs = [LEADER, *terms, LEADER];
    for ((server, log), (term, vote)) in (1..).zip(logs).zip(elections) {
        cluster.start_from(server, disk(*term, *vote, log))?;
    }
    cluster.elect(1, &[3])?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster.finish())
}

/// A disk with a log of these terms.
pub(super) fn disk(term: u64, vote: Option<u64>, terms: &[u64]) -> Disk {
    let mut before = 0;
    let entries = (1..).zip(terms).map(|(index, term)| {
        // A leader's first entry is its no-op.
        let payload = if std::mem::replace(&mut before, *term) == *term {
            Payload::Command(Bytes::from(format!("{index}@{term}")))
        } else {
            Payload::Noop
        };
        Entry { term: Term(*term), index: LogIndex(index), payload }
    });
    let log = Log::from_entries(entries.collect());
    Disk { term: Term(term), vote: vote.map(ServerId), log, ..Disk::default() }
}
