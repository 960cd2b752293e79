//! What is already done: a spool of vectors and, for each image, one checksummed line that says where in the spool its
//! patches are. The line is written after the vectors, so whatever a crash leaves behind is cut off and done again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{IngestError, SourceFile, Sources};
use crate::collection::{Draft, bytes_of_path};
use crate::storage::{AppendFile, Map, StorageError};

/// Digits of BLAKE3 behind a line.
const CHECK_DIGITS: usize = 16;
/// Bytes of vectors between two syncs: what a power cut can cost.
const SYNC_BYTES: u64 = 64 << 20;

/// An image that is not in the collection, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Path below the root.
    pub path: String,
    /// A stable word: `empty`, `truncated`, `too_large`, `unreadable`, ...
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// An image that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Path below the root, as stored (bytes in hexadecimal when they are no UTF-8).
    pub path: PathText,
    pub file_bytes: u64,
    pub modified_ns: i64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Done(Embedded),
    /// The same bytes as an image before it.
    Duplicate {
        content: String,
        of: PathText,
    },
    Rejected {
        reason: String,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Embedded {
    /// BLAKE3 of the file.
    pub content: String,
    pub width: u32,
    pub height: u32,
    /// Bytes of the spool: first and count.
    pub spooled: (u64, u64),
    /// Bytes of the spool of scales: first and count, 0 where vectors have none.
    pub scales: (u64, u64),
    /// BLAKE3 of both.
    pub spool_check: String,
    pub views: Vec<ViewRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ViewRecord {
    pub kind: u32,
    pub rows: u32,
    pub cols: u32,
    pub area: [f32; 4],
}

impl Embedded {
    pub fn patches(&self) -> u64 {
        self.views.iter().map(|view| u64::from(view.rows) * u64::from(view.cols)).sum()
    }
}

/// A stored path in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PathText {
    Text(String),
    Hex(String),
}

impl PathText {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Hex(digits) => digits
                .as_bytes()
                .chunks_exact(2)
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect(),
        }
    }
}

/// The unfinished build's files.
pub(super) struct Journal {
    lines: AppendFile,
    spool: AppendFile,
    scales: AppendFile,
    folder: PathBuf,
    records: Vec<Record>,
    rejects: Vec<Reject>,
    patches: u64,
    unsynced: u64,
}

impl Journal {
    /// Reads what an earlier run left, and cuts off what is not whole. Records of files that have changed since, or
    /// are gone, are dropped; their images are done again. Contents that are `known` need no record of their own.
    pub fn open(
        draft: &Draft,
        sources: &Sources,
        known: &HashMap<String, PathText>,
    ) -> Result<Self, IngestError> {
        let folder = draft.dir();
        let mut lines = AppendFile::open(&folder.join("journal.jsonl"))?;
        let mut spool = AppendFile::open(&folder.join("vectors.spool"))?;
        let mut scales = AppendFile::open(&folder.join("scales.spool"))?;
        let text = std::fs::read(folder.join("journal.jsonl"))
            .map_err(StorageError::at("read", &folder.join("journal.jsonl")))?;
        let spooled = [Map::open(&folder.join("vectors.spool"))?, Map::open(&folder.join("scales.spool"))?];
        let (records, ends, whole) = parse(&text, &spooled[0], &spooled[1]);
        drop(spooled);
        lines.truncate(whole)?;
        spool.truncate(ends.0)?;
        scales.truncate(ends.1)?;
        let current: HashMap<Vec<u8>, &SourceFile> =
            sources.files.iter().map(|file| (bytes_of_path(&file.relative), file)).collect();
        let fresh = |record: &Record| {
            current
                .get(&record.path.bytes())
                .is_some_and(|file| (file.bytes, file.modified_ns) == (record.file_bytes, record.modified_ns))
        };
        let mut journal = Self {
            lines,
            spool,
            scales,
            folder,
            records: Vec::new(),
            rejects: sources.rejects.clone(),
            patches: 0,
            unsynced: 0,
        };
        let (mut kept, mut contents) = (HashSet::new(), HashSet::new());
        for record in records.into_iter().filter(fresh) {
            let is_known = |content: &String| contents.contains(content) || known.contains_key(content);
            // A copy of a content that is no longer there must be embedded itself.
            let orphan = matches!(&record.outcome, Outcome::Duplicate { content, .. } if !is_known(content));
            if !orphan && kept.insert(record.path.clone()) {
                if let Outcome::Done(embedded) = &record.outcome {
                    contents.insert(embedded.content.clone());
                }
                journal.keep(record);
            }
        }
        Ok(journal)
    }

