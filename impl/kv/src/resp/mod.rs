//! RESP, the protocol of Redis: requests as clients send them, and replies in versions 2 and 3.

mod reply;
mod request;

pub use reply::{Reply, ReplyWriter, Version};
pub use request::{ProtocolError, RequestLimits, RequestParser};
