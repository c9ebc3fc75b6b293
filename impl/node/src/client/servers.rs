//! The servers that a client asks.

use crate::error::RequestError;
use crate::machine::StateMachine;
use crate::node::Handle;
use crate::request::Seen;
use kontiki::ServerId;
use kontiki::bytes::Bytes;
use kontiki::driver::Consistency;
use std::collections::BTreeMap;
use std::future::Future;

/// How a client reaches the servers of a cluster. [`Handle`]s of nodes in the same process are one way; a
/// protocol of your own is another.
pub trait Servers: Send + Sync {
    /// What a client is answered when its command was executed.
    type Answer: Send;
    /// What a client asks when it reads.
    type Query: Clone + Send;
    /// What it is told.
    type Reply: Send;

    /// The servers that can be asked, in any order.
    fn ids(&self) -> Vec<ServerId>;

    /// Asks one server, once, to have a command executed. An error in which it cannot be told whether the
    /// server took the request is [`RequestError::Unknown`]; one that certainly did not get it is
    /// [`RequestError::Unreachable`].
    fn write(
        &self,
        at: ServerId,
        command: Bytes,
    ) -> impl Future<Output = Result<Seen<Self::Answer>, RequestError>> + Send;

    /// Asks one server, once, to read.
    fn read(
        &self,
        at: ServerId,
        consistency: Consistency,
        query: Self::Query,
    ) -> impl Future<Output = Result<Seen<Self::Reply>, RequestError>> + Send;
}

impl<M> Servers for BTreeMap<ServerId, Handle<M>>
where
    M: StateMachine,
    M::Query: Clone,
{
    type Answer = M::Answer;
    type Query = M::Query;
    type Reply = M::Reply;

    fn ids(&self) -> Vec<ServerId> {
        self.keys().copied().collect()
    }

    async fn write(&self, at: ServerId, command: Bytes) -> Result<Seen<M::Answer>, RequestError> {
        match self.get(&at) {
            Some(handle) => handle.write_seen(command).await,
            None => Err(RequestError::Unreachable { server: at }),
        }
    }

    async fn read(
        &self,
        at: ServerId,
        consistency: Consistency,
        query: M::Query,
    ) -> Result<Seen<M::Reply>, RequestError> {
        match self.get(&at) {
            Some(handle) => handle.read_seen(consistency, query).await,
            None => Err(RequestError::Unreachable { server: at }),
        }
    }
}
