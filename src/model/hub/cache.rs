//! The cache folder of `huggingface_hub`: `models--OWNER--NAME/{blobs,refs,snapshots}`, links from snapshots to blobs,
//! locks under `.locks`. Both tools may use one cache at the same time. Writes through `storage`.

use std::path::{Component, Path, PathBuf};

use super::{HubError, HubOptions};
use crate::storage::{self, WriterLock};

/// The part of the cache that belongs to one repository.
pub(super) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// Of `OWNER/NAME`, which must be a valid name.
    pub(super) fn new(cache: &Path, repo: &str) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Where the content called `etag` belongs.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where the part of it that has come so far belongs.
    pub(super) fn partial_blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The folder of a commit, whether or not it exists.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Takes the lock under which `etag` is written.
    pub(super) fn lock(&self, etag: &str) -> Result<WriterLock, HubError> {
        storage::create_dir_all(&self.folder.join("blobs"))?;
        storage::create_dir_all(&self.locks)?;
        Ok(WriterLock::acquire(&self.locks, &format!("{etag}.lock"))?)
    }

    /// Makes `file` of the snapshot show the content called `etag`.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<(), HubError> {
        let link = self.snapshot(commit).join(file);
        let folder = link.parent().unwrap_or(Path::new("."));
        storage::create_dir_all(folder)?;
        let up = Path::new("..").join("..").join("../".repeat(file.matches('/').count()));
        // Made aside and renamed: where links are not to be had this is a copy, and half a copy must not get the name.
        let aside = folder.join(format!("{etag}.tmp-{}", std::process::id()));
        storage::symlink_or_copy(&up.join("blobs").join(etag), &aside)?;
        Ok(storage::rename(&aside, &link)?)
    }

    /// Notes that `revision` is `commit` now.
    pub(super) fn note(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.folder.join("refs").join(revision);
        if revision == commit || std::fs::read_to_string(&path).is_ok_and(|known| known == commit) {
            return Ok(());
        }
        storage::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        Ok(storage::write_atomic(&path, commit.as_bytes())?)
    }

    /// The snapshot of `revision` (a noted branch or tag, or a commit) that holds a whole model, or what is missing.
    pub(super) fn whole_snapshot(&self, revision: &str, graphs: &[&str]) -> Result<PathBuf, String> {
        let noted = std::fs::read_to_string(self.folder.join("refs").join(revision));
        let commit = noted.map_or_else(|_| revision.to_owned(), |text| text.trim().to_owned());
        let snapshot = self.snapshot(&commit);
        if !is_file_name(&commit) || !snapshot.is_dir() {
            return Err("every file".to_owned());
        }
        let mut missing = Vec::new();
        if !snapshot.join("config.json").is_file() {
            missing.push("config.json".to_owned());
        }
        if !graphs.iter().any(|graph| snapshot.join(graph).is_file()) {
            missing.push(graphs.join(" or "));
        }
        if missing.is_empty() { Ok(snapshot) } else { Err(missing.join(" and ")) }
    }
}

/// The snapshots in the cache that hold an ONNX graph: `OWNER/NAME`, commit, folder, in that order.
pub fn cached(options: &HubOptions) -> Vec<(String, String, PathBuf)> {
    let mut found = Vec::new();
    for (name, folder) in entries(&options.cache) {
        let Some((owner, model)) = name.strip_prefix("models--").and_then(|rest| rest.split_once("--"))
        else {
            continue;
        };
        for (commit, snapshot) in entries(&folder.join("snapshots")) {
            let is_graph = |(name, path): &(String, PathBuf)| name.ends_with(".onnx") && path.is_file();
            if entries(&snapshot.join("onnx")).iter().any(is_graph) {
                found.push((format!("{owner}/{model}"), commit, snapshot));
            }
        }
    }
    found.sort();
    found
}

/// The folder of `OWNER/NAME` in the cache: the snapshot of its main branch where that is whole, else another one.
pub fn cached_folder(options: &HubOptions, repo: &str) -> Option<PathBuf> {
    let snapshots: Vec<_> = cached(options).into_iter().filter(|(name, ..)| name == repo).collect();
    let main = std::fs::read_to_string(RepoCache::new(&options.cache, repo).folder.join("refs/main"));
    let main = main.as_deref().map(str::trim).unwrap_or_default();
    let chosen = snapshots.iter().find(|(_, commit, _)| commit == main).or(snapshots.last());
    chosen.map(|(_, _, folder)| folder.clone())
}

/// Whether `text` can be the name of one file inside a folder.
pub(super) fn is_file_name(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    plain && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Names and paths in a folder; none if it cannot be read. Names that are not UTF-8 are nobody's here.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(read) = std::fs::read_dir(folder) else { return Vec::new() };
    read.flatten().filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}
