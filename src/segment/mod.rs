//! One immutable segment: its image table and its vectors, as files that are written once and then mapped.
//! Knows nothing of other segments or of collections.

mod reader;
mod writer;

pub use reader::{ImageView, OpenSegmentError, PatchView, Segment, VECTORS_KIND};
pub use writer::{IMAGES_FILE, RAW_FILE, VECTORS_FILE, file_entry, write_container};
