//! The columns of a Parquet file of patches: their names, and the kinds of metadata.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescriptor, PrimitiveTypeBuilder, Type, TypePtr};

/// Path of the image.
pub(super) const IMAGE: &str = "image";
/// Box of the patch in pixels of the upright image.
pub(super) const BOX: [&str; 4] = ["x", "y", "width", "height"];
/// Vector of the patch.
pub(super) const VECTOR: &str = "vector";
/// What a metadata column's name is preceded by where it would be one of the above.
const PREFIX: &str = "meta_";

/// What the values of a metadata column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers in double precision.
    Number,
    /// True or false.
    Boolean,
}

/// A column of metadata; any of its values may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
}

impl ColumnKind {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    fn physical(self) -> Physical {
        match self {
            Self::Text => Physical::BYTE_ARRAY,
            Self::Integer => Physical::INT64,
            Self::Number => Physical::DOUBLE,
            Self::Boolean => Physical::BOOLEAN,
        }
    }

    /// The kind of a column of a file: none for lists, for parts of structures, for dates, decimals, bytes, ...
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        if column.path().parts().len() != 1 || column.max_rep_level() != 0 {
            return None;
        }
        match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
            (Physical::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Enum | LogicalType::Json), _)
            | (Physical::BYTE_ARRAY, None, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON) => {
                Some(Self::Text)
            }
            (Physical::INT32 | Physical::INT64, Some(LogicalType::Integer(_)), _) => Some(Self::Integer),
            (
                Physical::INT32 | Physical::INT64,
                None,
                ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::INT_64
                | ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Some(Self::Integer),
            (Physical::FLOAT | Physical::DOUBLE, None, _) => Some(Self::Number),
            (Physical::BOOLEAN, None, _) => Some(Self::Boolean),
            _ => None,
        }
    }
}

/// The schema of a file of patches with these metadata columns. Names that are taken are preceded by `meta_`.
///
/// # Errors
/// A name that Parquet does not allow.
pub(super) fn schema(metadata: &[MetadataColumn]) -> Result<TypePtr, ParquetError> {
    fn required(name: &str, physical: Physical) -> PrimitiveTypeBuilder<'_> {
        Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED)
    }
    let image = required(IMAGE, Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String));
    let mut fields = vec![Arc::new(image.build()?)];
    for side in BOX {
        fields.push(Arc::new(required(side, Physical::FLOAT).build()?));
    }
    let element = Arc::new(required("element", Physical::FLOAT).build()?);
    let list =
        Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
    let vector = Type::group_type_builder(VECTOR)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list.build()?)]);
    fields.push(Arc::new(vector.build()?));
    for column in metadata {
        let mut name = column.name.clone();
        while fields.iter().any(|field| field.name() == name) {
            name.insert_str(0, PREFIX);
        }
        let text = (column.kind == ColumnKind::Text).then_some(LogicalType::String);
        let field = Type::primitive_type_builder(&name, column.kind.physical())
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(text);
        fields.push(Arc::new(field.build()?));
    }
    Ok(Arc::new(Type::group_type_builder("patches").with_fields(fields).build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_are_preceded_until_they_are_free() {
        let column = |name: &str| MetadataColumn { name: name.to_owned(), kind: ColumnKind::Text };
        let schema = schema(&["image", "meta_image", "x", "x", "a b.c"].map(column)).unwrap();
        let names: Vec<&str> = schema.get_fields()[6..].iter().map(|field| field.name()).collect();
        assert_eq!(names, ["meta_image", "meta_meta_image", "meta_x", "meta_meta_x", "a b.c"]);
    }
}
