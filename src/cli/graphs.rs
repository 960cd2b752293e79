//! What commands say of graphs that are not there.

use super::output;
use crate::collection::{Collection, Ungraphed};

/// Names segments that were to have a graph and have none.
pub(crate) fn tell_ungraphed(ungraphed: &[Ungraphed]) {
    ungraphed.iter().for_each(|segment| output::message(&format!("warning: {segment}")));
}

/// Names graphs that are missing or damaged, whose segments are scanned.
pub(crate) fn tell_damaged_graphs(collection: &Collection) {
    for fault in collection.graph_faults() {
        output::message(&format!(
            "warning: the vectors are scanned, for their graph cannot be used: {fault}"
        ));
    }
}
