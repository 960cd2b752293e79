//! The order in which nodes lie: neighbours close together, so that a walk finds on few pages and in few cache lines what
//! it needs next.

use super::search::NO_LINK;

/// Nodes in breadth-first order from the first one; what cannot be reached comes last.
pub(super) fn breadth_first(links: &[u32], degree: usize) -> Vec<u32> {
    let nodes = links.len() / degree.max(1);
    let mut placed = vec![false; nodes];
    let mut order: Vec<u32> = Vec::with_capacity(nodes);
    let mut next = 0;
    for start in 0..nodes as u32 {
        if !std::mem::replace(&mut placed[start as usize], true) {
            order.push(start);
        }
        while let Some(&node) = order.get(next) {
            next += 1;
            let list = &links[node as usize * degree..][..degree];
            for &link in list.iter().take_while(|&&link| link != NO_LINK) {
                if !std::mem::replace(&mut placed[link as usize], true) {
                    order.push(link);
                }
            }
        }
    }
    order
}
