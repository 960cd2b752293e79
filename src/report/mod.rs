//! Self-contained HTML pages: pictures, style and script inside one file that opens anywhere, without a network.

mod ann;
mod answer;
mod compare;
mod curve;
mod dims;
mod figure;
mod heat;
mod measures;
mod page;
mod plot;
mod protocol;
mod retrieve;
mod side_by_side;
mod stage;
mod tune;

pub use ann::{ann_page, ann_plot};
pub use answer::{PageInput, answer_page};
pub use compare::{ComparePage, compare_page};
pub use dims::{DimsPage, dims_page};
pub use protocol::{ProtocolPage, protocol_page};
pub use retrieve::{RetrievePage, retrieve_page};
pub use tune::{TunePage, tune_page};
