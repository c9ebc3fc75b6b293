//! Limits of the library that have no counterpart in the model: what is refused because of them.

use kontiki_model::server::{Role, ServerState, entry_bytes};
use kontiki_specs::recording::RecordedRules;
use kontiki_specs::{Entry, Input, Message, Output, Payload, Refusal};

/// Whether the server did nothing but refuse what it may refuse, which the model would have taken. It must
/// not have changed.
pub(super) fn refuses(
    rules: &RecordedRules,
    state: &ServerState,
    input: &Input,
    outputs: &[Output],
) -> bool {
    match (input, outputs) {
        (Input::Propose { commands }, [Output::Refused { refusal }]) => {
            state.is_leader() && refuses_commands(rules, state, commands, refusal)
        }
        (
            Input::Read { read },
            [Output::ReadRefused { read: refused, refusal: Refusal::TooManyReads { limit } }],
        ) => read == refused && *limit == rules.waiting_reads && waiting_reads(state) >= *limit,
        (Input::Deliver { message: Message::ReadIndex { .. }, .. }, []) => {
            waiting_reads(state) >= rules.waiting_reads
        }
        _ => false,
    }
}

fn refuses_commands(
    rules: &RecordedRules,
    state: &ServerState,
    commands: &[bytes::Bytes],
    refusal: &Refusal,
) -> bool {
    let mut sizes = commands.iter().map(|command| command.len() as u64);
    match refusal {
        Refusal::CommandTooLarge { size, limit } => {
            *limit == rules.command_bytes && size > limit && sizes.any(|one| one == *size)
        }
        Refusal::TooMuchUncommitted { uncommitted, limit } => {
            let overhead = entry_bytes(&Entry {
                term: state.term,
                index: state.log.last_index(),
                payload: Payload::Noop,
            });
            let proposed: u64 = sizes.map(|size| size + overhead).sum();
            *limit == rules.uncommitted_bytes
                && *uncommitted == unsettled_bytes(state)
                && *uncommitted > 0
                && uncommitted + proposed > *limit
        }
        _ => false,
    }
}

/// How many bytes of commands of the leader's term are not committed, or not on the leader's own disk.
fn unsettled_bytes(state: &ServerState) -> u64 {
    let settled = state.commit_index.min(state.durable_index);
    let unsettled = state.log.from(settled.next()).iter();
    let own = unsettled.filter(|entry| entry.term == state.term);
    let commands = own.filter(|entry| matches!(entry.payload, Payload::Command(_)));
    commands.map(entry_bytes).sum()
}

fn waiting_reads(state: &ServerState) -> u64 {
    match &state.role {
        Role::Leader { reads, .. } => (reads.waiting.len() + reads.next.len()) as u64,
        _ => 0,
    }
}
