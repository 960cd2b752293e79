//! What is right for a query: labelled images tied to those of a collection, the boxes that show the query's instance, and
//! the images that count neither way (junk): the query's own, its neighbours in a video, copies of labelled ones.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Difficulty, EvalError, LabelledBox, LabelledImage, LabelledSet, Place, RetrieveOptions};
use crate::collection::{Collection, bytes_of_path};
use crate::query::Scope;
use crate::storage::StorageError;

/// What is right in a collection. Its images are called by their places in order of their paths.
pub(super) struct GroundTruth<'a> {
    gallery: &'a LabelledSet,
    by_path: HashMap<Vec<u8>, usize>,
    by_content: HashMap<[u8; 32], Vec<usize>>,
    /// Segment and row of each image of the collection.
    rows: Vec<(usize, usize)>,
    /// The collection's image for each labelled one.
    tied: Vec<usize>,
    /// Images that nobody labelled, and that hold the same as a labelled one.
    copies: HashSet<usize>,
    of_instance: HashMap<&'a str, Vec<&'a LabelledBox>>,
    /// Every box whose place is known, by the place of its image.
    boxes: HashMap<usize, Vec<Place>>,
    root: String,
    gap: u32,
    difficulty: Option<Difficulty>,
}

/// A labelled box, and its place in the collection.
pub(super) type Right<'a> = (&'a LabelledBox, Place);

/// What is right for one query.
pub(super) struct Target<'a> {
    /// The boxes that show its instance.
    pub boxes: Vec<Right<'a>>,
    /// Images that count neither way.
    pub junk: HashSet<usize>,
}

impl<'a> GroundTruth<'a> {
    /// Ties `gallery` to `collection`: by path, else by content. Frames of a query's video that are less than the gap away are
    /// junk, and so is what the difficulty leaves out.
    ///
    /// # Errors
    /// Labelled images that the collection does not have, or has in another size.
    pub fn new(
        collection: &Collection,
        gallery: &'a LabelledSet,
        options: &RetrieveOptions,
    ) -> Result<Self, EvalError> {
        let listing = collection.listing()?;
        let mut by_content: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
        for (place, listed) in listing.iter().enumerate() {
            by_content.entry(listed.image.row.content).or_default().push(place);
        }
        let by_path = listing.iter().enumerate().map(|(place, listed)| (listed.image.path.to_vec(), place));
        let mut truth = Self {
            gallery,
            by_path: by_path.collect(),
            by_content,
            rows: listing.iter().map(|placed| (placed.segment, placed.image.index)).collect(),
            tied: Vec::with_capacity(gallery.images.len()),
            copies: HashSet::new(),
            of_instance: HashMap::new(),
            boxes: HashMap::new(),
            root: collection.manifest().root.clone(),
            gap: options.gap,
            difficulty: options.difficulty,
        };
        let mut absent = Vec::new();
        for image in &gallery.images {
            match truth.find(image)? {
                Some(place) => truth.tied.push(place),
                None => absent.push(image),
            }
        }
        if let Some(first) = absent.first() {
            return Err(EvalError::NotIndexed {
                collection: collection.path().to_owned(),
                gallery: gallery.file.clone(),
                absent: absent.len(),
                images: gallery.images.len(),
                first: first.path.clone(),
            });
        }
        for (image, &place) in gallery.images.iter().zip(&truth.tied) {
            let row = listing[place].image.row;
            check_size(gallery, image, row.width_px, row.height_px)?;
            truth.copies.extend(&truth.by_content[&row.content]);
        }
        for place in &truth.tied {
            truth.copies.remove(place);
        }
        for labelled in &gallery.boxes {
            truth.of_instance.entry(&labelled.instance).or_default().push(labelled);
            if labelled.is_located {
                let place = Place { image: truth.tied[labelled.image], bbox: labelled.bbox };
                truth.boxes.entry(place.image).or_default().push(place);
            }
        }
        Ok(truth)
    }

