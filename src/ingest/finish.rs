//! The last step: from the journal to the files of a segment, the preparation, the rejects and the manifest.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;

use patchdex_format::{
    ContainerWriter, Element, FORMAT_VERSION, FileEntry, ImageRow, ImageTable, ImageTableWriter, Manifest,
    SegmentEntry, ViewRow,
};
use rayon::prelude::*;

use super::journal::{Embedded, Journal, Outcome, Record, ViewRecord};
use super::{
    IndexOptions, IngestError, REJECTS_FILE, Sources, model_binding, pipeline, preparation_entry, spools_raw,
    view_plan,
};
use crate::collection::{CREATED_BY, CollectionError, Draft, PREPARATION_FILE, publish};
use crate::dims::{Moments, Preparation, Source};
use crate::model::Model;
use crate::segment::{IMAGES_FILE, RAW_FILE, VECTORS_FILE, VECTORS_KIND, file_entry, write_container};
use crate::storage::{self, Map};

/// The first segment of a collection.
const SEGMENT_ID: &str = "000001";
/// Tokens that one task prepares, or takes the moments of. Fixed, so that sums do not depend on the threads.
const BLOCK_TOKENS: usize = 4096;

/// Where the preparation comes from.
pub(super) struct Fitting {
    /// Known before the first token; none when it is to be fitted on all of them.
    pub fixed: Option<Preparation>,
    /// What a whitening is shrunk towards.
    pub generic: Option<Preparation>,
}

/// Writes and publishes the collection.
pub(super) fn finish(
    draft: Draft,
    journal: Journal,
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
    Fitting { fixed, generic }: Fitting,
    stamp: String,
) -> Result<(), IngestError> {
    let listed = listed(journal.records());
    let done = originals(&listed);
    if done.is_empty() {
        return Err(IngestError::all_rejected(sources.files.len(), journal.rejects()));
    }
    let spool = Spool::open(&journal, &done)?;
    let raw = spools_raw(options, &fixed);
    let dim = model.spec.hidden_size;
    let preparation = match fixed {
        Some(preparation) => preparation,
        None => fit(&spool, model, options, generic.as_ref())?,
    };
    let folder = draft.segment_dir(SEGMENT_ID)?;
    let out_dim = preparation.output_dim();
    write_container(&folder.join(VECTORS_FILE), |file| {
        let mut writer = ContainerWriter::new(file, VECTORS_KIND, CREATED_BY)?;
        writer.begin("vectors", options.vectors.element, out_dim as u32)?;
        let scales = match raw {
            true => write_prepared(&mut writer, &spool, &preparation, options)?,
            false => write_as_spooled(&mut writer, &spool)?,
        };
        if options.vectors.element == Element::I8 {
            writer.section("scales", Element::F32, 1, &scales)?;
        }
        writer.finish().map(|_| ())
    })?;
    let mut files = vec![(IMAGES_FILE, ImageTable::KIND), (VECTORS_FILE, VECTORS_KIND)];
    if options.keep_raw {
        write_container(&folder.join(RAW_FILE), |file| {
            let mut writer = ContainerWriter::new(file, VECTORS_KIND, CREATED_BY)?;
            writer.begin("vectors", Element::F32, dim as u32)?;
            spool.each(|bytes| writer.rows(bytes))?;
            writer.finish().map(|_| ())
        })?;
        files.push((RAW_FILE, VECTORS_KIND));
    }
    let table = image_table(&listed);
    write_container(&folder.join(IMAGES_FILE), |file| table.write(file, CREATED_BY).map(|_| ()))?;
    let entry = SegmentEntry {
        id: SEGMENT_ID.to_owned(),
        images: table.len() as u64,
        views: table.view_count() as u64,
        patches: done.iter().map(|image| image.patches()).sum(),
        files: files
            .into_iter()
            .map(|(name, kind)| file_entry(&folder, name, kind))
            .collect::<Result<_, _>>()
            .map_err(CollectionError::from)?,
    };
    let rejects: String = journal
        .sorted_rejects()
        .iter()
        .map(|reject| serde_json::to_string(reject).unwrap_or_default() + "\n")
        .collect();
    storage::write_atomic(&draft.path().join(REJECTS_FILE), rejects.as_bytes())?;
    let rejects = FileEntry {
        name: REJECTS_FILE.to_owned(),
        bytes: rejects.len() as u64,
        digest: blake3::hash(rejects.as_bytes()).to_hex().to_string(),
    };
    let mut prepared = preparation_entry(&preparation);
    if !preparation.is_none() {
        let bytes = preparation.to_bytes();
        storage::write_atomic(&draft.path().join(PREPARATION_FILE), &bytes)?;
        let name = PREPARATION_FILE.to_owned();
        prepared.file = Some(FileEntry { name, bytes: bytes.len() as u64, digest: prepared.digest.clone() });
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        created_by: CREATED_BY.to_owned(),
        commit: 1,
        root: sources.root.to_string_lossy().into_owned(),
        metric: options.metric.name.to_owned(),
        model: model_binding(model),
        views: view_plan(options),
        preparation: prepared,
        vectors: options.vectors.name.to_owned(),
        dim: out_dim as u32,
        segments: vec![entry],
        rejects,
        source: stamp,
    };
    drop((spool, journal));
    Ok(publish(draft, &manifest)?)
}

/// The spooled vectors of the images that are in the collection, in order.
struct Spool {
    vectors: Map,
    scales: Option<Map>,
    ranges: Vec<(Range<usize>, Range<usize>)>,
}

