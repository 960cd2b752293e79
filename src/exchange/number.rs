//! The kinds of numbers in foreign files, little-endian, and what of them fits into single precision.

use half::f16;

/// A kind of number, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
    /// Signed 32-bit integers.
    I32,
}

impl Number {
    /// Name for people: `f32`, `u8`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I32 => "i32",
        }
    }

    /// Bytes of one number.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Whole numbers of this kind; none for kinds with fractions.
    pub(super) fn whole_range(self) -> Option<(i32, i32)> {
        match self {
            Self::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            Self::U8 => Some((u8::MIN.into(), u8::MAX.into())),
            Self::I32 => Some((i32::MIN, i32::MAX)),
            Self::F16 | Self::F32 | Self::F64 => None,
        }
    }

    /// Numbers out of their bytes, to the nearest single-precision number; a double beyond its range becomes infinite.
    /// `bytes` has [`Number::size_bytes`] for each of `out`.
    pub(super) fn widen(self, bytes: &[u8], out: &mut [f32]) {
        fn each<const N: usize>(bytes: &[u8], out: &mut [f32], of: impl Fn([u8; N]) -> f32) {
            bytes.as_chunks::<N>().0.iter().zip(out).for_each(|(&number, out)| *out = of(number));
        }
        match self {
            Self::F16 => each(bytes, out, |number| f16::from_le_bytes(number).to_f32()),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F64 => each(bytes, out, |number| f64::from_le_bytes(number) as f32),
            Self::I8 => each(bytes, out, |number| i8::from_le_bytes(number).into()),
            Self::U8 => each(bytes, out, |[number]| number.into()),
            Self::I32 => each(bytes, out, |number| i32::from_le_bytes(number) as f32),
        }
    }
}
