//! The stages between a list of files and the journal: read and hash, decode and resize, embed, encode, write in order.
//!
//! Each stage has its own threads and bounded queues; a budget bounds the bytes in flight. The writer puts images back
//! into the order of the list, so that what is stored does not depend on the number of threads.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::budget::Budget;
use super::journal::{Embedded, Journal, Outcome, PathText, Record, ViewRecord};
use super::{IndexOptions, IngestError, SourceFile, Sources, Status, View, view_plan, views};
use crate::collection::bytes_of_path;
use crate::model::{Device, Model, ModelError, tensor};
use crate::picture::{self, PictureError};
use crate::segment::RowEncoding;

/// How tokens become spooled bytes.
pub(super) struct Spooling<'a> {
    /// How they are stored at once; none when they are spooled as the model gives them.
    pub encoding: Option<RowEncoding<'a>>,
    pub options: &'a IndexOptions,
    /// Contents that need no embedding, with the image that has each.
    pub known: HashMap<String, PathText>,
}

impl Spooling<'_> {
    /// Spooled bytes and scales of rows as the model gives them.
    fn encode(&self, tokens: &[f32]) -> (Vec<u8>, Vec<f32>) {
        match &self.encoding {
            Some(encoding) => encoding.encode(tokens),
            None => (bytemuck::cast_slice(tokens).to_vec(), Vec::new()),
        }
    }
}

/// An image that was read.
struct ReadImage {
    place: usize,
    bytes: Vec<u8>,
    content: String,
    held_bytes: u64,
}

/// A view, ready for the model.
struct ReadyView {
    place: usize,
    /// Its index among the views of its image.
    index: usize,
    width_px: u32,
    height_px: u32,
    pixels: Vec<f32>,
}

impl ReadyView {
    fn size(&self) -> (u32, u32) {
        (self.width_px, self.height_px)
    }
}

/// A view that went through the model.
struct EmbeddedView {
    place: usize,
    /// Its index among the views of its image.
    index: usize,
    tokens: Vec<f32>,
}

/// What reaches the writer.
enum Arrival {
    /// An image was decoded; its views will follow.
    Decoded { place: usize, content: String, width: u32, height: u32, views: Vec<View>, held_bytes: u64 },
    /// Tokens of one of its views.
    Embedded { place: usize, index: usize, part: (Vec<u8>, Vec<f32>) },
    /// An image that needs no model.
    Settled { place: usize, outcome: Outcome, held_bytes: u64 },
    /// The model failed: the whole run ends.
    Failed(ModelError),
    /// A worker panicked: so does it.
    Died,
}

