//! Which preparation a command means: one that is known before the first token, or one to be fitted on the tokens.

use std::path::Path;

use patchdex_format::{FileEntry, PreparationEntry};

use super::{Collection, CollectionError, Draft, MODEL_PREPARATION};
use crate::dims::{Method, Moments, Preparation, PreparationError, Source};
use crate::storage::{self, StorageError};

/// A preparation, as far as it is known before there are tokens.
pub struct PreparationChoice {
    /// What it was called.
    source: Source,
    /// Numbers in a token.
    dim: usize,
    /// None when it is to be fitted.
    fixed: Option<Preparation>,
    /// What a whitening is shrunk towards.
    generic: Option<Preparation>,
}

impl PreparationChoice {
    /// What `source` means for tokens of `dim` numbers of the model in `model_dir`. All that can be wrong is found out
    /// here, not after hours of embedding.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another model; a method that does not fit the tokens.
    pub fn of(source: &Source, dim: usize, model_dir: &Path) -> Result<Self, CollectionError> {
        let fixed = match source {
            Source::Own(Method::None) => Some(Preparation::none(dim)),
            Source::Own(method @ Method::Keep(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(StorageError::at("read the dimension list", path))?;
                let kept = Preparation::keep_listed(&text, method, dim);
                Some(kept.map_err(|source| CollectionError::PreparationFile { path: path.clone(), source })?)
            }
            Source::Own(method) => {
                Preparation::check_method(method, dim)?;
                None
            }
            Source::Model => Some(generic_preparation(model_dir)?.unwrap_or_else(|| Preparation::none(dim))),
            Source::File(path) if path.is_dir() => {
                let mut borrowed = Collection::open(path)?.preparation()?;
                borrowed.fitted_on = path.display().to_string();
                Some(borrowed)
            }
            Source::File(path) => Some(read_file(path, &path.display().to_string())?),
        };
        let generic = match source {
            Source::Own(Method::Whiten) => generic_preparation(model_dir)?,
            _ => None,
        };
        match fixed.as_ref().map(Preparation::input_dim) {
            Some(expected) if expected != dim => {
                Err(PreparationError::Dimensions { expected, found: dim }.into())
            }
            _ => Ok(Self { source: source.clone(), dim, fixed, generic }),
        }
    }

    /// The preparation, when it needs no fitting.
    pub fn fixed(&self) -> Option<&Preparation> {
        self.fixed.as_ref()
    }

    /// Digest of what it builds on; with its name it says all.
    pub fn digest(&self) -> String {
        self.fixed.as_ref().or(self.generic.as_ref()).map(Preparation::digest).unwrap_or_default()
    }

    /// The preparation, fitted on the moments of tokens where it needs to be.
    ///
    /// # Errors
    /// No tokens.
    pub fn fit(&self, moments: impl FnOnce() -> Moments) -> Result<Preparation, PreparationError> {
        match (&self.fixed, &self.source) {
            (Some(fixed), _) => Ok(fixed.clone()),
            (None, Source::Own(method)) => {
                let mut fitted = Preparation::fit(method, &moments(), self.generic.as_ref())?;
                fitted.fitted_on = "collection".to_owned();
                Ok(fitted)
            }
            (None, _) => Ok(Preparation::none(self.dim)),
        }
    }
}

/// The preparation that the model's folder brings.
///
/// # Errors
/// A file that is there but damaged.
pub fn generic_preparation(model_dir: &Path) -> Result<Option<Preparation>, CollectionError> {
    let path = model_dir.join(MODEL_PREPARATION);
    path.is_file().then(|| read_file(&path, "model")).transpose()
}

fn read_file(path: &Path, fitted_on: &str) -> Result<Preparation, CollectionError> {
    let bytes = std::fs::read(path).map_err(StorageError::at("read the preparation", path))?;
    Preparation::from_bytes(&bytes, fitted_on)
        .map_err(|source| CollectionError::PreparationFile { path: path.to_owned(), source })
}

/// Writes a preparation beside the segments, and gives what the manifest says of it.
///
/// # Errors
/// The system's refusal.
pub fn write_preparation(draft: &Draft, preparation: &Preparation) -> Result<PreparationEntry, StorageError> {
    let mut entry = PreparationEntry {
        spec: preparation.method.clone(),
        fitted_on: preparation.fitted_on.clone(),
        digest: preparation.digest(),
        file: None,
    };
    if !preparation.is_none() {
        let bytes = preparation.to_bytes();
        let name = draft.file_name("preparation", "pdx");
        storage::write_atomic(&draft.path().join(&name), &bytes)?;
        entry.file = Some(FileEntry { name, bytes: bytes.len() as u64, digest: entry.digest.clone() });
    }
    Ok(entry)
}
