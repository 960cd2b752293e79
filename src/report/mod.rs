//! Self-contained HTML pages: pictures, style and script inside one file that opens anywhere, without a network.

mod answer;
mod heat;

pub use answer::{PageInput, answer_page};