/// Embeds what the journal does not have. Returns the number of views that went through the model.
pub(super) fn run(
    sources: &Sources,
    model: &Model,
    spooling: &Spooling<'_>,
    journal: &mut Journal,
    stop: &AtomicBool,
    status: &mut Status,
    progress: &mut dyn FnMut(&Status),
) -> Result<usize, IngestError> {
    let done = journal.paths();
    let files: Vec<&SourceFile> =
        sources.files.iter().filter(|file| !done.contains(&bytes_of_path(&file.relative))).collect();
    if files.is_empty() {
        return Ok(0);
    }
    let options = spooling.options;
    let threads = options.threads.max(1).min(files.len().max(1) * 4);
    let batch = batch(model, options);
    // Of those who decode, and of those who encode. A model elsewhere leaves the processor to them.
    let helpers = if model.device == Device::Cpu { threads.div_ceil(2) } else { threads };
    let budget = Budget::new(options.memory_bytes);
    let halted = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed) || halted.load(Ordering::Relaxed);

    thread::scope(|scope| {
        let (read_out, read_in) = bounded::<ReadImage>(threads);
        let (view_out, view_in) = bounded::<ReadyView>(threads.max(2 * batch));
        let (token_out, token_in) = bounded::<EmbeddedView>(threads.max(2 * batch));
        let (arrive_out, arrive_in) = bounded::<Arrival>(threads * 4);
        {
            let (budget, files, arrive_out) = (&budget, &files, arrive_out.clone());
            let reader = Reader {
                model,
                options,
                known: spooling.known.clone().into_iter().chain(journal.contents()).collect(),
            };
            scope.spawn(move || {
                guarded(&arrive_out, || reader.run(files, budget, &stopped, &read_out, &arrive_out));
            });
        }
        for _ in 0..helpers {
            let (read_in, view_out, arrive_out) = (read_in.clone(), view_out.clone(), arrive_out.clone());
            scope.spawn(move || {
                guarded(&arrive_out, || decode(&read_in, model, options, &view_out, &arrive_out))
            });
        }
        for _ in 0..model.device.sessions(threads) {
            let (view_in, token_out, arrive_out) = (view_in.clone(), token_out.clone(), arrive_out.clone());
            scope.spawn(move || {
                guarded(&arrive_out, || embed(model, &view_in, batch, &token_out, &arrive_out))
            });
        }
        for _ in 0..helpers {
            let (token_in, arrive_out) = (token_in.clone(), arrive_out.clone());
            scope.spawn(move || guarded(&arrive_out, || encode(&token_in, spooling, &arrive_out)));
        }
        drop((read_in, view_out, view_in, token_out, token_in, arrive_out));
        let mut writer = Writer {
            files: &files,
            journal,
            budget: &budget,
            open: BTreeMap::new(),
            known: &spooling.known,
            broken: HashMap::new(),
            next: 0,
            views: 0,
        };
        let outcome = writer.write(&arrive_in, status, progress);
        halted.store(true, Ordering::Relaxed);
        // The stages before may wait for room, in the queues or in memory: let them run dry.
        budget.lift();
        arrive_in.into_iter().for_each(drop);
        outcome?;
        match writer.next == files.len() {
            true => Ok(writer.views),
            false if stop.load(Ordering::Relaxed) => {
                Err(IngestError::Interrupted { done: status.done, images: status.images })
            }
            false => Err(IngestError::WorkerDied),
        }
    })
}

/// A worker that panics ends the run with an error: nobody must wait for what it held.
fn guarded(arrive: &Sender<Arrival>, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        // Nobody is left to tell only when the run has ended already.
        let _ = arrive.send(Arrival::Died);
    }
}

/// Reads files and recognises copies: the first of equal files is the original, whatever the other threads do.
struct Reader<'a> {
    model: &'a Model,
    options: &'a IndexOptions,
    /// The first image of each content.
    known: HashMap<String, PathText>,
}

impl Reader<'_> {
    /// Reads all files in order.
    fn run(
        mut self,
        files: &[&SourceFile],
        budget: &Budget,
        stopped: &dyn Fn() -> bool,
        out: &Sender<ReadImage>,
        arrive: &Sender<Arrival>,
    ) {
        for (place, file) in files.iter().enumerate() {
            if stopped() {
                return;
            }
            let sent = match self.read(file) {
                Ok((bytes, content, held_bytes)) => {
                    budget.acquire(held_bytes);
                    out.send(ReadImage { place, bytes, content, held_bytes }).is_ok()
                }
                Err(outcome) => arrive.send(Arrival::Settled { place, outcome, held_bytes: 0 }).is_ok(),
            };
            if !sent {
                return;
            }
        }
    }

    /// Bytes and digest of a file, and the memory that the work on it holds; or what else becomes of it.
    fn read(&mut self, file: &SourceFile) -> Result<(Vec<u8>, String, u64), Outcome> {
        let limits = &self.options.limits;
        if file.bytes > limits.max_file_bytes {
            let (bytes, max_file_bytes) = (file.bytes, limits.max_file_bytes);
            return Err(rejected(PictureError::FileTooLarge { bytes, max_file_bytes }));
        }
        let bytes = std::fs::read(&file.path).map_err(|error| Outcome::Rejected {
            reason: "unreadable".to_owned(),
            message: format!("cannot be read: {error}"),
        })?;
        let content = blake3::hash(&bytes).to_hex().to_string();
        if let Some(of) = self.known.get(&content) {
            return Err(Outcome::Duplicate { content, of: of.clone() });
        }
        let header = picture::header(&bytes, limits).map_err(rejected)?;
        self.known.insert(content.clone(), PathText::of(&bytes_of_path(&file.relative)));
        let views = views(header.width, header.height, &view_plan(self.options), self.model);
        let held_bytes =
            bytes.len() as u64 + header.decode_bytes + views_bytes(&views, self.model, self.options);
        Ok((bytes, content, held_bytes))
    }
}

