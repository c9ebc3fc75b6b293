//! etcd, by its gRPC interface: as much of it as is asked for here.

use anyhow::{Context, Result};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`, of which nothing is read.
#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// `etcdserverpb.RangeRequest`: linearizable, unless it says otherwise.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// `etcdserverpb.RangeResponse`.
#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

/// `etcdserverpb.StatusRequest`.
#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

/// `etcdserverpb.StatusResponse`.
#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

/// `etcdserverpb.ResponseHeader`.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member: u64,
}

/// A connection, which many clients share.
#[derive(Clone)]
pub(crate) struct Etcd {
    channel: Channel,
}

impl Etcd {
    pub(crate) async fn connect(port: u16) -> Result<Etcd> {
        let endpoint = Endpoint::try_from(format!("http://127.0.0.1:{port}"))?;
        let channel = endpoint.tcp_nodelay(true).connect().await.context("connect to etcd")?;
        Ok(Etcd { channel })
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        Ok(grpc.unary(Request::new(request), path, codec).await?.into_inner())
    }

    pub(crate) async fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let request = PutRequest { key: key.to_vec(), value: value.to_vec() };
        let PutResponse {} = self.call("/etcdserverpb.KV/Put", request).await?;
        Ok(())
    }

    /// The bytes of the value. 0 if there is none.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<usize> {
        let request = RangeRequest { key: key.to_vec() };
        let found: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(found.kvs.first().map_or(0, |found| found.value.len()))
    }

    /// Whether this server leads, and its version.
    pub(crate) async fn status(&self) -> Result<(bool, String)> {
        let status: StatusResponse =
            self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await?;
        let member = status.header.map_or(0, |header| header.member);
        Ok((status.leader != 0 && status.leader == member, status.version))
    }
}
