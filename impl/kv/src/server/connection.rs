//! A client's connection.
//!
//! Requests are answered in the order in which they come. Those that have arrived together are executed
//! together, as long as they are all reads or all writes: a read sees the writes before it on the same
//! connection. As long as answers wait to be sent, nothing is read. So a client takes no more memory than its
//! longest request, and as many replies as fit into [`OUTPUT`], if single values are not counted.

use super::batch::{Kind, TOGETHER};
use super::failure;
use super::report::ServerReport;
use super::sessions::{self, Told};
use super::{REQUEST, Shared, cluster};
use crate::command::{COMMANDS, Command, CommandSpec, Describe, find};
use crate::operation::{Answer, Operation, decode_all};
use crate::resp::{Reply, ReplyWriter, RequestParser, Version};
use bytes::{Buf, Bytes, BytesMut};
use kontiki_node::RequestError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// How much is read at once, at least.
const INPUT: usize = 16 << 10;
/// Answers are sent when they have so many bytes, or when there are no more.
const OUTPUT: usize = 64 << 10;
/// A request that is longer than this is a long one.
const LONG: usize = 64 << 10;
/// No more requests are executed together.
const MOST_TOGETHER: usize = 1024;
/// How long a long request may take to arrive, and a client to take an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// After so long without a word from a client, the system asks whether it is there still.
const IDLE: Duration = Duration::from_secs(60);

/// Serves a client until it goes away.
pub(super) async fn serve(stream: TcpStream, number: u64, shared: &Arc<Shared>) {
    // Without this, small answers would wait for each other.
    drop(stream.set_nodelay(true));
    // Whether it is there still is asked by the system, and if that cannot be arranged it is served all the same.
    let _ = keep_alive(&stream);
    let run = Run { kind: Kind::Read, operations: Vec::new(), count: 0 };
    let (writer, name) = (ReplyWriter::default(), Bytes::new());
    let client = Client { stream, shared, number, name, writer, run };
    // Why a client went away is of no interest.
    drop(client.serve().await);
}

/// A client whose machine has lost power, or whom a router has forgotten, leaves its place to another one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_keepidle(stream, IDLE)?;
    sockopt::set_tcp_keepintvl(stream, IDLE / 6)?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_socket_keepalive(stream, true)
}

/// Elsewhere the intervals are those of the system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_keepalive(stream, true)
}

/// Tells a client that there are too many.
pub(super) async fn refuse(mut stream: TcpStream) {
    let text = b"-ERR max number of clients reached\r\n";
    drop(timeout(PATIENCE, stream.write_all(text)).await);
}

struct Client<'a> {
    stream: TcpStream,
    shared: &'a Arc<Shared>,
    number: u64,
    name: Bytes,
    writer: ReplyWriter,
    run: Run,
}

/// Operations of one kind that go on together.
struct Run {
    kind: Kind,
    operations: Vec<u8>,
    count: usize,
}

/// Whether a client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    Closes,
}

