//! One file: a preface, sections of little-endian rows on 64-byte boundaries, a checked rkyv header, a footer.
//!
//! The writer streams: sizes and checksums are known at the end, so the header stands behind the sections and the
//! footer points to it. Opening reads the last 64 bytes and the header, never the sections.

use std::io::{self, Write};
use std::ops::Range;

use bytemuck::Pod;

use crate::{Cause, Element, FORMAT_VERSION, FormatError, OLDEST_VERSION};

/// Sections, header and footer start on multiples of this.
pub const ALIGNMENT: usize = 64;
const MAGIC: &[u8; 8] = b"PATCHDEX";
const END_MAGIC: &[u8; 8] = b"XEDHCTAP";
const PREFACE_BYTES: usize = 64;
const FOOTER_BYTES: usize = 64;
/// No writer makes more; larger tables are refused.
const MAX_SECTIONS: usize = 1024;

/// A section of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Unique in its file.
    pub name: String,
    /// What one number is.
    pub element: Element,
    /// Number of rows.
    pub rows: u64,
    /// Elements in a row.
    pub cols: u32,
    /// First byte in the file; a multiple of [`ALIGNMENT`].
    pub offset: u64,
    /// BLAKE3 of the section's bytes.
    pub checksum: [u8; 32],
}

impl Section {
    /// Bytes of the section, without the padding behind it.
    pub fn size_bytes(&self) -> u64 {
        self.rows * u64::from(self.cols) * self.element.size_bytes() as u64
    }

    fn range(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.size_bytes()) as usize
    }
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct HeaderRecord {
    kind: String,
    created_by: String,
    sections: Vec<SectionRecord>,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct SectionRecord {
    name: String,
    element: u16,
    rows: u64,
    cols: u32,
    offset: u64,
    checksum: [u8; 32],
}

/// The validated section table of one file. It holds no bytes: give the same ones to its methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the file is: `images`, `vectors`, `preparation`.
    pub kind: String,
    /// Program and version that wrote it.
    pub created_by: String,
    /// In order of their offsets.
    pub sections: Vec<Section>,
    len: usize,
}

impl Layout {
    /// Reads preface, footer and header of a file, and checks that every section lies inside it.
    ///
    /// # Errors
    /// What is wrong, and where. The sections' bytes are not read: see [`Layout::verify`].
    pub fn parse(bytes: &[u8], kind: &str) -> Result<Self, FormatError> {
        let len = bytes.len();
        let needed = PREFACE_BYTES + FOOTER_BYTES;
        if len < needed {
            let cause = Cause::Truncated { len: len as u64, needed: needed as u64 };
            return Err(FormatError::file(cause));
        }
        check_preface(&bytes[..PREFACE_BYTES])?;
        let header = header_range(bytes)?;
        // rkyv wants its root aligned; the caller's bytes may start anywhere.
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(header.len());
        aligned.extend_from_slice(&bytes[header.clone()]);
        let record = rkyv::access::<ArchivedHeaderRecord, rkyv::rancor::Error>(&aligned)
            .and_then(rkyv::deserialize::<HeaderRecord, rkyv::rancor::Error>)
            .map_err(|_| {
                FormatError::at(header.start as u64, structure("the header is not a valid archive"))
            })?;
        let sections = check_sections(record.sections, header.start)?;
        if record.kind != kind {
            let what = format!("this is a '{}' file where a '{kind}' file belongs", record.kind);
            return Err(FormatError::structure(what));
        }
        Ok(Self { kind: record.kind, created_by: record.created_by, sections, len })
    }

    /// The section called `name`.
    ///
    /// # Errors
    /// [`Cause::Missing`].
    pub fn section(&self, name: &str) -> Result<&Section, FormatError> {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .ok_or_else(|| FormatError::section(name, None, Cause::Missing))
    }

