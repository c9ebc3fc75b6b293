//! tmp
use kontiki_conformance::{atlas::Atlas, implementation::Memory, replay::replay};
use kontiki_model::{check::check, cluster::Reductions};
use kontiki_specs::scope::Scope;

#[test]
fn all() {
    for name in std::env::var("SCOPES").unwrap_or("first-steps two-servers".into()).split(' ') {
        let s = Scope::find(name).unwrap();
        let r = check(&s, None, Reductions::ALL, false, |_| {});
        let atlas = Atlas::of(&r.cluster);
        for m in [Memory::Warm, Memory::Cold] {
            let t = std::time::Instant::now();
            let r = replay(&atlas, m).unwrap();
            println!(
                "{name} {m:?} atlas states {} transitions {}; states {} pairs {} transitions {} rejected {} crashes {} in {:?}",
                atlas.states(),
                atlas.transitions(),
                r.states,
                r.pairs,
                r.transitions,
                r.rejected,
                r.crashes,
                t.elapsed()
            );
            if let Some(d) = r.divergence {
                println!("{d}");
            }
        }
    }
}
