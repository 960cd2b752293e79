//! A collection with its model: the one glue between pictures, tokens and plans, for command line and server alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use patchdex_format::ModelBinding;

use crate::collection::{Collection, CollectionError, Filter, FilterError, require_model};
use crate::core::{Bbox, Fault, Grid, Kind, Mask, Pose};
use crate::dims::{Preparation, long_rows};
use crate::model::{ImageSpec, Model, ModelError, ModelOptions, RuntimeOptions, Session, model_dir, tensor};
use crate::picture::Picture;
use crate::query::{
    Answer, Marked, Patience, Plan, QueryError, QueryTokens, QueryView, Scope, SeenView, Subject,
    boxes_inside, choose_views, execute, marked_boxes, require_cosine,
};
use crate::storage::Residency;

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
    /// A mask that belongs to another image.
    #[error(
        "the mask has {}x{} px, the upright image {}x{}; give a mask of the image's size", mask[0], mask[1], image[0], image[1]
    )]
    MaskSize {
        /// Width and height of the mask.
        mask: [u32; 2],
        /// Width and height of the image.
        image: [u32; 2],
    },
    /// A mask that means nothing.
    #[error("no pixel of the mask is white; white is the object, black is not")]
    EmptyMask,
}

impl Fault for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Collection(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::MaskSize { .. } | Self::EmptyMask => Kind::Invalid,
            Self::ForeignModel { .. } | Self::ForeignPreprocessing { .. } => Kind::Incompatible,
        }
    }
}

/// What is asked about a picture.
#[derive(Clone, Copy, Default)]
pub struct Question<'a> {
    /// What the picture is called in the answer.
    pub image: &'a str,
    /// Where the object is: several boxes are several looks at the same object; none: the whole picture shows it. Boxes are cut to
    /// the picture.
    pub boxes: &'a [Bbox],
    /// Which pixels are meant, instead of boxes.
    pub mask: Option<&'a Arc<Mask>>,
    /// What is not meant.
    pub unlike: &'a [Bbox],
    /// Images that may be searched, as far as they meet the plan's condition; none: all.
    pub scope: Option<&'a Scope>,
}

/// What a caller may choose when a collection is opened for questions.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Model folder or name; where the collection's model was, when none.
    pub model: Option<String>,
    /// The ONNX Runtime library, and where it runs the model.
    pub runtime: RuntimeOptions,
    /// Threads of the model.
    pub threads: usize,
    /// How vectors and graphs lie in memory.
    pub residency: Residency,
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
pub fn bound_model_options(binding: &ModelBinding, runtime: RuntimeOptions) -> ModelOptions {
    ModelOptions {
        variant: Some(binding.variant.clone()),
        output: Some(binding.output.clone()),
        inputs: binding.inputs.clone(),
        runtime,
    }
}

/// The views of a picture that were embedded.
struct Views<'a> {
    picture: &'a Picture,
    patience: &'a Patience,
    seen: Vec<SeenView>,
}

/// The images of `scope` that meet the plan's condition.
///
/// # Errors
/// A condition that makes no sense, damage that shows while reading.
pub fn searched(collection: &Collection, scope: Option<&Scope>, plan: &Plan) -> Result<Scope, EngineError> {
    let meeting = match &plan.filter {
        Some(filter) => Scope::of(collection.matching(&filter.parse::<Filter>()?)?),
        None => Scope::all(collection),
    };
    Ok(match scope {
        Some(scope) => meeting.and(scope),
        None => meeting,
    })
}

/// The box around what a mask means.
fn mask_box(mask: &Mask, picture: &Picture) -> Result<Bbox, EngineError> {
    let (width, height) = mask.size();
    match (width, height) == (picture.width, picture.height) {
        true => mask.bbox().ok_or(EngineError::EmptyMask),
        false => Err(EngineError::MaskSize { mask: [width, height], image: [picture.width, picture.height] }),
    }
}

/// Patches along the long side of a picture, below which the model sees hardly anything.
const LEAST_PATCHES: f32 = 8.0;

/// A commit of a collection, with its preparation and the model that made it: what all sessions share.
pub struct Gallery {
    collection: Arc<Collection>,
    preparation: Preparation,
    model: Arc<Model>,
}

impl Gallery {
    /// Binds a collection to the model that made it: one of those that are `loaded`, else the one that `options` lead to.
    ///
    /// # Errors
    /// A collection of imported vectors, no model, or another model than the one that made the collection.
    pub fn bind(
        collection: Arc<Collection>,
        options: &EngineOptions,
        loaded: &[Arc<Model>],
    ) -> Result<Self, EngineError> {
        Self::bound(collection, options, loaded).map(|(gallery, _)| gallery)
    }

