//! scratch
use kontiki_model::cluster::*;
use stateright::{Checker, Model};
use kontiki_specs::scope::Scope;
fn main() {
    let only = std::env::args().nth(1);
    if only.as_deref() == Some("check") {
        for name in std::env::args().skip(2) {
            let t = std::time::Instant::now();
            let ch = Cluster::new(&Scope::find(&name).unwrap(), None, Reductions::ALL).checker().spawn_dfs().join();
            let broken: Vec<_> = ch.discoveries().into_iter().filter(|(n, _)| kontiki_specs::Property::ALL.iter().any(|p| p.name() == *n)).map(|(n, p)| (n, p.into_actions().len())).collect();
            println!("{name}: {} unique, {} generated, depth {} {:?} {:?} {:?} missing {:?}", ch.unique_state_count(), ch.state_count(), ch.max_depth(), t.elapsed(), ch.model().local_counts(), broken, missing_goals(ch.model().scope(), ch.model().goals_reached()));
        }
        return;
    }
    for row in kontiki_specs::mutation_rows().unwrap() {
        if only.as_ref().is_some_and(|o| *o != row.name) { continue }
        let r = kontiki_model::mutants::run(&row, |_, _, _| {}).unwrap();
        println!("{:32} {:24} {:20} steps {:?} states {} {:?}", row.name, row.property, row.scope, r.counterexample.as_ref().map(|c| c.len()), r.states_seen, r.time);
        if only.is_some() { println!("{}", kontiki_model::path::Path::follow(&r.cluster, &r.counterexample.unwrap()).unwrap().story()); }
    }
}
