//! Which files: folders, files, patterns and lists become one sorted list with paths relative to a common root.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::{IngestError, Reject};
use crate::collection::{bytes_of_path, common_root};
use crate::storage::{StorageError, modified_ns};

/// Extensions that are looked at in folders. Files named on the command line are always looked at.
const EXTENSIONS: [&str; 11] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "tif", "tiff", "bmp", "dib", "gif"];

/// Extensions of images that are not read.
const UNREAD_EXTENSIONS: [&str; 16] = [
    "arw", "avif", "cr2", "cr3", "dng", "heic", "heif", "jp2", "jxl", "nef", "orf", "psd", "raf", "raw",
    "rw2", "svg",
];

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the root.
    pub relative: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its modification time, nanoseconds since 1970.
    pub modified_ns: i64,
}

/// All image files of a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// The folder that all files are below.
    pub root: PathBuf,
    /// In order of the bytes of their relative paths.
    pub files: Vec<SourceFile>,
    /// Files in folders that have no image's extension.
    pub others: usize,
    /// Those of them that have the extension of an image of a kind that is not read: how many of each, in order.
    pub unread: BTreeMap<String, usize>,
    /// Files and folders that could not be looked at.
    pub rejects: Vec<Reject>,
    /// The inputs, made absolute.
    pub inputs: Vec<String>,
}

/// Finds the image files of `inputs` (files, folders, patterns) and of the list `files_from` (one path a line).
///
/// # Errors
/// An input that does not exist.
pub fn collect(inputs: &[PathBuf], files_from: Option<&Path>) -> Result<Sources, IngestError> {
    let mut found = Found::default();
    for input in inputs {
        found.add_input(input)?;
    }
    if let Some(list) = files_from {
        let bytes = std::fs::read(list).map_err(StorageError::at("read the list", list))?;
        let base = list.parent().unwrap_or(Path::new(""));
        for line in bytes.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                found.add_file(&base.join(crate::collection::path_of_bytes(line)));
            }
        }
        found.inputs.push(absolute(list).to_string_lossy().into_owned());
    }
    Ok(found.into_sources())
}

#[derive(Default)]
struct Found {
    /// Absolute path to size and time: sorted, each once.
    files: BTreeMap<PathBuf, (u64, i64)>,
    roots: Vec<PathBuf>,
    others: usize,
    unread: BTreeMap<String, usize>,
    rejects: Vec<Reject>,
    inputs: Vec<String>,
}

impl Found {
    fn add_input(&mut self, input: &Path) -> Result<(), IngestError> {
        self.inputs.push(absolute(input).to_string_lossy().into_owned());
        // A broken link is there, though it leads nowhere.
        if input.is_dir() {
            self.add_folder(input);
        } else if input.symlink_metadata().is_ok() {
            self.add_file(input);
        } else {
            let pattern = input.to_str().filter(|text| text.contains(['*', '?', '[']));
            let matches: Vec<PathBuf> =
                pattern.and_then(|text| glob::glob(text).ok()).into_iter().flatten().flatten().collect();
            if matches.is_empty() {
                return Err(IngestError::MissingInput { input: input.display().to_string() });
            }
            for path in matches {
                if path.is_dir() { self.add_folder(&path) } else { self.add_matching(&path) }
            }
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) {
        self.roots.push(absolute(folder));
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => self.add_matching(entry.path()),
                // A loop of links, an unreadable folder, a link that leads nowhere.
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    let (reason, message) = match error.loop_ancestor() {
                        Some(ancestor) => (
                            "link_loop",
                            format!("this link leads back to {}; it was not followed", ancestor.display()),
                        ),
                        None => ("unreadable", format!("cannot be read: {error}")),
                    };
                    if path.is_dir() || is_image_name(&path) || reason == "link_loop" {
                        self.reject(&path, reason, message);
                    }
                }
            }
        }
    }

    fn add_matching(&mut self, path: &Path) {
        if is_image_name(path) {
            return self.add_file(path);
        }
        self.others += 1;
        let extension = extension_of(path);
        if UNREAD_EXTENSIONS.contains(&extension.as_str()) {
            *self.unread.entry(extension).or_default() += 1;
        }
    }

    fn add_file(&mut self, path: &Path) {
        let path = absolute(path);
        self.roots.push(path.parent().unwrap_or(Path::new("/")).to_owned());
        match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => {
                self.files.insert(path, (about.len(), modified_ns(&about)));
            }
            Ok(about) => {
                let message = match about.is_dir() {
                    true => "this is a folder; name the files in it",
                    // Reading one could wait for ever.
                    false => {
                        "this is a pipe, socket or device, not a file; remove it, or save what it gives in a file"
                    }
                };
                self.reject(&path, "not_a_file", message.to_owned());
            }
            Err(error) => self.reject(&path, "unreadable", format!("cannot be read: {error}")),
        }
    }

    fn reject(&mut self, path: &Path, reason: &str, message: String) {
        let path = absolute(path).to_string_lossy().into_owned();
        self.rejects.push(Reject { path, reason: reason.to_owned(), message });
    }

    fn into_sources(self) -> Sources {
        let root = common_root(&self.roots);
        let relative = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
        let mut files: Vec<SourceFile> = self
            .files
            .into_iter()
            .map(|(path, (bytes, modified_ns))| SourceFile {
                relative: relative(&path),
                path,
                bytes,
                modified_ns,
            })
            .collect();
        files.sort_by_cached_key(|file| bytes_of_path(&file.relative));
        let shown = |reject: Reject| Reject {
            path: relative(Path::new(&reject.path)).to_string_lossy().into_owned(),
            ..reject
        };
        let rejects = self.rejects.into_iter().map(shown).collect();
        Sources { files, others: self.others, unread: self.unread, rejects, inputs: self.inputs, root }
    }
}

