//! What goes between collections and foreign files: all vectors with their images and boxes, out and in, and lists of
//! images as COCO has them. Knows no models and no image files.

mod coco;
mod columns;
mod error;
mod export;
mod format;
mod growth;
mod import;
mod incoming;

pub use error::TransferError;
pub use export::{Export, ExportOptions, export};
pub use format::FileFormat;
pub use import::{Import, ImportOptions, import};