    /// The same, with the session that a model was loaded with.
    fn bound(
        collection: Arc<Collection>,
        options: &EngineOptions,
        loaded: &[Arc<Model>],
    ) -> Result<(Self, Option<Session>), EngineError> {
        let path = collection.path();
        require_model(path, collection.manifest())?;
        let preparation = collection.preparation()?;
        let binding = &collection.manifest().model;
        let made = |model: &&Arc<Model>| {
            model.digest == binding.digest && model.output == binding.output && model.inputs == binding.inputs
        };
        let (model, session) = match loaded.iter().find(made) {
            Some(model) => (model.clone(), None),
            None => {
                let (model, session) = load(path, binding, options)?;
                (Arc::new(model), Some(session))
            }
        };
        let image: Option<ImageSpec> = serde_json::from_value(binding.image.clone()).ok();
        let same = image.as_ref() == Some(&model.spec.image)
            && model.spec.patch_px == binding.patch_px
            && model.prefix_tokens == binding.prefix_tokens as usize;
        match same {
            true => Ok((Self { collection, preparation, model }, session)),
            false => Err(EngineError::ForeignPreprocessing {
                model: bound_model_dir(binding, options.model.as_deref()),
            }),
        }
    }

    /// The collection.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// A session of its own of `threads` threads.
    ///
    /// # Errors
    /// A model that cannot be loaded once more.
    pub fn session(&self, threads: usize) -> Result<Session, EngineError> {
        Ok(self.model.session(threads.max(1))?)
    }
}

/// Loads the model that made the collection in `path`.
fn load(
    path: &Path,
    binding: &ModelBinding,
    options: &EngineOptions,
) -> Result<(Model, Session), EngineError> {
    let dir = bound_model_dir(binding, options.model.as_deref());
    // Another model may not even have the output that is asked for: say first that it is another.
    let found_digest = Model::digest_of(&dir, &binding.variant)?;
    if found_digest != binding.digest {
        return Err(EngineError::ForeignModel {
            collection: path.to_owned(),
            expected: binding.name.clone(),
            expected_digest: binding.digest.clone(),
            found: dir,
            found_digest,
        });
    }
    let wanted = bound_model_options(binding, options.runtime.clone());
    Ok(Model::load(&dir, &wanted, options.threads.max(1))?)
}

/// A gallery and a session of its model.
pub struct Engine {
    gallery: Arc<Gallery>,
    session: Session,
}

impl Engine {
    /// Opens the collection in `path` and the model that made it.
    ///
    /// # Errors
    /// No or a damaged collection, one of imported vectors, no model, or another model than the one that made the
    /// collection.
    pub fn open(path: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        let (gallery, session) =
            Gallery::bound(Arc::new(Collection::open_as(path, options.residency)?), options, &[])?;
        match session {
            Some(session) => Ok(Self { gallery: Arc::new(gallery), session }),
            None => Self::over(Arc::new(gallery), options.threads),
        }
    }

    /// An engine with a session of its own of `threads` threads: any number of them can be asked at the same time.
    ///
    /// # Errors
    /// As [`Gallery::session`].
    pub fn over(gallery: Arc<Gallery>, threads: usize) -> Result<Self, EngineError> {
        let session = gallery.session(threads)?;
        Ok(Self { gallery, session })
    }

    /// Another engine over the same gallery.
    ///
    /// # Errors
    /// As [`Engine::over`].
    pub fn beside(&self, threads: usize) -> Result<Self, EngineError> {
        Self::over(self.gallery.clone(), threads)
    }

    /// An engine that goes on with a session of the gallery's model.
    pub fn resume(gallery: Arc<Gallery>, session: Session) -> Self {
        Self { gallery, session }
    }

