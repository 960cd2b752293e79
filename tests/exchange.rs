//! Foreign files against the libraries that people read and write them with: NumPy, pandas, pyarrow and polars read what
//! patchdex writes, and patchdex what they write.
//!
//! The other half is `tools/check_exchange.py`, which makes the same content and fetches the libraries into the cache.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests run programs, stop at the first surprise, and document themselves by their names"
)]

use std::path::Path;
use std::process::Command;

use patchdex::exchange::{
    ColumnKind, ExchangeError, MetadataColumn, ParquetPatches, ParquetWriter, PatchBlock, PatchRows,
    VectorFile, VectorFileWriter,
};
use serde_json::{Value, json};

const ROWS: usize = 5;
const DIM: usize = 6;
/// Path and patches of each image.
const IMAGES: [(&str, usize); 3] = [("a/b.jpg", 2), ("ü, 日本.png", 2), ("c d.png", 1)];

/// Whole numbers of a byte.
fn whole() -> Vec<f32> {
    (0..ROWS * DIM).map(|at| ((at / DIM * 51 + at % DIM * 11) % 256) as f32).collect()
}

/// Numbers that half precision holds.
fn exact() -> Vec<f32> {
    whole().iter().map(|number| (number - 128.0) / 64.0).collect()
}

fn boxes() -> Vec<[f32; 4]> {
    (0..ROWS).map(|row| [row as f32 * 14.0, row as f32 + 0.5, 14.0, 28.0]).collect()
}

fn columns() -> Vec<MetadataColumn> {
    [
        ("label", ColumnKind::Text),
        ("count", ColumnKind::Integer),
        ("weight", ColumnKind::Number),
        ("seen", ColumnKind::Boolean),
    ]
    .map(|(name, kind)| MetadataColumn { name: name.to_owned(), kind })
    .to_vec()
}

/// Values of [`columns`] for each image.
fn metadata() -> [[Option<Value>; 4]; 3] {
    [
        [Some(json!("cat")), Some(json!(1)), Some(json!(0.1)), Some(json!(true))],
        [None, Some(json!(-9_007_199_254_740_993i64)), None, Some(json!(false))],
        [Some(json!("dög")), Some(Value::Null), Some(json!(-2.5)), None],
    ]
}

fn write_ours(folder: &Path) {
    for (name, rows) in [
        ("exact.npy", exact()),
        ("exact.fbin", exact()),
        ("scaled.i8bin", exact()),
        ("whole.u8bin", whole()),
        ("exact.fvecs", exact()),
        ("whole.ivecs", whole()),
        ("whole.bvecs", whole()),
    ] {
        let mut file = VectorFileWriter::create(&folder.join(name), ROWS as u64, DIM).unwrap();
        rows.chunks(DIM * 2).for_each(|rows| file.push(rows).unwrap());
        file.finish().unwrap();
    }
    let mut all = columns();
    all.push(MetadataColumn { name: "image".to_owned(), kind: ColumnKind::Text });
    let mut file = ParquetWriter::create(&folder.join("patches.parquet"), DIM, all).unwrap();
    let (boxes, vectors) = (boxes(), exact());
    let mut first = 0;
    for ((image, count), metadata) in IMAGES.into_iter().zip(metadata()) {
        file.push(&PatchRows {
            image,
            boxes: &boxes[first..first + count],
            vectors: &vectors[first * DIM..(first + count) * DIM],
            metadata: &[&metadata[..], &[Some(json!("-"))]].concat(),
        })
        .unwrap();
        first += count;
    }
    file.finish().unwrap();
}

fn read_vectors(path: &Path) -> Result<Vec<f32>, ExchangeError> {
    let file = VectorFile::open(path)?;
    assert_eq!(file.dim(), DIM, "{}", path.display());
    let mut rows = vec![0.0; file.rows() * DIM];
    file.read(0, &mut rows)?;
    Ok(rows)
}

fn read_patches(path: &Path) -> Result<(ParquetPatches, PatchBlock), ExchangeError> {
    let mut patches = ParquetPatches::open(path)?;
    let mut all: Option<PatchBlock> = None;
    for block in &mut patches {
        let block = block?;
        match &mut all {
            None => all = Some(block),
            Some(all) => {
                assert_eq!(block.first as usize, all.images.len());
                all.images.extend(block.images);
                all.vectors.extend(block.vectors);
                all.boxes.iter_mut().for_each(|boxes| boxes.extend(block.boxes.iter().flatten()));
                for (all, values) in all.metadata.iter_mut().zip(block.metadata) {
                    all.extend(values);
                }
            }
        }
    }
    Ok((patches, all.unwrap()))
}

