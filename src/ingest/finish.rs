//! The last step: from the journal to the files of a segment, the preparation, the rejects and the manifest.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use patchdex_format::{
    ContainerWriter, Element, FORMAT_VERSION, FileEntry, ImageRow, Manifest, SegmentEntry, ViewRow,
};
use serde_json::Value;

use super::journal::{Embedded, Journal, Outcome, Record, Reject, ViewRecord};
use super::{IndexOptions, IngestError, Sources, model_binding, spools_raw, view_plan};
use crate::collection::{CREATED_BY, CollectionError, Draft, PreparationChoice, write_preparation};
use crate::dims::{Moments, Preparation};
use crate::model::Model;
use crate::segment::{BLOCK_TOKENS, FileRole, Listed, SegmentTables, file_entry, write_container};
use crate::storage::{Map, StorageError};

/// Writes the files of the collection; gives the manifest that publishes them.
pub(super) fn finish(
    draft: &Draft,
    journal: Journal,
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
    choice: PreparationChoice,
    stamp: String,
) -> Result<Manifest, IngestError> {
    let embedded = embedded(journal.records());
    if embedded.is_empty() {
        // There is nothing to go on with.
        draft.discard()?;
        return Err(IngestError::all_rejected(sources.files.len(), journal.rejects()));
    }
    let raw = spools_raw(options, choice.fixed());
    let spool = Spool::open(&journal, &originals(&embedded))?;
    let dim = model.spec.hidden_size;
    let preparation =
        choice.fit(|| Moments::of_blocks(&spool.blocks(dim), dim)).map_err(CollectionError::from)?;
    let metadata_of = |path: &[u8]| options.told(&sources.root, path, serde_json::Map::new());
    let segment = write_segment(draft, &metadata_of, &embedded, &spool, &preparation, raw, options)?;
    let rejects = write_rejects(draft, &journal.sorted_rejects())?;
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        created_by: CREATED_BY.to_owned(),
        commit: draft.commit(),
        root: sources.root.to_string_lossy().into_owned(),
        metric: options.metric.name.to_owned(),
        model: model_binding(model),
        views: view_plan(options),
        preparation: write_preparation(draft, &preparation)?,
        vectors: options.vectors.name.to_owned(),
        dim: preparation.output_dim() as u32,
        graph: options.graph.plan(None),
        segments: vec![segment],
        rejects,
        source: stamp,
    })
}

/// Writes this commit's segment, of images whose tokens are in the spool.
pub(super) fn write_segment(
    draft: &Draft,
    metadata_of: &dyn Fn(&[u8]) -> serde_json::Map<String, Value>,
    images: &[(&Record, &Embedded)],
    spool: &Spool,
    preparation: &Preparation,
    raw: bool,
    options: &IndexOptions,
) -> Result<SegmentEntry, IngestError> {
    let (id, folder) = draft.new_segment(0)?;
    let vectors = folder.join(FileRole::Vectors.first_name());
    let token_dim = preparation.input_dim();
    match raw {
        true => {
            let (encoding, blocks) = (options.encoding(preparation), spool.blocks(token_dim));
            encoding.write(&vectors, &blocks, CREATED_BY, &mut |_| {})?;
        }
        false => spool.write(&vectors, options.vectors.element, preparation.output_dim())?,
    }
    let mut files =
        vec![file_entry(&folder, &FileRole::Vectors.first_name()).map_err(CollectionError::from)?];
    if options.keep_raw {
        let name = FileRole::Raw.first_name();
        spool.write(&folder.join(&name), Element::F32, token_dim)?;
        files.push(file_entry(&folder, &name).map_err(CollectionError::from)?);
    }
    let tables = SegmentTables::of(listed(images, metadata_of));
    files.extend(tables.write(&folder, FileRole::first_name, CREATED_BY).map_err(CollectionError::from)?);
    let (images, views, patches) = (tables.image_count(), tables.view_count(), tables.patch_count());
    let mut entry = SegmentEntry { id, images, views, patches, files: Vec::new(), graph: None };
    FileRole::replace(&mut entry, files);
    Ok(entry)
}

/// Writes this commit's list of rejects.
pub(super) fn write_rejects(draft: &Draft, rejects: &[Reject]) -> Result<FileEntry, StorageError> {
    let line = |reject: &Reject| serde_json::to_string(reject).unwrap_or_default() + "\n";
    let text: String = rejects.iter().map(line).collect();
    draft.write_rejects(&text)
}

