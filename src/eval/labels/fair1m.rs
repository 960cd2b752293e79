//! FAIR1M: `images/N.tif` and `labelXml/N.xml`, whose objects have a class (37 of them, in five kinds) and the corners of a turned box.
//! Every object is an instance of its own. Labels without an image are left out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::{Files, LabelError, LabelledBox, LabelledImage, Labels, Role, entries, is_picture, text};
use crate::core::Bbox;

/// Where the labels are.
pub(super) const LABELS: &str = "labelXml";
const IMAGES: &str = "images";

/// The five kinds of object, with their classes.
const KINDS: [(&str, &[&str]); 5] = [
    (
        "Airplane",
        &[
            "Boeing737",
            "Boeing747",
            "Boeing777",
            "Boeing787",
            "C919",
            "A220",
            "A321",
            "A330",
            "A350",
            "ARJ21",
            "other-airplane",
        ],
    ),
    (
        "Ship",
        &[
            "Passenger Ship",
            "Motorboat",
            "Fishing Boat",
            "Tugboat",
            "Engineering Ship",
            "Liquid Cargo Ship",
            "Dry Cargo Ship",
            "Warship",
            "other-ship",
        ],
    ),
    (
        "Vehicle",
        &[
            "Small Car",
            "Bus",
            "Cargo Truck",
            "Dump Truck",
            "Van",
            "Trailer",
            "Tractor",
            "Excavator",
            "Truck Tractor",
            "other-vehicle",
        ],
    ),
    ("Court", &["Basketball Court", "Tennis Court", "Football Field", "Baseball Field"]),
    ("Road", &["Intersection", "Roundabout", "Bridge"]),
];

/// Reads the folder `path`.
pub(super) fn read(path: &Path, _: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let pictures: HashMap<OsString, PathBuf> = entries(&path.join(IMAGES))?
        .into_iter()
        .filter(|path| is_picture(path))
        .filter_map(|path| Some((path.file_stem()?.to_owned(), path)))
        .collect();
    let (mut images, mut boxes) = Labels::default();
    for file in entries(&path.join(LABELS))? {
        let is_xml = file.extension().is_some_and(|extension| extension == "xml");
        let stem = file.file_stem().filter(|_| is_xml);
        let Some(picture) = stem.and_then(|stem| pictures.get(stem)) else { continue };
        let bytes = files.read(&file)?;
        let (size, of_image) = objects(&file, &String::from_utf8_lossy(&bytes), images.len())?;
        boxes.extend(of_image);
        let name = text(picture.file_name().unwrap_or_default().as_ref());
        images.push(LabelledImage { name, path: picture.clone(), size, frame: None });
    }
    match images.is_empty() {
        true => Err(LabelError::NoFiles { path: path.join(LABELS), wanted: IMAGES }),
        false => Ok((images, boxes)),
    }
}

