//! NumPy's file header: which numbers, how many rows of how many.

use std::path::Path;

use super::{ExchangeError, Number};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header is padded so that the numbers start at a multiple of this.
const ALIGNMENT: usize = 64;
const ADVICE: &str = "save it with np.save(path, np.ascontiguousarray(a, dtype=np.float32))";
const RESHAPE: &str = "save it with two axes, as np.save(path, a.reshape(-1, a.shape[-1]))";

/// What the header of a NumPy file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    pub number: Number,
    pub rows: u64,
    pub dim: u64,
    /// Byte offset of the first number.
    pub data: usize,
}

impl NpyHeader {
    /// Reads the header of `bytes`, a file of any version: little-endian numbers in C order, on two axes or, as one row,
    /// on one.
    ///
    /// # Errors
    /// No such header, with the byte offset; or one of numbers, an order or axes that are not read, with what to do.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ExchangeError> {
        let (text, start) = header_text(path, bytes)?;
        let wrong = |what: String| ExchangeError::malformed(path, start, what);
        let entries = entries(text).ok_or_else(|| wrong("the header is no dictionary".to_owned()))?;
        let field = |key: &str| {
            let entry = entries.iter().find(|(name, _)| *name == key);
            entry.map(|&(_, value)| value).ok_or_else(|| wrong(format!("the header has no '{key}'")))
        };
        let number = number(path, field("descr")?)?;
        match field("fortran_order")? {
            "False" => {}
            "True" => {
                return Err(ExchangeError::unsupported(path, "its numbers are in Fortran order", ADVICE));
            }
            order => {
                return Err(wrong(format!("fortran_order is {}, neither True nor False", beginning(order))));
            }
        }
        let (rows, dim) = shape(path, start, field("shape")?)?;
        Ok(Self { number, rows, dim, data: start + text.len() })
    }

    /// The header of `rows` rows of `dim` single-precision numbers.
    pub fn of(rows: u64, dim: usize) -> Vec<u8> {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
        let prefix = MAGIC.len() + 4;
        let whole = (prefix + text.len() + 1).next_multiple_of(ALIGNMENT);
        let mut bytes = [MAGIC, &[1, 0]].concat();
        bytes.extend(((whole - prefix) as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(whole - 1, b' ');
        bytes.push(b'\n');
        bytes
    }
}

/// The header's text and its byte offset.
fn header_text<'a>(path: &Path, bytes: &'a [u8]) -> Result<(&'a str, usize), ExchangeError> {
    let wrong = |at, what: &str| ExchangeError::malformed(path, at, what);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong(0, "this is no NumPy file"))?;
    let ended = || wrong(bytes.len(), "the file ends within the header");
    let (&[version, _], rest) = rest.split_first_chunk::<2>().ok_or_else(ended)?;
    let (length, rest) = match version {
        1 => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        _ => return Err(ExchangeError::unsupported(path, format!("NumPy file version {version}"), ADVICE)),
    }
    .ok_or_else(ended)?;
    let start = bytes.len() - rest.len();
    let text = rest.get(..length).ok_or_else(ended)?;
    let text = std::str::from_utf8(text)
        .map_err(|error| wrong(start + error.valid_up_to(), "the header is no text"))?;
    Ok((text, start))
}

/// Keys and values of the header, a Python dictionary: values as they are written.
fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
    let mut entries = Vec::new();
    while !rest.starts_with('}') {
        let quote = rest.chars().next().filter(is_quote)?;
        let (key, after) = rest[1..].split_once(quote)?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = after.split_at(end_of_value(after)?);
        entries.push((key, value.trim_end()));
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(entries)
}

