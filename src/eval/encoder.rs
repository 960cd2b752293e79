//! What makes comparable vectors of pictures in a protocol: a model, a preparation and a similarity, applied as `index` and a
//! query apply them, so that what is measured is what is served.

use std::path::Path;

use super::EvalError;
use crate::collection::{CollectionError, PreparationChoice};
use crate::core::Bbox;
use crate::dims::{Moments, Preparation, Source};
use crate::metric::Metric;
use crate::model::{Model, ModelSpec, Session, Tokens, tensor};
use crate::picture::{Filter, Limits, Picture, decode};
use crate::storage::StorageError;

/// A model, and what is done with its tokens.
pub struct Encoder {
    /// The model.
    pub model: Model,
    /// How vectors are compared.
    pub metric: Metric,
    choice: PreparationChoice,
    threads: usize,
}

impl Encoder {
    /// Tokens of `model` with the preparation that `source` means. `threads` pictures go through the model at the same time.
    ///
    /// # Errors
    /// A preparation that cannot be read or does not fit the tokens.
    pub fn new(model: Model, source: &Source, metric: Metric, threads: usize) -> Result<Self, EvalError> {
        let choice = PreparationChoice::of(source, model.spec.hidden_size, &model.spec.dir)?;
        Ok(Self { model, metric, choice, threads: threads.max(1) })
    }

    /// Sessions of one thread each.
    pub(super) fn sessions(&self) -> Result<Vec<Session>, EvalError> {
        sessions(&self.model, self.threads)
    }

    /// Threads that may work at the same time.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Whether the preparation is to be fitted on the tokens at hand.
    pub(super) fn is_fitted_here(&self) -> bool {
        self.choice.fixed().is_none()
    }

    /// The map from tokens to vectors; `moments` are those of the tokens at hand, and asked for where it is fitted on them.
    pub(super) fn mapping(&self, moments: impl FnOnce() -> Moments) -> Result<Mapping, EvalError> {
        Mapping::fitted(&self.choice, self.metric, moments)
    }
}

/// The map from a model's tokens to vectors that are compared.
pub(super) struct Mapping {
    pub preparation: Preparation,
    pub metric: Metric,
}

impl Mapping {
    /// The map that `choice` means; `moments` are asked for where it is fitted on the tokens at hand.
    pub fn fitted(
        choice: &PreparationChoice,
        metric: Metric,
        moments: impl FnOnce() -> Moments,
    ) -> Result<Self, EvalError> {
        let preparation = choice.fit(moments).map_err(CollectionError::from)?;
        Ok(Self { preparation, metric })
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.preparation.output_dim()
    }

    /// Comparable vectors of tokens.
    pub fn vectors(&self, tokens: &[f32]) -> Vec<f32> {
        let mut vectors = self.preparation.apply(tokens);
        self.metric.prepare(&mut vectors, self.dim());
        vectors
    }
}

/// Sessions of one thread each: as many as threads, and fewer on another device than the CPU.
pub(super) fn sessions(model: &Model, threads: usize) -> Result<Vec<Session>, EvalError> {
    (0..model.device.sessions(threads)).map(|_| Ok(model.session(1)?)).collect()
}

/// Patch tokens of the part `area` of a picture, whose long side has `long_side_px` as the model sees it.
pub(super) fn embed(
    model: &Model,
    session: &mut Session,
    picture: &Picture,
    area: Bbox,
    long_side_px: u32,
) -> Result<Tokens, EvalError> {
    let ModelSpec { patch_px, image, .. } = &model.spec;
    let (width, height) = model.sizes.view_size(area.w, area.h, long_side_px, *patch_px);
    Ok(session.embed(&tensor(picture, area, width, height, image), 1, width, height)?)
}

/// The part `area` of a picture, whose sides are whole pixels.
pub(super) fn cut(picture: &Picture, area: Bbox) -> Picture {
    picture.resize(area, area.w as u32, area.h as u32, Filter::Nearest)
}

/// The upright picture in `path`.
pub(super) fn open_picture(path: &Path) -> Result<Picture, EvalError> {
    let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
    decode(&bytes, &Limits::default()).map_err(|source| EvalError::Picture { path: path.to_owned(), source })
}
