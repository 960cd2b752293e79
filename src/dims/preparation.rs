//! The preparation: a linear map fitted from moments, as bytes with a digest, applied to stored tokens and to queries.

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayView2};
use patchdex_format::{Cause, ContainerWriter, Element, FormatError, Layout};

use super::eigen::principal;
use super::{Method, Moments};
use crate::core::{Fault, Kind};

/// Container kind of a preparation file.
const KIND: &str = "preparation";
/// Whitening divides by √(λ + FLOOR·λ₂₀), so that directions of noise are not blown up.
const FLOOR: f64 = 1e-3;
/// The eigenvalue that the floor is measured by, counted from 0.
const FLOOR_RANK: usize = 19;
/// Patches that the generic map is worth when a collection's own whitening is fitted: about 100 images.
const PRIOR_PATCHES: u64 = 100_000;

/// Why a preparation cannot be fitted, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreparationError {
    /// More dimensions than there are.
    #[error("{method} does not fit tokens of {dim} dimensions; use a number from 1 to {most}")]
    TooMany {
        /// The method as written.
        method: String,
        /// Dimensions of a token.
        dim: usize,
        /// The largest number that fits.
        most: usize,
    },
    /// A dimension list that makes no sense.
    #[error(
        "line {line} of the dimension list is '{text}'; one dimension a line is needed, each once, from 0 to {last}"
    )]
    KeepList {
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// Largest dimension.
        last: usize,
    },
    /// A dimension list without a dimension.
    #[error("the dimension list is empty; one dimension a line is needed")]
    EmptyKeepList,
    /// Tokens of another length.
    #[error(
        "the preparation takes tokens of {expected} dimensions, the model gives {found}; use the preparation that belongs to the model"
    )]
    Dimensions {
        /// What it takes.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// No tokens to fit on.
    #[error("there are no tokens to fit {method} on")]
    NoTokens {
        /// The method as written.
        method: String,
    },
    /// Bytes that are no preparation.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl Fault for PreparationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Format(FormatError { cause: Cause::Version { .. }, .. }) => Kind::Incompatible,
            Self::Format(_) => Kind::Corrupt,
            Self::Dimensions { .. } => Kind::Incompatible,
            _ => Kind::Invalid,
        }
    }
}

/// A fitted linear map: selects dimensions, takes the mean off, scales, multiplies. Each step may be absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// The method as written: `whiten`, `drop:200`, ...
    pub method: String,
    /// What it was fitted on: `collection`, `model`, ...
    pub fitted_on: String,
    input_dim: usize,
    keep: Option<Vec<u32>>,
    mean: Option<Vec<f32>>,
    scale: Option<Vec<f32>>,
    /// `output_dim` rows of input length.
    map: Option<Vec<f32>>,
}

impl Preparation {
    /// The identity on tokens of `dim` numbers.
    pub fn none(dim: usize) -> Self {
        let method = Method::None.to_string();
        Self {
            method,
            fitted_on: String::new(),
            input_dim: dim,
            keep: None,
            mean: None,
            scale: None,
            map: None,
        }
    }

