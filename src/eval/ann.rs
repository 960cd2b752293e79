//! Recall against latency of the index kinds: each is built, written, opened as it lies on disk, and asked with rising
//! effort. Rounds go over all points in turn, so that whatever else the machine does meets all of them.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use patchdex_format::{ContainerWriter, Layout};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::machine::with_peak;
use super::measures::{median, pareto, percentile};
use super::workers::pool;
use super::{AnnData, AnnPoint, AnnReport, EvalError, IndexReport, Machine, TieRule, Truth};
use crate::collection::CREATED_BY;
use crate::index::{
    DEFAULT_EF, ExactIndex, Graph, HnswParameters, IndexKind, Neighbour, PatchIndex, Vectors,
};
use crate::segment::write_container;
use crate::storage::{self, Map, Residency};

/// Queries that an exact index is asked: a scan takes as long whatever is looked for.
pub const EXACT_QUERIES: usize = 200;
/// Queries that each point is asked before those that count.
const WARM_UP_QUERIES: usize = 16;
/// What takes less is timed badly.
const LEAST_ROUND: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Clone)]
pub struct AnnOptions<'a> {
    /// The kinds.
    pub indexes: Vec<&'static IndexKind>,
    /// Nodes that approximate ones keep in view: a point each.
    pub efs: Vec<usize>,
    /// How graphs are made.
    pub parameters: HnswParameters,
    /// Neighbours asked for.
    pub k: usize,
    /// Numbers of threads: a point each. Indexes are built with the largest.
    pub threads: Vec<usize>,
    /// How often everything is asked.
    pub rounds: usize,
    /// How files of indexes lie in memory.
    pub residency: Residency,
    /// Whether opening is also measured with the file out of the page cache.
    pub cold: bool,
    /// The folder that indexes are written to, and removed from again.
    pub scratch: &'a Path,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnStep {
    /// The truth of so many queries is known.
    Truth {
        /// Queries answered.
        done: usize,
    },
    /// An index is being built.
    Build {
        /// Its kind.
        index: &'static str,
    },
    /// So many measurements of all are done.
    Measure {
        /// Measurements done.
        done: usize,
        /// All of them.
        of: usize,
    },
}

