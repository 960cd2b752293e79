//! `patchdex completions`: scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;
use super::failure::Failure;
use super::output;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "patchdex", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end()).map(|()| Outcome::Done)
}
