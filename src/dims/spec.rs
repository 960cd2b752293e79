//! The text after `--prepare`: which map, and on what it is fitted.

use std::path::PathBuf;
use std::str::FromStr;

/// Which linear map.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Tokens as they are.
    None,
    /// The mean is taken off.
    Centre,
    /// The mean is taken off, each dimension divided by its standard deviation.
    Standardise,
    /// The N dimensions of highest variance are dropped.
    Drop(usize),
    /// Only the dimensions listed in a file are kept.
    Keep(PathBuf),
    /// The mean and the first K principal directions are taken off.
    Remove(usize),
    /// Coordinates along the first N principal directions.
    Pca(usize),
    /// All principal coordinates, each scaled to about unit variance.
    Whiten,
}

/// Where a preparation comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The model folder's `preparation.pdx`; none when the folder has none.
    Model,
    /// A preparation file, or the folder of a collection.
    File(PathBuf),
    /// Fitted on the collection's own tokens.
    Own(Method),
}

/// Why a text names no preparation.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "'{text}' names no preparation; use none, model, centre, standardise, drop:N, keep:FILE, remove:K, pca:N, whiten, or file:PATH"
)]
pub struct SpecParseError {
    text: String,
}

impl Method {
    /// Numbers in a vector that the method makes of a token of `dim` numbers, where that is known before it is fitted.
    pub fn output_dim(&self, dim: usize) -> usize {
        match self {
            Self::Drop(n) => dim.saturating_sub(*n),
            Self::Pca(n) => (*n).min(dim),
            _ => dim,
        }
    }

    /// Numbers that the fitted map consists of, for tokens of `dim` numbers.
    pub fn parameters(&self, dim: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Centre => dim,
            Self::Standardise => 2 * dim,
            Self::Drop(_) | Self::Keep(_) => self.output_dim(dim),
            Self::Remove(_) | Self::Pca(_) | Self::Whiten => dim + dim * self.output_dim(dim),
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Centre => f.write_str("centre"),
            Self::Standardise => f.write_str("standardise"),
            Self::Drop(n) => write!(f, "drop:{n}"),
            Self::Keep(path) => write!(f, "keep:{}", path.display()),
            Self::Remove(k) => write!(f, "remove:{k}"),
            Self::Pca(n) => write!(f, "pca:{n}"),
            Self::Whiten => f.write_str("whiten"),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Own(method) => method.fmt(f),
        }
    }
}

impl FromStr for Method {
    type Err = SpecParseError;

    fn from_str(text: &str) -> Result<Self, SpecParseError> {
        let error = || SpecParseError { text: text.to_owned() };
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let number = || argument.and_then(|text| text.parse().ok()).ok_or_else(error);
        match (name, argument) {
            ("none", None) => Ok(Self::None),
            ("centre" | "center", None) => Ok(Self::Centre),
            ("standardise" | "standardize", None) => Ok(Self::Standardise),
            ("whiten", None) => Ok(Self::Whiten),
            ("drop", _) => number().map(Self::Drop),
            ("remove", _) => number().map(Self::Remove),
            ("pca", _) => number().map(Self::Pca),
            ("keep", Some(path)) if !path.is_empty() => Ok(Self::Keep(path.into())),
            _ => Err(error()),
        }
    }
}

impl FromStr for Source {
    type Err = SpecParseError;

    fn from_str(text: &str) -> Result<Self, SpecParseError> {
        match text.split_once(':') {
            None if text == "model" => Ok(Self::Model),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("own", method)) => Ok(Self::Own(method.parse()?)),
            _ => Ok(Self::Own(text.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_it_is_written() {
        for text in [
            "none",
            "centre",
            "standardise",
            "drop:200",
            "keep:dims.txt",
            "remove:3",
            "pca:128",
            "whiten",
            "model",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        assert_eq!("own:whiten".parse::<Source>().unwrap(), Source::Own(Method::Whiten));
        assert_eq!("file:a/b.pdx".parse::<Source>().unwrap(), Source::File("a/b.pdx".into()));
    }

    #[test]
    fn other_texts_are_refused_with_the_list() {
        for text in
            ["", "drop", "drop:x", "drop:-1", "whitening", "pca:", "keep:", "none:1", "own:", "own:model"]
        {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains("drop:N"), "{text}");
        }
    }
}