/// The largest tensor, alone and in its batch, and the tokens of all views twice: as they arrive, and joined to be written.
fn views_bytes(views: &[View], model: &Model, options: &IndexOptions) -> u64 {
    let largest = views.iter().map(|view| u64::from(view.width_px) * u64::from(view.height_px)).max();
    let tensors = batch(model, options).min(2) as u64;
    let patches: u64 = views.iter().map(|view| view.grid.len() as u64).sum();
    largest.unwrap_or(0) * 3 * 4 * tensors + patches * model.spec.hidden_size as u64 * 4 * 2
}

/// Views of one size that go through the model together, at most.
fn batch(model: &Model, options: &IndexOptions) -> usize {
    options.batch.unwrap_or(model.device.batch()).clamp(1, model.batch_limit)
}

fn rejected(error: PictureError) -> Outcome {
    Outcome::Rejected { reason: error.reason().to_owned(), message: error.to_string() }
}

fn decode(
    images: &Receiver<ReadImage>,
    model: &Model,
    options: &IndexOptions,
    out: &Sender<ReadyView>,
    arrive: &Sender<Arrival>,
) {
    for ReadImage { place, bytes, content, held_bytes } in images {
        let picture = match picture::decode(&bytes, &options.limits) {
            Ok(picture) => picture,
            Err(error) => {
                if arrive.send(Arrival::Settled { place, outcome: rejected(error), held_bytes }).is_err() {
                    return;
                }
                continue;
            }
        };
        drop(bytes);
        let (width, height) = (picture.width, picture.height);
        let views = views(width, height, &view_plan(options), model);
        let announced = Arrival::Decoded { place, content, width, height, views: views.clone(), held_bytes };
        if arrive.send(announced).is_err() {
            return;
        }
        for (index, View { grid, width_px, height_px, .. }) in views.into_iter().enumerate() {
            let pixels = tensor(&picture, grid.area, width_px, height_px, &model.spec.image);
            if out.send(ReadyView { place, index, width_px, height_px, pixels }).is_err() {
                return;
            }
        }
    }
}

fn embed(
    model: &Model,
    views: &Receiver<ReadyView>,
    batch: usize,
    out: &Sender<EmbeddedView>,
    arrive: &Sender<Arrival>,
) {
    // Made here, so that all sessions load at once, beside the first images.
    let mut session = match model.session(1) {
        Ok(session) => session,
        Err(error) => {
            // Nobody is left to tell only when the run has ended already.
            let _ = arrive.send(Arrival::Failed(error));
            return;
        }
    };
    // Never more than one batch, so that no other session waits for what this one holds.
    let mut held: Vec<ReadyView> = Vec::new();
    loop {
        if held.is_empty() {
            let Ok(view) = views.recv() else { return };
            held.push(view);
        }
        held.extend(views.try_iter().take(batch - held.len()));
        let size = held[0].size();
        let together: Vec<ReadyView> = held.extract_if(.., |view| view.size() == size).collect();
        let pixels: Vec<&[f32]> = together.iter().map(|view| view.pixels.as_slice()).collect();
        let tokens = match session.embed_together(&pixels, size.0, size.1) {
            Ok(tokens) => tokens,
            Err(error) => {
                let _ = arrive.send(Arrival::Failed(error));
                return;
            }
        };
        for (ReadyView { place, index, .. }, tokens) in together.into_iter().zip(tokens) {
            if out.send(EmbeddedView { place, index, tokens }).is_err() {
                return;
            }
        }
    }
}

fn encode(views: &Receiver<EmbeddedView>, spooling: &Spooling<'_>, arrive: &Sender<Arrival>) {
    for EmbeddedView { place, index, tokens } in views {
        if arrive.send(Arrival::Embedded { place, index, part: spooling.encode(&tokens) }).is_err() {
            return;
        }
    }
}

