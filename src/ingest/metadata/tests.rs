//! Files of every form, and what is said about those that cannot be used.

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Reads `content` as the file `name` in a folder of its own.
fn read(name: &str, content: impl AsRef<[u8]>) -> Result<(MetadataFile, TempDir), MetadataError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    MetadataFile::read(&folder.path().join(name)).map(|file| (file, folder))
}

/// The values of an image of a collection that lies elsewhere.
fn values(file: &MetadataFile, relative: &str) -> Value {
    file.of(Path::new("/elsewhere"), relative.as_bytes()).map_or(Value::Null, |row| json!(row))
}

fn refused(name: &str, content: impl AsRef<[u8]>) -> String {
    let error = read(name, content).unwrap_err().to_string();
    error.rsplit_once(name).unwrap().1.to_owned()
}

#[test]
fn the_cells_of_a_column_have_one_type() {
    let content = "\u{feff}path,zip,year,half,mixed,night,big,note,,empty\r\n\
                   a.jpg,007,2020,0.5,1,TRUE,18446744073709551615,\"one, \"\"two\"\"\",0,\r\n\
                   b.jpg,10,-0,0,x,False,1,,1,\r\n\
                   c.jpg,,,1e3,,,,é,2,\r\n";
    let (file, _folder) = read("m.csv", content).unwrap();
    let a = json!({
        "zip": "007", "year": 2020, "half": 0.5, "mixed": "1", "night": true, "big": u64::MAX, "note": "one, \"two\"",
    });
    assert_eq!(values(&file, "a.jpg"), a);
    assert_eq!(
        values(&file, "b.jpg"),
        json!({ "zip": "10", "year": 0, "half": 0, "mixed": "x", "night": false, "big": 1 })
    );
    assert_eq!(values(&file, "c.jpg"), json!({ "half": 1000.0, "note": "é" }));
}

#[test]
fn what_is_no_plain_number_stays_text() {
    for cell in
        ["007", "-01", "+5", ".5", "5.", "1_000", "inf", "NaN", "1e999", "0x10", "99999999999999999999"]
    {
        let (file, _folder) = read("m.csv", format!("image,x\na,{cell}\n")).unwrap();
        assert_eq!(values(&file, "a"), json!({ "x": cell }));
    }
}

#[test]
fn every_form_gives_the_same_rows() {
    let (csv, tsv) = (
        "file,camera,year\na.jpg,c1,2020\nb.jpg,,2021\n",
        "file\tcamera\tyear\na.jpg\tc1\t2020\nb.jpg\t\t2021",
    );
    let list = r#"[{"file": "a.jpg", "camera": "c1", "year": 2020}, {"camera": null, "year": 2021, "file": "b.jpg"}]"#;
    let named = r#"{"a.jpg": {"camera": "c1", "year": 2020}, "b.jpg": {"year": 2021}}"#;
    let lines = "{\"file\": \"a.jpg\", \"camera\": \"c1\", \"year\": 2020}\r\n\r\n{\"file\": \"b.jpg\", \"year\": 2021}\n";
    for (name, content) in [
        ("m.csv", csv),
        ("m.TSV", tsv),
        ("m.json", list),
        ("m.json", named),
        ("m.jsonl", lines),
        ("m.ndjson", lines),
    ] {
        let (file, _folder) = read(name, content).unwrap();
        assert_eq!(file.len(), 2, "{name}");
        assert_eq!(values(&file, "a.jpg"), json!({ "camera": "c1", "year": 2020 }), "{name}");
        assert_eq!(values(&file, "b.jpg"), json!({ "year": 2021 }), "{name}");
        assert_eq!(values(&file, "c.jpg"), Value::Null, "{name}");
    }
}

#[test]
fn the_first_column_that_may_name_images_does() {
    let (file, _folder) = read("m.csv", "filename,path,file\nx,a.jpg,y\n").unwrap();
    assert_eq!(values(&file, "a.jpg"), json!({ "filename": "x", "file": "y" }));
    let (file, _folder) = read("m.jsonl", "{\"file_name\": \"a.jpg\", \"tags\": [1, null]}").unwrap();
    assert_eq!(values(&file, "a.jpg"), json!({ "tags": [1, null] }));
}

#[test]
fn paths_are_tried_from_the_root_then_whole_then_from_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("photos");
    let whole = root.join("whole.jpg");
    let content = format!(
        "path,n\nsub\\a.jpg,1\n./b//c/../b.jpg,2\n{},3\n../photos/beside.jpg,4\n../photos/sub/a.jpg,5\nb.jpg,6\n,7\n",
        whole.display()
    );
    std::fs::create_dir(folder.path().join("tables")).unwrap();
    std::fs::write(folder.path().join("tables/m.csv"), content).unwrap();
    let file = MetadataFile::read(&folder.path().join("tables/m.csv")).unwrap();
    let number = |root: &Path, relative: &str| {
        file.of(root, relative.as_bytes()).map(|row| row["n"].as_u64().unwrap())
    };
    for (relative, expected) in
        [("sub/a.jpg", 1), ("b/b.jpg", 2), ("whole.jpg", 3), ("beside.jpg", 4), ("b.jpg", 6)]
    {
        assert_eq!(number(&root, relative), Some(expected), "{relative}");
    }
    assert_eq!(number(&folder.path().join("tables"), "b.jpg"), Some(6));
    assert_eq!(number(folder.path(), "tables/b.jpg"), Some(6));
    assert_eq!(number(folder.path(), "photos/sub/a.jpg"), Some(5));
    assert_eq!(number(folder.path(), "c.jpg"), None);
    let images = ["sub/a.jpg", "b/b.jpg", "c.jpg"].map(str::as_bytes);
    assert_eq!((file.len(), file.rows_without_image(&root, images)), (7, 5));
}

