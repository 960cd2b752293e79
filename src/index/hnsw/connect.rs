//! Reachability: after this every node of the bottom layer can be reached from the first one. Graphs that grow node by
//! node leave some that no list leads to (hnsw_rs, hnswlib and FAISS alike); no search finds those at any effort.

use std::collections::{HashMap, VecDeque};

use super::layers::Layers;
use super::points::Points;
use super::search::{NO_LINK, Walker};

/// Gives every node that cannot be reached a place in the list of a near one that can: of an adopted one of the same code that
/// has a free place, else of those that a walk finds, nearest first, the first that has one; where all lists are full, the nearest
/// gives up a link to the new node. Gives their number.
pub(super) fn connect(points: &Points<'_>, layers: &mut Layers, ef: usize) -> usize {
    let degree = layers.degree;
    let Some(bottom) = layers.links.first_mut() else { return 0 };
    let mut reached = vec![false; points.len()];
    reach(bottom, degree, &mut reached, 0);
    let (mut walker, mut query) = (Walker::default(), Vec::new());
    let mut adopted = Adopted::default();
    let mut count = 0;
    for node in 0..points.len() as u32 {
        if reached[node as usize] {
            continue;
        }
        let code = points.code(node);
        let parent = adopted.with_room(code, bottom, degree).unwrap_or_else(|| {
            points.query(node, &mut query);
            let layer = points.layer(bottom, degree);
            // A walk from the first node sees none but those that are reached.
            let found = walker.walk(layer, &query, &[0], ef, ef);
            let has_room = |node: &u32| has_room(bottom, degree, *node);
            let with_room = found.iter().map(|found| found.node()).find(has_room);
            with_room.or_else(|| found.first().map(|nearest| nearest.node())).unwrap_or(0)
        });
        adopt(bottom, degree, parent, node);
        reach(bottom, degree, &mut reached, node);
        adopted.insert(code, node);
        count += 1;
    }
    count
}

/// Nodes that were adopted, by their codes: of many equal ones each takes in others, breadth first, so that they make a
/// shallow tree and no chain.
#[derive(Default)]
struct Adopted<'a>(HashMap<&'a [i8], VecDeque<u32>>);

impl<'a> Adopted<'a> {
    fn insert(&mut self, code: &'a [i8], node: u32) {
        self.0.entry(code).or_default().push_back(node);
    }

    /// The first adopted node with this code that has a free place.
    fn with_room(&mut self, code: &[i8], links: &[u32], degree: usize) -> Option<u32> {
        let alike = self.0.get_mut(code)?;
        while let Some(&node) = alike.front() {
            if has_room(links, degree, node) {
                return Some(node);
            }
            alike.pop_front();
        }
        None
    }
}

fn has_room(links: &[u32], degree: usize, node: u32) -> bool {
    links[node as usize * degree..][..degree].contains(&NO_LINK)
}

/// Makes `child` a neighbour of `parent`. A full list gives up its last link, which the child takes over: what could be
/// reached still can.
fn adopt(links: &mut [u32], degree: usize, parent: u32, child: u32) {
    let list = |node: u32| node as usize * degree..(node as usize + 1) * degree;
    let given_up = push(&mut links[list(parent)], child);
    if let Some(given_up) = given_up.filter(|&link| link != child) {
        let children = &mut links[list(child)];
        if !children.contains(&given_up) {
            push(children, given_up);
        }
    }
}

/// Puts `link` into a list; gives the last link, which had to go, when the list was full.
fn push(list: &mut [u32], link: u32) -> Option<u32> {
    match list.iter().position(|&held| held == NO_LINK) {
        Some(free) => {
            list[free] = link;
            None
        }
        None => list.last_mut().map(|last| std::mem::replace(last, link)),
    }
}

/// Marks what can be reached from `start`.
pub(super) fn reach(links: &[u32], degree: usize, reached: &mut [bool], start: u32) {
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        // What does not exist needs no second look either.
        if reached.get_mut(node as usize).is_none_or(|reached| std::mem::replace(reached, true)) {
            continue;
        }
        let list = &links[node as usize * degree..][..degree];
        open.extend(list.iter().take_while(|&&link| link != NO_LINK));
    }
}
