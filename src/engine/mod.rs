//! A collection with its model: the one glue between pictures, tokens and plans, for command line and server alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use patchdex_format::ModelBinding;

use crate::collection::{Collection, CollectionError, Filter, FilterError, require_model};
use crate::core::{Bbox, Fault, Grid, Kind};
use crate::dims::Preparation;
use crate::model::{ImageSpec, Model, ModelError, ModelOptions, Session, model_dir, tensor};
use crate::picture::Picture;
use crate::query::{Answer, Plan, QueryError, QueryTokens, QueryView, Scope, choose_views, execute};

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The plan.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A model that did not make the collection.
    #[error(
        "{} was made with model '{expected}' ({expected_digest:.12}), not with {} ({found_digest:.12}): answers would be \
         wrong; give the right folder with --model, or index again", collection.display(), found.display()
    )]
    ForeignModel {
        /// The collection.
        collection: PathBuf,
        /// Name of the model that made it.
        expected: String,
        /// Digest of that model's graph.
        expected_digest: String,
        /// The model at hand.
        found: PathBuf,
        /// Its digest.
        found_digest: String,
    },
    /// The model's folder changed how pictures are prepared.
    #[error("{}: preprocessor_config.json or config.json is not what the collection was made with; restore it, or index again", model.display())]
    ForeignPreprocessing {
        /// The model's folder.
        model: PathBuf,
    },
    /// The plan's condition.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A box that is not in the image.
    #[error(
        "box {bbox} lies outside the image of {width}x{height} px; give x,y,w,h in pixels of the upright image"
    )]
    OutsideImage {
        /// The box.
        bbox: Bbox,
        /// Width of the upright image.
        width: u32,
        /// Height of the upright image.
        height: u32,
    },
}

impl Fault for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Collection(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::ForeignModel { .. } | Self::ForeignPreprocessing { .. } => Kind::Incompatible,
            Self::OutsideImage { .. } => Kind::Invalid,
        }
    }
}

/// What a caller may choose when a collection is opened for questions.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Model folder or name; where the collection's model was, when none.
    pub model: Option<String>,
    /// The ONNX Runtime library; searched when none.
    pub onnxruntime: Option<PathBuf>,
    /// Threads of the model.
    pub threads: usize,
}

/// Where the model of a collection is: the folder or name that was `given`, else where it was, else by its name.
pub fn bound_model_dir(binding: &ModelBinding, given: Option<&str>) -> PathBuf {
    match given {
        Some(model) => model_dir(model),
        None if Path::new(&binding.folder).is_dir() => PathBuf::from(&binding.folder),
        None => model_dir(&binding.name),
    }
}

/// How a collection wants its model opened.
pub fn bound_model_options(binding: &ModelBinding, onnxruntime: Option<PathBuf>) -> ModelOptions {
    ModelOptions {
        variant: Some(binding.variant.clone()),
        output: Some(binding.output.clone()),
        inputs: binding.inputs.clone(),
        onnxruntime,
    }
}

/// Patches along the long side of a picture, below which the model sees hardly anything.
const LEAST_PATCHES: f32 = 8.0;

/// An open collection and a session of its model.
pub struct Engine {
    collection: Arc<Collection>,
    preparation: Arc<Preparation>,
    model: Arc<Model>,
    session: Session,
}

impl Engine {
    /// Opens the collection in `path` and the model that made it.
    ///
    /// # Errors
    /// No or a damaged collection, one of imported vectors, no model, or another model than the one that made the
    /// collection.
    pub fn open(path: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        let collection = Collection::open(path)?;
        require_model(path, collection.manifest())?;
        let preparation = collection.preparation()?;
        let binding = &collection.manifest().model;
        let dir = bound_model_dir(binding, options.model.as_deref());
        let wanted = bound_model_options(binding, options.onnxruntime.clone());
        let foreign = |found_digest: String| EngineError::ForeignModel {
            collection: path.to_owned(),
            expected: binding.name.clone(),
            expected_digest: binding.digest.clone(),
            found: dir.clone(),
            found_digest,
        };
        // Another model may not even have the output that is asked for: say first that it is another.
        let digest = Model::digest_of(&dir, &binding.variant)?;
        if digest != binding.digest {
            return Err(foreign(digest));
        }
        let (model, session) = Model::load(&dir, &wanted, options.threads.max(1))?;
        let image: Option<ImageSpec> = serde_json::from_value(binding.image.clone()).ok();
        let same = image.as_ref() == Some(&model.spec.image)
            && model.spec.patch_px == binding.patch_px
            && model.prefix_tokens == binding.prefix_tokens as usize;
        match same {
            true => Ok(Self {
                collection: Arc::new(collection),
                preparation: Arc::new(preparation),
                model: Arc::new(model),
                session,
            }),
            false => Err(EngineError::ForeignPreprocessing { model: dir }),
        }
    }

