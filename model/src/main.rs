//! scratch
use kontiki_model::cluster::*;
use kontiki_specs::scope::Scope;
use stateright::{Checker, Model};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scope = Scope::find(&args[1]).unwrap_or_else(|e| { eprintln!("{e}"); std::process::exit(1) });
    let red = if args.get(2).map(|s| s.as_str()) == Some("none") { Reductions::NONE } else if args.get(2).map(|s| s.as_str()) == Some("dead") { Reductions{dead_messages:true,symmetry:false} } else if args.get(2).map(|s| s.as_str()) == Some("sym") { Reductions{dead_messages:false,symmetry:true} } else { Reductions::ALL };
    let m = args.get(3).and_then(|n| kontiki_model::server::Mutation::from_name(n));
    let c = Cluster::new(&scope, m, red);
    let t = std::time::Instant::now();
    if m.is_some() {
        let w = kontiki_model::walker::walk(&c, u64::MAX, |s| !s.broken().is_empty(), |u,g,d| eprintln!("{u} {g} {d}"));
        println!("{} states {} depth {:?}", w.unique_states, w.depth, t.elapsed());
        let mut s = c.init_states().remove(0);
        for a in w.stopped_at.unwrap_or_default() {
            let (id, turn) = c.turn(&s, a);
            println!("{id} {}", turn.steps[0].0);
            for o in turn.outputs() { println!("     {o}"); }
            s = c.next_state(&s, a).unwrap();
        }
        println!("{:?}", s.broken().iter().collect::<Vec<_>>());
        return;
    }
    let ch = c.checker().spawn_dfs();
    std::thread::scope(|sc| { 
        let ch = &ch;
        sc.spawn(move || { let mut n = 0; while !ch.is_done() && n < 10000 { std::thread::sleep(std::time::Duration::from_millis(100)); n += 1; if n % 50 == 0 {
         eprintln!("{} {} {:?} {:?}", ch.unique_state_count(), ch.max_depth(), ch.model().local_counts(), t.elapsed()); } } });
    });
    let ch = ch.join();
    println!("{} unique, {} generated, depth {} {:?} rate {}", ch.unique_state_count(), ch.state_count(), ch.max_depth(), t.elapsed(), ch.unique_state_count() as f64 / t.elapsed().as_secs_f64());
    println!("{:?}", ch.model().local_counts());
    println!("reached {:?}", ch.model().goals_reached().iter().map(|g| g.name()).collect::<Vec<_>>());
    for (n, p) in ch.discoveries() { println!("{n} {}", p.into_actions().len()); }
}
