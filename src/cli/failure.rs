//! The one table from kinds of failure to exit codes.

use std::process::ExitCode;

use super::output;
use crate::core::{Fault, Kind};
use crate::segment::DAMAGE_ADVICE;

/// An error on its way to the terminal.
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// A failure that only the command line can have.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints the message and gives the exit code. A closed pipe is no failure.
    pub fn report(&self) -> ExitCode {
        if self.message == BROKEN_PIPE {
            return ExitCode::SUCCESS;
        }
        output::message(&format!("patchdex: {}", self.message));
        match self.kind {
            Kind::Invalid => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// What went wrong, with `instead` of what to do about damage: for the commands that the advice names.
pub(crate) fn advised(error: &impl ToString, instead: &str) -> String {
    error.to_string().replace(DAMAGE_ADVICE, instead)
}

const BROKEN_PIPE: &str = "the reader of the output went away";

impl<E: Fault> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

/// A failed write to standard output.
pub(crate) fn stdout_failure(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::new(Kind::Io, BROKEN_PIPE),
        _ => Failure::new(Kind::Io, format!("cannot write to standard output: {error}")),
    }
}