    /// The session, for another gallery of the same model.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.gallery.collection
    }

    /// The collection, for when nothing more is asked.
    pub fn into_collection(self) -> Arc<Collection> {
        self.gallery.collection.clone()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.gallery.model
    }

    /// Answers which images show what is marked in `picture`, as far as it comes while somebody waits. `decode` and `total` of the
    /// timing are the caller's.
    ///
    /// # Errors
    /// Similarities that are no cosines, a condition that makes no sense, a box outside the picture, a mask of another size or
    /// without a pixel, a model that fails, damage that shows while reading, or that nobody waits any more.
    pub fn query(
        &mut self,
        picture: &Picture,
        question: &Question<'_>,
        plan: &Plan,
        patience: &Patience,
    ) -> Result<Answer, EngineError> {
        // Nobody waits for the model to hear that.
        require_cosine(&self.gallery.collection)?;
        let scope = searched(&self.gallery.collection, question.scope, plan)?;
        let start = Instant::now();
        let subject = self.subject(picture, question, plan, patience)?;
        let embed_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut answer = execute(&self.gallery.collection, &scope, &subject, plan, patience)?;
        answer.timing_ms.embed = embed_ms;
        Ok(answer)
    }

    /// The tokens of what is marked in a picture, in each pose, box and size.
    fn subject(
        &mut self,
        picture: &Picture,
        question: &Question<'_>,
        plan: &Plan,
        patience: &Patience,
    ) -> Result<Subject, EngineError> {
        let size = (picture.width, picture.height);
        let boxes = match question.mask {
            Some(mask) => vec![mask_box(mask, picture)?],
            None => marked_boxes(question.boxes, size)?,
        };
        let unlike = boxes_inside(question.unlike, size)?;
        let mut subject = Subject { image: question.image.to_owned(), ..Subject::default() };
        for pose in Pose::all(plan.mirrored, plan.turned) {
            let turned = (pose != Pose::default()).then(|| picture.posed(pose));
            let mut views = Views { picture: turned.as_ref().unwrap_or(picture), patience, seen: Vec::new() };
            let mut tokens = |bbox: &Bbox, mask, most| {
                self.tokens(&mut views, &Marked::new(bbox, mask, size, pose), &plan.sizes, most)
            };
            for bbox in &boxes {
                subject.looks.extend(tokens(bbox, question.mask, plan.tokens)?);
            }
            for bbox in &unlike {
                subject
                    .unlike
                    .extend(tokens(bbox, None, usize::MAX)?.into_iter().flat_map(|tokens| tokens.vectors));
            }
        }
        Ok(subject)
    }

    /// The tokens of what is marked, `most` of each of its `sizes`.
    fn tokens(
        &mut self,
        views: &mut Views<'_>,
        marked: &Marked,
        sizes: &[f32],
        most: usize,
    ) -> Result<Vec<QueryTokens>, EngineError> {
        let Picture { width, height, .. } = *views.picture;
        let (patches, least_zoom) = (self.long_side_patches(), self.least_zoom());
        let chosen = choose_views(&marked.bbox, width, height, patches, sizes, least_zoom);
        let tokens = chosen.into_iter().map(|view| {
            // What is seen in the same view shares one run of the model.
            let at = match views.seen.iter().position(|held| held.view == view) {
                Some(at) => at,
                None => {
                    views.patience.go_on()?;
                    views.seen.push(self.embed(views.picture, view)?);
                    views.seen.len() - 1
                }
            };
            Ok(QueryTokens::select(marked.clone(), &views.seen[at], most))
        });
        tokens.collect()
    }

    /// Side of a patch in a picture that is seen as the images of the collection are, in pixels of that picture.
    pub fn patch_px(&self, picture: &Picture) -> f32 {
        picture.width.max(picture.height) as f32 / self.long_side_patches()
    }

    fn long_side_patches(&self) -> f32 {
        match self.gallery.model.sizes {
            crate::model::SizeRule::Fixed { width, height } => {
                (width.max(height) / self.gallery.model.spec.patch_px) as f32
            }
            crate::model::SizeRule::Dynamic => {
                self.gallery.collection.manifest().views.long_side_px as f32
                    / self.gallery.model.spec.patch_px as f32
            }
        }
    }

    /// How small a whole picture may be shown to the model, beside one of the gallery.
    fn least_zoom(&self) -> f32 {
        match self.gallery.model.sizes {
            crate::model::SizeRule::Fixed { .. } => 1.0,
            crate::model::SizeRule::Dynamic => (LEAST_PATCHES / self.long_side_patches()).min(1.0),
        }
    }

    /// A view of a picture, with prepared, comparable vectors.
    fn embed(&mut self, picture: &Picture, view: QueryView) -> Result<SeenView, EngineError> {
        let (spec, area) = (&self.gallery.model.spec, view.area);
        let shown = area.w.max(area.h) / picture.width.max(picture.height) as f32;
        let whole_px = self.gallery.collection.manifest().views.long_side_px as f32;
        let long_side_px = (whole_px * view.zoom * shown).round() as u32;
        let (width, height) = self.gallery.model.sizes.view_size(area.w, area.h, long_side_px, spec.patch_px);
        let pixels = tensor(picture, area, width, height, &spec.image);
        let tokens = self.session.embed(&pixels, 1, width, height)?;
        let (preparation, dim) = (&self.gallery.preparation, self.gallery.preparation.output_dim());
        let mut vectors = preparation.apply(&tokens.values);
        self.gallery.collection.metric().prepare(&mut vectors, dim);
        let grid = Grid { area, rows: tokens.rows, cols: tokens.cols };
        let artefacts = long_rows(&tokens.values, tokens.dim);
        Ok(SeenView { view, grid, vectors, dim, artefacts })
    }
}