    /// The place of a path below the collection's root.
    fn named(&self, path: &Path) -> Option<usize> {
        let below = path.strip_prefix(&self.root).ok()?;
        self.by_path.get(&bytes_of_path(below)).copied()
    }

    fn find(&self, image: &LabelledImage) -> Result<Option<usize>, EvalError> {
        if let Some(place) = self.named(&image.path) {
            return Ok(Some(place));
        }
        if !image.path.is_file() {
            return Ok(None);
        }
        let bytes = std::fs::read(&image.path).map_err(StorageError::at("read", &image.path))?;
        Ok(self.by_content.get(blake3::hash(&bytes).as_bytes()).map(|places| places[0]))
    }

    /// Images of the collection that nobody labelled; none of them shows anything that is asked for.
    pub fn distractors(&self) -> usize {
        self.by_path.len() - self.tied.iter().collect::<HashSet<_>>().len() - self.copies.len()
    }

    /// The place of an image of the collection.
    pub fn place(&self, path: &[u8]) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// The labelled boxes of an image, whatever they show.
    pub fn boxes(&self, image: usize) -> &[Place] {
        self.boxes.get(&image).map_or(&[], Vec::as_slice)
    }

    /// Every image but those of `hidden`.
    pub fn scope_without(&self, hidden: &HashSet<usize>) -> Scope {
        let mut segments: Vec<Vec<bool>> = Vec::new();
        for (place, &(segment, row)) in self.rows.iter().enumerate() {
            segments.resize(segments.len().max(segment + 1), Vec::new());
            let images = &mut segments[segment];
            images.resize(images.len().max(row + 1), false);
            images[row] = !hidden.contains(&place);
        }
        Scope::of(segments)
    }

    /// What is right for `asked`, a box of `image`, whose file has the BLAKE3 `content`.
    pub fn target(&self, asked: &LabelledBox, image: &LabelledImage, content: &[u8; 32]) -> Target<'a> {
        let mut junk = self.copies.clone();
        junk.extend(self.named(&image.path));
        junk.extend(self.by_content.get(content).into_iter().flatten());
        if let Some((video, frame)) = &image.frame {
            let is_near = |other: &LabelledImage| {
                let (other_video, other_frame) = other.frame.as_ref()?;
                Some(other_video == video && other_frame.abs_diff(*frame) < u64::from(self.gap))
            };
            let images = self.gallery.images.iter().zip(&self.tied);
            junk.extend(images.filter(|(other, _)| is_near(other) == Some(true)).map(|(_, &place)| place));
        }
        let of_it = self.of_instance.get(asked.instance.as_str()).into_iter().flatten();
        let placed = of_it
            .map(|&labelled| (labelled, Place { image: self.tied[labelled.image], bbox: labelled.bbox }));
        let is_meant = |(labelled, _): &Right<'_>| match labelled.grade {
            None => true,
            Some(grade) => self.difficulty.unwrap_or(Difficulty::Medium).holds(grade),
        };
        let (meant, left_out): (Vec<_>, Vec<_>) = placed.partition(is_meant);
        let right: HashSet<usize> = meant.iter().map(|(_, place)| place.image).collect();
        junk.extend(left_out.iter().map(|(_, place)| place.image).filter(|image| !right.contains(image)));
        let boxes = meant.into_iter().filter(|(_, place)| !junk.contains(&place.image)).collect();
        Target { boxes, junk }
    }
}

/// Refuses an image that is not of the size that the labels were made for: its boxes would be somewhere else.
pub(super) fn check_size(
    set: &LabelledSet,
    image: &LabelledImage,
    width: u32,
    height: u32,
) -> Result<(), EvalError> {
    match image.size {
        Some(said) if said != [width, height] => Err(EvalError::OtherSize {
            file: set.file.clone(),
            image: image.name.clone(),
            said,
            found: [width, height],
        }),
        _ => Ok(()),
    }
}