    /// Keeps the dimensions listed in `text`, one a line, in ascending order.
    ///
    /// # Errors
    /// A line that is no dimension or stands twice.
    pub fn keep_listed(text: &str, method: &Method, dim: usize) -> Result<Self, PreparationError> {
        let mut kept = BTreeSet::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = line.trim().parse::<u32>().ok().filter(|&number| (number as usize) < dim);
            if !number.is_some_and(|number| kept.insert(number)) {
                let error =
                    PreparationError::KeepList { line: index + 1, text: line.to_owned(), last: dim - 1 };
                return Err(error);
            }
        }
        if kept.is_empty() {
            return Err(PreparationError::EmptyKeepList);
        }
        let keep = Some(kept.into_iter().collect());
        Ok(Self { method: method.to_string(), keep, ..Self::none(dim) })
    }

    /// Fits `method` on moments. Whitening is shrunk towards `generic` while tokens are few: the generic map counts
    /// as 100,000 patches.
    ///
    /// # Errors
    /// More dimensions than there are, or no tokens.
    pub fn fit(
        method: &Method,
        moments: &Moments,
        generic: Option<&Preparation>,
    ) -> Result<Self, PreparationError> {
        let dim = moments.dim();
        let mut fitted = Self { method: method.to_string(), ..Self::none(dim) };
        if *method == Method::None {
            return Ok(fitted);
        }
        if moments.count == 0 {
            return Err(PreparationError::NoTokens { method: method.to_string() });
        }
        Self::check_method(method, dim)?;
        let single = |values: &[f64]| Some(values.iter().map(|&v| v as f32).collect::<Vec<f32>>());
        match *method {
            Method::None | Method::Keep(_) => {}
            Method::Centre => fitted.mean = single(&moments.mean),
            Method::Standardise => {
                fitted.mean = single(&moments.mean);
                let inverse = |v: f64| if v > 0.0 { 1.0 / v.sqrt() } else { 0.0 };
                fitted.scale = single(&moments.variance().into_iter().map(inverse).collect::<Vec<_>>());
            }
            Method::Drop(n) => fitted.keep = Some(low_variance(&moments.variance(), n)),
            Method::Remove(k) => {
                fitted.mean = single(&moments.mean);
                let (_, directions) = principal(&moments.covariance(), dim);
                fitted.map = single(&projector_off(&directions[..k], dim));
            }
            Method::Pca(n) => {
                fitted.mean = single(&moments.mean);
                let (_, directions) = principal(&moments.covariance(), dim);
                fitted.map = single(&directions[..n].concat());
            }
            Method::Whiten => {
                let generic = generic.filter(|generic| generic.input_dim() == dim);
                let shrunk = generic.and_then(Preparation::moments).map(|mut prior| {
                    prior.merge(moments);
                    prior
                });
                let moments = shrunk.as_ref().unwrap_or(moments);
                fitted.mean = single(&moments.mean);
                fitted.map = single(&whitening(&moments.covariance(), dim));
            }
        }
        Ok(fitted)
    }

    /// Whether `method` can be fitted on tokens of `dim` numbers; known before there are any.
    ///
    /// # Errors
    /// More dimensions than there are, or none that are left.
    pub fn check_method(method: &Method, dim: usize) -> Result<(), PreparationError> {
        let (number, most) = match *method {
            Method::Drop(n) | Method::Remove(n) => (n, dim.saturating_sub(1)),
            // Without a direction nothing is left.
            Method::Pca(n) => (if n == 0 { usize::MAX } else { n }, dim),
            _ => (0, dim),
        };
        match number <= most {
            true => Ok(()),
            false => Err(PreparationError::TooMany { method: method.to_string(), dim, most }),
        }
    }

    /// Numbers in a token.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    /// Numbers in a prepared vector.
    pub fn output_dim(&self) -> usize {
        let selected = self.keep.as_ref().map_or(self.input_dim, Vec::len);
        self.map.as_ref().map_or(selected, |map| map.len() / selected)
    }

    /// Dimensions of a token that are dropped.
    pub fn dims_dropped(&self) -> usize {
        self.keep.as_ref().map_or(0, |keep| self.input_dim - keep.len())
    }

    /// Whether tokens stay as they are.
    pub fn is_none(&self) -> bool {
        self.keep.is_none() && self.mean.is_none() && self.scale.is_none() && self.map.is_none()
    }

    /// Applies the map to rows of [`Preparation::input_dim`] numbers.
    pub fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let mut out: Vec<f32> = match &self.keep {
            Some(keep) => rows
                .chunks_exact(self.input_dim)
                .flat_map(|row| keep.iter().map(|&at| row[at as usize]))
                .collect(),
            None => rows.to_vec(),
        };
        let dim = self.keep.as_ref().map_or(self.input_dim, Vec::len);
        if let Some(mean) = &self.mean {
            out.chunks_exact_mut(dim).for_each(|row| row.iter_mut().zip(mean).for_each(|(v, m)| *v -= m));
        }
        if let Some(scale) = &self.scale {
            out.chunks_exact_mut(dim).for_each(|row| row.iter_mut().zip(scale).for_each(|(v, s)| *v *= s));
        }
        match &self.map {
            Some(map) => multiply(out, map, dim),
            None => out,
        }
    }

    /// The preparation as a file's bytes. Equal maps give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let write = || -> std::io::Result<Vec<u8>> {
            let mut writer = ContainerWriter::new(Vec::new(), KIND, "patchdex")?;
            writer.section("method", Element::U8, 1, self.method.as_bytes())?;
            writer.section("input_dim", Element::U32, 1, &[self.input_dim as u32])?;
            if let Some(keep) = &self.keep {
                writer.section("keep", Element::U32, 1, keep)?;
            }
            let vectors = [("mean", &self.mean), ("scale", &self.scale), ("map", &self.map)];
            for (name, values) in
                vectors.into_iter().filter_map(|(name, values)| Some((name, values.as_ref()?)))
            {
                let selected = self.keep.as_ref().map_or(self.input_dim, Vec::len);
                writer.section(name, Element::F32, selected as u32, values)?;
            }
            writer.finish()
        };
        write().unwrap_or_default()
    }

    /// Reads and verifies a preparation file.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8], fitted_on: &str) -> Result<Self, PreparationError> {
        let mut aligned: Vec<u64> = vec![0; bytes.len().div_ceil(8)];
        let copy = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut aligned)[..bytes.len()];
        copy.copy_from_slice(bytes);
        let bytes = &*copy;
        let layout = Layout::parse(bytes, KIND)?;
        layout.verify(bytes)?;
        let has = |name: &str| layout.sections.iter().any(|section| section.name == name);
        let floats = |name: &str| -> Result<Option<Vec<f32>>, FormatError> {
            let read = || layout.slice::<f32>(bytes, name, Element::F32).map(<[f32]>::to_vec);
            has(name).then(read).transpose()
        };
        let keep = has("keep").then(|| layout.slice::<u32>(bytes, "keep", Element::U32)).transpose()?;
        let input_dim = layout.slice::<u32>(bytes, "input_dim", Element::U32)?.first().copied();
        let method = String::from_utf8_lossy(layout.slice(bytes, "method", Element::U8)?).into_owned();
        let read = Self {
            method,
            fitted_on: fitted_on.to_owned(),
            input_dim: input_dim.unwrap_or_default() as usize,
            keep: keep.map(<[u32]>::to_vec),
            mean: floats("mean")?,
            scale: floats("scale")?,
            map: floats("map")?,
        };
        read.check()?;
        Ok(read)
    }

    /// The digest of the bytes' content, hexadecimal; empty for the identity.
    pub fn digest(&self) -> String {
        match self.is_none() {
            true => String::new(),
            false => Layout::parse(&self.to_bytes(), KIND).map(|layout| layout.digest()).unwrap_or_default(),
        }
    }

    /// Lengths that belong together, dimensions that exist.
    fn check(&self) -> Result<(), FormatError> {
        let dim = self.keep.as_ref().map_or(self.input_dim, Vec::len);
        let fits = |values: &Option<Vec<f32>>| values.as_ref().is_none_or(|values| values.len() == dim);
        let keep =
            self.keep.as_ref().is_none_or(|keep| keep.iter().all(|&at| (at as usize) < self.input_dim));
        let map = self.map.as_ref().is_none_or(|map| !map.is_empty() && map.len().is_multiple_of(dim.max(1)));
        match dim > 0 && keep && map && fits(&self.mean) && fits(&self.scale) {
            true => Ok(()),
            false => Err(FormatError::structure("sections of a preparation do not fit together")),
        }
    }

    /// The moments that a whitening was fitted from, worth [`PRIOR_PATCHES`] vectors: its rows are √(1/(λ + floor))
    /// times the principal directions, which gives both back.
    fn moments(&self) -> Option<Moments> {
        let (mean, map) = (self.mean.as_ref()?, self.map.as_ref()?);
        let dim = self.input_dim;
        if self.method != Method::Whiten.to_string() || self.keep.is_some() || map.len() != dim * dim {
            return None;
        }
        let inverse = |row: &[f32]| 1.0 / row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let floor = map.chunks_exact(dim).nth(FLOOR_RANK.min(dim - 1)).map(inverse)? * FLOOR / (1.0 + FLOOR);
        let mut covariance = vec![0.0; dim * dim];
        for row in map.chunks_exact(dim) {
            let weight = (inverse(row) - floor).max(0.0) * inverse(row);
            for (a, &left) in row.iter().enumerate() {
                for (b, &right) in row.iter().enumerate() {
                    covariance[a * dim + b] += weight * f64::from(left) * f64::from(right);
                }
            }
        }
        let mean = mean.iter().map(|&v| f64::from(v)).collect();
        Some(Moments::synthetic(PRIOR_PATCHES, mean, &covariance))
    }
}

