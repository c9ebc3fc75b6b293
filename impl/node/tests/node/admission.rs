//! How servers come into a cluster, how they are found again, and how they learn that they were taken out
//! (rule M9).

use crate::cluster::{CLUSTER, Cluster, eventually};
use crate::journal::Journal;
use kontiki_node::kontiki::{MembershipChange, ServerId};
use kontiki_node::{AddressError, AdmissionError, Node, NodeConfig, RequestError, Standing};
use kontiki_node::{Security, Start, StartError};
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const S1: ServerId = ServerId(1);
const S2: ServerId = ServerId(2);
const S3: ServerId = ServerId(3);

fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

async fn refusal(config: NodeConfig) -> AdmissionError {
    match Node::start(config, Journal::default()).await.err() {
        Some(StartError::Admission(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A server that closes every connection. Whoever asks all servers comes by: so it can be told that somebody
/// has asked, and how often.
struct Asked {
    address: SocketAddr,
    times: Arc<AtomicU64>,
}

impl Asked {
    async fn listen() -> Asked {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, times) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&times);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Asked { address, times }
    }

    /// Waits until somebody has asked so many times more.
    async fn again(&self, times: u64) {
        let before = self.times.load(Ordering::Relaxed);
        let has_come = || self.times.load(Ordering::Relaxed) >= before + times;
        eventually("questions", async || has_come().then_some(())).await;
    }
}

/// Stops a server and deletes what is on its disk.
async fn wipe(cluster: &mut Cluster, id: ServerId) {
    cluster.shutdown(id).await;
    fs::remove_dir_all(cluster.directory.path().join(id.to_string())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_its_disk_comes_in_under_no_way_with_its_old_id() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    cluster.check().await;
    wipe(&mut cluster, S3).await;

    let refused = refusal(cluster.config(S3, free())).await;
    assert!(matches!(refused, AdmissionError::AlreadyFormed { .. }), "{refused}");
    let mut joining = cluster.config(S3, free());
    joining.start = Start::Join;
    let refused = refusal(joining).await;
    assert!(matches!(refused, AdmissionError::OtherDisk { .. }), "{refused}");
    fs::remove_dir_all(cluster.directory.path().join("S3")).unwrap();
    let mut existing = cluster.config(S3, free());
    existing.start = Start::Existing;
    let refused = Node::start(existing, Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::MissingDisk { .. }), "{refused}");

    // Under a new id it comes in.
    let fourth = ServerId(4);
    cluster.join(fourth).await;
    cluster.handle(fourth).admitted().await.unwrap();
    cluster.write().await;
    cluster.check().await;

    // It is as little welcome under the old one when nobody votes there any more. Nobody adds it first.
    cluster.change(MembershipChange::Remove(S3)).await;
    let mut joining = cluster.config(S3, free());
    joining.start = Start::Join;
    let refused = refusal(joining).await;
    assert!(matches!(refused, AdmissionError::OtherDisk { .. }), "{refused}");
    cluster.write().await;
    let leader = cluster.leader().await;
    let configuration = cluster.status(leader).await.server.configuration;
    assert!(configuration.learners.is_empty(), "{configuration:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_other_founders_form_no_cluster() {
    let mut cluster = Cluster::start(0).await;
    cluster.addresses = [(S1, free()), (S2, free())]
        .map(|(id, listener)| (id, listener.local_addr().unwrap()))
        .into();
    cluster.founders = [S1, S2].into();
    cluster.restart(S1).await;
    let missing = [S2].into();
    assert_eq!(cluster.status(S1).await.standing, Standing::Forming { missing });
    let early = cluster.handle(S1).write(&b"12345678"[..]).await.err();
    assert_eq!(early, Some(RequestError::NotLeader { leader: None }));

    cluster.founders.insert(S3);
    for _ in 0..2 {
        // Nothing was promised yet, so the directory may be deleted and made anew.
        drop(fs::remove_dir_all(cluster.directory.path().join("S2")));
        let listener =
            eventually("a port", async || TcpListener::bind(cluster.addresses[&S2]).ok());
        let refused = refusal(cluster.config(S2, listener.await)).await;
        let founders = [S1, S2].into();
        assert_eq!(refused, AdmissionError::OtherFounders { server: S1, founders });
    }

    // The list is put right.
    cluster.founders.remove(&S3);
    cluster.restart(S2).await;
    cluster.write().await;
    cluster.check().await;
    for id in [S1, S2] {
        assert_eq!(cluster.handle(id).admitted().await, Ok(()));
    }

    // A third server that is to form another cluster with them hears that there is one.
    cluster.founders = [S1, S2, S3].into();
    let refused = refusal(cluster.config(S3, free())).await;
    assert!(matches!(refused, AdmissionError::AlreadyFormed { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_while_it_joins_goes_on_later() {
    let mut cluster = Cluster::start(1).await;
    cluster.write().await;
    for _ in 0..3 {
        let config = cluster.joining(S2);
        let node = Node::start(config, Journal::default()).await.unwrap();
        node.shutdown().await;
    }
    cluster.join(S2).await;
    cluster.handle(S2).admitted().await.unwrap();
    let status = cluster.status(S2).await;
    assert!(status.server.configuration.voters.contains(&S2), "{:?}", status.server);
    cluster.write().await;
    cluster.check().await;
    // The same arguments again: it goes on, though it is to join.
    cluster.shutdown(S2).await;
    let mut config = cluster.config(S2, free());
    config.start = Start::Join;
    let node = Node::start(config, Journal::default()).await.unwrap();
    assert_eq!(node.handle().admitted().await, Ok(()));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_moves_says_so_itself() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let old = cluster.addresses.clone();
    cluster.shutdown(S3).await;
    let moved = free().local_addr().unwrap();
    cluster.addresses.insert(S3, moved);
    cluster.restart(S3).await;
    let knows = async |cluster: &Cluster, id: ServerId| {
        eventually("an address", async || {
            (cluster.handle(id).addresses().get(&S3) == Some(&moved.to_string())).then_some(())
        })
        .await;
    };
    knows(&cluster, S1).await;
    knows(&cluster, S2).await;
    cluster.check().await;

    // The others are started with the old address again, and know better.
    for id in [S1, S2] {
        cluster.shutdown(id).await;
        cluster.addresses = old.clone();
        cluster.restart(id).await;
        knows(&cluster, id).await;
    }
    cluster.write().await;
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_is_told_of_an_address_all_learn() {
    let cluster = Cluster::start(3).await;
    let refused = cluster.handle(S1).set_address(ServerId(9), "nowhere");
    assert!(matches!(refused, Err(AddressError::Malformed { .. })));
    for port in [7009, 7010] {
        let address = format!("127.0.0.1:{port}");
        cluster.handle(S1).set_address(ServerId(9), &address).unwrap();
        for id in [S1, S2, S3] {
            eventually("an address", async || {
                let known = cluster.handle(id).addresses();
                (known.get(&ServerId(9)) == Some(&address)).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_removed_is_told_so_and_goes_on_when_it_is_added() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let removed = cluster.leader().await;
    let removed = *cluster.nodes.keys().find(|id| **id != removed).unwrap();
    cluster.shutdown(removed).await;
    cluster.change(MembershipChange::Remove(removed)).await;
    // Only the one that was removed knows of it.
    let asked = Asked::listen().await;
    cluster.addresses.insert(ServerId(9), asked.address);
    cluster.restart(removed).await;
    eventually("word of the removal", async || {
        matches!(cluster.status(removed).await.standing, Standing::Removed { .. }).then_some(())
    })
    .await;
    // It leaves the others alone, and takes no requests. Between two of its questions are four election timeouts.
    let elections = async || cluster.status(removed).await.server.counters.election_timeouts;
    let before = elections().await;
    asked.again(2).await;
    assert_eq!(elections().await, before);
    let refused = cluster.handle(removed).write(&b"12345678"[..]).await.err();
    assert_eq!(refused, Some(RequestError::NotLeader { leader: None }));

    cluster.change(MembershipChange::AddLearner(removed)).await;
    cluster.change(MembershipChange::AddVoter(removed)).await;
    eventually("membership", async || {
        (cluster.status(removed).await.standing == Standing::Member).then_some(())
    })
    .await;
    cluster.write().await;
    cluster.check().await;
}

/// A learner asks for a vote again and again. When it is taken out it does not come back by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_learner_that_is_taken_out_while_it_joins_stays_out() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let fourth = ServerId(4);
    // Only the fourth server knows of it.
    let asked = Asked::listen().await;
    cluster.addresses.insert(ServerId(9), asked.address);
    cluster.join(fourth).await;
    eventually("admission", async || {
        let standing = cluster.status(fourth).await.standing;
        let is_in = matches!(standing, Standing::Joining { admitted: true, .. } | Standing::Member);
        is_in.then_some(())
    })
    .await;
    cluster.change(MembershipChange::Remove(fourth)).await;
    eventually("word of the removal", async || {
        matches!(cluster.status(fourth).await.standing, Standing::Removed { .. }).then_some(())
    })
    .await;
    asked.again(3).await;
    let leader = cluster.leader().await;
    let configuration = cluster.status(leader).await.server.configuration;
    assert_eq!(configuration.voters.len(), 3);
    assert!(configuration.learners.is_empty(), "{configuration:?}");
}

/// It has come in when it votes, and asks for its vote no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_has_just_joined_and_is_made_a_learner_stays_one() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let fourth = ServerId(4);
    // Only the fourth server knows of it. It answers nothing, so each round of questions takes long.
    let silent = free();
    cluster.addresses.insert(ServerId(9), silent.local_addr().unwrap());
    cluster.join(fourth).await;
    eventually("a vote", async || {
        let configuration = cluster.status(fourth).await.server.configuration;
        configuration.voters.contains(&fourth).then_some(())
    })
    .await;
    cluster.change(MembershipChange::Demote(fourth)).await;
    eventually("the end of what it asks", async || {
        let standing = cluster.status(fourth).await.standing;
        (standing == Standing::Member).then_some(())
    })
    .await;
    cluster.write().await;
    let leader = cluster.leader().await;
    let configuration = cluster.status(leader).await.server.configuration;
    assert_eq!(configuration.learners, BTreeSet::from([fourth]), "{configuration:?}");
}

/// It follows, and votes for, a server of which the last configuration that it knows says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_answers_one_that_came_meanwhile() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let stays = cluster.leader().await;
    let others: Vec<ServerId> = cluster.nodes.keys().copied().filter(|id| *id != stays).collect();
    let (away, removed, fourth) = (others[0], others[1], ServerId(4));
    cluster.shutdown(away).await;
    cluster.join(fourth).await;
    cluster.handle(fourth).admitted().await.unwrap();
    cluster.change(MembershipChange::Remove(removed)).await;
    cluster.shutdown(removed).await;
    cluster.transfer(fourth).await;
    cluster.write().await;
    // Two of the three that vote now. One of them knows of servers 1 to 3 only.
    cluster.shutdown(stays).await;
    cluster.restart(away).await;
    cluster.write().await;
    cluster.check().await;
    assert!(cluster.status(away).await.server.configuration.voters.contains(&fourth));
}

/// Has the leader of two servers remove itself while the other one is away. Both are down in the end, and the leader
/// alone has the removal in its log.
async fn remove_alone(cluster: &mut Cluster) -> ServerId {
    loop {
        let leader = cluster.leader().await;
        let other = if leader == S1 { S2 } else { S1 };
        cluster.shutdown(other).await;
        let handle = cluster.handle(leader);
        let change = MembershipChange::Remove(leader);
        let asking = tokio::spawn(async move { handle.change_membership(change, None).await });
        let begun = eventually("a removal", async || {
            let has_ended = asking.is_finished();
            let server = cluster.status(leader).await.server;
            let is_out = !server.configuration.voters.contains(&leader);
            let begun = is_out && server.durable_index >= server.configuration_position.index;
            (begun || has_ended && !is_out).then_some(begun)
        });
        if begun.await {
            drop(cluster.nodes.remove(&leader));
            return leader;
        }
        // It had noticed before that it was alone, and led no more.
        cluster.restart(other).await;
    }
}

/// Nobody but the leader that is to go can be elected, as its log is longer. The removal is in force there, and is
/// not committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_not_committed_silences_nobody() {
    let mut cluster = Cluster::start(2).await;
    cluster.write().await;
    let removed = remove_alone(&mut cluster).await;
    cluster.restart(removed).await;
    // Nobody is there whose messages would have it look at its timers.
    eventually("an election timeout", async || {
        (cluster.status(removed).await.server.counters.election_timeouts > 0).then_some(())
    })
    .await;
    cluster.restart(if removed == S1 { S2 } else { S1 }).await;
    cluster.write().await;
    eventually("word of the removal", async || {
        matches!(cluster.status(removed).await.standing, Standing::Removed { .. }).then_some(())
    })
    .await;
    cluster.nodes.remove(&removed);
    cluster.write().await;
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_removes_itself_knows() {
    let mut cluster = Cluster::start(3).await;
    cluster.write().await;
    let leader = cluster.leader().await;
    cluster.change(MembershipChange::Remove(leader)).await;
    eventually("word of the removal", async || {
        matches!(cluster.status(leader).await.standing, Standing::Removed { .. }).then_some(())
    })
    .await;
    cluster.nodes.remove(&leader);
    cluster.write().await;
    cluster.check().await;
}

/// Two clusters with one number, formed by other servers, do not listen to each other.
#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_one_number_do_not_mix() {
    let mut cluster = Cluster::start(1).await;
    cluster.write().await;
    let listener = free();
    let addresses = [(S2, listener.local_addr().unwrap().to_string())].into();
    let directory = cluster.directory.path().join("another");
    let config = NodeConfig::new(CLUSTER, S2, addresses, directory, listener, Security::Plaintext);
    let other = Node::start(config, Journal::default()).await.unwrap();
    let address = other.address().to_string();
    cluster.handle(S1).set_address(S2, &address).unwrap();
    let leader = cluster.handle(S1);
    let added = leader.change_membership(MembershipChange::AddLearner(S2), None).await;
    assert!(added.is_ok(), "{added:?}");
    eventually("a refusal", async || {
        let peers = cluster.status(S1).await.peers;
        let error = peers.iter().find_map(|peer| peer.last_error.clone())?;
        error.to_string().contains("formed by other servers").then_some(())
    })
    .await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_missing_file_of_members_is_noticed() {
    let mut cluster = Cluster::start(1).await;
    cluster.shutdown(S1).await;
    let file = cluster.directory.path().join("S1").join("members");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(&file, bad).unwrap();
    let refused = Node::start(cluster.config(S1, free()), Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::MembersDamaged { .. }), "{refused}");
    fs::remove_file(&file).unwrap();
    let refused = Node::start(cluster.config(S1, free()), Journal::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::MembersMissing { .. }), "{refused}");
    fs::write(&file, good).unwrap();
    cluster.restart(S1).await;
    cluster.write().await;
}
