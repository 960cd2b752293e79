//! Files that a command writes at its end: whether it may, found out before the work; and the command itself, for pages.

use std::io::Read;
use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::core::Kind;
use crate::storage;

/// How a page starts.
pub(crate) const PAGE_START: &str = "<!DOCTYPE html>";

/// Whether a file may take this name: its folder is there, and nothing has the name but an earlier file of that kind, which
/// starts with `start`. A photograph must not be lost to a slip. `option` and `what` are for the message.
pub(crate) fn check_target(file: &Path, option: &str, what: &str, start: &str) -> Result<(), Failure> {
    let shown = file.display();
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let message = format!(
            "cannot write {shown}: {} is no folder; make it, or choose another {option}",
            folder.display()
        );
        return Err(Failure::new(Kind::NotFound, message));
    }
    let mut found = vec![0; start.len()];
    let free = match std::fs::File::open(file) {
        Ok(mut file) => file.read_exact(&mut found).is_ok() && found == start.as_bytes(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    let taken = || format!("{shown} exists and is not {what}; choose another {option}, nothing was written");
    free.then_some(()).ok_or_else(|| Failure::new(Kind::Invalid, taken()))
}

/// Writes a file that [`check_target`] let pass, whole or not at all, and says so.
pub(crate) fn write_target(file: &Path, text: &str) -> Result<(), Failure> {
    storage::write_atomic(file, text.as_bytes())?;
    output::message(&format!("wrote {}", file.display()));
    Ok(())
}

/// The command that runs, as a shell takes it.
pub(crate) fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
