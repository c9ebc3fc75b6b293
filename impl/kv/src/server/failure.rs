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
