//! What is known about the dimensions of a model's tokens: streaming moments, and the linear map (the preparation)
//! that is fitted from them. Knows vectors only: no files, models or images.

mod eigen;
mod moments;
mod preparation;
mod profile;
mod spec;

pub use moments::Moments;
pub use preparation::{Preparation, PreparationError};
pub use profile::{DimProfile, LONG, Norms, Profile, long_rows};
pub use spec::{Method, Source, SpecParseError};
