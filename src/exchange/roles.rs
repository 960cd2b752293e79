//! Which column of a Parquet file is what: image, box, vector, metadata.

use std::path::Path;

use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor, SchemaDescriptor};

use super::column::{BOX, IMAGE, VECTOR};
use super::{ColumnKind, ExchangeError, MetadataColumn};

/// What pandas calls the columns that keep the labels of its rows.
const PANDAS_INDEX: &str = "__index_level_";

const RENAME: &str = "rename the columns to image, x, y, width, height and vector, of which all four of the box may be missing";
const LIST: &str = "make it a list of float32 numbers for each row";

/// Columns of a file by what they hold, as indices of the file's leaf columns.
pub(super) struct Roles {
    pub image: usize,
    /// The box, where the file has it.
    pub sides: Option<[usize; 4]>,
    pub vector: usize,
    pub metadata: Vec<usize>,
    /// Names and kinds of `metadata`.
    pub columns: Vec<MetadataColumn>,
    /// Names of the columns that are not read.
    pub skipped: Vec<String>,
}

impl Roles {
    /// # Errors
    /// No `image` or no `vector`, a part of the box, or one of them of another kind than is read.
    pub fn of(path: &Path, schema: &SchemaDescriptor) -> Result<Self, ExchangeError> {
        let leaves = schema.columns();
        let root = |column: &ColumnDescPtr| column.path().parts().first().cloned().unwrap_or_default();
        let missing = |name: &str| {
            let mut found: Vec<String> = leaves.iter().map(root).collect();
            found.dedup();
            ExchangeError::MissingColumn {
                path: path.to_owned(),
                column: name.to_owned(),
                found: found.join(", "),
                advice: RENAME,
            }
        };
        let named = |name: &str| leaves.iter().position(|column| root(column) == name);
        let flat = |name: &str, kinds: &[ColumnKind], advice| match named(name) {
            Some(at) if ColumnKind::of(&leaves[at]).is_some_and(|kind| kinds.contains(&kind)) => Ok(at),
            Some(at) => Err(ExchangeError::unsupported(path, kind_of(&leaves[at], name), advice)),
            None => Err(missing(name)),
        };
        let image = flat(IMAGE, &[ColumnKind::Text], "make it text, the paths of the images")?;
        let vector = named(VECTOR).ok_or_else(|| missing(VECTOR))?;
        if !is_list_of_floats(&leaves[vector]) {
            return Err(ExchangeError::unsupported(path, kind_of(&leaves[vector], VECTOR), LIST));
        }
        let numbers = [ColumnKind::Integer, ColumnKind::Number];
        let side = |name: &str| flat(name, &numbers, "make it numbers, pixels of the upright image");
        let sides = match BOX.iter().any(|name| named(name).is_some()) {
            true => Some([side(BOX[0])?, side(BOX[1])?, side(BOX[2])?, side(BOX[3])?]),
            false => None,
        };
        let (mut metadata, mut columns, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for (at, column) in leaves.iter().enumerate() {
            let name = root(column);
            let known = [IMAGE, VECTOR].contains(&name.as_str()) || BOX.contains(&name.as_str());
            match ColumnKind::of(column) {
                _ if known || name.starts_with(PANDAS_INDEX) => {}
                Some(kind) => {
                    metadata.push(at);
                    columns.push(MetadataColumn { name, kind });
                }
                None => skipped.push(name),
            }
        }
        skipped.dedup();
        Ok(Self { image, sides, vector, metadata, columns, skipped })
    }

    /// Every column that is read.
    pub fn used(&self) -> impl Iterator<Item = usize> {
        let sides = self.sides.iter().flatten();
        [self.image, self.vector].into_iter().chain(sides.chain(&self.metadata).copied())
    }
}

/// Lists of numbers with fractions, in whichever of the ways to write them.
fn is_list_of_floats(column: &ColumnDescriptor) -> bool {
    use parquet::basic::Type;
    column.max_rep_level() == 1
        && column.path().parts().len() <= 3
        && matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
}

/// What a column holds instead of what it should.
fn kind_of(column: &ColumnDescriptor, name: &str) -> String {
    let kind = match column.logical_type_ref() {
        Some(logical) => format!("{logical:?}"),
        None => column.physical_type().to_string(),
    };
    match column.max_rep_level() {
        0 => format!("its column '{name}' is of type {kind}"),
        _ => format!("its column '{name}' is a list of type {kind}"),
    }
}