#[test]
fn two_rows_about_one_path_are_named() {
    let error = refused("m.csv", "image,x\r\na.jpg,\"1\r\n2\"\r\n\r\nb.jpg,1\r\n./a.jpg,2\r\n");
    assert_eq!(error, ", lines 2 and 6: both are about './a.jpg'; keep one of them");
    let error = refused("m.json", "[\n{\"image\": \"a\"},\n\n{\"image\":\n\"a\"}]");
    assert!(error.starts_with(", lines 2 and 4: "), "{error}");
    let error = refused("m.json", "{\n\"a\": {},\n\"a\": {}}");
    assert!(error.starts_with(", lines 2 and 3: "), "{error}");
    let error = refused("m.jsonl", "{\"image\": \"a\"}\n\n{\"image\": \"a\"}\n");
    assert!(error.starts_with(", lines 1 and 3: "), "{error}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (name, content, expected) in [
        ("m.csv", "image,x\na,1\nb\n", ", line 3: 1 cells where the header has 2; correct the file"),
        ("m.csv", "\n\nimage,x,x\n", ", line 3: two columns are called 'x'"),
        ("m.csv", "name,x\na,1\n", ": no column names the images (found: name, x)"),
        ("m.csv", "", ": no column names the images"),
        ("m.csv", "image,width\na,1\n", ", line 1: column 'width' has the name"),
        ("m.json", "[{\"image\": \"a\"},\n{\"image\": \"b\", \"bytes\": 5}]", ", line 2: column 'bytes'"),
        ("m.json", "{\"a\":\n{\"image\": \"b\"}}", ", line 2: column 'image'"),
        ("m.json", "[\n{\"image\": \"a\",\n\"x\": NaN}]", ", line 3: not JSON"),
        ("m.json", "[{\"image\": \"a\"},\n7]", ", line 2: an object"),
        ("m.json", "[{\"image\": 7}]", ", line 1: 'image' is the path"),
        ("m.json", "7", ", line 1: not JSON of the form"),
        ("m.json", "[{\"name\": \"a\"}]", ": no column names the images (found: name)"),
        ("m.jsonl", "{\"image\": \"a\"}\n{\"image\": \"b\",}\n", ", line 2: not JSON"),
        ("m.jsonl", "[]", ", line 1: an object"),
        ("m.txt", "", ": metadata is read from .csv"),
    ] {
        let error = refused(name, content);
        assert!(error.starts_with(expected), "{content}: {error}");
    }
    let error = refused("m.csv", b"image,x\na,1\nb,caf\xe9\n");
    assert_eq!(error, ", line 3: this is not UTF-8; save the file in UTF-8");
    let missing = MetadataFile::read(Path::new("/nowhere/m.csv")).unwrap_err();
    assert_eq!(missing.to_string().split(':').next(), Some("cannot read the metadata /nowhere/m.csv"));
}

#[test]
fn a_quote_that_is_never_closed_is_told_and_one_that_is_closed_is_none() {
    for (name, content, line) in [
        ("m.csv", "image,x\na,1\nb,\"two\nc,3\nd,4\n", 3),
        ("m.csv", "image,x\r\n\r\na,\"1\r\n2\"\r\n\r\nb,\"2", 6),
        ("m.csv", "image,x\na,\"1\"\"\n", 2),
        ("m.csv", "image,\"x\na,1\nb,2\n", 1),
        ("m.tsv", "image\tx\na\t\"1\nb\t2", 2),
    ] {
        let error = refused(name, content);
        assert!(error.starts_with(&format!(", line {line}: a quote in this row is never closed")), "{error}");
    }
    for (content, x) in [
        ("image,x\na,\"1\n2\"", "1\n2"),
        ("image,x\na,\"1\n2\"\n\n", "1\n2"),
        ("image,x\na,\"1\"\"\"\r\n", "1\""),
        ("image,x\na,5\" pipe", "5\" pipe"),
        ("image,x\na,\"\"\"\"\n,\n", "\""),
    ] {
        let (file, _folder) = read("m.csv", content).unwrap();
        assert_eq!(values(&file, "a"), json!({ "x": x }), "{content}");
    }
}

#[test]
fn deep_values_and_long_files_are_refused() {
    let deep = format!("[{{\"image\": \"a\", \"x\": {}{}}}]", "[".repeat(9999), "]".repeat(9999));
    assert!(refused("m.json", deep).starts_with(", line 1: not JSON of the form that is read (recursion"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.jsonl");
    std::fs::write(&path, "{\"image\": \"a\"}").unwrap();
    assert_eq!(MetadataFile::read_up_to(&path, 14).unwrap().len(), 1);
    assert!(matches!(
        MetadataFile::read_up_to(&path, 13),
        Err(MetadataError::TooLarge { max_bytes: 13, .. })
    ));
    let wide: Map<String, Value> = (0..1001).map(|index| (index.to_string(), json!(1))).collect();
    assert!(
        refused("m.json", json!({ "a": wide }).to_string()).starts_with(": 1001 columns; leave some out")
    );
}

#[test]
fn empty_files_of_rows_are_no_error() {
    for (name, content) in
        [("m.csv", "image,x\n,\n\n"), ("m.json", "[]"), ("m.json", "{}"), ("m.jsonl", "\n")]
    {
        assert!(read(name, content).unwrap().0.is_empty(), "{content}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_give_rows_or_an_error(
        text in "(image|path|[a-c,\"\\r\\n{}\\[\\]:0-9 ]|\"image\":|\\PC){0,24}",
        bytes in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        for name in ["m.csv", "m.tsv", "m.json", "m.jsonl"] {
            let _ = read(name, &text);
            let _ = read(name, &bytes);
        }
    }
}