/// Measures.
///
/// # Errors
/// An exact index that misses something, or a disk that does not take or give back an index.
pub fn run_ann(
    data: &AnnData,
    options: &AnnOptions<'_>,
    progress: &mut (dyn FnMut(AnnStep) + Send),
) -> Result<AnnReport, EvalError> {
    let (vectors, queries, dim) = (data.base(), data.queries(), data.about.dim);
    let build_threads = options.threads.iter().copied().max().unwrap_or(1);
    let builders = pool(build_threads);
    let k = options.k.min(data.about.rows);
    let truth =
        builders.install(|| Truth::of(vectors, queries, k, &mut |done| progress(AnnStep::Truth { done })));
    let asked =
        |is_exact: bool| if is_exact { &queries[..queries.len().min(EXACT_QUERIES * dim)] } else { queries };
    let recall = |index: &dyn PatchIndex, is_exact: bool, ef: usize| {
        let search = |query| index.search(query, k, ef);
        let answers: Vec<Vec<Neighbour>> = asked(is_exact).par_chunks_exact(dim).map(search).collect();
        let [strict, loose] = truth.recall(&answers, [TieRule::BIG_ANN, TieRule::ANN_BENCHMARKS]);
        match is_exact && strict < 1.0 {
            true => Err(EvalError::NotExact { recall: strict }),
            false => Ok([strict, loose]),
        }
    };
    builders.install(|| recall(&ExactIndex { vectors }, true, DEFAULT_EF))?;

    let mut stored = Vec::with_capacity(options.indexes.len());
    for kind in &options.indexes {
        progress(AnnStep::Build { index: kind.name });
        stored.push(builders.install(|| Stored::build(kind, vectors, &queries[..dim], options))?);
    }
    let opened: Vec<Box<dyn PatchIndex + '_>> =
        stored.iter().map(|stored| stored.open(vectors)).collect::<Result<_, _>>()?;
    let mut indexes = Vec::with_capacity(stored.len());
    for stored in &stored {
        let open_ms = (0..options.rounds).map(|_| stored.open_ms(vectors, &queries[..dim], k));
        let open_ms = median(open_ms.collect::<Result<_, _>>()?);
        indexes.push(IndexReport { open_ms, ..stored.report });
    }

    let mut points = Vec::new();
    for (kind, index) in options.indexes.iter().zip(&opened) {
        let efs = if kind.is_exact { &[DEFAULT_EF] } else { &options.efs[..] };
        for &ef in efs {
            let [strict, loose] = builders.install(|| recall(index.as_ref(), kind.is_exact, ef))?;
            for &threads in &options.threads {
                let setting = Setting { kind, index: index.as_ref(), ef, threads };
                points.push((setting, strict, loose, Vec::new()));
            }
        }
    }
    let pools: Vec<(usize, ThreadPool)> = options.threads.iter().map(|&count| (count, pool(count))).collect();
    let of = options.rounds * points.len();
    for round in 0..options.rounds {
        let count = points.len();
        for (at, (setting, _, _, rounds)) in points.iter_mut().enumerate() {
            progress(AnnStep::Measure { done: round * count + at, of });
            let pool = pools.iter().find(|(threads, _)| *threads == setting.threads);
            let (_, pool) = pool.expect("invariant: a pool for each number of threads");
            rounds.push(pool.install(|| setting.round(asked(setting.kind.is_exact), dim, k)));
        }
    }
    let mut points: Vec<AnnPoint> = points
        .into_iter()
        .map(|(setting, recall, recall_ann_benchmarks, rounds)| {
            let point = setting.point(rounds, asked(setting.kind.is_exact).len() / dim);
            AnnPoint { recall, recall_ann_benchmarks, ..point }
        })
        .collect();
    mark_fronts(&mut points);
    Ok(AnnReport {
        data: data.about.clone(),
        machine: Machine::this(),
        k,
        parameters: options.parameters,
        rounds: options.rounds,
        residency: options.residency,
        build_threads,
        indexes,
        points,
    })
}

/// Marks the points that no other one with as many threads beats.
fn mark_fronts(points: &mut [AnnPoint]) {
    let mut threads: Vec<usize> = points.iter().map(|point| point.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    for count in threads {
        let same = |point: &&mut AnnPoint| point.threads == count;
        let figures: Vec<(f64, f64)> =
            points.iter_mut().filter(same).map(|point| (point.recall, point.qps)).collect();
        for (point, on_front) in points.iter_mut().filter(same).zip(pareto(&figures)) {
            point.pareto = on_front;
        }
    }
}

/// An index that was built and written.
struct Stored {
    kind: &'static IndexKind,
    report: IndexReport,
    residency: Residency,
    map: Map,
    layout: Layout,
    // After the map, which must be gone first where a mapped file cannot be removed.
    _file: ScratchFile,
}

/// A file that goes away with its owner.
struct ScratchFile(PathBuf);

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // Left over, it is only one file more among temporary ones.
        let _ = storage::remove_file(&self.0);
    }
}

impl Stored {
    fn build(
        kind: &'static IndexKind,
        vectors: Vectors<'_>,
        query: &[f32],
        options: &AnnOptions<'_>,
    ) -> Result<Self, EvalError> {
        let start = Instant::now();
        let (index, memory) = with_peak(|| (kind.build)(vectors, &options.parameters));
        let build_s = start.elapsed().as_secs_f64();
        let file =
            ScratchFile(options.scratch.join(format!("patchdex-bench-{}-{}", std::process::id(), kind.name)));
        write_container(&file.0, |file| {
            let mut writer = ContainerWriter::new(file as &mut dyn Write, Graph::KIND, CREATED_BY)?;
            index.write(&mut writer)?;
            writer.finish().map(|_| ())
        })?;
        let index_bytes = index.size_bytes() as u64;
        drop(index);
        let residency = options.residency;
        // Before the file is mapped for good: mapped pages stay in the page cache.
        let cold_open_ms = match options.cold {
            true => cold_open_ms(kind, &file.0, vectors, query, options)?,
            false => None,
        };
        let (map, layout) = opened(&file.0, residency)?;
        let report =
            IndexReport { index: kind.name, build_s, index_bytes, open_ms: 0.0, cold_open_ms, memory };
        Ok(Self { kind, report, residency, map, layout, _file: file })
    }