fn check_patches(path: &Path) {
    let name = path.display();
    let (patches, block) = read_patches(path).unwrap();
    assert_eq!((patches.rows(), patches.dim()), (ROWS as u64, Some(DIM)), "{name}");
    assert_eq!(patches.columns(), columns(), "{name}");
    assert!(patches.has_boxes() && patches.skipped().is_empty(), "{name}: {:?}", patches.skipped());
    let images = IMAGES.into_iter().zip(metadata());
    let expected =
        images.flat_map(|((image, count), metadata)| std::iter::repeat_n((image, metadata), count));
    for (row, (image, metadata)) in expected.enumerate() {
        assert_eq!(block.images[row], image, "{name}");
        for (found, wanted) in block.metadata.iter().zip(metadata) {
            assert_eq!(found[row], wanted.filter(|value| !value.is_null()), "{name}, row {row}");
        }
    }
    assert_eq!(block.boxes.unwrap(), boxes(), "{name}");
    assert_eq!(block.vectors, exact(), "{name}");
}

#[track_caller]
fn refused<T>(read: Result<T, ExchangeError>, parts: &[&str]) {
    let message = read.err().expect("this file is refused").to_string();
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

#[test]
fn numpy_pandas_and_polars_read_our_files_and_we_read_theirs() {
    let work = tempfile::tempdir().unwrap();
    let (ours, theirs) = (work.path().join("ours"), work.path().join("theirs"));
    std::fs::create_dir(&ours).unwrap();
    write_ours(&ours);
    check_patches_with_name_taken(&ours.join("patches.parquet"));

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_exchange.py");
    let run = Command::new("python3").arg(script).arg(work.path()).output().expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");

    let small: Vec<f32> = whole().iter().map(|number| number % 128.0).collect();
    for (names, expected) in [
        (&["f2.npy", "f4.npy", "f8.npy", "version_1.npy", "version_2.npy", "version_3.npy"][..], &exact()),
        (&["i1.npy", "u1.npy", "i4.npy"], &small),
        (&["bin.fbin", "vecs.fvecs"], &exact()),
        (&["bin.u8bin", "vecs.ivecs", "vecs.bvecs"], &whole()),
        (&["angular/base.npy"], &exact()),
        (&["angular/queries.npy"], &exact()[..2 * DIM].to_vec()),
        (&["one_row.npy"], &exact()[..DIM].to_vec()),
        (&["bin.i8bin"], &read_vectors(&ours.join("scaled.i8bin")).unwrap()),
    ] {
        for name in names {
            assert_eq!(&read_vectors(&theirs.join(name)).unwrap(), expected, "{name}");
        }
    }
    refused(read_vectors(&theirs.join("refused_big_endian.npy")), &["big-endian", "ascontiguousarray"]);
    refused(read_vectors(&theirs.join("refused_fortran.npy")), &["Fortran", "ascontiguousarray"]);

    for name in
        ["pandas", "pandas_index", "polars", "polars_f32", "polars_array", "pyarrow_fixed", "pyarrow_large"]
    {
        check_patches(&theirs.join(name).with_extension("parquet"));
    }
    let (patches, block) = read_patches(&theirs.join("no_boxes.parquet")).unwrap();
    assert_eq!((patches.has_boxes(), patches.skipped()), (false, &["when".to_owned()][..]));
    let metadata = vec![vec![Some(json!(u64::MAX)); ROWS], vec![None; ROWS]];
    assert_eq!((block.boxes, block.metadata, block.vectors), (None, metadata, exact()));
    for (name, parts) in [
        ("gzip", &["GZIP", "compression='snappy'"][..]),
        ("no_vector", &["'vector'", "image, x, y, width, height, label"]),
        ("half_a_box", &["'width'", "image, x, y, height, vector"]),
        ("uneven", &["row 3 has 2 numbers where row 0 has 6"]),
        ("missing", &["row 3", "'vector'"]),
        ("integers", &["'vector'", "INT64", "float32"]),
    ] {
        refused(read_patches(&theirs.join(format!("refused_{name}.parquet"))), parts);
    }
}

fn check_patches_with_name_taken(path: &Path) {
    let (patches, block) = read_patches(path).unwrap();
    let names: Vec<&str> = patches.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["label", "count", "weight", "seen", "meta_image"]);
    assert_eq!(block.metadata[4], vec![Some(json!("-")); ROWS]);
    assert_eq!((block.boxes.unwrap(), block.vectors), (boxes(), exact()));
}
