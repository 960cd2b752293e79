//! What one number of a section is.

/// Element kinds. The codes are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Bytes.
    U8,
    /// Signed bytes: quantised vectors, one `f32` scale per row beside them.
    I8,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// Unsigned 32-bit integers: lists of dimensions.
    U32,
    /// 80-byte rows of the image table.
    ImageRow,
    /// 40-byte rows of the view table.
    ViewRow,
}

impl Element {
    /// Every kind, in order of its code.
    pub const ALL: [Element; 7] = [
        Element::U8,
        Element::I8,
        Element::F16,
        Element::F32,
        Element::U32,
        Element::ImageRow,
        Element::ViewRow,
    ];

    /// The permanent code on disk.
    pub fn code(self) -> u16 {
        match self {
            Element::U8 => 1,
            Element::I8 => 2,
            Element::F16 => 3,
            Element::F32 => 4,
            Element::U32 => 5,
            Element::ImageRow => 16,
            Element::ViewRow => 17,
        }
    }

    /// The kind with this code.
    pub fn of_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.code() == code)
    }

    /// The name in `FORMAT.md`, `--vectors` and `inspect`.
    pub fn name(self) -> &'static str {
        match self {
            Element::U8 => "u8",
            Element::I8 => "i8",
            Element::F16 => "f16",
            Element::F32 => "f32",
            Element::U32 => "u32",
            Element::ImageRow => "image_row",
            Element::ViewRow => "view_row",
        }
    }

    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::F16 => 2,
            Element::F32 | Element::U32 => 4,
            Element::ImageRow => 80,
            Element::ViewRow => 40,
        }
    }
}