/// Absolute and plain: what two ways to write a path have in common.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // `a/./b` and `a/` become `a/b` and `a`; links stay as they are, unless a path goes up through them.
    let plain: PathBuf = whole.components().collect();
    match plain.components().any(|part| part == Component::ParentDir) {
        true => std::fs::canonicalize(&plain).unwrap_or(plain),
        false => plain,
    }
}

/// Whether a file of that name is looked at in a folder.
pub fn is_image_name(path: &Path) -> bool {
    EXTENSIONS.contains(&extension_of(path).as_str())
}

/// In lower case; empty where there is none.
fn extension_of(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &Sources) -> Vec<String> {
        sources.files.iter().map(|file| file.relative.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn folders_patterns_and_lists_give_one_sorted_list() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("b/deep")).unwrap();
        for name in ["b/deep/2.PNG", "b/10.jpg", "a.jpg", "notes.txt", "b/1.jpg"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::fs::write(at("list.txt"), "a.jpg\nb/1.jpg\r\n").unwrap();
        let all = collect(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(names(&all), ["a.jpg", "b/1.jpg", "b/10.jpg", "b/deep/2.PNG"]);
        assert_eq!(all.others, 2);
        let matched = collect(&[at("b/*.jpg")], None).unwrap();
        assert_eq!(names(&matched), ["1.jpg", "10.jpg"]);
        let listed = collect(&[], Some(&at("list.txt"))).unwrap();
        assert_eq!(names(&listed), ["a.jpg", "b/1.jpg"]);
        let twice = collect(&[at("b"), at("b/1.jpg"), at("b/./1.jpg")], None).unwrap();
        assert_eq!(twice.files.len(), 3);
        assert!(matches!(collect(&[at("none/*.jpg")], None), Err(IngestError::MissingInput { .. })));
    }

    #[test]
    fn images_of_kinds_that_are_not_read_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.HEIC", "c.heic", "d.svg", "e.txt", "heic"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let found = collect(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(found.others, 5);
        assert_eq!(found.unread, BTreeMap::from([("heic".to_owned(), 2), ("svg".to_owned(), 1)]));
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_ends_and_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("gone.jpg", folder.path().join("broken.jpg")).unwrap();
        let found = collect(&[folder.path().to_owned()], None).unwrap();
        assert_eq!(names(&found), ["a.jpg"]);
        let reasons: Vec<&str> = found.rejects.iter().map(|reject| reject.reason.as_str()).collect();
        assert_eq!(reasons, ["unreadable", "link_loop"]);
    }
}
