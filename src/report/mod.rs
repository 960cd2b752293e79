//! Self-contained HTML pages: pictures, style and script inside one file that opens anywhere, without a network.

mod ann;
mod answer;
mod figure;
mod heat;
mod page;
mod plot;
mod retrieve;
mod side_by_side;

pub use ann::{ann_page, ann_plot};
pub use answer::{PageInput, answer_page};
pub use retrieve::{RetrievePage, retrieve_page};