    /// The rows of a section, in place. `T` must have the size that the section's element has.
    ///
    /// # Errors
    /// Missing section, other element, or `bytes` that do not start on an aligned address.
    pub fn slice<'a, T: Pod>(
        &self,
        bytes: &'a [u8],
        name: &str,
        element: Element,
    ) -> Result<&'a [T], FormatError> {
        let section = self.section(name)?;
        if section.element != element || size_of::<T>() != element.size_bytes() || bytes.len() != self.len {
            let what = format!("{} where {} belongs", section.element.name(), element.name());
            return Err(FormatError::section(name, Some(section.offset), structure(what)));
        }
        bytemuck::try_cast_slice(&bytes[section.range()]).map_err(|_| {
            FormatError::section(name, Some(section.offset), structure("bytes on an unaligned address"))
        })
    }

    /// Reads every byte: checksums of the sections, zeros between them. `bytes` are those that were parsed.
    ///
    /// # Errors
    /// The first fault found.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), FormatError> {
        if bytes.len() != self.len {
            let cause = Cause::Truncated { len: bytes.len() as u64, needed: self.len as u64 };
            return Err(FormatError::file(cause));
        }
        let mut end = PREFACE_BYTES;
        for section in &self.sections {
            check_zeros(&bytes[end..section.offset as usize], end)?;
            let range = section.range();
            end = range.end;
            if blake3::hash(&bytes[range]).as_bytes() != &section.checksum {
                return Err(FormatError::section(&section.name, Some(section.offset), Cause::Checksum));
            }
        }
        check_zeros(&bytes[end..header_range(bytes)?.start], end)
    }

    /// A digest of content and structure: equal for equal sections, whoever wrote them.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let text = |hasher: &mut blake3::Hasher, text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        text(&mut hasher, &self.kind);
        for section in &self.sections {
            text(&mut hasher, &section.name);
            hasher.update(&section.element.code().to_le_bytes());
            hasher.update(&section.rows.to_le_bytes()).update(&section.cols.to_le_bytes());
            hasher.update(&section.checksum);
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn structure(what: impl Into<String>) -> Cause {
    Cause::Structure { what: what.into() }
}

fn check_preface(preface: &[u8]) -> Result<(), FormatError> {
    if &preface[..8] != MAGIC {
        return Err(FormatError::at(0, Cause::Magic));
    }
    let found = u32_at(preface, 8);
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&found) {
        let cause = Cause::Version { found, oldest: OLDEST_VERSION, newest: FORMAT_VERSION };
        return Err(FormatError::file(cause));
    }
    check_zeros(&preface[12..], 12)
}

/// Where the footer says that the header is, once its checksum has been proved.
fn header_range(bytes: &[u8]) -> Result<Range<usize>, FormatError> {
    let footer_start = bytes.len() - FOOTER_BYTES;
    let footer = &bytes[footer_start..];
    if &footer[56..] != END_MAGIC {
        let what = "the end of the file is missing or overwritten";
        return Err(FormatError::at(footer_start as u64, structure(what)));
    }
    let (offset, len) = (u64_at(footer, 0), u64_at(footer, 8));
    let end = offset.checked_add(len).filter(|&end| {
        offset >= PREFACE_BYTES as u64
            && offset % ALIGNMENT as u64 == 0
            && end.checked_next_multiple_of(ALIGNMENT as u64) == Some(footer_start as u64)
    });
    let Some(end) = end else {
        return Err(FormatError::at(footer_start as u64, structure("the header lies outside the file")));
    };
    // Since version 2 the version stands at both ends: a flipped bit must not turn one version into another.
    let version = u32_at(bytes, 8);
    let repeated = if version == 1 { 0 } else { version };
    if u32_at(footer, 48) != repeated {
        let what = "the format versions at both ends of the file differ";
        return Err(FormatError::at(footer_start as u64 + 48, structure(what)));
    }
    check_zeros(&footer[52..56], footer_start + 52)?;
    check_zeros(&bytes[end as usize..footer_start], end as usize)?;
    let range = offset as usize..end as usize;
    if blake3::hash(&bytes[range.clone()]).as_bytes() != &footer[16..48] {
        return Err(FormatError::at(offset, Cause::Checksum));
    }
    Ok(range)
}

