//! Writing a trace line by line.

use super::{EndLine, FORMAT, MAX_LINE_BYTES, MAX_TRACE_BYTES, TraceHeader, TraceStep, VERSION};
use super::{goes_on, is_server};
use crate::scope::Scope;
use crate::{Input, Observation, Output, Property, ServerId};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct HeaderOut<'a> {
    format: &'a str,
    version: u32,
    scope: &'a Scope,
    mutation: &'a Option<String>,
    violates: &'a Option<Property>,
    about: &'a str,
}

#[derive(Serialize)]
struct StepOut<'a> {
    step: u64,
    server: ServerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    input: &'a Input,
    outputs: &'a [Output],
    observation: &'a Observation,
}

/// Writes a trace step by step, as a server that logs what it does would.
#[derive(Debug)]
pub struct TraceWriter<W> {
    to: W,
    /// The servers of the steps written.
    servers: Vec<ServerId>,
    scope: Scope,
    written: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of `to`, and `InvalidInput` if the scope is flawed.
    pub fn begin(header: &TraceHeader, to: W) -> io::Result<Self> {
        let flawed = |flaw| io::Error::new(io::ErrorKind::InvalidInput, flaw);
        header.scope.check().map_err(flawed)?;
        let first = HeaderOut {
            format: FORMAT,
            version: VERSION,
            scope: &header.scope,
            mutation: &header.mutation,
            violates: &header.violates,
            about: &header.about,
        };
        let scope = header.scope.clone();
        let mut writer = TraceWriter { to, servers: Vec::new(), scope, written: 0 };
        writer.line(&first)?;
        Ok(writer)
    }

    /// Writes the next step. Returns its number.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidInput` if [`super::Trace::read`] would refuse the step.
    pub fn step(&mut self, step: &TraceStep) -> io::Result<u64> {
        let TraceStep { server, from, input, outputs, observation } = step;
        let (server, from, number) = (*server, *from, self.servers.len() as u64 + 1);
        if !is_server(server, &self.scope) {
            return Err(refused(format!("step {number}: no server of the scope is {server}")));
        }
        if !goes_on(from, server, &self.servers) {
            return Err(refused(format!("step {number}: `from` is no earlier step of {server}")));
        }
        self.line(&StepOut { step: number, server, from, input, outputs, observation })?;
        self.servers.push(server);
        Ok(number)
    }

    /// Writes the end line and gives back what it was written to. Without it, a reader takes the
    /// trace for one cut short.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidInput` if the trace is longer than a reader accepts.
    pub fn end(mut self) -> io::Result<W> {
        let steps = self.servers.len() as u64;
        self.line(&EndLine { end: true, steps })?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let length = bytes.len() as u64;
        self.written += length;
        if length > MAX_LINE_BYTES {
            return Err(refused(format!("a line of more than {MAX_LINE_BYTES} bytes")));
        }
        if self.written > MAX_TRACE_BYTES {
            return Err(refused(format!("a trace of more than {MAX_TRACE_BYTES} bytes")));
        }
        self.to.write_all(&bytes)
    }
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
