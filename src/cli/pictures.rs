//! Pictures that the command line names: read within limits, decoded; errors name the file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::failure::Failure;
use crate::core::{Kind, Mask};
use crate::picture::{self, Header, Limits, Picture};

/// The picture in `path`.
pub(crate) fn open(path: &Path) -> Result<Picture, Failure> {
    decoded(path, &read(path)?)
}

/// The picture in `path`, when the file still has the BLAKE3 digest `content`: boxes belong to no other.
pub(crate) fn unchanged(path: &Path, content: &[u8; 32]) -> Result<Picture, Failure> {
    if !path.is_file() {
        return Err(about(path, Kind::NotFound, "the image is no longer where it was when it was indexed"));
    }
    let bytes = read(path)?;
    match blake3::hash(&bytes).as_bytes() == content {
        true => decoded(path, &bytes),
        false => Err(about(path, Kind::Incompatible, "the image has changed since it was indexed")),
    }
}

/// The pixels that are bright in the picture in `path`.
pub(crate) fn mask(path: &Path) -> Result<Mask, Failure> {
    Ok(open(path)?.mask())
}

/// What the picture in `path` says of itself.
pub(crate) fn header(path: &Path) -> Result<Header, Failure> {
    picture::header(&read(path)?, &Limits::default()).map_err(|error| about(path, Kind::Corrupt, error))
}

fn decoded(path: &Path, bytes: &[u8]) -> Result<Picture, Failure> {
    picture::decode(bytes, &Limits::default()).map_err(|error| about(path, Kind::Corrupt, error))
}

/// At most one byte more than the limit: a device such as `/dev/zero` never ends.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.is_dir() {
        return Err(about(path, Kind::Invalid, "this is a folder; give one image file"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(Limits::default().max_file_bytes + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => about(path, Kind::NotFound, "no such file; give the path of an image"),
            _ => about(path, Kind::Io, format!("cannot be read: {error}; give an image that you may read")),
        })?;
    Ok(bytes)
}

fn about(path: &Path, kind: Kind, what: impl std::fmt::Display) -> Failure {
    Failure::new(kind, format!("{}: {what}", path.display()))
}
