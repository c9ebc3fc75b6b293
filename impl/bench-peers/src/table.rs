//! The table of `README.md`, and what has drifted from it.

use crate::callgrind::instructions_for_each;
use crate::cluster::Work;
use crate::measure::{Peer, Run};
use anyhow::{Context, Result, bail};
use std::fmt;

/// The windows of the table.
pub const WINDOWS: [u64; 4] = [1, 16, 64, 256];

/// How far a number may be from the documented one, as a part of that.
const TOLERANCE: f64 = 0.02;

/// Half a unit of the last digit printed: a documented number may be that far off by rounding.
const ROUNDING: (f64, f64) = (0.5, 0.005);

/// One row, without its time, which no two runs share.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose it is.
    pub peer: String,
    /// How many proposals are outstanding.
    pub window: u64,
    /// Instructions for each proposal.
    pub instructions: f64,
    /// Allocations for each proposal.
    pub allocations: f64,
}

impl Row {
    /// Measures a row. Needs valgrind.
    pub fn measured(peer: Peer, window: u64) -> Result<Row> {
        let instructions = instructions_for_each(peer, Work::Proposals, window)?;
        let allocations = Run::of(peer, Work::Proposals, window, 100_000)?;
        let allocations = allocations.allocations_for_each();
        Ok(Row { peer: peer.to_string(), window, instructions, allocations })
    }
}

/// A number that is not the documented one any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    peer: String,
    window: u64,
    what: &'static str,
    documented: f64,
    measured: f64,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift { peer, window, what, documented, measured } = self;
        write!(f, "{peer}, window {window}: {documented} {what} documented, {measured:.2} measured")
    }
}

/// The rows of the table of proposals in a document: what stands before the part on reads.
pub fn documented(document: &str) -> Result<Vec<Row>> {
    let is_row =
        |line: &&str| Peer::ALL.iter().any(|peer| line.starts_with(&format!("| {peer} |")));
    let of_proposals = document.lines().take_while(|line| *line != "### Reads");
    of_proposals.filter(is_row).map(row).collect()
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [peer, window, instructions, allocations, _] = cells[..] else {
        bail!("not a row of five columns: {line}");
    };
    let number = |cell: &str| cell.parse().with_context(|| format!("not a number: {cell}"));
    Ok(Row {
        peer: peer.to_string(),
        window: window.parse().with_context(|| format!("not a window: {window}"))?,
        instructions: number(instructions)?,
        allocations: number(allocations)?,
    })
}

/// What has drifted from the documented row.
pub fn drifts(documented: &[Row], measured: &Row) -> Result<Vec<Drift>> {
    let Row { peer, window, .. } = measured;
    let is_same = |row: &&Row| row.peer == *peer && row.window == *window;
    let Some(row) = documented.iter().find(is_same) else {
        bail!("the table has no row for {peer} at window {window}");
    };
    let numbers = [
        ("instructions", row.instructions, measured.instructions, ROUNDING.0),
        ("allocations", row.allocations, measured.allocations, ROUNDING.1),
    ];
    let drift = |(what, documented, measured, rounding): (&'static str, f64, f64, f64)| {
        let far = (measured - documented).abs() > documented * TOLERANCE + rounding;
        far.then(|| Drift { peer: peer.clone(), window: *window, what, documented, measured })
    };
    Ok(numbers.into_iter().filter_map(drift).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
Text before.

| peer | window | instructions | allocations | ns |
|---|--:|--:|--:|--:|
| kontiki | 1 | 5000 | 2.00 | 900 |
| kontiki | 256 | 300 | 0.01 | 30 |
| raft-rs-tuned | 1 | 18241 | 12.00 | 1788 |
";

    fn kontiki(window: u64, instructions: f64, allocations: f64) -> Row {
        Row { peer: "kontiki".to_string(), window, instructions, allocations }
    }

    fn drifted(window: u64, instructions: f64, allocations: f64) -> Vec<String> {
        let table = documented(DOCUMENT).unwrap();
        let drifts = drifts(&table, &kontiki(window, instructions, allocations)).unwrap();
        drifts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_table_is_read() {
        let table = documented(DOCUMENT).unwrap();
        assert_eq!(table.len(), 3);
        assert_eq!(table[1], kontiki(256, 300.0, 0.01));
        assert_eq!(table[2].peer, "raft-rs-tuned");
        assert!(documented("| kontiki | 1 | many | 2.00 | 900 |").is_err());
        assert!(documented("| kontiki | 1 | 5000 |").is_err());
    }

    #[test]
    fn what_differs_by_no_more_than_a_fiftieth_is_the_same() {
        for instructions in [4900.0, 5000.0, 5100.0] {
            assert_eq!(drifted(1, instructions, 2.03), Vec::<String>::new());
        }
        assert_eq!(drifted(256, 300.0, 0.0078), Vec::<String>::new(), "printed as 0.01");
    }

    #[test]
    fn what_differs_by_more_is_named_whether_it_grew_or_shrank() {
        let more = "kontiki, window 1: 5000 instructions documented, 5101.00 measured";
        assert_eq!(drifted(1, 5101.0, 2.0), [more]);
        let less = "kontiki, window 1: 5000 instructions documented, 4899.00 measured";
        let allocations = "kontiki, window 1: 2 allocations documented, 3.00 measured";
        assert_eq!(drifted(1, 4899.0, 3.0), [less, allocations]);
    }

    #[test]
    fn a_row_that_is_not_documented_is_an_error() {
        assert!(drifts(&documented(DOCUMENT).unwrap(), &kontiki(16, 700.0, 0.12)).is_err());
    }

    #[test]
    fn the_document_has_every_row() {
        let table = documented(include_str!("../README.md")).unwrap();
        assert_eq!(table.len(), Peer::ALL.len() * WINDOWS.len());
    }
}
