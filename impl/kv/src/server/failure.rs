//! What clients are told when a request was not answered.

use super::slots::slot;
use crate::resp::Reply;
use kontiki_node::RequestError;
use kontiki_node::kontiki::driver::Reason;
use kontiki_node::kontiki::{Refusal, ServerId};

/// The reply to a request that names this key, and failed. The address for clients of other servers is known
/// to `address`.
///
/// | word | whether it was done |
/// |---|---|
/// | `MOVED` | no: ask the leader, which is there |
/// | `CLUSTERDOWN`, `TRYAGAIN` | no: try again later |
/// | `ERR` | no, and to try again is of no use |
/// | `UNKNOWN` | perhaps |
/// | `DONE` | yes, but the answer is not known here |
pub(super) fn reply(
    error: &RequestError,
    key: Option<&[u8]>,
    address: impl Fn(ServerId) -> Option<String>,
) -> Reply {
    let text = match error {
        RequestError::NotLeader { leader: None } => {
            "CLUSTERDOWN certainly not done: no leader is known here, try again".to_owned()
        }
        RequestError::NotLeader { leader: Some(leader) } => match address(*leader) {
            Some(address) => format!("MOVED {} {address}", key.map_or(0, slot)),
            None => format!(
                "CLUSTERDOWN certainly not done: server {leader} leads, and this server does not \
                 know its address for clients"
            ),
        },
        RequestError::Refused(reason) => {
            let word = if is_passing(reason) { "TRYAGAIN" } else { "ERR" };
            format!("{word} certainly not done: {reason}")
        }
        RequestError::Done { .. } => format!("DONE {error}"),
        RequestError::Unknown(_) => format!("UNKNOWN {error}"),
        // A client of several servers finds these, and a server none.
        RequestError::Unreachable { .. } | RequestError::NoServers => {
            format!("CLUSTERDOWN certainly not done: {error}")
        }
    };
    Reply::Error(text.into())
}

/// Whether it may be otherwise next time, here or at another server.
fn is_passing(reason: &Reason) -> bool {
    match reason {
        Reason::Refused(refusal) => matches!(
            refusal,
            Refusal::TooMuchUncommitted { .. }
                | Refusal::TooManyReads { .. }
                | Refusal::TransferUnderWay { .. }
                | Refusal::NotSettled { .. }
        ),
        Reason::TooManyWaiting { .. }
        | Reason::DeadlinePassed
        | Reason::Overwritten { .. }
        | Reason::Stopping => true,
        Reason::Rejected(_) | Reason::ReadNumbersExhausted | Reason::SnapshotFailed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_node::kontiki::LogPosition;
    use kontiki_node::kontiki::driver::Doubt;

    fn first_word(error: &RequestError) -> String {
        let reply =
            reply(error, Some(b"key"), |server| (server.0 == 1).then(|| "one:7001".to_owned()));
        let Reply::Error(text) = reply else { panic!("{reply:?}") };
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// Whoever is told that something was certainly not done does it again, so nothing else may say so (C8).
    #[test]
    fn only_what_was_certainly_not_done_is_said_not_to_be() {
        let not_leader = |id: u64| RequestError::NotLeader { leader: Some(ServerId(id)) };
        let refused = RequestError::Refused;
        let by_server = |refusal| RequestError::Refused(Reason::Refused(refusal));
        let position = LogPosition::default();
        let table = [
            (not_leader(1), "MOVED"),
            (not_leader(2), "CLUSTERDOWN"),
            (RequestError::NotLeader { leader: None }, "CLUSTERDOWN"),
            (refused(Reason::DeadlinePassed), "TRYAGAIN"),
            (refused(Reason::TooManyWaiting { limit: 1 }), "TRYAGAIN"),
            (refused(Reason::Overwritten { position }), "TRYAGAIN"),
            (refused(Reason::Stopping), "TRYAGAIN"),
            (by_server(Refusal::TransferUnderWay { to: ServerId(2) }), "TRYAGAIN"),
            (by_server(Refusal::NotAnotherVoter { server: ServerId(2) }), "ERR"),
            (refused(Reason::ReadNumbersExhausted), "ERR"),
            (refused(Reason::SnapshotFailed), "ERR"),
            (RequestError::Done { position }, "DONE"),
            (RequestError::Unknown(Doubt::DeadlinePassed), "UNKNOWN"),
            (RequestError::Unknown(Doubt::Stopped), "UNKNOWN"),
            (RequestError::Unreachable { server: ServerId(1) }, "CLUSTERDOWN"),
            (RequestError::NoServers, "CLUSTERDOWN"),
        ];
        for (error, word) in table {
            assert_eq!(first_word(&error), word, "{error}");
            let says_not_done = !["DONE", "UNKNOWN"].contains(&word);
            assert_eq!(says_not_done, error.is_certainly_not_done(), "{error}");
        }
    }
}
