//! What the implementation remembers and does not show.

use crate::divergence::numbered;
use crate::fields::differences;
use crate::implementation::Implementation;
use kontiki_specs::{Input, ServerId};
use std::fmt;

/// Two ways to one state of the model that leave the implementation in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenState {
    /// The server.
    pub server: ServerId,
    /// The inputs of each way, from the server's first start on.
    pub paths: [Vec<Input>; 2],
    /// What only one of the two holds then, field by field, memory released in both.
    pub differences: Vec<String>,
}

impl HiddenState {
    /// How two states of a server differ that were come to along these paths.
    pub fn between(
        server: ServerId,
        paths: [Vec<Input>; 2],
        one: &Implementation,
        other: &Implementation,
    ) -> HiddenState {
        HiddenState { server, paths, differences: differences(one, other) }
    }
}

impl fmt::Display for HiddenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.paths;
        let server = self.server;
        writeln!(f, "{server} in the model is in one state after these {} steps:", one.len())?;
        write!(f, "{}", numbered(one))?;
        writeln!(f, "and after these {}:", other.len())?;
        write!(f, "{}", numbered(other))?;
        writeln!(f, "{server} in the implementation then holds (-) and (+):")?;
        self.differences.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
