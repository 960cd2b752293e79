//! Kinds of failure: what a caller can do about an error, whichever operation it comes from.

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Something named does not exist: name another, or make it.
    NotFound,
    /// The request cannot be meant so: change it.
    Invalid,
    /// Bytes on disk are not what was written: verify, repair or rebuild.
    Corrupt,
    /// Both sides are sound but do not fit together (model, version, preparation).
    Incompatible,
    /// Somebody else holds it: wait or stop them.
    Busy,
    /// The operating system refused.
    Io,
    /// A defect of patchdex itself.
    Internal,
}

/// An error that knows its kind. Every operation's error type implements it.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// What a caller can do about it.
    fn kind(&self) -> Kind;
}
