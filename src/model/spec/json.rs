//! A JSON object and the file it came from, read key by key with errors that name both. `null` counts as missing.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::SpecError;

/// A JSON object of `path`, at `prefix` inside it.
pub(super) struct Document {
    path: PathBuf,
    prefix: String,
    values: Map<String, Value>,
}

impl Document {
    /// The object that a file holds.
    pub(super) fn read(path: &Path) -> Result<Document, SpecError> {
        let read = |source| SpecError::Read { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(read)?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => {
                Ok(Document { path: path.to_owned(), prefix: String::new(), values })
            }
            Ok(_) => Err(SpecError::Json { path: path.to_owned(), source: None }),
            Err(source) => Err(SpecError::Json { path: path.to_owned(), source: Some(source) }),
        }
    }

    /// The value of `key`, unless missing or null.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// An error about `key`.
    pub(super) fn fault(&self, key: &str, problem: impl Into<String>) -> SpecError {
        SpecError::Key {
            path: self.path.clone(),
            key: format!("{}{key}", self.prefix),
            problem: problem.into(),
        }
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<Document>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Document {
                path: self.path.clone(),
                prefix: format!("{}{key}.", self.prefix),
                values: values.clone(),
            })),
            Some(other) => Err(self.fault(key, format!("is {other}: write an object"))),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(self.fault(key, format!("is {other}: write a text"))),
        }
    }

    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(other) => Err(self.fault(key, format!("is {other}: write true or false"))),
        }
    }

    /// A whole number from 0 to 65,535.
    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, SpecError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let whole = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=65_535.0).contains(n));
        whole
            .map(|n| Some(n as u32))
            .ok_or_else(|| self.fault(key, format!("is {value}: write a whole number")))
    }

    /// A whole number of 1 or more, or a pair `[n, n]` of the same.
    pub(super) fn side(&self, key: &str) -> Result<Option<u32>, SpecError> {
        let side = match self.value(key) {
            Some(Value::Array(pair)) if pair.len() == 2 && pair[0] == pair[1] => pair[0].as_u64(),
            Some(Value::Array(pair)) => {
                let shown = Value::Array(pair.clone());
                return Err(
                    self.fault(key, format!("is {shown}: only squares are supported, write one number"))
                );
            }
            _ => self.count(key)?.map(u64::from),
        };
        match side {
            Some(n @ 1..=65_535) => Ok(Some(n as u32)),
            None if self.value(key).is_none() => Ok(None),
            _ => Err(self.fault(key, "is no number of pixels: write a whole number above 0")),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f32>, SpecError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_f64().map(|n| n as f32).filter(|n| n.is_finite());
        number.map(Some).ok_or_else(|| self.fault(key, format!("is {value}: write a number")))
    }

    /// Three numbers, or one for all three channels.
    pub(super) fn channels(&self, key: &str) -> Result<Option<[f32; 3]>, SpecError> {
        let Some(Value::Array(list)) = self.value(key) else {
            return Ok(self.number(key)?.map(|n| [n; 3]));
        };
        let numbers: Option<Vec<f32>> = list.iter().map(|v| v.as_f64().map(|n| n as f32)).collect();
        match numbers.as_deref() {
            Some(&[r, g, b]) if [r, g, b].iter().all(|n| n.is_finite()) => Ok(Some([r, g, b])),
            _ => {
                Err(self
                    .fault(key, "is no list of three numbers: write one number per channel, as [r, g, b]"))
            }
        }
    }
}