    fn open<'a>(&'a self, vectors: Vectors<'a>) -> Result<Box<dyn PatchIndex + 'a>, EvalError> {
        index_in(self.kind, &self.map, &self.layout, vectors)
    }

    /// Milliseconds from the file's name to the first answer.
    fn open_ms(&self, vectors: Vectors<'_>, query: &[f32], k: usize) -> Result<f64, EvalError> {
        open_ms(self.kind, self.map.path(), vectors, query, k, self.residency)
    }
}

/// Milliseconds from a file's name to the first answer.
fn open_ms(
    kind: &IndexKind,
    path: &Path,
    vectors: Vectors<'_>,
    query: &[f32],
    k: usize,
    residency: Residency,
) -> Result<f64, EvalError> {
    let start = Instant::now();
    let (map, layout) = opened(path, residency)?;
    let index = index_in(kind, &map, &layout, vectors)?;
    black_box(index.search(query, k, DEFAULT_EF));
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// The same with nothing of the file in the page cache, the round in the middle; none where the system cannot take it out.
fn cold_open_ms(
    kind: &IndexKind,
    path: &Path,
    vectors: Vectors<'_>,
    query: &[f32],
    options: &AnnOptions<'_>,
) -> Result<Option<f64>, EvalError> {
    let mut rounds = Vec::with_capacity(options.rounds);
    for _ in 0..options.rounds {
        if !storage::forget(path)? {
            return Ok(None);
        }
        let k = options.k.min(vectors.len());
        rounds.push(open_ms(kind, path, vectors, query, k, options.residency)?);
    }
    Ok(Some(median(rounds)))
}

fn opened(path: &Path, residency: Residency) -> Result<(Map, Layout), EvalError> {
    let map = Map::open_as(path, residency)?;
    let layout = Layout::parse(&map, Graph::KIND)
        .map_err(|source| EvalError::Format { path: path.to_owned(), source })?;
    Ok((map, layout))
}

fn index_in<'a>(
    kind: &IndexKind,
    map: &'a Map,
    layout: &Layout,
    vectors: Vectors<'a>,
) -> Result<Box<dyn PatchIndex + 'a>, EvalError> {
    (kind.open)(layout, map, vectors)
        .map_err(|source| EvalError::Format { path: map.path().to_owned(), source })
}

/// What one point is measured with.
struct Setting<'a> {
    kind: &'static IndexKind,
    index: &'a dyn PatchIndex,
    ef: usize,
    threads: usize,
}

/// What one round gave.
struct Round {
    qps: f64,
    /// Microseconds of each query, ascending; none where they were asked together.
    latencies_us: Vec<f64>,
}

