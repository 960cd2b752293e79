//! What kind of file a name means, by its ending.

use std::path::Path;

use super::TransferError;
use crate::exchange::{PARQUET, VectorFormat};

/// Ending of the name of a COCO file.
const COCO: &str = "json";

/// A kind of foreign file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Rows of numbers.
    Vectors(&'static VectorFormat),
    /// Images, boxes, vectors and metadata.
    Parquet,
    /// COCO: a list of images.
    Coco,
}

impl FileFormat {
    /// What can be written to `path`.
    ///
    /// # Errors
    /// An ending that no format has; the message lists those that one has.
    pub fn written(path: &Path) -> Result<Self, TransferError> {
        Self::of(path).ok_or_else(|| VectorFormat::unknown(path, &[PARQUET, COCO]).into())
    }

    /// What can be read from `path`.
    ///
    /// # Errors
    /// An ending that no format with vectors has.
    pub fn read(path: &Path) -> Result<Self, TransferError> {
        let found = Self::of(path).filter(|format| *format != Self::Coco);
        found.ok_or_else(|| VectorFormat::unknown(path, &[PARQUET]).into())
    }

    /// Name for people and programs: the ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vectors(format) => format.extension,
            Self::Parquet => PARQUET,
            Self::Coco => COCO,
        }
    }

    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        match () {
            () if extension.eq_ignore_ascii_case(PARQUET) => Some(Self::Parquet),
            () if extension.eq_ignore_ascii_case(COCO) => Some(Self::Coco),
            () => VectorFormat::of(path).ok().map(Self::Vectors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_chooses_the_format_and_a_list_of_images_is_no_source_of_vectors() {
        assert_eq!(FileFormat::written(Path::new("a/b.PARQUET")).unwrap(), FileFormat::Parquet);
        assert_eq!(FileFormat::read(Path::new("a.fvecs")).unwrap().name(), "fvecs");
        assert_eq!(FileFormat::written(Path::new("a.Json")).unwrap(), FileFormat::Coco);
        let message = FileFormat::read(Path::new("a.json")).unwrap_err().to_string();
        assert!(message.contains(".npy") && message.contains(".parquet"), "{message}");
        let message = FileFormat::written(Path::new("json")).unwrap_err().to_string();
        assert!(message.contains(".bvecs, .parquet, .json"), "{message}");
    }
}
