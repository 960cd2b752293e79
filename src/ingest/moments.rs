//! The moments of a model's tokens over many images: what a preparation that belongs to the model is fitted from.

use super::{IngestError, Reject, Sources, any_image};
use crate::core::Bbox;
use crate::dims::Moments;
use crate::model::{Model, tensor};
use crate::picture::{self, Limits};

/// Embeds each image whole at each of `long_sides_px` (model input pixels) with one session of `threads` threads.
/// `progress` is called after each image. Images that cannot be read are listed, not an error.
///
/// # Errors
/// No image at all, or a model that fails.
pub fn moments(
    sources: &Sources,
    model: &Model,
    long_sides_px: &[u32],
    threads: usize,
    progress: &mut dyn FnMut(),
) -> Result<(Moments, Vec<Reject>), IngestError> {
    any_image(sources)?;
    let mut session = model.session(threads)?;
    let mut moments = Moments::empty(model.spec.hidden_size);
    let mut rejects = sources.rejects.clone();
    for file in &sources.files {
        let read = std::fs::read(&file.path).map_err(|error| ("unreadable", error.to_string()));
        let decoded = read.and_then(|bytes| {
            picture::decode(&bytes, &Limits::default()).map_err(|error| (error.reason(), error.to_string()))
        });
        match decoded {
            Ok(picture) => {
                let area = Bbox::of_image(picture.width, picture.height);
                for &long_side_px in long_sides_px {
                    let (width, height) =
                        model.sizes.view_size(area.w, area.h, long_side_px, model.spec.patch_px);
                    let pixels = tensor(&picture, area, width, height, &model.spec.image);
                    let tokens = session.embed(&pixels, 1, width, height)?;
                    moments.merge(&Moments::of_rows(&tokens.values, tokens.dim));
                }
            }
            Err((reason, message)) => rejects.push(Reject {
                path: file.relative.to_string_lossy().into_owned(),
                reason: reason.to_owned(),
                message,
            }),
        }
        progress();
    }
    match moments.count {
        0 => Err(IngestError::all_rejected(rejects.len(), &rejects)),
        _ => Ok((moments, rejects)),
    }
}
