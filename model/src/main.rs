//! scratch
fn main() {
    let only = std::env::args().nth(1);
    for row in kontiki_specs::mutation_rows().unwrap() {
        if only.as_ref().is_some_and(|o| *o != row.name) { continue }
        let r = kontiki_model::mutants::run(&row, |_, _, _| {}).unwrap();
        println!("{:32} {:24} {:20} steps {:?} states {} {:?}", row.name, row.property, row.scope, r.counterexample.as_ref().map(|c| c.len()), r.states_seen, r.time);
        if only.is_some() { println!("{}", kontiki_model::path::Path::follow(&r.cluster, &r.counterexample.unwrap()).unwrap().story()); }
    }
}
