//! What is said of a `--where` that no image meets.

use super::failure::Failure;
use super::output;
use crate::collection::{Collection, Filter};

/// Says that no image meets the condition, and why where the types tell.
pub(crate) fn tell_unmet(collection: &Collection, filter: &Filter) -> Result<(), Failure> {
    let images: usize = collection.segments().iter().map(|segment| segment.image_count()).sum();
    let why = collection.mismatch(filter)?.map(|mismatch| format!(": {mismatch}")).unwrap_or_default();
    output::message(&format!("no image of {} meets the condition{why}", output::count(images as u64)));
    Ok(())
}
