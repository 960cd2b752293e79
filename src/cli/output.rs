//! What goes to standard output: JSON objects and plain lines; and numbers as people read them.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::failure::{Failure, stdout_failure};

/// Prints one JSON object, indented.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Prints one JSON object on one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&serde_json::to_string(value).unwrap_or_default())
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| stdout_failure(&error))
}

/// Prints a message; of control characters only line breaks. Nobody may be there to read it: that is no reason to stop.
pub(crate) fn message(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(text, |c| c != '\n'));
}

/// A name as people read it: in one line, and with nothing that a terminal obeys.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    escaped(text, |_| true)
}

/// A text with the control characters that are `meant` written as in Rust.
fn escaped(text: &str, meant: fn(char) -> bool) -> Cow<'_, str> {
    let is_meant = |c: char| c.is_control() && meant(c);
    if !text.contains(is_meant) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_meant(c) {
            true => escaped.extend(c.escape_debug()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Whether standard output is a terminal that takes colours.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What begins and what ends bold text on standard output: nothing where it takes no colours.
pub(crate) fn bold() -> (&'static str, &'static str) {
    if colours() { ("\x1b[1m", "\x1b[0m") } else { ("", "") }
}

/// 1536 → `1.5 KiB`.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// 12345 → `12,345`.
pub(crate) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// 1 and `image` → `1 image`; 1234 → `1,234 images`; 2 and `patch`, `box`, `query` → `2 patches`, `2 boxes`, `2 queries`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let (stem, ending) = match noun.strip_suffix('y') {
        _ if number == 1 => (noun, ""),
        Some(stem) => (stem, "ies"),
        None if noun.ends_with("ch") || noun.ends_with('x') => (noun, "es"),
        None => (noun, "s"),
    };
    format!("{} {stem}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_names_are_written_out_and_nothing_else() {
        assert_eq!(name("a\n\x1b[31m\u{9b}\t'\\é.png"), "a\\n\\u{1b}[31m\\u{9b}\\t'\\é.png");
        assert!(matches!(name("it's \\ 月.png"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_is_one_and_all_else_is_many() {
        let all = [
            (1, "image"),
            (0, "image"),
            (1, "patch"),
            (1234, "patch"),
            (2, "box"),
            (1, "query"),
            (3, "query"),
        ];
        let all = all.map(|(number, noun)| counted(number, noun));
        assert_eq!(
            all,
            ["1 image", "0 images", "1 patch", "1,234 patches", "2 boxes", "1 query", "3 queries"]
        );
    }
}