/// The spooled vectors of some images, in order.
pub(super) struct Spool {
    vectors: Map,
    scales: Option<Map>,
    ranges: Vec<(Range<usize>, Range<usize>)>,
}

impl Spool {
    pub fn open(journal: &Journal, images: &[&Embedded]) -> Result<Self, IngestError> {
        let range = |(first, count): (u64, u64)| first as usize..(first + count) as usize;
        let scaled = images.iter().any(|image| image.scales.1 > 0);
        Ok(Self {
            vectors: Map::open(&journal.spool_path())?,
            scales: scaled.then(|| Map::open(&journal.scales_path())).transpose()?,
            ranges: images.iter().map(|image| (range(image.spooled), range(image.scales))).collect(),
        })
    }

    /// Writes rows of `dim` elements as they were spooled.
    fn write(&self, path: &Path, element: Element, dim: usize) -> Result<(), StorageError> {
        write_container(path, |file| {
            let mut writer = ContainerWriter::new(file, FileRole::Vectors.kind(), CREATED_BY)?;
            writer.begin("vectors", element, dim as u32)?;
            self.ranges.iter().try_for_each(|(range, _)| writer.rows(&self.vectors[range.clone()]))?;
            if let Some(scales) = &self.scales {
                writer.begin("scales", Element::F32, 1)?;
                self.ranges.iter().try_for_each(|(_, range)| writer.rows(&scales[range.clone()]))?;
            }
            writer.finish().map(|_| ())
        })
    }

    /// Tokens as the model gave them, in blocks of [`BLOCK_TOKENS`] that do not cross images.
    fn blocks(&self, dim: usize) -> Vec<&[f32]> {
        let tokens = |range: &Range<usize>| bytemuck::cast_slice::<u8, f32>(&self.vectors[range.clone()]);
        self.ranges.iter().flat_map(|(range, _)| tokens(range).chunks(BLOCK_TOKENS * dim)).collect()
    }
}

/// The images of the journal with what was embedded of their content, in order of their paths: in which order the work
/// was done leaves no trace.
pub(super) fn embedded(records: &[Record]) -> Vec<(&Record, &Embedded)> {
    let done = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Done(image) => Some((image.content.as_str(), image)),
        _ => None,
    });
    let by_content: HashMap<&str, &Embedded> = done.collect();
    let mut images: Vec<(&Record, &Embedded)> = records
        .iter()
        .filter_map(|record| match &record.outcome {
            Outcome::Done(image) => Some((record, image)),
            Outcome::Duplicate { content, .. } => Some((record, *by_content.get(content.as_str())?)),
            Outcome::Rejected { .. } => None,
        })
        .collect();
    images.sort_by_cached_key(|(record, _)| record.path.bytes());
    images
}

/// Each content once, in the order of the first image that has it.
pub(super) fn originals<'a>(images: &[(&Record, &'a Embedded)]) -> Vec<&'a Embedded> {
    let mut seen = HashSet::new();
    images.iter().map(|&(_, image)| image).filter(|image| seen.insert(&image.content)).collect()
}

/// The images as their segment's table lists them: contents follow each other in the vectors as in [`originals`].
fn listed(
    images: &[(&Record, &Embedded)],
    metadata_of: &dyn Fn(&[u8]) -> serde_json::Map<String, Value>,
) -> Vec<Listed> {
    let mut places: HashMap<&str, Arc<[ViewRow]>> = HashMap::new();
    let mut first_patch = 0;
    let mut views_of = |image: &Embedded| -> Arc<[ViewRow]> {
        let place = |view: &ViewRecord| {
            let row = ViewRow {
                first_patch,
                image: 0,
                rows: view.rows,
                cols: view.cols,
                kind: view.kind,
                area: view.area,
            };
            first_patch += row.patches();
            row
        };
        image.views.iter().map(place).collect()
    };
    images
        .iter()
        .map(|&(record, image)| Listed {
            path: record.path.bytes(),
            row: ImageRow {
                file_bytes: record.file_bytes,
                modified_ns: record.modified_ns,
                width_px: image.width,
                height_px: image.height,
                content: content_of(&image.content),
                ..bytemuck::Zeroable::zeroed()
            },
            views: places.entry(&image.content).or_insert_with(|| views_of(image)).clone(),
            metadata: metadata_of(&record.path.bytes()),
        })
        .collect()
}

/// The bytes of a hexadecimal digest of the journal, whose lines are checked.
pub(super) fn content_of(digits: &str) -> [u8; 32] {
    *blake3::Hash::from_hex(digits).unwrap_or(blake3::hash(&[])).as_bytes()
}