    /// Another engine over the same collection, with a session of its own of `threads` threads: both can be asked at the same
    /// time.
    ///
    /// # Errors
    /// A model that cannot be loaded once more.
    pub fn beside(&self, threads: usize) -> Result<Self, EngineError> {
        let session = self.model.session(threads.max(1))?;
        let Self { collection, preparation, model, .. } = self;
        let (collection, preparation, model) = (collection.clone(), preparation.clone(), model.clone());
        Ok(Self { collection, preparation, model, session })
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Answers which images show what is in `boxes` of `picture`; without a box, what the whole picture shows. Several
    /// boxes are several looks at the same object. Boxes are cut to the picture. `decode` and `total` of the timing are
    /// the caller's.
    ///
    /// # Errors
    /// A condition that makes no sense, a box outside the picture, a model that fails, damage that shows while reading.
    pub fn query(
        &mut self,
        picture: &Picture,
        image: &str,
        boxes: &[Bbox],
        plan: &Plan,
    ) -> Result<Answer, EngineError> {
        let whole = Bbox::of_image(picture.width, picture.height);
        let boxes = if boxes.is_empty() { &[whole] } else { boxes };
        let scope = match &plan.filter {
            Some(filter) => Scope::of(self.collection.matching(&filter.parse::<Filter>()?)?),
            None => Scope::all(&self.collection),
        };
        let start = Instant::now();
        let mut tokens = Vec::with_capacity(boxes.len());
        let mut seen: Vec<(QueryView, Grid, Vec<f32>)> = Vec::new();
        for bbox in boxes {
            let (width, height) = (picture.width, picture.height);
            let inside = bbox.intersection(&whole);
            if inside.area() <= 0.0 {
                return Err(EngineError::OutsideImage { bbox: *bbox, width, height });
            }
            let (patches, least_zoom) = (self.long_side_patches(), self.least_zoom());
            for view in choose_views(&inside, width, height, patches, &plan.sizes, least_zoom) {
                // Boxes that are seen in the same view share one run of the model.
                let at = match seen.iter().position(|(held, ..)| *held == view) {
                    Some(at) => at,
                    None => {
                        let (grid, vectors) = self.embed(picture, &view)?;
                        seen.push((view, grid, vectors));
                        seen.len() - 1
                    }
                };
                let (_, grid, vectors) = &seen[at];
                let dim = self.preparation.output_dim();
                tokens.push(QueryTokens::select(inside, view, grid, vectors, dim, plan.tokens));
            }
        }
        let embed_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut answer = execute(&self.collection, &scope, image, &tokens, plan)?;
        answer.timing_ms.embed = embed_ms;
        Ok(answer)
    }

    /// Side of a patch in a picture that is seen as the images of the collection are, in pixels of that picture.
    pub fn patch_px(&self, picture: &Picture) -> f32 {
        picture.width.max(picture.height) as f32 / self.long_side_patches()
    }

    fn long_side_patches(&self) -> f32 {
        match self.model.sizes {
            crate::model::SizeRule::Fixed { width, height } => {
                (width.max(height) / self.model.spec.patch_px) as f32
            }
            crate::model::SizeRule::Dynamic => {
                self.collection.manifest().views.long_side_px as f32 / self.model.spec.patch_px as f32
            }
        }
    }

    /// How small a whole picture may be shown to the model, beside one of the gallery.
    fn least_zoom(&self) -> f32 {
        match self.model.sizes {
            crate::model::SizeRule::Fixed { .. } => 1.0,
            crate::model::SizeRule::Dynamic => (LEAST_PATCHES / self.long_side_patches()).min(1.0),
        }
    }

    /// Prepared, comparable vectors of a view of a picture.
    fn embed(&mut self, picture: &Picture, view: &QueryView) -> Result<(Grid, Vec<f32>), EngineError> {
        let (spec, area) = (&self.model.spec, view.area);
        let shown = area.w.max(area.h) / picture.width.max(picture.height) as f32;
        let whole_px = self.collection.manifest().views.long_side_px as f32;
        let long_side_px = (whole_px * view.zoom * shown).round() as u32;
        let (width, height) = self.model.sizes.view_size(area.w, area.h, long_side_px, spec.patch_px);
        let pixels = tensor(picture, area, width, height, &spec.image);
        let tokens = self.session.embed(&pixels, 1, width, height)?;
        let mut vectors = self.preparation.apply(&tokens.values);
        self.collection.metric().prepare(&mut vectors, self.preparation.output_dim());
        Ok((Grid { area, rows: tokens.rows, cols: tokens.cols }, vectors))
    }
}