impl Client<'_> {
    async fn serve(mut self) -> io::Result<()> {
        let mut parser = RequestParser::new(REQUEST);
        let mut buffer = BytesMut::new();
        // Few may send a long request at the same time, and none forever.
        let mut long = None;
        loop {
            let before = buffer.len();
            let next = self.answer(&mut parser, &mut buffer).await?;
            self.flush().await?;
            if buffer.len() < before {
                // Some are answered. The next one has time of its own, and waits for its turn.
                long = None;
            }
            if next == Next::Closes {
                return self.stream.shutdown().await;
            }
            if parser.expects() <= LONG {
                long = None;
                if buffer.is_empty() && buffer.capacity() > LONG {
                    buffer = BytesMut::new();
                }
                self.read(&mut buffer).await?;
                continue;
            }
            let deadline = match &long {
                Some((_, deadline)) => *deadline,
                None => {
                    let permit = Arc::clone(&self.shared.long_requests).acquire_owned().await;
                    let deadline = Instant::now() + PATIENCE;
                    long = Some((permit.map_err(io::Error::other)?, deadline));
                    deadline
                }
            };
            timeout_at(deadline, self.read(&mut buffer)).await??;
        }
    }

    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.reserve(INPUT);
        match self.stream.read_buf(buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Answers all requests that are there.
    async fn answer(
        &mut self,
        parser: &mut RequestParser,
        buffer: &mut BytesMut,
    ) -> io::Result<Next> {
        loop {
            match parser.parse(buffer) {
                Ok(Some(length)) => {
                    if self.take(&parser.arguments(buffer)).await? == Next::Closes {
                        return Ok(Next::Closes);
                    }
                    buffer.advance(length);
                }
                Ok(None) => {
                    self.execute().await?;
                    return Ok(Next::Goes);
                }
                Err(error) => {
                    self.execute().await?;
                    let text = format!("ERR Protocol error: {error}");
                    self.writer.reply(&Reply::Error(text.into()));
                    return Ok(Next::Closes);
                }
            }
            if self.writer.bytes.len() >= OUTPUT {
                self.flush().await?;
            }
        }
    }

    /// Answers a request, or puts it behind others that it is executed with.
    async fn take(&mut self, request: &[&[u8]]) -> io::Result<Next> {
        if request.is_empty() {
            return Ok(Next::Goes);
        }
        match Command::parse(request) {
            Ok(Command::Keys(operation)) => {
                self.add(&operation).await?;
                Ok(Next::Goes)
            }
            Ok(command) => {
                self.execute().await?;
                self.other(command).await
            }
            Err(error) => {
                self.execute().await?;
                self.writer.reply(&Reply::Error(error.to_string().into()));
                Ok(if error.ends_connection() { Next::Closes } else { Next::Goes })
            }
        }
    }

    /// Puts an operation behind the others. If it is of another kind, they are executed first.
    async fn add(&mut self, operation: &Operation<'_>) -> io::Result<()> {
        let kind = if operation.is_write() { Kind::Write } else { Kind::Read };
        let full = self.run.count >= MOST_TOGETHER || self.run.operations.len() >= TOGETHER / 2;
        if kind != self.run.kind || full {
            self.execute().await?;
        }
        self.run.kind = kind;
        self.run.count += 1;
        operation.encode(&mut self.run.operations);
        Ok(())
    }

    /// Executes the operations that wait.
    async fn execute(&mut self) -> io::Result<()> {
        let Run { kind, ref mut operations, ref mut count } = self.run;
        if *count == 0 {
            return Ok(());
        }
        let (operations, count) = (std::mem::take(operations), std::mem::take(count));
        let counts = &self.shared.counts;
        let counter = if kind == Kind::Write { &counts.writes } else { &counts.reads };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        match self.shared.batches.ask(kind, &operations, count).await {
            Ok(answers) => {
                let missing = count.saturating_sub(answers.len());
                for answer in answers {
                    self.tell(answer).await?;
                }
                // The entry made no sense to the state machine: that of a server of another version.
                for _ in 0..missing {
                    let text = "ERR this server and the leader are of different versions";
                    self.writer.reply(&Reply::Error(text.into()));
                }
            }
            Err(error) => {
                counts.failed.fetch_add(count as u64, Ordering::Relaxed);
                let all = decode_all(&operations).unwrap_or_default();
                for operation in all {
                    let reply = self.failure(&error, operation.first_key());
                    self.writer.reply(&reply);
                }
            }
        }
        self.run.operations = operations;
        self.run.operations.clear();
        if self.run.operations.capacity() > LONG {
            self.run.operations = Vec::new();
        }
        Ok(())
    }

    /// Puts what the state machine has said behind what there is.
    async fn tell(&mut self, answer: Answer) -> io::Result<()> {
        self.writer.answer(&answer);
        if let Answer::Values(values) = answer {
            for value in values {
                self.writer.value(value.as_ref());
                self.flush_if_full().await?;
            }
        }
        self.flush_if_full().await
    }

    fn failure(&self, error: &RequestError, key: Option<&[u8]>) -> Reply {
        failure::reply(error, key, |leader| self.shared.clients_of(leader))
    }

    async fn flush_if_full(&mut self) -> io::Result<()> {
        match self.writer.bytes.len() >= OUTPUT {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let bytes = &mut self.writer.bytes;
        if bytes.is_empty() {
            return Ok(());
        }
        timeout(PATIENCE, self.stream.write_all(bytes)).await??;
        bytes.clear();
        if bytes.capacity() > 2 * OUTPUT {
            *bytes = Vec::new();
        }
        Ok(())
    }

    /// Answers what is no operation on keys.
    async fn other(&mut self, command: Command<'_>) -> io::Result<Next> {
        let handle = &self.shared.handle;
        let reply = match command {
            Command::OpenSession => {
                return self.tell_once(sessions::open(handle).await, None).await;
            }
            Command::EndSession(session) => {
                return self.tell_once(sessions::end(handle, session).await, None).await;
            }
            Command::Once { session, sequence, answered_below, operation } => {
                let of = (session, sequence, answered_below);
                let told = sessions::once(handle, of, &operation).await;
                return self.tell_once(told, operation.first_key()).await;
            }
            Command::Ping(None) => Reply::Simple("PONG"),
            Command::Ping(Some(text)) | Command::Echo(text) => {
                Reply::Bulk(Bytes::copy_from_slice(text))
            }
            Command::Hello(version) => {
                self.writer.version = version.unwrap_or(self.writer.version);
                self.hello().await
            }
            Command::Info => match ServerReport::of(self.shared).await {
                Ok(report) => Reply::text(report.info(self.shared.port)),
                Err(error) => self.failure(&error, None),
            },
            Command::Status => match ServerReport::of(self.shared).await {
                Ok(report) => match serde_json::to_string(&report) {
                    Ok(text) => Reply::text(text),
                    Err(error) => Reply::Error(format!("ERR {error}").into()),
                },
                Err(error) => self.failure(&error, None),
            },
            Command::ChangeMembers(change) => {
                let changed = self.shared.handle.change_membership(change, None).await;
                self.done(changed.map(|position| format!("complete at {position}")))
            }
            Command::Transfer(to) => {
                let moved = self.shared.handle.transfer(to).await;
                self.done(moved.map(|()| format!("server {} leads no more", self.shared.id.0)))
            }
            Command::Snapshot => {
                let taken = self.shared.handle.snapshot().await;
                self.done(taken.map(|last| format!("the snapshot covers the log up to {last}")))
            }
            Command::Describe(what) => describe(&what),
            Command::ConfigGet(names) => config(&names),
            Command::ClientId => Reply::Integer(i64::try_from(self.number).unwrap_or(i64::MAX)),
            Command::ClientName if self.name.is_empty() => Reply::Null,
            Command::ClientName => Reply::Bulk(self.name.clone()),
            Command::SetClientName(name) => {
                self.name = Bytes::copy_from_slice(name);
                Reply::Simple("OK")
            }
            Command::Nothing => Reply::Simple("OK"),
            Command::Quit => {
                self.writer.reply(&Reply::Simple("OK"));
                return Ok(Next::Closes);
            }
            Command::Cluster(question) => cluster::answer(self.shared, question).await,
            // It has been put behind the others.
            Command::Keys(_) => return Ok(Next::Goes),
        };
        self.writer.reply(&reply);
        Ok(Next::Goes)
    }

    /// What became of a request of a session.
    async fn tell_once(&mut self, told: Told, key: Option<&[u8]>) -> io::Result<Next> {
        let counts = &self.shared.counts;
        counts.writes.fetch_add(1, Ordering::Relaxed);
        counts.failed.fetch_add(u64::from(told.is_err()), Ordering::Relaxed);
        match told {
            Ok(Ok(answer)) => self.tell(answer).await?,
            Ok(Err(reply)) => self.writer.reply(&reply),
            Err(error) => {
                let reply = self.failure(&error, key);
                self.writer.reply(&reply);
            }
        }
        Ok(Next::Goes)
    }

    /// What an operator is told.
    fn done(&self, done: Result<String, RequestError>) -> Reply {
        match done {
            Ok(text) => Reply::text(text),
            Err(error) => self.failure(&error, None),
        }
    }

    async fn hello(&self) -> Reply {
        let leads = match self.shared.handle.status().await {
            Ok(status) => status.server.leader == Some(self.shared.id),
            Err(error) => return self.failure(&error, None),
        };
        let version = if self.writer.version == Version::Three { 3 } else { 2 };
        Reply::Map(vec![
            ("server", Reply::text("redis")),
            ("version", Reply::text("7.2.0")),
            ("proto", Reply::Integer(version)),
            ("id", Reply::Integer(i64::try_from(self.number).unwrap_or(i64::MAX))),
            ("mode", Reply::text("cluster")),
            ("role", Reply::text(if leads { "master" } else { "replica" })),
            ("modules", Reply::Array(Vec::new())),
        ])
    }
}

/// What `redis-benchmark` wants to know, in the words of Redis: every write is on disk before it is answered.
fn config(names: &[&[u8]]) -> Reply {
    let settings = [("appendfsync", "always"), ("appendonly", "yes"), ("save", "")];
    let wanted = settings.into_iter().filter(|(setting, _)| {
        names.iter().any(|name| *name == b"*" || name.eq_ignore_ascii_case(setting.as_bytes()))
    });
    Reply::Map(wanted.map(|(name, value)| (name, Reply::text(value))).collect())
}

fn describe(what: &Describe<'_>) -> Reply {
    match what {
        Describe::All => Reply::Array(COMMANDS.iter().map(description).collect()),
        Describe::Count => Reply::Integer(i64::try_from(COMMANDS.len()).unwrap_or(i64::MAX)),
        Describe::Named(names) => {
            let known = names.iter().map(|name| find(name).map_or(Reply::Null, description));
            Reply::Array(known.collect())
        }
        Describe::Documents => Reply::Map(Vec::new()),
    }
}

fn description(spec: &CommandSpec) -> Reply {
    let (first, last, step) = spec.keys;
    Reply::Array(vec![
        Reply::text(spec.name),
        Reply::Integer(i64::from(spec.arity)),
        Reply::Array(spec.flags.iter().map(|flag| Reply::Simple(flag)).collect()),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
    ])
}