fn check_sections(records: Vec<SectionRecord>, header_start: usize) -> Result<Vec<Section>, FormatError> {
    if records.len() > MAX_SECTIONS {
        return Err(FormatError::structure(format!("{} sections", records.len())));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(records.len());
    let mut end = PREFACE_BYTES as u64;
    for record in records {
        let fault = |what: &str| FormatError::section(&record.name, Some(record.offset), structure(what));
        let element = Element::of_code(record.element).ok_or_else(|| fault("unknown element kind"))?;
        let bytes = record
            .rows
            .checked_mul(u64::from(record.cols))
            .and_then(|cells| cells.checked_mul(element.size_bytes() as u64))
            .and_then(|bytes| record.offset.checked_add(bytes));
        let fits = record.offset >= end && record.offset % ALIGNMENT as u64 == 0;
        match bytes {
            Some(stop) if fits && stop <= header_start as u64 => end = stop,
            _ => return Err(fault("lies outside the file")),
        }
        if sections.iter().any(|section| section.name == record.name) {
            return Err(fault("stands twice"));
        }
        let SectionRecord { name, rows, cols, offset, checksum, .. } = record;
        sections.push(Section { name, element, rows, cols, offset, checksum });
    }
    Ok(sections)
}

fn check_zeros(bytes: &[u8], offset: usize) -> Result<(), FormatError> {
    match bytes.iter().position(|&byte| byte != 0) {
        Some(index) => Err(FormatError::at((offset + index) as u64, structure("padding that is not zero"))),
        None => Ok(()),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Writes one container, section after section, into anything that takes bytes.
pub struct ContainerWriter<W: Write> {
    sink: W,
    kind: String,
    created_by: String,
    offset: u64,
    sections: Vec<SectionRecord>,
    open: Option<OpenSection>,
}

struct OpenSection {
    name: String,
    element: Element,
    cols: u32,
    start: u64,
    hasher: blake3::Hasher,
}

impl<W: Write> ContainerWriter<W> {
    /// Starts a file of `kind`; `created_by` names program and version.
    ///
    /// # Errors
    /// The sink's.
    pub fn new(mut sink: W, kind: &str, created_by: &str) -> io::Result<Self> {
        let mut preface = [0; PREFACE_BYTES];
        preface[..8].copy_from_slice(MAGIC);
        preface[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        sink.write_all(&preface)?;
        Ok(Self {
            sink,
            kind: kind.to_owned(),
            created_by: created_by.to_owned(),
            offset: PREFACE_BYTES as u64,
            sections: Vec::new(),
            open: None,
        })
    }

    /// Begins a section of rows of `cols` elements; ends the one before it.
    ///
    /// # Errors
    /// The sink's.
    pub fn begin(&mut self, name: &str, element: Element, cols: u32) -> io::Result<()> {
        self.end()?;
        self.open = Some(OpenSection {
            name: name.to_owned(),
            element,
            cols,
            start: self.offset,
            hasher: blake3::Hasher::new(),
        });
        Ok(())
    }

    /// Appends rows to the section that [`ContainerWriter::begin`] opened.
    ///
    /// # Errors
    /// The sink's; `InvalidInput` without an open section.
    pub fn rows<T: Pod>(&mut self, rows: &[T]) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no section was begun"));
        };
        let bytes = bytemuck::cast_slice::<T, u8>(rows);
        open.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        self.sink.write_all(bytes)
    }

    /// Writes a whole section at once.
    ///
    /// # Errors
    /// The sink's.
    pub fn section<T: Pod>(&mut self, name: &str, element: Element, cols: u32, rows: &[T]) -> io::Result<()> {
        self.begin(name, element, cols)?;
        self.rows(rows)
    }

    /// Ends the last section, writes header and footer, and gives the sink back.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        let record = HeaderRecord { kind: self.kind, created_by: self.created_by, sections: self.sections };
        let header = rkyv::to_bytes::<rkyv::rancor::Error>(&record).map_err(io::Error::other)?;
        self.sink.write_all(&header)?;
        let padding = header.len().next_multiple_of(ALIGNMENT) - header.len();
        self.sink.write_all(&[0; ALIGNMENT][..padding])?;
        let mut footer = [0; FOOTER_BYTES];
        footer[..8].copy_from_slice(&self.offset.to_le_bytes());
        footer[8..16].copy_from_slice(&(header.len() as u64).to_le_bytes());
        footer[16..48].copy_from_slice(blake3::hash(&header).as_bytes());
        footer[48..52].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        footer[56..].copy_from_slice(END_MAGIC);
        self.sink.write_all(&footer)?;
        Ok(self.sink)
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let bytes = self.offset - open.start;
        let row_bytes = u64::from(open.cols) * open.element.size_bytes() as u64;
        if row_bytes == 0 || !bytes.is_multiple_of(row_bytes) {
            let what = format!("section '{}' holds {bytes} bytes, not rows of {row_bytes}", open.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.sections.push(SectionRecord {
            name: open.name,
            element: open.element.code(),
            rows: bytes / row_bytes,
            cols: open.cols,
            offset: open.start,
            checksum: *open.hasher.finalize().as_bytes(),
        });
        let aligned = self.offset.next_multiple_of(ALIGNMENT as u64);
        self.sink.write_all(&[0; ALIGNMENT][..(aligned - self.offset) as usize])?;
        self.offset = aligned;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> rkyv::util::AlignedVec<64> {
        let mut writer = ContainerWriter::new(Vec::new(), "vectors", "test 1").unwrap();
        writer.section("rows", Element::F32, 3, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        writer.section("names", Element::U8, 1, b"hello").unwrap();
        let mut bytes = rkyv::util::AlignedVec::new();
        bytes.extend_from_slice(&writer.finish().unwrap());
        bytes
    }

    #[test]
    fn what_was_written_is_read_in_place() {
        let bytes = sample();
        let layout = Layout::parse(&bytes, "vectors").unwrap();
        layout.verify(&bytes).unwrap();
        assert!(layout.verify(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(layout.section("rows").unwrap().rows, 2);
        assert_eq!(layout.slice::<f32>(&bytes, "rows", Element::F32).unwrap()[4], 5.0);
        assert_eq!(layout.slice::<u8>(&bytes, "names", Element::U8).unwrap(), b"hello");
        assert_eq!(layout.section("other").unwrap_err().cause, Cause::Missing);
        assert!(layout.slice::<u8>(&bytes, "rows", Element::U8).is_err());
        assert!(Layout::parse(&bytes, "images").unwrap_err().to_string().contains("'vectors'"));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = sample();
        for index in 0..bytes.len() {
            for bit in [0, 7] {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                let outcome = Layout::parse(&damaged, "vectors").and_then(|layout| layout.verify(&damaged));
                assert!(outcome.is_err(), "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(Layout::parse(&bytes[..len], "vectors").is_err(), "{len}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = sample();
        bytes[8] = 9;
        let error = Layout::parse(&bytes, "vectors").unwrap_err();
        assert_eq!(error.cause, Cause::Version { found: 9, oldest: OLDEST_VERSION, newest: FORMAT_VERSION });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Layout::parse(&bytes, "vectors");
        }

        #[test]
        fn any_header_bytes_behind_a_right_checksum_never_panic(
            header in proptest::collection::vec(any::<u8>(), 0..200),
            edits in proptest::collection::vec((0usize..400, any::<u8>()), 0..6),
        ) {
            // Random archives, then the real archive with edits, each behind a checksum that matches.
            let real = sample();
            let real_header = real[header_range(&real).unwrap()].to_vec();
            let mut edited = real_header.clone();
            for (at, value) in edits {
                let at = at % edited.len();
                edited[at] = value;
            }
            for header in [header, edited] {
                let body = real.len() - FOOTER_BYTES - real_header.len().next_multiple_of(ALIGNMENT);
                let mut bytes = real[..body].to_vec();
                bytes.extend_from_slice(&header);
                bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
                let mut footer = [0; FOOTER_BYTES];
                footer[..8].copy_from_slice(&(body as u64).to_le_bytes());
                footer[8..16].copy_from_slice(&(header.len() as u64).to_le_bytes());
                footer[16..48].copy_from_slice(blake3::hash(&header).as_bytes());
                footer[48..52].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
                footer[56..].copy_from_slice(END_MAGIC);
                bytes.extend_from_slice(&footer);
                let mut aligned = rkyv::util::AlignedVec::<64>::new();
                aligned.extend_from_slice(&bytes);
                if let Ok(layout) = Layout::parse(&aligned, "vectors") {
                    let _ = layout.verify(&aligned);
                    let _ = layout.slice::<f32>(&aligned, "rows", Element::F32);
                }
            }
        }
    }
}
