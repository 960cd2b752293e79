//! `patchdex query --vectors`: rows of numbers in, the nearest stored vectors out.

use std::path::Path;

use serde::Serialize;

use super::condition::tell_unmet;
use super::failure::Failure;
use super::graphs::tell_damaged_graphs;
use super::output;
use crate::collection::{Collection, Filter};
use crate::exchange::VectorFile;
use crate::query::{
    Nearest, NearestAnswer, Patience, QueryError, RowsOf, Scope, SearchPath, Thoroughness, VectorSearch,
    Wanted, comparable,
};
use crate::storage::Residency;

/// Rows that are read and answered at a time.
const BATCH_ROWS: usize = 1024;
/// The same where each may find very many.
const BATCH_ROWS_WITHIN: usize = 16;

/// What is asked of which collection.
pub(crate) struct Question<'a> {
    pub collection: &'a Path,
    pub vectors: &'a Path,
    /// What the rows are; where nobody says, their length tells.
    pub kind: Option<RowsOf>,
    pub wanted: Wanted,
    pub filter: Option<&'a Filter>,
    pub thoroughness: Thoroughness,
    /// How vectors and graphs lie in memory.
    pub residency: Residency,
    /// Whether to say how each segment is searched.
    pub explain: bool,
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

/// The answer to one query.
#[derive(Serialize)]
struct AnswerLine<'a> {
    query: usize,
    results: &'a [Nearest],
}

/// Asks and prints.
pub(crate) fn answer(question: &Question<'_>, shape: Shape) -> Result<(), Failure> {
    let file = VectorFile::open(question.vectors)?;
    let collection = Collection::open_as(question.collection, question.residency)?;
    if question.thoroughness != Thoroughness::Exact {
        tell_damaged_graphs(&collection);
    }
    check_rows(&collection, file.dim(), question.kind)?;
    let scope = match question.filter {
        Some(filter) => Scope::of(collection.matching(filter)?),
        None => Scope::all(&collection),
    };
    if let (0, Some(filter)) = (scope.count(), question.filter) {
        tell_unmet(&collection, filter)?;
    }
    let search = VectorSearch::of(&collection, &scope, question.thoroughness, &Patience::default())?;
    if question.explain {
        explain(search.paths());
    }
    if let Thoroughness::Recall(target) = question.thoroughness {
        tell_unreached(&search, target);
    }
    let mut results: Vec<Vec<Nearest>> = Vec::new();
    let batch_rows = match question.wanted {
        Wanted::Nearest(_) => BATCH_ROWS,
        Wanted::Within { .. } => BATCH_ROWS_WITHIN,
    };
    for first in (0..file.rows()).step_by(batch_rows) {
        let mut rows = vec![0.0; (file.rows() - first).min(batch_rows) * file.dim()];
        file.read(first, &mut rows)?;
        let vectors = comparable(&collection, &rows, file.dim(), question.kind)?;
        let mut all = search.found(&vectors, question.wanted)?;
        if shape != Shape::Table {
            search.tell(all.iter_mut().flatten())?;
        }
        if first == 0 && shape == Shape::Table {
            print_head()?;
        }
        for (query, found) in (first..).zip(all) {
            match shape {
                Shape::Table => print_rows(query, &found)?,
                Shape::Lines => output::json_line(&AnswerLine { query, results: &found })?,
                Shape::Object => results.push(found),
            }
        }
    }
    match shape {
        Shape::Object => {
            let (queries, dim) = (file.rows(), collection.manifest().dim);
            output::json(&NearestAnswer { queries, dim, plan: search.paths().cloned().collect(), results })
        }
        _ => Ok(()),
    }
}

/// Says how each segment is searched.
pub(super) fn explain<'a>(paths: impl Iterator<Item = &'a SearchPath>) {
    for (number, path) in (1..).zip(paths) {
        let effort = match (path.ef, path.recall_at_10) {
            (Some(ef), Some(recall)) => {
                format!(", ef {ef}: recall {recall:.3} on a sample when it was built")
            }
            (Some(ef), None) => format!(", ef {ef}"),
            _ => path.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}")),
        };
        let vectors = output::counted(path.vectors as u64, "vector");
        output::message(&format!("segment {number}, {vectors}: {}{effort}", path.index));
    }
}

/// Names segments whose graph did not reach a recall, as hard as it was tried.
fn tell_unreached(search: &VectorSearch<'_>, target: f64) {
    for (number, path) in (1..).zip(search.paths()) {
        if let (Some(ef), Some(recall)) = (path.ef, path.recall_at_10.filter(|&recall| recall < target)) {
            output::message(&format!(
                "warning: segment {number} is searched with ef {ef} and recall {recall:.3}, for {target} was not reached when \
                 its graph was built; --ef N looks harder, --exact at every vector"
            ));
        }
    }
}

/// Refuses rows of another length than is said of them, and says what they are taken for where that could be wrong.
fn check_rows(collection: &Collection, len: usize, kind: Option<RowsOf>) -> Result<(), Failure> {
    let manifest = collection.manifest();
    let (hidden_size, dim) = (manifest.model.hidden_size as usize, manifest.dim as usize);
    if kind == Some(RowsOf::Raw) && len != hidden_size {
        return Err(QueryError::Rows { found: len, hidden_size, dim }.into());
    }
    let changes = manifest.preparation.file.is_some();
    if kind.is_none() && changes && len == hidden_size && len == dim {
        output::message(
            "the rows are taken as the model's own tokens (--raw); --prepared is for rows that 'patchdex export' wrote \
             without --raw",
        );
    }
    Ok(())
}

fn print_head() -> Result<(), Failure> {
    let (bold, plain) = output::bold();
    output::line(&format!("{bold}query  rank  similarity      x      y      w      h  image{plain}"))
}

fn print_rows(query: usize, found: &[Nearest]) -> Result<(), Failure> {
    for (rank, Nearest { image, bbox: b, similarity, .. }) in (1..).zip(found) {
        output::line(&format!(
            "{query:>5} {rank:>5} {similarity:>11.4} {:>6.0} {:>6.0} {:>6.0} {:>6.0}  {}",
            b.x,
            b.y,
            b.w,
            b.h,
            output::name(image)
        ))?;
    }
    Ok(())
}
