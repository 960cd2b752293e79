//! What a search asks, read out of a multipart form or JSON, with everything held against its limits before it waits for a session.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Cause, Problem};
use crate::core::Bbox;
use crate::query::{NearestChoice, Plan, PlanChoice, Thoroughness, Wanted};

/// Rows of a search by vectors at most, and vectors that they may find together.
const MAX_ROWS: usize = 1024;
const MAX_FOUND: usize = 1 << 20;

/// A search.
pub(super) struct Search {
    /// The collection that is searched; where there is one only, it needs no name.
    pub collection: Option<String>,
    pub asked: Asked,
}

/// What is looked for.
pub(super) enum Asked {
    /// What a picture shows.
    Picture { image: Bytes, name: String, mask: Option<Bytes>, marked: Marked, plan: Plan },
    /// What an image of the collection shows.
    Indexed { image: String, marked: Marked, plan: Plan },
    /// Vectors near to rows of `dim` numbers.
    Vectors { rows: Vec<f32>, dim: usize, wanted: Wanted, thoroughness: Thoroughness, choice: NearestChoice },
}

/// Where it is.
#[derive(Default)]
pub(super) struct Marked {
    /// Where the object is.
    pub boxes: Vec<Bbox>,
    /// What is not meant.
    pub unlike: Vec<Bbox>,
}

/// A search by a picture that comes with the request.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes the form, which is read field by field")]
pub(super) struct SearchForm {
    /// The collection that is searched; where there is one only, it needs no name.
    collection: Option<String>,
    /// The picture that shows the object: a JPEG, PNG, WebP, TIFF, BMP or GIF file.
    #[schema(value_type = String, format = Binary)]
    image: Bytes,
    /// JSON: where the object is, in one or several looks at it; none: the whole picture shows it.
    #[schema(example = json!([[300, 190, 170, 150]]))]
    boxes: Option<Vec<Bbox>>,
    /// JSON: what is not meant.
    not_boxes: Option<Vec<Bbox>>,
    /// Instead of boxes, a picture of the same size that is white where the object is.
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Bytes>,
    /// JSON: how it is looked for.
    options: Option<PlanChoice>,
}

/// Which image of the collection shows the object.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexedHead {
    /// The collection that is searched; where there is one only, it needs no name.
    #[serde(default)]
    collection: Option<String>,
    /// Id or path of an image of the collection: its stored patches are asked, no model is needed.
    image: String,
    /// Where the object is, in one or several looks at it; none: the whole image shows it.
    #[serde(default)]
    boxes: Vec<Bbox>,
    /// What is not meant.
    #[serde(default)]
    not_boxes: Vec<Bbox>,
}

/// Which rows of numbers are asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VectorHead {
    /// The collection that is searched; where there is one only, it needs no name.
    #[serde(default)]
    collection: Option<String>,
    /// Rows of equal length: tokens as the model gives them, or prepared vectors.
    #[schema(min_items = 1, max_items = 1024)]
    vectors: Vec<Vec<f32>>,
}

/// The part of a search that says what, beside a choice that says how.
pub(super) trait Head: DeserializeOwned + ToSchema {
    /// Names of its fields.
    const NAMES: &'static [&'static str];
    /// Name of the whole in the description of the API.
    const NAME: &'static str;
}

impl Head for IndexedHead {
    const NAMES: &'static [&'static str] = &["collection", "image", "boxes", "not_boxes"];
    const NAME: &'static str = "IndexedSearch";
}

impl Head for VectorHead {
    const NAMES: &'static [&'static str] = &["collection", "vectors"];
    const NAME: &'static str = "VectorSearch";
}

/// Both in one JSON object. (Flattened fields would let unknown ones pass.)
pub(super) struct Joined<H, C>(PhantomData<(H, C)>);

/// A search by an image of the collection.
pub(super) type IndexedSearch = Joined<IndexedHead, PlanChoice>;
/// A search by rows of numbers.
pub(super) type VectorSearch = Joined<VectorHead, NearestChoice>;

impl<H: Head, C: DeserializeOwned> Joined<H, C> {
    fn parse(mut object: BTreeMap<String, &RawValue>) -> Result<(H, C), Problem> {
        let rest = object.split_off_names(H::NAMES);
        Ok((parsed(&object.text(), "")?, parsed(&rest.text(), "")?))
    }
}

impl<H: Head, C: ToSchema> PartialSchema for Joined<H, C> {
    fn schema() -> RefOr<Schema> {
        match (H::schema(), C::schema()) {
            (RefOr::T(Schema::Object(mut head)), RefOr::T(Schema::Object(choice))) => {
                head.properties.extend(choice.properties);
                head.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
                head.into()
            }
            (head, _) => head,
        }
    }
}

impl<H: Head, C: ToSchema> ToSchema for Joined<H, C> {
    fn name() -> std::borrow::Cow<'static, str> {
        H::NAME.into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        H::schemas(schemas);
        C::schemas(schemas);
    }
}

