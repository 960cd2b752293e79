//! Small pictures of images: thumbnails and crops as JPEG, made once and kept in memory up to a number of bytes, the least recently
//! used going first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use tokio::sync::Semaphore;

use super::catalogue::Commit;
use super::originals;
use super::problem::{Cause, Problem};
use super::routes::off_thread;
use super::{ServeOptions, Service};
use crate::core::Bbox;
use crate::picture::{self, Filter};

/// Quality of the JPEG files.
const QUALITY: u8 = 85;
/// Memory of an entry beside its bytes, about.
const ENTRY_BYTES: usize = 160;

/// Which small picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rendition {
    /// BLAKE3 of the image's file.
    pub content: [u8; 32],
    /// The part that is shown, as the bits of its box; none: all of it.
    part: Option<[u32; 4]>,
    /// Long side at most, in pixels.
    pub px: u32,
}

impl Rendition {
    pub fn new(content: [u8; 32], part: Option<Bbox>, px: u32) -> Self {
        Self { content, part: part.map(|part| <[f32; 4]>::from(part).map(f32::to_bits)), px }
    }

    /// What tells it from every other.
    pub fn tag(&self) -> String {
        let content: String = self.content[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let part = self.part.map(|part| part.map(|side| format!("-{side:x}")).concat()).unwrap_or_default();
        format!("\"{content}-{}{part}\"", self.px)
    }

    fn make(&self, bytes: &[u8], limits: &picture::Limits) -> Result<Bytes, Problem> {
        let picture = picture::decode(bytes, limits)?;
        let whole = Bbox::of_image(picture.width, picture.height);
        let area = self.part.map_or(whole, |part| Bbox::from(part.map(f32::from_bits)).intersection(&whole));
        let zoom = (self.px as f32 / area.w.max(area.h)).min(1.0);
        let side = |length: f32| ((length * zoom).round() as u32).max(1);
        Ok(picture.resize(area, side(area.w), side(area.h), Filter::Bicubic).to_jpeg(QUALITY).into())
    }
}

/// The small pictures that are kept, and how many are made at a time.
pub(super) struct Renditions {
    kept: Mutex<Kept>,
    /// One for each that may be made: a picture takes much more memory than its file.
    places: Semaphore,
}

#[derive(Default)]
struct Kept {
    most_bytes: usize,
    bytes: usize,
    /// Counts uses.
    now: u64,
    all: HashMap<Rendition, (Bytes, u64)>,
    by_use: BTreeMap<u64, Rendition>,
}

impl Kept {
    fn find(&mut self, wanted: &Rendition) -> Option<Bytes> {
        let (bytes, used) = self.all.get_mut(wanted)?;
        self.now += 1;
        self.by_use.remove(used);
        *used = self.now;
        self.by_use.insert(self.now, *wanted);
        Some(bytes.clone())
    }

    fn keep(&mut self, made: Rendition, bytes: &Bytes) {
        let size = bytes.len() + ENTRY_BYTES;
        if size > self.most_bytes || self.all.contains_key(&made) {
            return;
        }
        self.now += 1;
        self.bytes += size;
        self.all.insert(made, (bytes.clone(), self.now));
        self.by_use.insert(self.now, made);
        while self.bytes > self.most_bytes
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            let gone = self.all.remove(&oldest).map_or(0, |(bytes, _)| bytes.len() + ENTRY_BYTES);
            self.bytes -= gone;
        }
    }
}

impl Renditions {
    pub fn new(options: &ServeOptions) -> Self {
        let kept = Kept { most_bytes: options.thumbnail_bytes, ..Kept::default() };
        Self { kept: Mutex::new(kept), places: Semaphore::new(options.engine.threads.max(1)) }
    }

    /// Memory of those that are kept.
    pub fn bytes(&self) -> usize {
        self.kept().bytes
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A small picture of the image with an id, by `deadline`.
pub(super) async fn jpeg(
    service: &Arc<Service>,
    commit: Arc<Commit>,
    id: String,
    wanted: Rendition,
    deadline: Instant,
) -> Result<Bytes, Problem> {
    if let Some(bytes) = service.renditions.kept().find(&wanted) {
        return Ok(bytes);
    }
    let late = || {
        let detail = "too many small pictures are made at this time; try again later";
        Problem { retry_after: Some(1), ..Problem::new(Cause::Full, detail) }
    };
    let place = tokio::time::timeout_at(deadline.into(), service.renditions.places.acquire()).await;
    let _place = place.map_err(|_| late())?.map_err(|_| late())?;
    // Another request may have made it meanwhile.
    if let Some(bytes) = service.renditions.kept().find(&wanted) {
        return Ok(bytes);
    }
    let limits = service.options.limits;
    let made = off_thread(move || wanted.make(&originals::read(&commit, &id)?, &limits)).await?;
    service.renditions.kept().keep(wanted, &made);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let rendition = |px| Rendition::new([0; 32], None, px);
        let bytes = Bytes::from(vec![0; 1000]);
        let mut kept = Kept { most_bytes: 3 * (1000 + ENTRY_BYTES), ..Kept::default() };
        for px in 1..=3 {
            kept.keep(rendition(px), &bytes);
        }
        assert!(kept.find(&rendition(1)).is_some());
        kept.keep(rendition(4), &bytes);
        let held = [1, 2, 3, 4].map(|px| kept.find(&rendition(px)).is_some());
        assert_eq!(held, [true, false, true, true]);
        assert_eq!(kept.bytes, kept.most_bytes);
        kept.keep(rendition(5), &Bytes::from(vec![0; 9000]));
        assert!(kept.find(&rendition(5)).is_none() && kept.all.len() == 3 && kept.by_use.len() == 3);
    }
}
