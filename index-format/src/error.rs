//! What is wrong with some bytes, and where.

/// Bytes that are not what the format says, with the section and the offset where it shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}{}{}", in_section(.section), at_offset(.offset))]
#[non_exhaustive]
pub struct FormatError {
    /// The section, when the fault lies in one.
    pub section: Option<String>,
    /// Byte offset in the file, when known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub cause: Cause,
}

fn in_section(section: &Option<String>) -> String {
    section.as_ref().map(|name| format!(" in section '{name}'")).unwrap_or_default()
}

fn at_offset(offset: &Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

/// What is wrong with some bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Too short to be whole.
    #[error("truncated ({len} bytes, {needed} needed)")]
    Truncated {
        /// Bytes that are there.
        len: u64,
        /// Bytes that must be there.
        needed: u64,
    },
    /// Not one of our files.
    #[error("not a patchdex file (magic bytes differ)")]
    Magic,
    /// Written by a version that this one does not read.
    #[error(
        "format version {found} is not readable by this patchdex (it reads {oldest} to {newest}); use a newer patchdex"
    )]
    Version {
        /// Version in the file.
        found: u32,
        /// Oldest version read here.
        oldest: u32,
        /// Newest version read here.
        newest: u32,
    },
    /// Content and checksum differ.
    #[error("damaged: the checksum does not match")]
    Checksum,
    /// Structure that no writer makes.
    #[error("damaged: {what}")]
    Structure {
        /// What is out of order.
        what: String,
    },
    /// A section that must be there is not.
    #[error("missing")]
    Missing,
}

impl FormatError {
    /// A fault of the file as a whole.
    pub fn file(cause: Cause) -> Self {
        Self { section: None, offset: None, cause }
    }

    /// A fault at a byte of the file.
    pub fn at(offset: u64, cause: Cause) -> Self {
        Self { section: None, offset: Some(offset), cause }
    }

    /// A fault in a section.
    pub fn section(name: &str, offset: Option<u64>, cause: Cause) -> Self {
        Self { section: Some(name.to_owned()), offset, cause }
    }

    /// Structure that no writer makes.
    pub fn structure(what: impl Into<String>) -> Self {
        Self::file(Cause::Structure { what: what.into() })
    }
}
