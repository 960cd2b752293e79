//! The formats of plain vector files, by the ending of the file's name.

use std::path::Path;

use super::{ExchangeError, Number};

/// How the rows of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// NumPy's own: a text header, which also names the numbers, then all rows.
    Npy,
    /// `u32` rows, `u32` dim, then all rows.
    Bin,
    /// Each row after its own `i32` dim.
    Vecs,
}

/// A format of plain vector files.
#[derive(Debug, PartialEq, Eq)]
pub struct VectorFormat {
    /// Ending of the file's name, without the dot.
    pub extension: &'static str,
    /// How rows are laid out.
    pub container: Container,
    /// Numbers that are written, and read where the file does not name them itself.
    pub number: Number,
}

/// Every format.
pub static FORMATS: [VectorFormat; 7] = [
    VectorFormat { extension: "npy", container: Container::Npy, number: Number::F32 },
    VectorFormat { extension: "fbin", container: Container::Bin, number: Number::F32 },
    VectorFormat { extension: "i8bin", container: Container::Bin, number: Number::I8 },
    VectorFormat { extension: "u8bin", container: Container::Bin, number: Number::U8 },
    VectorFormat { extension: "fvecs", container: Container::Vecs, number: Number::F32 },
    VectorFormat { extension: "ivecs", container: Container::Vecs, number: Number::I32 },
    VectorFormat { extension: "bvecs", container: Container::Vecs, number: Number::U8 },
];

impl VectorFormat {
    /// The format of the file called `path`.
    ///
    /// # Errors
    /// An ending that no format has; the message lists those that one has.
    pub fn of(path: &Path) -> Result<&'static Self, ExchangeError> {
        let extension = path.extension().unwrap_or_default();
        let found = FORMATS.iter().find(|format| extension.eq_ignore_ascii_case(format.extension));
        found.ok_or_else(|| Self::unknown(path, &[]))
    }

    /// The error for a file that is of none of these formats, where endings in `more` would do as well.
    pub fn unknown(path: &Path, more: &[&str]) -> ExchangeError {
        let known = FORMATS.iter().map(|format| format.extension).chain(more.iter().copied());
        let known = known.map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(", ");
        ExchangeError::UnknownFormat { path: path.to_owned(), known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_chooses_the_format_in_any_case() {
        assert_eq!(VectorFormat::of(Path::new("a/b.FBIN")).unwrap().extension, "fbin");
        let message = VectorFormat::of(Path::new("a/b.mat")).unwrap_err().to_string();
        assert!(message.contains("a/b.mat") && message.contains(".npy, .fbin"), "{message}");
        VectorFormat::of(Path::new("npy")).unwrap_err();
    }
}
