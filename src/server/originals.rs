//! The files of images: only what lies inside the collection's root, and only the bytes that were indexed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::catalogue::Commit;
use super::problem::{Cause, Problem};
use crate::collection::path_of_bytes;
use crate::ingest::is_image_name;
use crate::segment::ImageView;

/// The bytes of an image: of the first of its names whose file is still what was indexed.
pub(super) fn read(commit: &Commit, id: &str) -> Result<Vec<u8>, Problem> {
    let mut refused = None;
    for (_, image) in commit.with_id(id)? {
        match read_one(commit, &image) {
            Ok(bytes) => return Ok(bytes),
            Err(problem) => refused = refused.or(Some(problem)),
        }
    }
    Err(refused.unwrap_or_else(|| Problem::new(Cause::NotFound, format!("there is no image '{id}'"))))
}

fn read_one(commit: &Commit, image: &ImageView<'_>) -> Result<Vec<u8>, Problem> {
    let path = image.path_text();
    let gone = || {
        let detail = format!("the file of image '{path}' is no longer where it was when it was indexed");
        Problem::new(Cause::NotFound, detail)
    };
    let changed = || {
        let detail = format!(
            "the file of image '{path}' has changed since it was indexed; 'patchdex add' takes it up"
        );
        Problem::new(Cause::Changed, detail)
    };
    let refused = |error: std::io::Error| {
        Problem::new(Cause::Io, format!("the file of image '{path}' cannot be read: {error}"))
    };
    let root = Path::new(&commit.manifest().root);
    let file = confined(root, &commit.collection.image_file(image.path)).ok_or_else(gone)?;
    // What is no file may block, or never end.
    let about = std::fs::metadata(&file).map_err(|_| gone())?;
    if !about.is_file() {
        return Err(gone());
    }
    if about.len() != image.row.file_bytes {
        return Err(changed());
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    let file = File::open(&file).map_err(refused)?;
    file.take(about.len() + 1).read_to_end(&mut bytes).map_err(refused)?;
    match *blake3::hash(&bytes).as_bytes() == image.row.content {
        true => Ok(bytes),
        false => Err(changed()),
    }
}

/// The real path of a file, when it is there and below the real path of `root`: no link leads out.
fn confined(root: &Path, file: &Path) -> Option<PathBuf> {
    let (root, file) = (root.canonicalize().ok()?, file.canonicalize().ok()?);
    file.starts_with(&root).then_some(file)
}

/// A file that was written.
pub(super) struct Stored(pub PathBuf);

/// Writes a new image below the collection's root. A file that is there already and has other content is replaced only where
/// that is said.
pub(super) fn store(commit: &Commit, path: &str, bytes: &[u8], replace: bool) -> Result<Stored, Problem> {
    let refused = |what: &str| Problem::new(Cause::Invalid, format!("path '{path}' {what}"));
    let is_plain = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if !path.split('/').all(is_plain) {
        return Err(refused(
            "is no path below the root: give names between '/', none of which starts with a dot",
        ));
    }
    if !is_image_name(Path::new(path)) {
        return Err(refused("has not the ending of an image: jpg, png, webp, tif, bmp, gif"));
    }
    let root = Path::new(&commit.manifest().root);
    let file = root.join(path_of_bytes(path.as_bytes()));
    let folder = file.parent().unwrap_or(root);
    // Before folders are made, what is there must not lead out, and neither may what is made.
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(root);
    let outside = || refused("leads out of the collection's root");
    confined(root, there).ok_or_else(outside)?;
    crate::storage::create_dir_all(folder)?;
    confined(root, folder).ok_or_else(outside)?;
    if let Ok(about) = std::fs::symlink_metadata(&file) {
        let is_same = about.is_file() && std::fs::read(&file).is_ok_and(|held| held == bytes);
        match about.is_file() && (replace || is_same) {
            true if is_same => return Ok(Stored(file)),
            true => {}
            false => {
                let detail =
                    format!("'{path}' is there and is another file; give replace=true, or another path");
                return Err(Problem::new(Cause::Exists, detail));
            }
        }
    }
    crate::storage::write_atomic(&file, bytes)?;
    Ok(Stored(file))
}

/// The media type of a file of that format, as [`crate::picture::Header`] names it.
pub(super) fn media_type(format: &str) -> &'static str {
    match format {
        "JPEG" => "image/jpeg",
        "PNG" => "image/png",
        "WebP" => "image/webp",
        "TIFF" => "image/tiff",
        "BMP" => "image/bmp",
        "GIF" => "image/gif",
        _ => "application/octet-stream",
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn neither_dots_nor_links_lead_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(root.join("in/a.png"), "a").unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("in/out.png")).unwrap();
        std::os::unix::fs::symlink("in/a.png", root.join("within.png")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        assert!(confined(&root, &root.join("in/a.png")).is_some());
        assert!(confined(&root, &root.join("within.png")).is_some());
        for outside in ["in/out.png", "../secret", "up/secret", "in/none.png"] {
            assert_eq!(confined(&root, &root.join(outside)), None, "{outside}");
        }
    }
}
