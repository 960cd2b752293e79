//! One model folder from the hub: which files, from which commit, into which snapshot, and what to say when the
//! network fails although the cache has it all.

use std::path::PathBuf;

use serde::Deserialize;

use super::cache::{RepoCache, is_file_name};
use super::download::Wanted;
use super::files;
use super::request::{Client, Method};
use super::{HubError, HubOptions, Progress};

/// The part of the hub's answer about a repository that is used here.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Fetches the ONNX model `repo` (`OWNER/NAME`) at `revision` (branch, tag or commit) and returns its snapshot folder.
/// `variant` is `fp32` (the default), `fp16` or `int8`. Files that the cache has are not asked for again; `progress`
/// is called for them too.
///
/// # Errors
/// [`HubError`]; whatever came until then stays in the cache and is used by the next call.
pub fn pull(
    repo: &str,
    revision: &str,
    variant: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, HubError> {
    if !is_repository(repo) {
        return Err(HubError::Name { repo: repo.to_owned() });
    }
    if !is_revision(revision) {
        return Err(HubError::Revision { revision: revision.to_owned() });
    }
    let graphs = files::graphs(variant)?;
    let cache = RepoCache::new(&options.cache, repo);
    if options.offline {
        return cache.whole_snapshot(revision, graphs).map_err(|missing| HubError::Offline {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            missing,
            cache: options.cache.clone(),
        });
    }
    let mut pulled = pull_online(repo, revision, graphs, options, &cache, progress);
    if let Err(HubError::Unreachable { cached, .. } | HubError::Status { cached, .. }) = &mut pulled {
        *cached = cache.whole_snapshot(revision, graphs).ok();
    }
    pulled
}

fn pull_online(
    repo: &str,
    revision: &str,
    graphs: &[&str],
    options: &HubOptions,
    cache: &RepoCache,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, HubError> {
    let client = Client::new(options)?;
    let (commit, listed) = list(&client, options, repo, revision)?;
    let wanted = files::choose(&listed, graphs).map_err(|file| HubError::FileMissing {
        repo: repo.to_owned(),
        revision: revision.to_owned(),
        file,
        graphs: files::onnx_files(&listed),
    })?;
    for file in &wanted {
        Wanted { options, repo, commit: &commit, file }.fetch(&client, cache, progress)?;
    }
    // Noted last: until the new commit is whole, the name stands for the one that the cache holds.
    cache.note(revision, &commit)?;
    Ok(cache.snapshot(&commit))
}

/// The commit that `revision` is now, and the files in it.
fn list(
    client: &Client,
    options: &HubOptions,
    repo: &str,
    revision: &str,
) -> Result<(String, Vec<String>), HubError> {
    let url = format!("{}/api/models/{repo}/revision/{}", options.endpoint, percent_encoded(revision));
    let reply = client.send(Method::Get(0), &url)?;
    reply.check(options, repo, revision, None)?;
    let url = reply.url.clone();
    let odd = |reason: String| HubError::Reply { url, reason };
    let listing: Listing = match serde_json::from_slice(&reply.into_bytes()?) {
        Ok(listing) => listing,
        Err(error) => return Err(odd(format!("no list of files ({error})"))),
    };
    if !is_file_name(&listing.sha) {
        return Err(odd(format!("{:?} is no commit", listing.sha)));
    }
    Ok((listing.sha, listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect()))
}

/// `OWNER/NAME` by the hub's own rules, among them that `--` is reserved (the cache uses it for `/`).
fn is_repository(repo: &str) -> bool {
    let is_part = |part: &str| {
        is_file_name(part) && !part.starts_with(['.', '-']) && !part.ends_with(['.', '-']) && part.len() <= 96
    };
    let reserved = repo.contains("--") || repo.contains("..") || repo.ends_with(".git");
    !reserved && repo.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// A branch, a tag, a commit or `refs/pr/N`; it becomes a path in the cache, so nothing that leaves a folder.
fn is_revision(revision: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part != "." && !part.contains("..") && !part.contains(['\\', ':', ' ', '\0'])
    };
    revision.split('/').all(is_part) && !revision.contains(char::is_control)
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_repository_are_refused() {
        for good in ["onnx-community/dinov2-small", "o/n", "A_b.c/x"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in
            ["gpt2", "", "/", "o/", "o/n/x", "../n", "o/..", "o/a--b", "o/-n", "o/n.", "o/n.git", "o/n?x"]
        {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn revisions_stay_inside_their_folder() {
        for good in ["main", "refs/pr/1", "v1.0", "a1b2c3", "föö"] {
            assert!(is_revision(good), "{good}");
        }
        for bad in ["", "/main", "a//b", "../x", "a/../b", "a\\b", ".", "C:x", "a\nb"] {
            assert!(!is_revision(bad), "{bad}");
        }
        assert_eq!(percent_encoded("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