impl Spool {
    fn open(journal: &Journal, done: &[&Embedded]) -> Result<Self, IngestError> {
        let range = |(first, count): (u64, u64)| first as usize..(first + count) as usize;
        let scaled = done.iter().any(|image| image.scales.1 > 0);
        Ok(Self {
            vectors: Map::open(&journal.spool_path())?,
            scales: scaled.then(|| Map::open(&journal.scales_path())).transpose()?,
            ranges: done.iter().map(|image| (range(image.spooled), range(image.scales))).collect(),
        })
    }

    fn each(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.ranges.iter().try_for_each(|(range, _)| take(&self.vectors[range.clone()]))
    }

    fn scales(&self) -> Vec<f32> {
        let Some(map) = &self.scales else { return Vec::new() };
        self.ranges
            .iter()
            .flat_map(|(_, range)| bytemuck::pod_collect_to_vec::<u8, f32>(&map[range.clone()]))
            .collect()
    }

    /// Tokens as the model gave them, in blocks of [`BLOCK_TOKENS`] that do not cross images.
    fn blocks(&self, dim: usize) -> Vec<&[f32]> {
        let tokens = |range: &Range<usize>| bytemuck::cast_slice::<u8, f32>(&self.vectors[range.clone()]);
        self.ranges.iter().flat_map(|(range, _)| tokens(range).chunks(BLOCK_TOKENS * dim)).collect()
    }
}

/// Fits the preparation on the spooled tokens.
fn fit(
    spool: &Spool,
    model: &Model,
    options: &IndexOptions,
    generic: Option<&Preparation>,
) -> Result<Preparation, IngestError> {
    let dim = model.spec.hidden_size;
    let Source::Own(method) = &options.prepare else { return Ok(Preparation::none(dim)) };
    let mut moments = Moments::empty(dim);
    // A few blocks at a time in parallel, merged in order.
    for blocks in spool.blocks(dim).chunks(rayon::current_num_threads().max(1) * 2) {
        let parts: Vec<Moments> = blocks.par_iter().map(|block| Moments::of_rows(block, dim)).collect();
        parts.iter().for_each(|part| moments.merge(part));
    }
    let mut fitted = Preparation::fit(method, &moments, generic)?;
    fitted.fitted_on = "collection".to_owned();
    Ok(fitted)
}

fn write_prepared<W: io::Write>(
    writer: &mut ContainerWriter<W>,
    spool: &Spool,
    preparation: &Preparation,
    options: &IndexOptions,
) -> io::Result<Vec<f32>> {
    let mut scales = Vec::new();
    for blocks in spool.blocks(preparation.input_dim()).chunks(rayon::current_num_threads().max(1) * 2) {
        let encoded: Vec<_> =
            blocks.par_iter().map(|block| pipeline::encode(block, preparation, options)).collect();
        for (bytes, block_scales) in encoded {
            writer.rows(&bytes)?;
            scales.extend(block_scales);
        }
    }
    Ok(scales)
}

fn write_as_spooled<W: io::Write>(writer: &mut ContainerWriter<W>, spool: &Spool) -> io::Result<Vec<f32>> {
    spool.each(|bytes| writer.rows(bytes))?;
    Ok(spool.scales())
}

/// The images of the collection with what was embedded of their content, in order of their paths: in which order the
/// work was done leaves no trace.
fn listed(records: &[Record]) -> Vec<(&Record, &Embedded)> {
    let done = records.iter().filter_map(|record| match &record.outcome {
        Outcome::Done(image) => Some((image.content.as_str(), image)),
        _ => None,
    });
    let embedded: HashMap<&str, &Embedded> = done.collect();
    let mut listed: Vec<(&Record, &Embedded)> = records
        .iter()
        .filter_map(|record| match &record.outcome {
            Outcome::Done(image) => Some((record, image)),
            Outcome::Duplicate { content, .. } => Some((record, *embedded.get(content.as_str())?)),
            Outcome::Rejected { .. } => None,
        })
        .collect();
    listed.sort_by_cached_key(|(record, _)| record.path.bytes());
    listed
}

/// Each content once, in the order of the first image that has it.
fn originals<'a>(listed: &[(&Record, &'a Embedded)]) -> Vec<&'a Embedded> {
    let mut seen = HashSet::new();
    listed.iter().map(|&(_, image)| image).filter(|image| seen.insert(&image.content)).collect()
}

fn image_table(listed: &[(&Record, &Embedded)]) -> ImageTableWriter {
    let mut table = ImageTableWriter::default();
    let mut places: HashMap<&str, u32> = HashMap::new();
    let mut first_patch = 0;
    for &(record, image) in listed {
        let path = record.path.bytes();
        let row = ImageRow {
            file_bytes: record.file_bytes,
            modified_ns: record.modified_ns,
            width_px: image.width,
            height_px: image.height,
            content: *blake3::Hash::from_hex(&image.content).unwrap_or(blake3::hash(&[])).as_bytes(),
            ..bytemuck::Zeroable::zeroed()
        };
        if let Some(&original) = places.get(image.content.as_str()) {
            table.push_duplicate(&path, row, original);
            continue;
        }
        let view = |view: &ViewRecord| {
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
        let views: Vec<ViewRow> = image.views.iter().map(view).collect();
        places.insert(&image.content, table.push(&path, row, &views));
    }
    table
}
