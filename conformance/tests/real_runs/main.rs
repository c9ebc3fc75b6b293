//! Servers over loopback record what they do, and the model judges it: what they did, and what was made
//! of it afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

mod cluster;
mod forged;
mod recorded;
mod unsent;
mod votes;

use cluster::Cluster;
use kontiki_conformance::real_runs::{find_files, follow};
use kontiki_node::kontiki::ServerId;

#[tokio::test(flavor = "multi_thread")]
async fn the_model_confirms_a_run() {
    let mut cluster = Cluster::start(200_000).await;
    cluster.write(300).await;
    cluster.read_everywhere().await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.write(300).await;
    cluster.restart(leader).await;
    cluster.join(ServerId(4)).await;
    cluster.read_everywhere().await;
    cluster.write(100).await;
    cluster.shutdown().await;
    let files = find_files(&cluster.recordings()).unwrap();
    let agreement = follow(&files).unwrap_or_else(|fault| panic!("{fault}"));
    for (server, followed) in &agreement.servers {
        println!("{server}: {followed}");
    }
    println!("{}", agreement.judged);
    let sum = |count: fn(&_) -> u64| agreement.servers.values().map(count).sum::<u64>();
    assert!(agreement.servers.len() == 4 && agreement.servers.values().all(|one| one.is_complete));
    assert_eq!(sum(|one: &kontiki_conformance::real_runs::Followed| one.restarts_judged), 1);
    assert!(sum(|one| one.snapshots_taken) > 0 && sum(|one| one.snapshots_installed) > 0);
    assert!(sum(|one| one.reads) > 0 && sum(|one| one.files) > 8);
    assert_eq!(sum(|one| one.turned_away), 0);
    assert!(agreement.judged.messages_found > 100 && agreement.judged.executions_compared > 1000);
}
