//! Ground truth of ROxford, RParis and INSTRE as `tools/datasets/judged.py` writes it: `imlist`, `qimlist`, and for every query `gnd` with
//! its box `bbx` (left, top, right, bottom) and places in `imlist`: `easy`, `hard` and `junk`, or `ok`, and `boxes` (x, y, width, height;
//! null where none is known) of what `ok` lists. Images lie in `jpg/` beside the file, or as they are named.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Files, Grade, LabelError, LabelledBox, LabelledImage, Labels, Role};
use crate::core::Bbox;

#[derive(Deserialize)]
struct File {
    imlist: Vec<String>,
    qimlist: Vec<String>,
    gnd: Vec<Judgement>,
}

#[derive(Deserialize)]
struct Judgement {
    bbx: [f32; 4],
    #[serde(default)]
    ok: Vec<usize>,
    #[serde(default)]
    boxes: Vec<Option<Bbox>>,
    #[serde(default)]
    easy: Vec<usize>,
    #[serde(default)]
    hard: Vec<usize>,
    #[serde(default)]
    junk: Vec<usize>,
}

/// Reads one side of the file `path`.
pub(super) fn read(path: &Path, role: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let file: File = serde_json::from_slice(&files.read(path)?).map_err(|source| LabelError::Json {
        path: path.to_owned(),
        wanted: "a ground truth with imlist, qimlist and gnd, as tools/datasets/judged.py makes it",
        source,
    })?;
    let wrong = |query: usize, wrong: String| LabelError::Entry {
        path: path.to_owned(),
        what: "query",
        id: query.to_string(),
        wrong,
    };
    if file.qimlist.len() != file.gnd.len() {
        return Err(wrong(
            file.gnd.len().min(file.qimlist.len()),
            format!(
                "gnd has {} entries, qimlist has {}; it must be one a query",
                file.gnd.len(),
                file.qimlist.len()
            ),
        ));
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new(""));
    let image = |name: &String| LabelledImage {
        name: name.clone(),
        path: place(folder, name),
        size: None,
        frame: None,
    };
    let mut boxes = Vec::new();
    for (query, (name, judged)) in file.qimlist.iter().zip(&file.gnd).enumerate() {
        if role == Role::Queries {
            let [left, top, right, bottom] = judged.bbx;
            let bbox = Bbox::new(left, top, right - left, bottom - top);
            if bbox.w.is_nan() || bbox.h.is_nan() || bbox.w <= 0.0 || bbox.h <= 0.0 {
                let said = judged.bbx;
                return Err(wrong(
                    query,
                    format!("its bbx is {said:?}; left, top, right and bottom are wanted"),
                ));
            }
            boxes.push(LabelledBox::new(name.clone(), query, query.to_string(), bbox));
            continue;
        }
        if !judged.boxes.is_empty() && judged.boxes.len() != judged.ok.len() {
            let (boxes, ok) = (judged.boxes.len(), judged.ok.len());
            return Err(wrong(
                query,
                format!("it has {boxes} boxes for {ok} images; boxes must be one an entry of ok"),
            ));
        }
        let Judgement { ok, easy, hard, junk, .. } = judged;
        let lists =
            [(ok, None), (easy, Some(Grade::Easy)), (hard, Some(Grade::Hard)), (junk, Some(Grade::Junk))];
        for (list, grade) in lists {
            for (at, &image) in list.iter().enumerate() {
                if image >= file.imlist.len() {
                    let images = file.imlist.len();
                    return Err(wrong(query, format!("it names image {image}; imlist has {images}, from 0")));
                }
                let bbox = judged.boxes.get(at).copied().flatten().filter(|_| grade.is_none());
                boxes.push(match bbox {
                    Some(bbox) => LabelledBox::new(String::new(), image, query.to_string(), bbox),
                    None => LabelledBox::somewhere(image, query.to_string(), grade),
                });
            }
        }
    }
    let names = match role {
        Role::Gallery => &file.imlist,
        Role::Queries => &file.qimlist,
    };
    Ok((names.iter().map(image).collect(), boxes))
}

/// Where an image is.
fn place(folder: &Path, name: &str) -> PathBuf {
    let in_jpg = folder.join("jpg").join(format!("{name}.jpg"));
    let others = [folder.join("jpg").join(name), folder.join(name), folder.join(format!("{name}.jpg"))];
    match in_jpg.is_file() {
        true => in_jpg,
        false => others.into_iter().find(|place| place.is_file()).unwrap_or(in_jpg),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_json(value: &Value, role: Role) -> Result<Labels, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gnd_roxford5k.json");
        std::fs::write(&file, value.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("jpg")).unwrap();
        std::fs::write(folder.path().join("jpg/b.jpg"), b"").unwrap();
        read(&file, role, &mut Files::default()).map_err(|error| error.to_string())
    }

    fn with(judgement: &Value) -> Value {
        json!({"imlist": ["a", "b", "c"], "qimlist": ["all_souls_000013"], "gnd": [judgement]})
    }

    #[test]
    fn every_judgement_is_a_box_of_its_query() {
        let truth = with(&json!({"bbx": [136.5, 34.1, 648.5, 955.7], "easy": [1], "hard": [0], "junk": [2]}));
        let (images, boxes) = read_json(&truth, Role::Gallery).unwrap();
        assert!(images[1].path.ends_with("jpg/b.jpg"));
        let told: Vec<(usize, &str, Option<Grade>, bool)> =
            boxes.iter().map(|one| (one.image, one.instance.as_str(), one.grade, one.is_located)).collect();
        let (easy, hard, junk) = (Some(Grade::Easy), Some(Grade::Hard), Some(Grade::Junk));
        assert_eq!(told, [(1, "0", easy, false), (0, "0", hard, false), (2, "0", junk, false)]);
        let (images, boxes) = read_json(&truth, Role::Queries).unwrap();
        assert_eq!((images.len(), boxes[0].id.as_str()), (1, "all_souls_000013"));
        assert_eq!((boxes[0].bbox.x, boxes[0].bbox.w), (136.5, 512.0));
    }

    #[test]
    fn boxes_of_instre_are_those_of_ok() {
        let truth = with(&json!({"bbx": [1, 2, 3, 4], "ok": [0, 2], "boxes": [[5, 6, 7, 8], null]}));
        let (_, boxes) = read_json(&truth, Role::Gallery).unwrap();
        assert_eq!((boxes[0].bbox, boxes[0].is_located), (Bbox::new(5.0, 6.0, 7.0, 8.0), true));
        assert_eq!((boxes[1].image, boxes[1].is_located), (2, false));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_query() {
        for (judgement, role, part) in [
            (json!({"bbx": [1, 2, 3, 4], "easy": [3]}), Role::Gallery, "image 3"),
            (json!({"bbx": [1, 2, 3, 4], "ok": [1], "boxes": [null, null]}), Role::Gallery, "2 boxes for 1"),
            (json!({"bbx": [3, 2, 3, 4]}), Role::Queries, "left, top"),
            (json!({"bbx": [3, 2, 3]}), Role::Queries, "tools/datasets/judged.py"),
        ] {
            let told = read_json(&with(&judgement), role).unwrap_err();
            assert!(told.contains("gnd_roxford5k.json") && told.contains(part), "{told}");
        }
        let uneven = json!({"imlist": [], "qimlist": ["a", "b"], "gnd": []});
        assert!(read_json(&uneven, Role::Gallery).unwrap_err().contains("one a query"));
    }
}
