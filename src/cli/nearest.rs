//! `patchdex query --vectors`: rows of numbers in, the nearest stored vectors out.

use std::path::Path;

use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::collection::{Collection, Filter};
use crate::exchange::VectorFile;
use crate::query::{Nearest, Scope, VectorSearch, comparable};

/// Rows that are read and answered at a time.
const BATCH_ROWS: usize = 1024;

/// What is asked of which collection.
pub(crate) struct Question<'a> {
    pub collection: &'a Path,
    pub vectors: &'a Path,
    pub prepared: bool,
    pub top: usize,
    pub filter: Option<&'a Filter>,
}

/// How the answer is printed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// A line a vector that was found.
    Table,
    /// One JSON object.
    Object,
    /// One JSON object a query.
    Lines,
}

/// Asks and prints.
pub(crate) fn answer(question: &Question<'_>, shape: Shape) -> Result<(), Failure> {
    let file = VectorFile::open(question.vectors)?;
    let collection = Collection::open(question.collection)?;
    let scope = match question.filter {
        Some(filter) => Scope::of(collection.matching(filter)?),
        None => Scope::all(&collection),
    };
    let search = VectorSearch::of(&collection, &scope)?;
    if shape == Shape::Table {
        let (bold, plain) = if output::colours() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let head = "query  rank  similarity      x      y      w      h  image";
        output::line(&format!("{bold}{head}{plain}"))?;
    }
    let mut results: Vec<Vec<Nearest>> = Vec::new();
    for first in (0..file.rows()).step_by(BATCH_ROWS) {
        let mut rows = vec![0.0; (file.rows() - first).min(BATCH_ROWS) * file.dim()];
        file.read(first, &mut rows)?;
        let vectors = comparable(&collection, &rows, file.dim(), question.prepared)?;
        for (query, found) in (first..).zip(search.nearest(&vectors, question.top)?) {
            match shape {
                Shape::Table => print_rows(query, &found)?,
                Shape::Lines => output::json_line(&json!({"query": query, "results": found}))?,
                Shape::Object => results.push(found),
            }
        }
    }
    match shape {
        Shape::Object => output::json(
            &json!({"queries": file.rows(), "dim": collection.manifest().dim, "results": results}),
        ),
        _ => Ok(()),
    }
}

fn print_rows(query: usize, found: &[Nearest]) -> Result<(), Failure> {
    for (rank, Nearest { image, bbox: b, similarity, .. }) in (1..).zip(found) {
        output::line(&format!(
            "{query:>5} {rank:>5} {similarity:>11.4} {:>6.0} {:>6.0} {:>6.0} {:>6.0}  {image}",
            b.x, b.y, b.w, b.h
        ))?;
    }
    Ok(())
}