/// Where a comma or brace follows a value that is in no quotes and parentheses of its own.
fn end_of_value(text: &str) -> Option<usize> {
    let (mut depth, mut quoted) = (0usize, None);
    for (at, c) in text.char_indices() {
        match c {
            _ if quoted.is_some() => quoted = quoted.filter(|&quote| quote != c),
            _ if is_quote(&c) => quoted = Some(c),
            ',' | '}' if depth == 0 => return Some(at),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn is_quote(c: &char) -> bool {
    matches!(c, '\'' | '"')
}

/// So much of a text as fits into a message.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 24;
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() { shown + "..." } else { shown }
}

fn number(path: &Path, descr: &str) -> Result<Number, ExchangeError> {
    let other = || ExchangeError::unsupported(path, format!("its numbers are {}", beginning(descr)), ADVICE);
    match descr.trim_matches(|c| is_quote(&c)) {
        "<f2" => Ok(Number::F16),
        "<f4" => Ok(Number::F32),
        "<f8" => Ok(Number::F64),
        "|i1" | "<i1" => Ok(Number::I8),
        "|u1" | "<u1" => Ok(Number::U8),
        "<i4" => Ok(Number::I32),
        big if big.starts_with('>') => {
            let what = format!("its numbers are big-endian ({})", beginning(big));
            Err(ExchangeError::unsupported(path, what, ADVICE))
        }
        _ => Err(other()),
    }
}

fn shape(path: &Path, at: usize, text: &str) -> Result<(u64, u64), ExchangeError> {
    let wrong = || ExchangeError::malformed(path, at, format!("the shape is {}", beginning(text)));
    let sides = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
    let mut sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
    let mut side = || {
        // Python 2 wrote long integers with an L.
        let parsed = sides.next().map(|side| side.strip_suffix('L').unwrap_or(side).parse::<u64>());
        parsed.transpose().map_err(|_| wrong())
    };
    match (side()?, side()?, side()?) {
        (Some(rows), Some(dim), None) => Ok((rows, dim)),
        (Some(dim), None, None) => Ok((1, dim)),
        _ => Err(ExchangeError::unsupported(path, format!("its shape is {}", beginning(text)), RESHAPE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<NpyHeader, ExchangeError> {
        NpyHeader::parse(Path::new("a.npy"), bytes)
    }

    fn file(version: u8, text: &str) -> Vec<u8> {
        let length = (text.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        [MAGIC, &[version, 0], length, text.as_bytes()].concat()
    }

    #[test]
    fn what_is_written_is_read_and_aligned() {
        let bytes = NpyHeader::of(1 << 40, 384);
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let header = parse(&bytes).unwrap();
        assert_eq!(header, NpyHeader { number: Number::F32, rows: 1 << 40, dim: 384, data: bytes.len() });
    }

    #[test]
    fn every_version_and_kind_is_read_in_any_spelling() {
        for version in [1, 2, 3] {
            for (descr, number) in [("<f2", Number::F16), ("|u1", Number::U8), ("<i4", Number::I32)] {
                let text = format!("{{\"shape\" : (7L,3),'descr':'{descr}', 'fortran_order': False}}\n");
                let bytes = file(version, &text);
                let header = parse(&bytes).unwrap();
                assert_eq!(header, NpyHeader { number, rows: 7, dim: 3, data: bytes.len() });
            }
        }
    }

    #[test]
    fn one_axis_is_one_row() {
        let header = parse(&file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }")).unwrap();
        assert_eq!((header.rows, header.dim), (1, 5));
    }

    #[test]
    fn what_is_not_read_is_told_with_what_to_do() {
        for (text, part, advice) in [
            ("'descr': '>f4', 'fortran_order': False, 'shape': (5, 1)", "big-endian", "ascontiguousarray"),
            ("'descr': '<f4', 'fortran_order': True, 'shape': (5, 1)", "Fortran", "ascontiguousarray"),
            (
                "'descr': '<i8', 'fortran_order': False, 'shape': (5, 1)",
                "numbers are '<i8';",
                "ascontiguousarray",
            ),
            (
                "'descr': [('shape', '<f4')], 'fortran_order': False, 'shape': (5,)",
                "numbers are [('shape', '<f4')];",
                "ascontiguousarray",
            ),
            ("'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (5,)", "[('a'", "ascontiguousarray"),
            (
                "'descr': '<f4', 'fortran_order': False, 'shape': (5, 1, 2)",
                "its shape is (5, 1, 2);",
                "reshape",
            ),
            ("'descr': '<f4', 'fortran_order': False, 'shape': ()", "()", "reshape"),
            (
                "'descr': '<f4', 'fortran_order': False, 'shape': (5, -1)",
                "the shape is (5, -1);",
                "write the file again",
            ),
            ("'descr': '<f4', 'fortran_order': 0, 'shape': (5, 1)", "order is 0,", "write the file again"),
            ("'descr' '<f4'", "no dictionary", "write the file again"),
            (
                "'descr': '<f4', 'shape': (5, 1)}, 'fortran_order': False",
                "no 'fortran_order'",
                "write the file again",
            ),
            ("'descr': '<f4', 'fortran_order': False", "no 'shape'", "write the file again"),
        ] {
            let message = parse(&file(1, &format!("{{{text}}}"))).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(advice), "{message}");
        }
    }
}
