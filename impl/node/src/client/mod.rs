//! A client that finds the leader and tries again (requirements C1, C2, C8).

mod patience;
mod servers;
mod session;

pub use patience::Patience;
pub use servers::Servers;
pub use session::{Session, SessionError};

use crate::error::RequestError;
use crate::network::locked;
use crate::request::Seen;
use kontiki::bytes::Bytes;
use kontiki::driver::{Consistency, Reason};
use kontiki::{LogIndex, Refusal, ServerId};
use patience::Tries;
use std::sync::{Arc, Mutex};

/// A client of a cluster. It asks the server that it believes to lead, follows when it is told who does, and
/// tries again, after waits that grow, what was certainly not done. Clones are the same client.
///
/// A write that may have been done is not tried again, since it might be executed twice:
/// [`Client::open_session`] is for those who want that.
#[derive(Debug)]
pub struct Client<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    servers: S,
    patience: Patience,
    memory: Mutex<Memory>,
}

/// What the client has learnt.
#[derive(Debug, Default)]
struct Memory {
    /// Whom to ask next.
    next: Option<ServerId>,
    /// The highest index that it has seen (rule C6).
    seen: LogIndex,
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Client { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Servers> Client<S> {
    /// A client of these servers.
    pub fn new(servers: S, patience: Patience) -> Client<S> {
        Client { shared: Arc::new(Shared { servers, patience, memory: Mutex::default() }) }
    }

    /// The highest index that this client has seen, for [`Consistency::AtLeast`].
    pub fn seen(&self) -> LogIndex {
        locked(&self.shared.memory).seen
    }

    /// Has a command executed once, and gives the state machine's answer.
    ///
    /// # Errors
    /// [`RequestError`] says whether the command was certainly not executed: then it was tried for as long as
    /// [`Patience`] says, or it is no use to try again.
    pub async fn write(&self, command: impl Into<Bytes>) -> Result<S::Answer, RequestError> {
        let command = command.into();
        self.try_again(is_worth_another_try, |at| self.shared.servers.write(at, command.clone()))
            .await
    }

    /// Reads. For this client's own writes and what it has read before, [`Client::read_own`] is cheaper.
    ///
    /// # Errors
    /// If no server has answered in time.
    pub async fn read(
        &self,
        consistency: Consistency,
        query: S::Query,
    ) -> Result<S::Reply, RequestError> {
        let servers = &self.shared.servers;
        // A read changes nothing.
        self.try_again(may_be_repeated, |at| servers.read(at, consistency, query.clone())).await
    }

    /// Reads what this client has written and read before, at least (rule C6).
    ///
    /// # Errors
    /// If no server has answered in time.
    pub async fn read_own(&self, query: S::Query) -> Result<S::Reply, RequestError> {
        self.read(Consistency::AtLeast(self.seen()), query).await
    }

    /// Asks one server after another.
    async fn try_again<T, F: Future<Output = Result<Seen<T>, RequestError>>>(
        &self,
        mut worth: impl FnMut(&RequestError) -> bool,
        mut ask: impl FnMut(ServerId) -> F,
    ) -> Result<T, RequestError> {
        let mut tries = Tries::begin(self.shared.patience);
        loop {
            let Some(at) = self.whom_to_ask() else { return Err(RequestError::NoServers) };
            let error = match ask(at).await {
                Ok(Seen { index, value }) => {
                    self.remember(at, index);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let redirected = self.learn(at, &error);
            if !worth(&error) || !tries.go_on(redirected).await {
                return Err(error);
            }
        }
    }

    fn whom_to_ask(&self) -> Option<ServerId> {
        let next = locked(&self.shared.memory).next;
        next.or_else(|| self.shared.servers.ids().into_iter().min())
    }

    fn remember(&self, at: ServerId, index: LogIndex) {
        let mut memory = locked(&self.shared.memory);
        memory.next = Some(at);
        memory.seen = memory.seen.max(index);
    }

    /// Chooses whom to ask next. True if the server has named another one.
    fn learn(&self, asked: ServerId, error: &RequestError) -> bool {
        let ids = self.shared.servers.ids();
        let named = match error {
            RequestError::NotLeader { leader } => *leader,
            _ => None,
        };
        let named = named.filter(|leader| *leader != asked && ids.contains(leader));
        let after = ids.iter().copied().filter(|id| *id > asked).min();
        let mut memory = locked(&self.shared.memory);
        memory.next = named.or(after).or_else(|| ids.iter().copied().min());
        // C6: what is done is seen, though its answer is not known.
        if let RequestError::Done { position } = error {
            memory.seen = memory.seen.max(position.index);
        }
        named.is_some()
    }
}

/// Whether a request was certainly not done, and may be done when it is asked for again.
fn is_worth_another_try(error: &RequestError) -> bool {
    let never = matches!(
        error,
        RequestError::NoServers
            | RequestError::Refused(
                Reason::Rejected(_)
                    | Reason::Refused(Refusal::CommandTooLarge { .. } | Refusal::NothingProposed)
            )
    );
    error.is_certainly_not_done() && !never
}

/// As [`is_worth_another_try`], for what does no harm when it is done twice.
fn may_be_repeated(error: &RequestError) -> bool {
    is_worth_another_try(error) || !error.is_certainly_not_done()
}
