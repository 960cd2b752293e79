//! What is looked for: the tokens of what is marked in an image, and of what is not meant.

use super::crop::{Marked, QueryTokens, QueryView, SeenView};
use super::{Plan, QueryError};
use crate::collection::{Collection, Placed};
use crate::core::{Bbox, Pose};
use crate::segment::{ImageView, PatchView, Segment, id_of, parse_id};

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// What the query image is called.
    pub image: String,
    /// What is marked, each place in each of its sizes and poses.
    pub looks: Vec<QueryTokens>,
    /// Vectors of what is not meant, row by row.
    pub unlike: Vec<f32>,
}

/// Where the object is in an image of that width and height: the parts of `boxes` in it, without a box all of it.
///
/// # Errors
/// A box that lies outside.
pub fn marked_boxes(boxes: &[Bbox], size: (u32, u32)) -> Result<Vec<Bbox>, QueryError> {
    match boxes {
        [] => Ok(vec![Bbox::of_image(size.0, size.1)]),
        boxes => boxes_inside(boxes, size),
    }
}

/// The parts of `boxes` that lie in an image of `width`×`height` pixels.
///
/// # Errors
/// A box that lies outside.
pub fn boxes_inside(boxes: &[Bbox], (width, height): (u32, u32)) -> Result<Vec<Bbox>, QueryError> {
    let whole = Bbox::of_image(width, height);
    let inside = |bbox: &Bbox| {
        let inside = bbox.intersection(&whole);
        let is_inside = inside.area() > 0.0;
        is_inside.then_some(inside).ok_or(QueryError::OutsideImage { bbox: *bbox, width, height })
    };
    boxes.iter().map(inside).collect()
}

/// The image of the collection that hits name so, by its path or its id.
///
/// # Errors
/// No such image, damage that shows while reading.
pub fn stored_image<'a>(collection: &'a Collection, named: &str) -> Result<Placed<'a>, QueryError> {
    let listing = collection.listing()?;
    let by_path = || listing.iter().find(|placed| String::from_utf8_lossy(placed.image.path) == named);
    let by_id = || {
        let id = parse_id(named)?;
        listing.iter().find(|placed| id_of(&placed.image.row.content) == id)
    };
    by_path().or_else(by_id).copied().ok_or_else(|| QueryError::NoSuchImage {
        named: named.to_owned(),
        collection: collection.path().to_owned(),
    })
}

impl Subject {
    /// What `boxes` show in an image of the collection, as its patches are stored: no model is needed. Each view of the image that
    /// holds a box is one of its sizes. `unlike` are boxes of what is not meant.
    ///
    /// # Errors
    /// A box outside the image.
    pub fn stored(
        collection: &Collection,
        asked: &Placed<'_>,
        boxes: &[Bbox],
        unlike: &[Bbox],
        plan: &Plan,
    ) -> Result<Self, QueryError> {
        let (image, segment) = (asked.image, &collection.segments()[asked.segment]);
        let size = (image.row.width_px, image.row.height_px);
        let mut subject = Self { image: image.path_text(), ..Self::default() };
        for bbox in marked_boxes(boxes, size)? {
            subject.looks.extend(seen(collection, segment, &image, &bbox, plan.tokens));
        }
        for bbox in boxes_inside(unlike, size)? {
            let seen = seen(collection, segment, &image, &bbox, usize::MAX);
            subject.unlike.extend(seen.into_iter().flat_map(|tokens| tokens.vectors));
        }
        Ok(subject)
    }
}

/// The tokens of a box in each view that holds it.
fn seen(
    collection: &Collection,
    segment: &Segment,
    image: &ImageView<'_>,
    bbox: &Bbox,
    most: usize,
) -> Vec<QueryTokens> {
    let dim = collection.manifest().dim as usize;
    let views: Vec<PatchView> = image.views().collect();
    let side = |view: &PatchView| view.grid.patch_size().0;
    let Some(whole) = views.first().map(side) else { return Vec::new() };
    let holds = |view: &&PatchView| view.grid.area.intersection(bbox).area() >= 0.99 * bbox.area();
    let tokens = |view: &PatchView| {
        let mut vectors = vec![0.0; view.grid.len() * dim];
        segment.vectors().widen(view.first_patch, &mut vectors);
        collection.metric().prepare(&mut vectors, dim);
        let marked = Marked::new(bbox, None, (image.row.width_px, image.row.height_px), Pose::default());
        let shown = QueryView { area: view.grid.area, zoom: whole / side(view) };
        // How long tokens were before their preparation is seldom stored.
        let seen = SeenView { view: shown, grid: view.grid, vectors, dim, artefacts: Vec::new() };
        QueryTokens::select(marked, &seen, most)
    };
    views.iter().filter(holds).map(tokens).collect()
}