/// The dimensions that are left when the `n` of highest variance are dropped, ascending. Of equal variances the lower
/// dimension is dropped first.
fn low_variance(variance: &[f64], n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..variance.len() as u32).collect();
    order.sort_by(|&a, &b| variance[b as usize].total_cmp(&variance[a as usize]).then(a.cmp(&b)));
    let mut kept = order.split_off(n);
    kept.sort_unstable();
    kept
}

/// I − Σ u uᵀ.
fn projector_off(directions: &[Vec<f64>], dim: usize) -> Vec<f64> {
    let mut map = vec![0.0; dim * dim];
    for row in 0..dim {
        map[row * dim + row] = 1.0;
        for direction in directions {
            for col in 0..dim {
                map[row * dim + col] -= direction[row] * direction[col];
            }
        }
    }
    map
}

/// Rows uᵢ / √(λᵢ + 10⁻³ λ₂₀).
fn whitening(covariance: &[f64], dim: usize) -> Vec<f64> {
    let (values, directions) = principal(covariance, dim);
    let floor = FLOOR * values[FLOOR_RANK.min(dim - 1)];
    let scaled = |(value, direction): (&f64, &Vec<f64>)| {
        let scale = if value + floor > 0.0 { 1.0 / (value + floor).sqrt() } else { 0.0 };
        direction.iter().map(|v| v * scale).collect::<Vec<_>>()
    };
    values.iter().zip(&directions).flat_map(scaled).collect()
}

/// rows (n×dim) times mapᵀ (dim×out).
fn multiply(rows: Vec<f32>, map: &[f32], dim: usize) -> Vec<f32> {
    let rows = Array2::from_shape_vec((rows.len() / dim, dim), rows).expect("invariant: whole rows");
    let map = ArrayView2::from_shape((map.len() / dim, dim), map).expect("invariant: whole rows");
    rows.dot(&map.t()).into_iter().collect()
}

#[cfg(test)]
#[path = "preparation_tests.rs"]
mod tests;
