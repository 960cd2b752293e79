//! What can go wrong while a model is fetched, and what to do about it.

use std::path::PathBuf;

use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not of the form `OWNER/NAME`.
    #[error("{repo:?} is no repository name: give OWNER/NAME, as in its address on the hub")]
    Name {
        /// What was given.
        repo: String,
    },
    /// No branch, tag or commit can be called so.
    #[error("{revision:?} is no revision: give a branch, a tag or a commit")]
    Revision {
        /// What was given.
        revision: String,
    },
    /// An unknown variant.
    #[error("{variant:?} is no variant: choose fp32, fp16 or int8")]
    Variant {
        /// What was given.
        variant: String,
    },
    /// `HF_ENDPOINT` is not an address.
    #[error("{endpoint:?} is no address of a hub: set HF_ENDPOINT to something like https://huggingface.co")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The file named by `SSL_CERT_FILE` holds no certificates.
    #[error("cannot read certificates from {}: {reason}; correct SSL_CERT_FILE or unset it", path.display())]
    Certificates {
        /// That file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub does not know the repository.
    #[error(
        "{endpoint} has no model repository {repo} (revision {revision}; {status}): check the spelling; a private or \
         gated repository answers in the same way until HF_TOKEN is set to a token that may read it"
    )]
    RepositoryNotFound {
        /// `OWNER/NAME`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// The hub.
        endpoint: String,
        /// HTTP status, 404 as a rule.
        status: u16,
    },
    /// The repository is there, the revision is not.
    #[error("{repo} has no revision {revision}: see {endpoint}/{repo}/tree/main for its branches and tags")]
    RevisionNotFound {
        /// `OWNER/NAME`.
        repo: String,
        /// What was asked for.
        revision: String,
        /// The hub.
        endpoint: String,
    },
    /// The repository wants a token or an accepted licence.
    #[error(
        "{endpoint} refuses access to {repo} ({status}): accept the licence on {endpoint}/{repo} if it asks for that, \
         and {}; a repository that does not exist may answer so too",
        if *with_token { "check that the token in HF_TOKEN is valid and may read it" }
        else { "set HF_TOKEN to a token of your account" }
    )]
    Gated {
        /// `OWNER/NAME`.
        repo: String,
        /// The hub.
        endpoint: String,
        /// HTTP status, 401 or 403.
        status: u16,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The repository lacks a file that a model needs.
    #[error("{repo} (revision {revision}) has no {file}; {}", missing_advice(file, graphs))]
    FileMissing {
        /// `OWNER/NAME`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// The file, or the files one of which would do.
        file: String,
        /// ONNX files it does have.
        graphs: Vec<String>,
    },
    /// `HF_HUB_OFFLINE` is set and the cache does not hold all.
    #[error(
        "offline (HF_HUB_OFFLINE is set) and the cache {} lacks {missing} of {repo} (revision {revision}): unset \
         HF_HUB_OFFLINE and pull it once",
        cache.display()
    )]
    Offline {
        /// `OWNER/NAME`.
        repo: String,
        /// Branch, tag or commit.
        revision: String,
        /// The files.
        missing: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// No answer: no such host, connection refused, time out, broken TLS.
    #[error(
        "cannot reach {url}: {source}; check the network and HF_ENDPOINT{}{}",
        certificate_advice(&source.to_string()),
        cached_advice(cached)
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the network said.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// The snapshot of this very revision, where the cache holds it whole.
        cached: Option<PathBuf>,
    },
    /// The server answered, with an error of its own.
    #[error("{url} answered {status}{}; try again later{}", said(message), cached_advice(cached))]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's words, if any.
        message: String,
        /// The snapshot of this very revision, where the cache holds it whole.
        cached: Option<PathBuf>,
    },
    /// The server answered something that a hub does not say.
    #[error("{url} does not answer as a Hugging Face hub does: {reason}; check HF_ENDPOINT and any proxy")]
    Reply {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The connection broke in the middle of a file. What came is kept.
    #[error(
        "the download of {file} broke off after {done_bytes} of {} bytes: {source}; run the same command again, it \
         goes on from there",
        if *total_bytes == 0 { "unknown".to_owned() } else { total_bytes.to_string() }
    )]
    Interrupted {
        /// Path inside the repository.
        file: String,
        /// Bytes kept on disk.
        done_bytes: u64,
        /// Size of the file, 0 when unknown.
        total_bytes: u64,
        /// What the network said.
        source: std::io::Error,
    },
    /// The SHA-256 of a file is not the one the hub announced. The file was removed.
    #[error(
        "{file} arrived damaged: SHA-256 {found}, the hub announced {expected}; it was removed, run the same command \
         again"
    )]
    Checksum {
        /// Path inside the repository.
        file: String,
        /// What the hub announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// The size of a file is not the one the hub announced. The file was removed.
    #[error(
        "{file} arrived with {found} bytes, the hub announced {expected}; it was removed, run the same command again"
    )]
    Size {
        /// Path inside the repository.
        file: String,
        /// What the hub announced.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A file of the cache could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// That file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cache could not be written.
    #[error("the model cache cannot be written: {0} (HF_HOME or HF_HUB_CACHE name another place)")]
    Disk(#[from] StorageError),
}

impl Fault for HubError {
    fn kind(&self) -> Kind {
        match self {
            Self::Name { .. }
            | Self::Revision { .. }
            | Self::Variant { .. }
            | Self::Endpoint { .. }
            | Self::Certificates { .. }
            | Self::Gated { .. } => Kind::Invalid,
            Self::RepositoryNotFound { .. }
            | Self::RevisionNotFound { .. }
            | Self::FileMissing { .. }
            | Self::Offline { .. } => Kind::NotFound,
            Self::Checksum { .. } | Self::Size { .. } => Kind::Corrupt,
            Self::Reply { .. } => Kind::Incompatible,
            Self::Unreachable { .. } | Self::Status { .. } | Self::Interrupted { .. } | Self::Read { .. } => {
                Kind::Io
            }
            Self::Disk(source) => source.kind(),
        }
    }
}

fn missing_advice(file: &str, graphs: &[String]) -> String {
    if !file.ends_with(".onnx") {
        return "a model folder needs it: choose another repository or revision".to_owned();
    }
    if graphs.is_empty() {
        return "it has no ONNX file at all: choose a repository with an ONNX export under onnx/".to_owned();
    }
    let variants = super::files::variants_in(graphs);
    let choice = if variants.is_empty() {
        "none of them is a variant that patchdex loads (fp32, fp16, int8)".to_owned()
    } else {
        format!("choose with --variant {}", variants.join(" or "))
    };
    format!("its ONNX files are {}: {choice}", graphs.join(", "))
}

fn certificate_advice(source: &str) -> &'static str {
    if source.contains("certificate") {
        "; where a proxy signs with an authority of its own, set SSL_CERT_FILE to a PEM file with that authority"
    } else {
        ""
    }
}

fn cached_advice(cached: &Option<PathBuf>) -> String {
    match cached {
        Some(path) => format!(
            "; this revision is whole in the cache ({}): set HF_HUB_OFFLINE=1 to use it without the network",
            path.display()
        ),
        None => String::new(),
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}
