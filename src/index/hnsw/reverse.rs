//! Reverse links: a node learns who is linked to it, and chooses among its own and those.

use rayon::prelude::*;

use super::points::{Candidate, Chooser, Points, Ruler, write_links};
use super::search::NO_LINK;

/// What a thread needs of memory.
#[derive(Default)]
struct Scratch {
    ruler: Ruler,
    chooser: Chooser,
    candidates: Vec<Candidate>,
    chosen: Vec<Candidate>,
}

/// Gives nodes the links `(from, to)`; lists that overflow are chosen anew. The order of `edges` does not matter.
pub(super) fn link_back(
    points: &Points<'_>,
    links: &mut [u32],
    degree: usize,
    mut edges: Vec<(u32, Candidate)>,
) {
    edges.par_sort_unstable();
    let grouped: Vec<&[(u32, Candidate)]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
    let changed: Vec<Vec<Candidate>> = grouped
        .par_iter()
        .map_init(Scratch::default, |scratch, edges| {
            let Scratch { ruler, chooser, candidates, chosen } = scratch;
            let node = edges[0].0;
            let held = &links[node as usize * degree..][..degree];
            let held = &held[..held.iter().position(|&link| link == NO_LINK).unwrap_or(degree)];
            candidates.clear();
            candidates.extend(ruler.distances(points, node, held));
            candidates.extend(edges.iter().map(|&(_, to)| to));
            candidates.sort_unstable();
            candidates.dedup();
            if candidates.len() <= degree {
                return candidates.clone();
            }
            chooser.choose(points, candidates, degree, chosen);
            chosen.clone()
        })
        .collect();
    for (edges, chosen) in grouped.iter().zip(changed) {
        write_links(&mut links[edges[0].0 as usize * degree..][..degree], &chosen);
    }
}
