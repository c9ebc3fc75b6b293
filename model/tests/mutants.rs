//! Every mutation is found, in few steps, and its counterexample can be told and written.

use kontiki_model::mutants::run;
use kontiki_model::path::Path;
use kontiki_specs::mutation_rows;
use kontiki_specs::trace::Trace;

const MOST_STEPS: usize = 25;

#[test]
fn every_mutation_is_found() {
    for row in mutation_rows().unwrap() {
        let report = run(&row, |_, _, _| {}).unwrap();
        let actions = report.counterexample.unwrap_or_else(|| panic!("{} survived", row.name));
        assert!(actions.len() <= MOST_STEPS, "{}: {} steps", row.name, actions.len());
        let path = Path::follow(&report.cluster, &actions).unwrap();
        let story = path.story();
        assert!(story.contains(&format!("This breaks {}", row.property)), "{story}");

        let trace = path.trace(Some(report.mutation), &row.does);
        let mut file = Vec::new();
        trace.write(&mut file).unwrap();
        assert_eq!(Trace::read(file.as_slice()).unwrap(), trace, "{}", row.name);
    }
}
