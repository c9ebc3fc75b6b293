//! A replicated counter: three drivers in one process, with a network that is a queue, disks that are
//! done at once, and a clock that goes on when nothing else happens.

use kontiki::core::Config;
use kontiki::driver::{Consistency, Driver, DriverConfig, Effect, Event, Instant, Outcome, Ticket};
use kontiki::storage::MemoryStore;
use kontiki::{Entry, Payload, RoleKind, ServerId};
use std::collections::VecDeque;

/// A server with its state machine.
struct Server {
    driver: Driver<MemoryStore>,
    counter: u64,
    /// What the counter was after each command that was executed last.
    answers: Vec<(Entry, u64)>,
}

impl Server {
    fn start(id: ServerId, all: [ServerId; 3]) -> Result<Server, Box<dyn std::error::Error>> {
        let mut raft = Config::new(id, all);
        raft.incarnation = 1; // A real server counts its starts, on disk.
        let config = DriverConfig::new(raft, 2026);
        let driver = Driver::start(config, MemoryStore::new(), Instant::ORIGIN)?;
        Ok(Server { driver, counter: 0, answers: Vec::new() })
    }

    /// Carries out all that the driver asks for.
    fn carry_out_all(&mut self, queue: &mut VecDeque<(ServerId, Event)>) {
        for effect in self.driver.effects().collect::<Vec<_>>() {
            self.carry_out(effect, queue);
        }
    }

    /// Carries out an effect. What happens by that goes into the queue.
    fn carry_out(&mut self, effect: Effect, queue: &mut VecDeque<(ServerId, Event)>) {
        let id = self.driver.server().id();
        match effect {
            Effect::Send { to, message } => {
                queue.push_back((to, Event::Received { from: id, message }));
            }
            Effect::Write(group) => {
                group.writes.iter().for_each(|write| self.driver.store_mut().write(write));
                queue.push_back((id, Event::Written { group: group.number }));
            }
            Effect::Apply { entries } => {
                self.answers.clear();
                for entry in &entries {
                    if let Payload::Command(command) = &entry.payload {
                        self.counter += command.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                    }
                    self.answers.push((entry.clone(), self.counter));
                }
                queue.extend(entries.last_index().map(|index| (id, Event::Executed { index })));
            }
            Effect::Answer { outcome: Outcome::Applied { position }, .. } => {
                let answer = self.answers.iter().find(|(entry, _)| entry.position() == position);
                println!("{id}: after {position} the counter is {:?}", answer.map(|known| known.1));
            }
            Effect::Answer { outcome: Outcome::Readable { index }, .. } => {
                println!("{id}: read at {index}, the counter is {}", self.counter);
            }
            Effect::Answer { ticket, outcome } => println!("{id}: {ticket:?} {outcome:?}"),
            // Snapshots are for logs that are longer than this one.
            _ => {}
        }
    }
}

/// Lets events happen, and whatever comes of them.
fn run(servers: &mut [Server], queue: &mut VecDeque<(ServerId, Event)>, now: Instant) {
    while let Some((to, event)) = queue.pop_front() {
        for server in servers.iter_mut().filter(|server| server.driver.server().id() == to) {
            server.driver.handle(event.clone(), now);
            server.carry_out_all(queue);
        }
    }
}

/// Lets time pass until the next timer, which it returns.
fn pass(servers: &mut [Server], queue: &mut VecDeque<(ServerId, Event)>) -> Instant {
    let deadlines = servers.iter().filter_map(|server| server.driver.next_deadline());
    let now = deadlines.min().unwrap_or_default();
    for server in servers.iter_mut() {
        server.driver.tick(now);
        server.carry_out_all(queue);
    }
    run(servers, queue, now);
    now
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ids = [1, 2, 3].map(ServerId);
    let mut servers = Vec::new();
    for id in ids {
        servers.push(Server::start(id, ids)?);
    }
    let mut queue = VecDeque::new();

    // Nobody leads, until somebody's election timeout has passed.
    let (leader, now) = loop {
        let now = pass(&mut servers, &mut queue);
        let leads = |server: &&Server| server.driver.server().role() == RoleKind::Leader;
        if let Some(leader) = servers.iter().find(leads) {
            break (leader.driver.server().id(), now);
        }
    };
    println!("{leader} leads after {:?}", now.since_origin());

    // Each command adds its bytes to the counter.
    for (ticket, byte) in [(1, 4), (2, 38)] {
        let (ticket, command) = (Ticket(ticket), vec![byte].into());
        queue.push_back((leader, Event::Propose { ticket, command, deadline: None }));
    }
    run(&mut servers, &mut queue, now);

    // Any server may be read. A follower learns of the last commit with the leader's next message.
    for id in ids {
        let (ticket, consistency) = (Ticket(2 + id.0), Consistency::Linearizable);
        queue.push_back((id, Event::Read { ticket, consistency, deadline: None }));
    }
    run(&mut servers, &mut queue, now);
    pass(&mut servers, &mut queue);
    Ok(())
}