    /// Appends vectors (and scales), then the line that vouches for them.
    pub fn append(&mut self, mut record: Record, vectors: &[u8], scales: &[f32]) -> Result<(), StorageError> {
        if let Outcome::Done(embedded) = &mut record.outcome {
            let scales: &[u8] = bytemuck::cast_slice(scales);
            embedded.spooled = (self.spool.len(), vectors.len() as u64);
            embedded.scales = (self.scales.len(), scales.len() as u64);
            embedded.spool_check = spool_check(vectors, scales);
            self.spool.append(vectors)?;
            self.scales.append(scales)?;
            self.unsynced += vectors.len() as u64;
        }
        if self.unsynced >= SYNC_BYTES {
            self.spool.sync()?;
            self.scales.sync()?;
            self.lines.sync()?;
            self.unsynced = 0;
        }
        self.lines.append(line(&record).as_bytes())?;
        self.keep(record);
        Ok(())
    }

    fn keep(&mut self, record: Record) {
        if let Outcome::Rejected { reason, message } = &record.outcome {
            let path = String::from_utf8_lossy(&record.path.bytes()).into_owned();
            self.rejects.push(Reject { path, reason: reason.clone(), message: message.clone() });
        }
        if let Outcome::Done(embedded) = &record.outcome {
            self.patches += embedded.patches();
        }
        self.records.push(record);
    }

    /// In the order in which they were done.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Paths that are done.
    pub fn paths(&self) -> HashSet<Vec<u8>> {
        self.records.iter().map(|record| record.path.bytes()).collect()
    }

    /// The first image of each content.
    pub fn contents(&self) -> HashMap<String, PathText> {
        let done = self.records.iter().filter_map(|record| match &record.outcome {
            Outcome::Done(embedded) => Some((embedded.content.clone(), record.path.clone())),
            _ => None,
        });
        done.collect()
    }

    /// Images done.
    pub fn done(&self) -> usize {
        self.records.len()
    }

    /// Images that are not in the collection.
    pub fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    /// Those in order of their paths: in which order they were found leaves no trace.
    pub fn sorted_rejects(&self) -> Vec<Reject> {
        let mut rejects = self.rejects.clone();
        rejects.sort_by(|a, b| a.path.cmp(&b.path));
        rejects
    }

    /// Paths of images that will be in the collection.
    pub fn listed_paths(&self) -> impl Iterator<Item = Vec<u8>> {
        let kept = |record: &&Record| !matches!(record.outcome, Outcome::Rejected { .. });
        self.records.iter().filter(kept).map(|record| record.path.bytes())
    }

    /// Patches stored.
    pub fn patches(&self) -> u64 {
        self.patches
    }

    /// The spooled vectors.
    pub fn spool_path(&self) -> PathBuf {
        self.folder.join("vectors.spool")
    }

    /// The spooled scales of quantised vectors.
    pub fn scales_path(&self) -> PathBuf {
        self.folder.join("scales.spool")
    }
}

fn line(record: &Record) -> String {
    let json = serde_json::to_string(record).unwrap_or_default();
    let check = blake3::hash(json.as_bytes()).to_hex();
    format!("{json}\t{}\n", &check[..CHECK_DIGITS])
}

/// Digits of BLAKE3 of what an image spooled.
fn spool_check(vectors: &[u8], scales: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(vectors).update(scales);
    hasher.finalize().to_hex()[..CHECK_DIGITS].to_owned()
}

/// The records before the first line that is not whole, or whose vectors are not; the ends of the spools that they
/// vouch for, and the length of the lines they stand on. Vectors that were synced before later ones came are not read
/// again.
fn parse(text: &[u8], spool: &[u8], scales: &[u8]) -> (Vec<Record>, (u64, u64), u64) {
    let mut records = Vec::new();
    let (mut ends, mut whole) = ((0, 0), 0u64);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(record) = parse_line(line) else { break };
        if let Outcome::Done(embedded) = &record.outcome {
            let next = (embedded.spooled.0 + embedded.spooled.1, embedded.scales.0 + embedded.scales.1);
            if embedded.spooled.0 < ends.0 || next.0 > spool.len() as u64 || next.1 > scales.len() as u64 {
                break;
            }
            if next.0 + 2 * SYNC_BYTES >= spool.len() as u64 {
                let vectors = &spool[embedded.spooled.0 as usize..next.0 as usize];
                let scales = &scales[embedded.scales.0 as usize..next.1 as usize];
                if spool_check(vectors, scales) != embedded.spool_check {
                    break;
                }
            }
            ends = next;
        }
        whole += line.len() as u64;
        records.push(record);
    }
    (records, ends, whole)
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (json, check) = text.rsplit_once('\t')?;
    (blake3::hash(json.as_bytes()).to_hex()[..CHECK_DIGITS] == *check)
        .then(|| serde_json::from_str(json).ok())?
}

/// Reads a list of rejects; a missing one is empty.
pub(super) fn read_rejects(path: &Path) -> Result<Vec<Reject>, StorageError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StorageError::at("read", path)(error)),
    }
}