/// A JSON object whose values are not read yet.
trait RawObject {
    /// Takes out what is not called so.
    fn split_off_names(&mut self, names: &[&str]) -> Self;
    /// As JSON.
    fn text(&self) -> String;
}

impl RawObject for BTreeMap<String, &RawValue> {
    fn split_off_names(&mut self, names: &[&str]) -> Self {
        self.extract_if(.., |name, _| !names.contains(&name.as_str())).collect()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("invariant: raw values are JSON")
    }
}

/// The value of a JSON text; what is wrong is named by its place, below `place`.
pub(super) fn parsed<T: DeserializeOwned>(text: &str, place: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.path().to_string();
        let at = [place, inner.trim_matches('.')].into_iter().filter(|part| !part.is_empty());
        let at = at.collect::<Vec<_>>().join(".");
        let cause = match error.inner().is_data() {
            true => Cause::Invalid,
            false => Cause::Malformed,
        };
        let what = error.inner().to_string();
        // Places in a text that was put together mean nothing to the client.
        let what = what.rsplit_once(" at line ").map_or(&*what, |(what, _)| what);
        let hint = if at.contains("boxes") { "; give [[x, y, w, h], ...]" } else { "" };
        Problem::new(cause, if at.is_empty() { what.to_owned() } else { format!("{at}: {what}{hint}") })
    })?;
    deserializer.end().map_err(|error| Problem::new(Cause::Malformed, error.to_string()))?;
    Ok(value)
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Cause::Invalid, detail)
}

impl Search {
    /// The search that a JSON object describes.
    pub fn of_json(text: &[u8]) -> Result<Self, Problem> {
        let malformed = |error: &dyn std::fmt::Display| Problem::new(Cause::Malformed, error.to_string());
        let text = std::str::from_utf8(text).map_err(|error| malformed(&error))?;
        let object: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if object.contains_key("vectors") {
            let (head, choice) = VectorSearch::parse(object)?;
            return Self::of_vectors(head, choice);
        }
        if !object.contains_key("image") {
            return Err(invalid(
                "'image' is missing: give the id or path of an image of the collection, or 'vectors'; a picture comes as \
                 multipart/form-data",
            ));
        }
        let (head, choice) = IndexedSearch::parse(object)?;
        if choice.mirrored || choice.turned {
            return Err(invalid(
                "an image of the collection is asked as it is stored: leave mirrored and turned out",
            ));
        }
        let marked =
            Marked { boxes: sound(head.boxes, "boxes")?, unlike: sound(head.not_boxes, "not_boxes")? };
        let asked = Asked::Indexed { image: head.image, marked, plan: choice.plan()? };
        Ok(Self { collection: head.collection, asked })
    }

    fn of_vectors(head: VectorHead, choice: NearestChoice) -> Result<Self, Problem> {
        let (wanted, thoroughness) = choice.search()?;
        let VectorHead { collection, vectors } = head;
        let (count, dim) = (vectors.len(), vectors.first().map_or(0, Vec::len));
        if !(1..=MAX_ROWS).contains(&count) || dim == 0 {
            return Err(invalid(format!("vectors: give 1 to {MAX_ROWS} rows of numbers")));
        }
        if let Some(at) = vectors.iter().position(|row| row.len() != dim) {
            return Err(invalid(format!("vectors[{at}] has another length than vectors[0]: {dim}")));
        }
        let top = match wanted {
            Wanted::Nearest(top) => top,
            // Nobody knows how many there are.
            Wanted::Within { top, .. } => top.unwrap_or(MAX_FOUND / count),
        };
        if count.saturating_mul(top) > MAX_FOUND {
            return Err(invalid(format!(
                "{count} rows with {top} vectors each are too many for one answer ({MAX_FOUND}); ask for fewer"
            )));
        }
        let wanted = match wanted {
            Wanted::Within { least, .. } => Wanted::Within { least, top: Some(top) },
            nearest => nearest,
        };
        let rows = vectors.concat();
        match rows.iter().all(|number| number.is_finite()) {
            true => {
                Ok(Self { collection, asked: Asked::Vectors { rows, dim, wanted, thoroughness, choice } })
            }
            false => Err(invalid("vectors: a number is too large")),
        }
    }

    /// The search that a multipart form describes.
    pub async fn of_form(mut form: Multipart) -> Result<Self, Problem> {
        let mut parts = Parts::default();
        while let Some(field) = form.next_field().await.map_err(|error| unread(&error))? {
            parts.take(field).await?;
        }
        parts.search()
    }
}

/// The fields of a form as far as they came.
#[derive(Default)]
struct Parts {
    image: Option<(Bytes, String)>,
    mask: Option<Bytes>,
    texts: BTreeMap<&'static str, String>,
}

/// Names of fields that hold text.
const TEXTS: [&str; 4] = ["collection", "boxes", "not_boxes", "options"];

