//! One file from the hub into the cache: what there is, what is missing of it, and whether it is what was announced.
//! An interrupted download stays as `blobs/<etag>.incomplete`; the next one goes on where it ended.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::RepoCache;
use super::request::{Client, Content, Method, Reply};
use super::{HubError, HubOptions, Progress};
use crate::storage::{self, AppendFile};

const CHUNK_BYTES: usize = 1 << 18;

/// Length of a SHA-256 in hexadecimal digits; an etag so long names the content of a large (LFS) file.
const SHA256_DIGITS: usize = 64;

/// One file of one commit.
pub(super) struct Wanted<'a> {
    pub(super) options: &'a HubOptions,
    pub(super) repo: &'a str,
    pub(super) commit: &'a str,
    pub(super) file: &'a str,
}

/// A blob under construction: the bytes on disk and their sum go together.
struct Partial {
    file: AppendFile,
    sha256: Option<Sha256>,
    /// Holds bytes that an earlier call left.
    resumed: bool,
}

impl Wanted<'_> {
    /// Makes sure that the snapshot holds the file.
    pub(super) fn fetch(
        &self,
        client: &Client,
        cache: &RepoCache,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), HubError> {
        let held = std::fs::metadata(cache.snapshot(self.commit).join(self.file));
        if let Ok(held) = held.as_ref().map(std::fs::Metadata::len) {
            progress(Progress { file: self.file, done_bytes: held, total_bytes: held });
            return Ok(());
        }
        let head = client.send(Method::Head, &self.url())?;
        head.check(self.options, self.repo, self.commit, Some(self.file))?;
        let Content { etag: Some(etag), size_bytes, .. } = head.content else {
            let reason = "no ETag names the content of the file".to_owned();
            return Err(HubError::Reply { url: head.url, reason });
        };
        let _lock = cache.lock(&etag)?;
        let blob = cache.blob(&etag);
        let held = std::fs::metadata(&blob).ok().map(|blob| blob.len());
        if held.is_none() || size_bytes.is_some_and(|size| held != Some(size)) {
            self.download(client, &cache.partial_blob(&etag), &etag, size_bytes, progress)?;
            storage::rename(&cache.partial_blob(&etag), &blob)?;
        } else if let Some(held) = held {
            progress(Progress { file: self.file, done_bytes: held, total_bytes: held });
        }
        cache.link(self.commit, self.file, &etag)
    }

    /// Fills `path` with the content called `etag` and checks it. What does not fit is removed.
    fn download(
        &self,
        client: &Client,
        path: &Path,
        etag: &str,
        size_bytes: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), HubError> {
        let with_sum = etag.len() == SHA256_DIGITS && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut partial = Partial::open(path, with_sum)?;
        if size_bytes.is_some_and(|size| partial.file.len() > size) {
            partial.restart()?;
        }
        loop {
            let size_bytes = self.complete(client, &mut partial, size_bytes, progress)?;
            let Err(error) = self.check(&mut partial, etag, size_bytes) else { return Ok(()) };
            // What an earlier call left may be at fault: the file gets one chance from its first byte on.
            if !partial.resumed {
                drop(partial);
                storage::remove_file(path)?;
                return Err(error);
            }
            partial.restart()?;
        }
    }

    /// Asks for what is missing and appends it. Returns the size that the file should have, if that is known.
    fn complete(
        &self,
        client: &Client,
        partial: &mut Partial,
        size_bytes: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<u64>, HubError> {
        let file = self.file;
        let have = partial.file.len();
        progress(Progress { file, done_bytes: have, total_bytes: size_bytes.unwrap_or(0) });
        if size_bytes == Some(have) {
            return Ok(size_bytes);
        }
        let mut reply = client.send(Method::Get(have), &self.url())?;
        if have > 0 {
            // The server may ignore ranges (200), have none such (416), or send another one.
            match reply.response.status().as_u16() {
                206 if starts_at(&reply) == Some(have) => {}
                200 => partial.restart()?,
                206 | 416 => {
                    partial.restart()?;
                    reply = client.send(Method::Get(0), &self.url())?;
                }
                _ => {}
            }
        }
        reply.check(self.options, self.repo, self.commit, Some(file))?;
        let promised = reply.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let size_bytes = size_bytes.or_else(|| Some(partial.file.len() + promised?));
        let total_bytes = size_bytes.unwrap_or(0);
        let mut body = reply.response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        let broken = loop {
            match body.read(&mut chunk) {
                Ok(0) => break None,
                Ok(count) => partial.append(&chunk[..count])?,
                Err(error) => break Some(error),
            }
            progress(Progress { file, done_bytes: partial.file.len(), total_bytes });
            if size_bytes.is_some_and(|size| partial.file.len() > size) {
                break None;
            }
        };
        partial.file.sync()?;
        let done_bytes = partial.file.len();
        let short = size_bytes.is_some_and(|size| done_bytes < size);
        let source = match broken {
            Some(error) => error,
            // Nothing but the closed connection says that this is the end.
            None if short && promised.is_none() => std::io::ErrorKind::UnexpectedEof.into(),
            None => return Ok(size_bytes),
        };
        Err(HubError::Interrupted { file: file.to_owned(), done_bytes, total_bytes, source })
    }

    /// Holds size and sum against what was announced. Small files are git objects, whose SHA-1 is not checked.
    fn check(&self, partial: &mut Partial, etag: &str, size_bytes: Option<u64>) -> Result<(), HubError> {
        let file = self.file.to_owned();
        let found = partial.file.len();
        if let Some(expected) = size_bytes.filter(|expected| *expected != found) {
            return Err(HubError::Size { file, expected, found });
        }
        let Some(sha256) = &partial.sha256 else { return Ok(()) };
        let sum = sha256.clone().finalize();
        let found: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(etag) {
            return Ok(());
        }
        Err(HubError::Checksum { file, expected: etag.to_owned(), found })
    }

    fn url(&self) -> String {
        format!("{}/{}/resolve/{}/{}", self.options.endpoint, self.repo, self.commit, self.file)
    }
}

impl Partial {
    fn open(path: &Path, with_sum: bool) -> Result<Self, HubError> {
        let file = AppendFile::open(path)?;
        let mut sha256 = with_sum.then(Sha256::new);
        if let Some(sum) = sha256.as_mut().filter(|_| !file.is_empty()) {
            hash_file(path, sum).map_err(|source| HubError::Read { path: path.to_owned(), source })?;
        }
        let resumed = !file.is_empty();
        Ok(Self { file, sha256, resumed })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.append(bytes)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.file.truncate(0)?;
        self.resumed = false;
        self.sha256 = self.sha256.take().map(|_| Sha256::new());
        Ok(())
    }
}

fn hash_file(path: &Path, sum: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            count => sum.update(&chunk[..count]),
        }
    }
}

/// The first byte of a partial answer.
fn starts_at(reply: &Reply) -> Option<u64> {
    let range = reply.header("content-range")?.trim().strip_prefix("bytes")?;
    range.trim_start().split_once('-')?.0.parse().ok()
}