impl Setting<'_> {
    /// Asks everything, again and again until it takes long enough to be timed: with one thread query after query, with more
    /// all together.
    fn round(&self, queries: &[f32], dim: usize, k: usize) -> Round {
        let warm_up = &queries[..queries.len().min(WARM_UP_QUERIES * dim)];
        let count = queries.len() / dim;
        let mut passes = 0;
        let mut latencies_us = Vec::new();
        if self.threads > 1 {
            black_box(self.index.search_many(warm_up, k, self.ef));
        } else {
            warm_up.chunks_exact(dim).for_each(|query| drop(black_box(self.index.search(query, k, self.ef))));
        }
        let start = Instant::now();
        while passes == 0 || start.elapsed() < LEAST_ROUND {
            passes += 1;
            if self.threads > 1 {
                black_box(self.index.search_many(queries, k, self.ef));
                continue;
            }
            latencies_us.extend(queries.chunks_exact(dim).map(|query| {
                let start = Instant::now();
                black_box(self.index.search(query, k, self.ef));
                start.elapsed().as_secs_f64() * 1e6
            }));
        }
        let qps = (passes * count) as f64 / start.elapsed().as_secs_f64();
        latencies_us.sort_by(f64::total_cmp);
        Round { qps, latencies_us }
    }

    /// The round in the middle stands for all; recall is not known here.
    fn point(&self, mut rounds: Vec<Round>, queries: usize) -> AnnPoint {
        rounds.sort_by(|a, b| a.qps.total_cmp(&b.qps));
        let middle = &rounds[rounds.len() / 2];
        let at = |percent| {
            let latencies = &middle.latencies_us;
            (!latencies.is_empty()).then(|| percentile(latencies, percent))
        };
        AnnPoint {
            index: self.kind.name,
            ef: (!self.kind.is_exact).then_some(self.ef),
            threads: self.threads,
            queries,
            recall: f64::NAN,
            recall_ann_benchmarks: f64::NAN,
            qps: middle.qps,
            qps_min: rounds.first().map_or(f64::NAN, |round| round.qps),
            qps_max: rounds.last().map_or(f64::NAN, |round| round.qps),
            p50_us: at(50.0),
            p95_us: at(95.0),
            p99_us: at(99.0),
            pareto: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{LoadOptions, Queries};
    use crate::exchange::VectorFileWriter;
    use crate::index::INDEX_KINDS;

    #[test]
    fn every_kind_is_measured_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let rows: Vec<f32> =
            (0..800 * 8u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32 - 3e4).collect();
        let mut file = VectorFileWriter::create(&path, 800, 8).unwrap();
        file.push(&rows).unwrap();
        file.finish().unwrap();
        let queries = Queries::HeldOut { count: Some(40), seed: 0 };
        let data = AnnData::load(&path, &LoadOptions { queries, metric: None, rows: None }).unwrap();
        let options = AnnOptions {
            indexes: INDEX_KINDS.iter().collect(),
            efs: vec![10, 100],
            parameters: HnswParameters::default(),
            k: 10,
            threads: vec![1, 2],
            rounds: 2,
            residency: Residency::Mapped,
            cold: true,
            scratch: folder.path(),
        };
        let mut steps = Vec::new();
        let report = run_ann(&data, &options, &mut |step| steps.push(step)).unwrap();
        assert_eq!(report.points.len(), 2 * (1 + 2));
        for point in &report.points {
            assert!(
                (0.3..=1.0).contains(&point.recall) && point.recall <= point.recall_ann_benchmarks,
                "{point:?}"
            );
            assert!(point.ef.is_some() || point.recall == 1.0, "{point:?}");
            assert!(
                point.qps_min <= point.qps && point.qps <= point.qps_max && point.qps_min > 0.0,
                "{point:?}"
            );
            assert_eq!(point.p50_us.is_some(), point.threads == 1);
            assert!(point.p50_us <= point.p95_us && point.p95_us <= point.p99_us, "{point:?}");
        }
        for threads in [1, 2] {
            let mut front = report.points.iter().filter(|point| point.threads == threads && point.pareto);
            assert!(front.any(|point| point.recall == 1.0));
        }
        assert!(report.indexes.iter().all(|index| index.open_ms > 0.0 && index.build_s >= 0.0));
        assert!(report.indexes.iter().all(|index| index.cold_open_ms.is_none_or(|took| took > 0.0)));
        assert_eq!(report.indexes[0].index_bytes, 0);
        assert!(report.indexes[1].index_bytes > 0);
        assert_eq!(steps.last(), Some(&AnnStep::Measure { done: 11, of: 12 }));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