impl Parts {
    async fn take(&mut self, field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_owned();
        let twice = || invalid(format!("field '{name}' is there twice"));
        match &*name {
            "image" if self.image.is_some() => Err(twice()),
            "image" => {
                let called = field.file_name().unwrap_or("image").to_owned();
                let bytes = field.bytes().await.map_err(|error| unread(&error))?;
                self.image = Some((bytes, called));
                Ok(())
            }
            "mask" if self.mask.is_some() => Err(twice()),
            "mask" => {
                self.mask = Some(field.bytes().await.map_err(|error| unread(&error))?);
                Ok(())
            }
            _ => {
                let known = TEXTS.into_iter().find(|text| **text == *name).ok_or_else(|| {
                    invalid(format!("unknown field '{name}'; there are image, mask, {}", TEXTS.join(", ")))
                })?;
                let text = field.text().await.map_err(|error| unread(&error))?;
                match self.texts.insert(known, text) {
                    Some(_) => Err(twice()),
                    None => Ok(()),
                }
            }
        }
    }

    fn search(mut self) -> Result<Search, Problem> {
        let (image, name) = self
            .image
            .take()
            .ok_or_else(|| invalid("field 'image' is missing: the picture that shows the object"))?;
        let boxes = self.boxes("boxes")?;
        if self.mask.is_some() && !boxes.is_empty() {
            return Err(invalid("boxes and mask exclude each other; leave one out"));
        }
        let choice: PlanChoice = match self.texts.get("options") {
            Some(text) => parsed(text, "options")?,
            None => PlanChoice::default(),
        };
        let marked = Marked { boxes, unlike: self.boxes("not_boxes")? };
        let asked = Asked::Picture { image, name, mask: self.mask, marked, plan: choice.plan()? };
        Ok(Search { collection: self.texts.remove("collection"), asked })
    }

    fn boxes(&self, name: &str) -> Result<Vec<Bbox>, Problem> {
        self.texts.get(name).map_or(Ok(Vec::new()), |text| sound(parsed(text, name)?, name))
    }
}

/// Boxes with an area.
fn sound(boxes: Vec<Bbox>, name: &str) -> Result<Vec<Bbox>, Problem> {
    let is_sound = |bbox: &Bbox| {
        [bbox.x, bbox.y, bbox.w, bbox.h].iter().all(|side| side.is_finite()) && bbox.area() > 0.0
    };
    match boxes.iter().position(|bbox| !is_sound(bbox)) {
        None => Ok(boxes),
        Some(at) => {
            Err(invalid(format!("{name}[{at}] is no box: give [x, y, w, h] in pixels with w and h above 0")))
        }
    }
}

/// Why a form cannot be read.
fn unread(error: &MultipartError) -> Problem {
    let cause = match Cause::of_status(error.status()) {
        // The client's stream broke, which is none of our faults.
        Cause::Internal => Cause::Malformed,
        cause => cause,
    };
    Problem::new(cause, error.body_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Problem {
        Search::of_json(text.as_bytes()).err().unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn json_is_a_search_by_an_image_or_by_vectors() {
        let search = Search::of_json(br#"{"image": "a.png", "boxes": [[1, 2, 3, 4]], "top": 3}"#).unwrap();
        let Asked::Indexed { image, marked, plan } = search.asked else { panic!("indexed") };
        assert_eq!((&*image, plan.top, marked.boxes.len()), ("a.png", 3, 1));
        let search = Search::of_json(br#"{"collection": "c", "vectors": [[1, 2], [3, 4]]}"#).unwrap();
        let Asked::Vectors { rows, dim, .. } = search.asked else { panic!("vectors") };
        assert_eq!((rows, dim, search.collection.as_deref()), (vec![1.0, 2.0, 3.0, 4.0], 2, Some("c")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            (r#"{"image": "a", "tpo": 3}"#, "tpo"),
            (r#"{"vectors": [[1]], "boxes": []}"#, "boxes"),
            (r#"{"image": "a", "top": "3"}"#, "top"),
            (r#"{"image": "a", "boxes": [[1, 2, 3, 4], [1, 2, 0, 4]]}"#, "boxes[1]"),
            (r#"{"image": "a", "boxes": [[1, 2, 3]]}"#, "boxes[0]"),
            (r#"{"vectors": [[1, 2], [3]]}"#, "vectors[1]"),
            (r#"{"vectors": []}"#, "vectors"),
            (r#"{"image": "a", "mirrored": true}"#, "mirrored"),
            ("{}", "image"),
        ] {
            let problem = refused(text);
            assert_eq!(problem.cause, Cause::Invalid, "{text}: {}", problem.detail);
            assert!(problem.detail.contains(part), "{text}: {}", problem.detail);
        }
        for text in ["", "{", "[1]", "null", "\u{0}", r#"{"image": "a"} x"#, r#"{"vectors": [[1e39]]}"#] {
            assert_eq!(refused(text).cause, Cause::Malformed, "{text}");
        }
    }
}