/// The size of the image and the objects in the text of a file.
fn objects(
    file: &Path,
    text: &str,
    image: usize,
) -> Result<(Option<[u32; 2]>, Vec<LabelledBox>), LabelError> {
    let document = Document::parse(text)
        .map_err(|source| LabelError::Xml { path: file.to_owned(), wrong: source.to_string() })?;
    let root = document.root_element();
    let side = |name: &str| child(child(root, "size")?, name)?.text()?.trim().parse::<u32>().ok();
    let size = side("width").zip(side("height")).map(|(width, height)| [width, height]);
    let list = child(root, "objects");
    let list = list.ok_or_else(|| LabelError::Xml {
        path: file.to_owned(),
        wrong: "no element objects; an annotation of FAIR1M has source, size and objects".to_owned(),
    })?;
    let objects = list.children().filter(|node| node.has_tag_name("object"));
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let object = |(number, node): (usize, Node<'_, '_>)| {
        let line = document.text_pos_at(node.range().start).row;
        let wrong = |wrong: &str| LabelError::Entry {
            path: file.to_owned(),
            what: "object",
            id: format!("{number} (line {line})"),
            wrong: wrong.to_owned(),
        };
        let said = |name: &str| child(node, name).and_then(|node| node.text()).map(str::trim);
        if said("coordinate").is_some_and(|coordinate| coordinate != "pixel") {
            return Err(wrong("its coordinates are not of pixels; coordinate must say pixel"));
        }
        let class =
            child(node, "possibleresult").and_then(|result| child(result, "name")?.text()).map(str::trim);
        let class = class
            .filter(|class| !class.is_empty())
            .ok_or_else(|| wrong("it has no class; possibleresult/name is wanted"))?;
        let points = child(node, "points").into_iter().flat_map(|points| points.children());
        let points = points.filter(|node| node.has_tag_name("point"));
        let corners = points.take(4).map(|node| point(node.text()?)).collect::<Option<Vec<[f32; 2]>>>();
        let corners: [[f32; 2]; 4] = corners
            .and_then(|corners| corners.try_into().ok())
            .ok_or_else(|| wrong("four points 'x,y' are wanted in points"))?;
        let bbox = around(&corners);
        if bbox.w <= 0.0 || bbox.h <= 0.0 {
            return Err(wrong("its points lie on a line"));
        }
        let id = format!("{stem}/{number}");
        let kind = KINDS.iter().find(|(_, classes)| classes.contains(&class));
        Ok(LabelledBox {
            category: Some(class.to_owned()),
            supercategory: kind.map(|&(kind, _)| kind.to_owned()),
            corners: Some(corners),
            ..LabelledBox::new(id.clone(), image, id, bbox)
        })
    };
    Ok((size, (1..).zip(objects).map(object).collect::<Result<_, LabelError>>()?))
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// `412.5,30`
fn point(text: &str) -> Option<[f32; 2]> {
    let (x, y) = text.split_once(',')?;
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    Some([number(x)?, number(y)?])
}

fn around(corners: &[[f32; 2]; 4]) -> Bbox {
    let [left, top] =
        [0, 1].map(|axis| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min));
    let [right, bottom] =
        [0, 1].map(|axis| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max));
    Bbox::new(left, top, right - left, bottom - top)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATION: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<annotation>
  <source><filename>7.tif</filename><origin>GF2/GF3</origin></source>
  <research><version>1.0</version><provider>A</provider><author>B</author></research>
  <size><width>40</width><height>30</height><depth>3</depth></size>
  <objects>
    <object>
      <coordinate>pixel</coordinate><type>rectangle</type><description>None</description>
      <possibleresult><name>Small Car</name></possibleresult>
      <points>
        <point>10.5,4</point><point>16,10</point><point>12,14</point><point>6,8</point><point>10.5,4</point>
      </points>
    </object>
  </objects>
</annotation>
"#;

    fn read_with(annotation: &str) -> Result<Labels, String> {
        let folder = tempfile::tempdir().unwrap();
        [IMAGES, LABELS].iter().for_each(|part| std::fs::create_dir(folder.path().join(part)).unwrap());
        std::fs::write(folder.path().join("images/7.tif"), b"").unwrap();
        std::fs::write(folder.path().join("labelXml/7.xml"), annotation).unwrap();
        std::fs::write(folder.path().join("labelXml/8.xml"), "<annotation>").unwrap();
        read(folder.path(), Role::Gallery, &mut Files::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_have_a_class_a_kind_and_corners() {
        let (images, boxes) = read_with(ANNOTATION).unwrap();
        assert_eq!((images.len(), images[0].size), (1, Some([40, 30])), "what has no image is left out");
        let one = &boxes[0];
        assert_eq!(
            (one.category.as_deref(), one.supercategory.as_deref()),
            (Some("Small Car"), Some("Vehicle"))
        );
        assert_eq!(one.bbox, Bbox::new(6.0, 4.0, 10.0, 10.0));
        assert_eq!(one.corners.unwrap()[2], [12.0, 14.0]);
    }

    #[test]
    fn there_are_37_classes_in_five_kinds() {
        assert_eq!(KINDS.iter().map(|(_, classes)| classes.len()).collect::<Vec<_>>(), [11, 9, 10, 4, 3]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_object_and_line() {
        for (from, to, parts) in [
            ("<point>16,10</point>", "<point>16</point>", ["object 1 (line 7)", "four points"]),
            (
                "<point>16,10</point><point>12,14</point><point>6,8</point><point>10.5,4</point>",
                "",
                ["object 1", "four points"],
            ),
            ("pixel", "geographical", ["object 1", "coordinate must say pixel"]),
            ("<name>Small Car</name>", "", ["object 1", "possibleresult/name"]),
            ("</objects>", "", ["7.xml", "no XML that can be read"]),
            ("objects", "things", ["7.xml", "no element objects"]),
        ] {
            let told = read_with(&ANNOTATION.replace(from, to)).unwrap_err();
            assert!(told.contains("7.xml") && parts.iter().all(|part| told.contains(part)), "{told}");
        }
    }
}
