//! How a server comes into its cluster, and how it learns that it was taken out (rule M9): a task that asks
//! the others.

use crate::book::{Book, Stage};
use crate::doubling::Doubling;
use crate::error::{AdmissionError, TransportError};
use crate::members::{Disk, Members};
use crate::network::{Answer, Joining, Settings, Wants, ask};
use crate::node::NodeStatus;
use crate::start::Standing;
use kontiki::{Configuration, LogPosition, RoleKind, ServerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a start waits for the first answers. What comes later is heard, too.
const FIRST_ROUND: Duration = Duration::from_millis(250);
/// How long any later round waits.
const ROUND: Duration = Duration::from_secs(5);
/// Between rounds, the first wait. It doubles up to the longest while nothing gets on.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the driver's thread is told.
pub(crate) enum Told {
    /// The server stands so.
    Standing(Standing),
    /// Another server knows this configuration to be committed.
    Committed(LogPosition, Configuration),
}

/// What asks.
pub(crate) struct Admission {
    pub(crate) members: Arc<Members>,
    pub(crate) settings: Settings,
    pub(crate) status: watch::Receiver<NodeStatus>,
    /// How long to wait before a server that hears no leader asks why.
    pub(crate) silence: Duration,
    pub(crate) tell: Box<dyn Fn(Told) + Send + Sync>,
}

type Answers = BTreeMap<ServerId, Result<Answer, TransportError>>;

impl Admission {
    /// The first round, for a start to fail at once where it must.
    ///
    /// # Errors
    /// If the server must not come into the cluster as it was told to.
    pub(crate) async fn begin(&self) -> Result<(), AdmissionError> {
        self.round(FIRST_ROUND).await.map(drop)
    }

    /// Goes on until it is aborted.
    pub(crate) async fn run(self) {
        let mut waits = Doubling::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            if self.members.book().stage == Stage::Member {
                sleep(self.silence).await;
                self.ask_if_silent().await;
                continue;
            }
            sleep(waits.wait()).await;
            match self.round(ROUND).await {
                Ok(true) => waits.begin_again(),
                // The mistake may be the other's, and may be put right there.
                Ok(false) | Err(AdmissionError::OtherFounders { .. }) => {}
                Err(error) => return (self.tell)(Told::Standing(Standing::Refused(error))),
            }
        }
    }

    /// One round: whether something has come of it.
    async fn round(&self, patience: Duration) -> Result<bool, AdmissionError> {
        match self.members.book().stage {
            Stage::Forming => self.form(patience).await,
            Stage::Joining | Stage::Admitted => self.join(patience).await,
            Stage::Member => Ok(true),
        }
    }

    /// Asks all others, and takes up what they know of addresses.
    async fn ask_all(&self, wants: Wants, patience: Duration) -> Answers {
        let deadline = Instant::now() + patience;
        let mut asking = JoinSet::new();
        for server in self.members.others() {
            let (settings, members) = (self.settings.clone(), Arc::clone(&self.members));
            asking.spawn(async move { (server, ask(server, wants, settings, members).await) });
        }
        let mut answers = Answers::new();
        while let Ok(Some(answer)) = timeout_at(deadline, asking.join_next()).await {
            let Ok((server, answer)) = answer else { continue };
            if let Ok(answer) = &answer {
                // If it cannot be kept now, it is said again.
                drop(self.members.learn(answer.entries.clone()).await);
            }
            answers.insert(server, answer);
        }
        answers
    }

    /// A founder has formed the cluster when each of the others has answered that it forms the same one or
    /// has formed it, and none of them has known it with another disk.
    async fn form(&self, patience: Duration) -> Result<bool, AdmissionError> {
        let answers = self.ask_all(Wants::Nothing, patience).await;
        let Book { founders, .. } = self.members.book();
        let mut missing = founders.clone();
        missing.remove(&self.members.own);
        let mut conflict = None;
        for (server, answer) in answers {
            let Ok(answer) = answer else { continue };
            let same = answer.founders == founders;
            let is_formed = answer.stage.takes_part();
            if answer.other_disk || (is_formed && !same) {
                return Err(AdmissionError::AlreadyFormed { server });
            }
            if same {
                // It is known by this disk from now on, before this server takes part.
                let disk = answer.entries.get(&server).and_then(|entry| entry.disk);
                if let Some(disk) = disk
                    && self.members.meet(server, disk).await.is_ok_and(|met| met == Disk::Known)
                {
                    missing.remove(&server);
                }
            } else if founders.contains(&server) && !answer.founders.is_empty() {
                let founders = answer.founders;
                conflict = Some(AdmissionError::OtherFounders { server, founders });
            }
        }
        let is_formed = missing.is_empty() && self.advance(Stage::Member, None).await;
        let standing = if is_formed { Standing::Member } else { Standing::Forming { missing } };
        (self.tell)(Told::Standing(standing));
        conflict.map_or(Ok(is_formed), Err)
    }

    async fn join(&self, patience: Duration) -> Result<bool, AdmissionError> {
        let mut admitted = self.members.book().stage.takes_part();
        let wants = if admitted { Wants::Vote } else { Wants::Admission };
        let answers = self.ask_all(wants, patience).await;
        let mut removed = None;
        let mut waits = "no server has answered".to_owned();
        let mut progress = None;
        for (server, answer) in answers {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    if progress.is_none() {
                        waits = format!("{server} does not answer: {error}");
                    }
                    continue;
                }
            };
            if answer.other_disk {
                return Err(AdmissionError::OtherDisk { server });
            }
            match answer.facts.joining {
                Joining::AskLeader if progress.is_none() && answer.facts.leader.is_none() => {
                    waits = format!("{server} knows no leader");
                }
                Joining::AskLeader => {}
                Joining::NotYet if admitted => removed = answer.facts.committed,
                said => {
                    waits = match said {
                        Joining::NotYet => format!("the leader, {server}, is adding it"),
                        _ => format!("the leader, {server}, waits until it has caught up"),
                    };
                    progress = Some((said, answer.founders));
                }
            }
        }
        if let Some((position, configuration)) = removed
            && progress.is_none()
        {
            (self.tell)(Told::Committed(position, configuration));
            return Ok(false);
        }
        let said = progress.as_ref().map(|(said, _)| *said);
        if let Some((Joining::Learner | Joining::Voter, founders)) = progress
            && !admitted
        {
            admitted = self.advance(Stage::Admitted, Some(founders)).await;
        }
        let is_member =
            admitted && said == Some(Joining::Voter) && self.advance(Stage::Member, None).await;
        let waits = waits.into();
        let joining = Standing::Joining { admitted, waits };
        (self.tell)(Told::Standing(if is_member { Standing::Member } else { joining }));
        Ok(said.is_some())
    }

    /// Notes how far the server has come. If that cannot be written, it has not come so far.
    async fn advance(&self, stage: Stage, founders: Option<BTreeSet<ServerId>>) -> bool {
        self.members.advance(stage, founders).await.is_ok()
    }

    /// A server that hears no leader may have been removed. The others know.
    async fn ask_if_silent(&self) {
        let received = |status: &NodeStatus| status.server.counters.received;
        let before = received(&self.status.borrow());
        sleep(self.silence).await;
        let is_silent = {
            let status = self.status.borrow();
            let is_alone = status.server.leader.is_none() || received(&status) == before;
            is_alone && status.server.role != RoleKind::Leader
        };
        if !is_silent {
            return;
        }
        for answer in self.ask_all(Wants::Nothing, ROUND).await.into_values().flatten() {
            if let Some((position, configuration)) = answer.facts.committed {
                (self.tell)(Told::Committed(position, configuration));
            }
        }
    }
}
