//! One immutable segment: its image table and its vectors, as files that are written once and then mapped.
//! Knows nothing of other segments or of collections.

mod error;
mod file;
mod id;
mod reader;
mod role;
mod tables;
mod writer;

pub use error::{DAMAGE_ADVICE, OpenSegmentError};
pub use file::{Depth, SegmentFile};
pub use id::{id_of, parse_id};
pub use reader::{ImageView, PatchView, Segment};
pub use role::FileRole;
pub use tables::{Listed, SegmentTables};
pub use writer::{BLOCK_TOKENS, RowEncoding, file_entry, write_container};