/// An image whose views are arriving.
struct OpenImage {
    content: String,
    width: u32,
    height: u32,
    views: Vec<View>,
    parts: Vec<Option<(Vec<u8>, Vec<f32>)>>,
    held_bytes: u64,
}

/// What the writer holds of an image whose turn has not come.
enum Waiting {
    Open(OpenImage),
    Settled(Outcome, u64),
}

struct Writer<'a> {
    files: &'a [&'a SourceFile],
    journal: &'a mut Journal,
    budget: &'a Budget,
    open: BTreeMap<usize, Waiting>,
    /// Contents whose copies need nothing of this run.
    known: &'a HashMap<String, PathText>,
    /// Rejected images that have copies, perhaps: a copy shares its original's fate.
    broken: HashMap<PathText, Outcome>,
    next: usize,
    views: usize,
}

impl Writer<'_> {
    fn write(
        &mut self,
        arrivals: &Receiver<Arrival>,
        status: &mut Status,
        progress: &mut dyn FnMut(&Status),
    ) -> Result<(), IngestError> {
        for arrival in arrivals {
            match arrival {
                Arrival::Decoded { place, content, width, height, views, held_bytes } => {
                    let parts = vec![None; views.len()];
                    let image = OpenImage { content, width, height, views, parts, held_bytes };
                    self.open.insert(place, Waiting::Open(image));
                }
                Arrival::Embedded { place, index, part } => {
                    self.views += 1;
                    if let Some(Waiting::Open(image)) = self.open.get_mut(&place) {
                        image.parts[index] = Some(part);
                    }
                }
                Arrival::Settled { place, outcome, held_bytes } => {
                    self.open.insert(place, Waiting::Settled(outcome, held_bytes));
                }
                Arrival::Failed(error) => return Err(error.into()),
                Arrival::Died => return Err(IngestError::WorkerDied),
            }
            while self.write_next()? {
                status.done = self.journal.done();
                status.rejects = self.journal.rejects().len();
                status.patches = self.journal.patches();
                progress(status);
            }
            if self.next == self.files.len() {
                break;
            }
        }
        Ok(())
    }

    /// Writes the image whose turn it is, when it is whole.
    fn write_next(&mut self) -> Result<bool, IngestError> {
        let whole = match self.open.get(&self.next) {
            Some(Waiting::Open(image)) => image.parts.iter().all(Option::is_some),
            Some(Waiting::Settled(..)) => true,
            None => false,
        };
        if !whole {
            return Ok(false);
        }
        let Some(waiting) = self.open.remove(&self.next) else { return Ok(false) };
        let (outcome, vectors, scales, held_bytes) = match waiting {
            Waiting::Settled(outcome, held_bytes) => {
                let original = match &outcome {
                    Outcome::Duplicate { of, content } if !self.known.contains_key(content) => {
                        self.broken.get(of).cloned()
                    }
                    _ => None,
                };
                (original.unwrap_or(outcome), Vec::new(), Vec::new(), held_bytes)
            }
            Waiting::Open(image) => {
                let (vectors, scales): (Vec<_>, Vec<_>) = image.parts.into_iter().flatten().unzip();
                let record = |view: &View| ViewRecord {
                    kind: view.kind,
                    rows: view.grid.rows,
                    cols: view.grid.cols,
                    area: view.grid.area.into(),
                };
                let embedded = Embedded {
                    content: image.content,
                    width: image.width,
                    height: image.height,
                    spooled: (0, 0),
                    scales: (0, 0),
                    spool_check: String::new(),
                    views: image.views.iter().map(record).collect(),
                };
                (Outcome::Done(embedded), vectors.concat(), scales.concat(), image.held_bytes)
            }
        };
        let file = self.files[self.next];
        let path = PathText::of(&bytes_of_path(&file.relative));
        if matches!(outcome, Outcome::Rejected { .. }) {
            self.broken.insert(path.clone(), outcome.clone());
        }
        let record = Record { path, file_bytes: file.bytes, modified_ns: file.modified_ns, outcome };
        self.journal.append(record, &vectors, &scales)?;
        self.budget.release(held_bytes);
        self.next += 1;
        Ok(true)
    }
}
