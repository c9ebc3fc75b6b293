//! The arguments of a command, one after the other.

use super::CommandError;
use crate::machine::integer;

/// The name of the command, and the arguments that are not taken yet.
#[derive(Clone, Debug)]
pub struct Arguments<'a, 'b> {
    pub(super) command: &'static str,
    pub(super) rest: &'b [&'a [u8]],
}

impl<'a> Arguments<'a, '_> {
    /// The next, if there is one.
    pub(super) fn take(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next, which has to be there.
    pub(super) fn next(&mut self) -> Result<&'a [u8], CommandError> {
        self.take().ok_or(CommandError::ArgumentCount(self.command))
    }

    pub(super) fn integer(&mut self) -> Result<i64, CommandError> {
        integer(self.next()?).ok_or(CommandError::NotAnInteger)
    }

    /// The next, as a number that is not negative.
    pub(super) fn number(&mut self) -> Result<u64, CommandError> {
        u64::try_from(self.integer()?).map_err(|_| CommandError::NotAnInteger)
    }

    /// The next, as a word whose case makes no difference.
    pub(super) fn word(&mut self) -> Result<String, CommandError> {
        Ok(self.next()?.escape_ascii().to_string().to_ascii_lowercase())
    }

    /// All that are left.
    pub(super) fn all(&mut self) -> Vec<&'a [u8]> {
        std::mem::take(&mut self.rest).to_vec()
    }

    /// There is to be nothing more.
    pub(super) fn end(&self) -> Result<(), CommandError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(CommandError::ArgumentCount(self.command)),
        }
    }
}
