//! Pictures of every kind against what Pillow makes of them, and files that are no pictures at all.
//!
//! Fixtures and goldens: `tools/make_picture_fixtures.py`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use patchdex::core::{Bbox, Fault, Kind};
use patchdex::picture::{Filter, Limits, Picture, PictureError, decode, header};
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn picture(name: &str) -> Picture {
    decode(&fixture(name), &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Mean and greatest difference of the samples.
fn difference(a: &Picture, b: &Picture) -> (f64, u8) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let steps = a.rgb.iter().zip(&b.rgb).map(|(x, y)| x.abs_diff(*y));
    let mean = steps.clone().map(f64::from).sum::<f64>() / a.rgb.len() as f64;
    (mean, steps.max().unwrap_or(0))
}

/// Names of the fixtures that have a golden beside them.
fn with_golden() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().to_str()?.strip_suffix(".golden.png")?.to_owned())
        })
        .collect();
    names.sort();
    assert!(names.len() > 40);
    names
}

/// Kinds that are refused with a reason instead.
const UNSUPPORTED: &[&str] = &["float.tif", "palette.tif"];

#[test]
fn every_kind_decodes_as_pillow_decodes_it() {
    let mut wrong = Vec::new();
    for name in with_golden().iter().filter(|n| !UNSUPPORTED.contains(&n.as_str())) {
        let golden = picture(&format!("{name}.golden.png"));
        let (mean, most) = match decode(&fixture(name), &Limits::default()) {
            Ok(found) => difference(&found, &golden),
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let lossy = [".jpg", ".mpo", "lossy.webp", "jpeg.tif"].iter().any(|end| name.ends_with(end));
        let close = if lossy { mean <= 2.0 && most <= 24 } else { most <= 1 };
        if !close {
            wrong.push(format!("{name}: mean {mean:.2}, most {most}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsupported_kinds_say_so() {
    for name in UNSUPPORTED {
        let error = decode(&fixture(name), &Limits::default()).unwrap_err();
        assert!(matches!(error, PictureError::Unsupported { .. }), "{name}: {error}");
    }
}

#[test]
fn all_eight_orientations_give_the_same_upright_picture() {
    let upright = picture("rgb.png");
    for tag in 1..=8 {
        let name = format!("orientation_{tag}.jpg");
        let (mean, most) = difference(&picture(&name), &upright);
        assert!(mean < 2.0 && most < 40, "{name}: mean {mean}, most {most}");
        let head = header(&fixture(&name), &Limits::default()).unwrap();
        assert_eq!((head.width, head.height, head.format), (24, 16, "JPEG"));
    }
    for name in ["orientation_6.png", "orientation_6_late.png", "orientation_6.webp", "orientation_6.tif"] {
        assert_eq!(picture(name), upright, "{name}");
    }
}

#[test]
fn the_header_agrees_with_the_picture() {
    for name in with_golden().iter().filter(|n| !UNSUPPORTED.contains(&n.as_str())) {
        let head = header(&fixture(name), &Limits::default()).unwrap();
        assert_eq!((head.width, head.height), (24, 16), "{name}");
        assert!(head.decode_bytes >= 24 * 16 * 3, "{name}");
    }
}

/// A PNG header that claims `width`×`height` pixels, with a little data behind it.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = fixture("rgb.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes
}

#[test]
fn headers_that_claim_too_much_are_refused_with_the_numbers() {
    let limits = Limits::default();
    for bytes in [png_claiming(40_000, 40_000), png_claiming(70_000, 1), png_claiming(u32::MAX, u32::MAX)] {
        let error = header(&bytes, &limits).unwrap_err();
        assert!(matches!(error, PictureError::TooLarge { .. }), "{error}");
        assert!(matches!(decode(&bytes, &limits), Err(PictureError::TooLarge { .. })));
        assert_eq!(error.kind(), Kind::Invalid);
    }
    let told = header(&png_claiming(40_000, 40_000), &limits).unwrap_err().to_string();
    assert!(told.contains("40000x40000") && told.contains("268435456"), "{told}");
    let narrow = Limits { max_side_px: 23, ..limits };
    for name in with_golden() {
        assert!(decode(&fixture(&name), &narrow).is_err(), "{name}");
    }
    let mut jpeg = fixture("subsampled.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert!(matches!(
        decode(&jpeg, &limits),
        Err(PictureError::TooLarge { width: 65_535, height: 65_535, .. })
    ));
}

#[test]
fn a_size_of_zero_is_no_picture() {
    assert!(decode(&png_claiming(0, 5), &Limits::default()).is_err());
    let mut gif = fixture("palette.gif");
    gif[6..10].fill(0);
    assert_eq!(decode(&gif, &Limits::default()).unwrap_err().reason(), "broken");
}

#[test]
fn any_prefix_is_refused_or_whole() {
    for name in with_golden() {
        let bytes = fixture(&name);
        let whole = decode(&bytes, &Limits::default());
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut], &Limits::default()) {
                Ok(part) => {
                    assert_eq!(&part, whole.as_ref().unwrap(), "{name} cut at {cut} of {}", bytes.len())
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn a_jpeg_that_is_cut_short_is_an_error_and_trailing_bytes_are_none() {
    let mut bytes = fixture("subsampled.jpg");
    for cut in [bytes.len() / 2, bytes.len() * 3 / 4, bytes.len() - 1] {
        let error = decode(&bytes[..cut], &Limits::default()).unwrap_err();
        assert_eq!((error.reason(), error.kind()), ("truncated", Kind::Corrupt), "{cut}: {error}");
    }
    let whole = picture("subsampled.jpg");
    bytes.extend_from_slice(b"\0\0\xff\xd8 and a note");
    assert_eq!(decode(&bytes, &Limits::default()).unwrap(), whole);
}

#[test]
fn a_cut_png_is_told_as_cut() {
    let bytes = fixture("rgb.png");
    let error = decode(&bytes[..bytes.len() / 2], &Limits::default()).unwrap_err();
    assert_eq!(error.reason(), "truncated", "{error}");
}

#[test]
fn one_pixel_is_a_picture() {
    let one = Picture { width: 1, height: 1, rgb: vec![9, 8, 7] };
    assert_eq!(decode(&one.to_png(), &Limits::default()).unwrap(), one);
    let jpeg = decode(&one.to_jpeg(100), &Limits::default()).unwrap();
    assert!(difference(&jpeg, &one).1 <= 3);
    let big = one.resize(Bbox::of_image(1, 1), 14, 14, Filter::Bicubic);
    assert_eq!(big.rgb, [9, 8, 7].repeat(14 * 14));
}

const FILTERS: [(&str, Filter); 6] = [
    ("nearest", Filter::Nearest),
    ("box", Filter::Box),
    ("bilinear", Filter::Bilinear),
    ("hamming", Filter::Hamming),
    ("bicubic", Filter::Bicubic),
    ("lanczos", Filter::Lanczos),
];

#[test]
fn resizing_agrees_with_pillow() {
    let source = picture("source.png");
    for (name, filter) in FILTERS {
        let down = source.resize(Bbox::new(3.25, 2.75, 50.25, 40.25), 14, 21, filter);
        let up = source.resize(Bbox::new(20.5, 10.25, 20.5, 20.25), 40, 33, filter);
        for (way, found) in [("down", down), ("up", up)] {
            let (mean, most) = difference(&found, &picture(&format!("{way}_{name}.png")));
            let exact = filter == Filter::Nearest;
            assert!(if exact { most == 0 } else { mean < 0.05 && most <= 2 }, "{way}_{name}: {mean} {most}");
        }
    }
}

#[test]
fn resizing_to_the_same_size_changes_nothing() {
    let source = picture("source.png");
    for (name, filter) in FILTERS {
        let same =
            source.resize(Bbox::of_image(source.width, source.height), source.width, source.height, filter);
        assert_eq!(same, source, "{name}");
    }
    let part = source.resize(Bbox::new(3.0, 4.0, 2.0, 1.0), 2, 1, Filter::Bicubic);
    let at = (4 * source.width as usize + 3) * 3;
    assert_eq!(part.rgb, source.rgb[at..at + 6]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes, &Limits::default());
        let _ = header(&bytes, &Limits::default());
    }

    #[test]
    fn damaged_files_give_an_error_or_a_picture(
        which in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let names = with_golden();
        let mut bytes = fixture(&names[which.index(names.len())]);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let limits = Limits { max_pixels: 1 << 22, ..Limits::default() };
        if let Ok(found) = decode(&bytes, &limits) {
            prop_assert_eq!(found.rgb.len(), found.width as usize * found.height as usize * 3);
        }
    }

    #[test]
    fn any_area_resizes(x in -50f32..100.0, y in -50f32..100.0, w in -5f32..90.0, h in 0f32..0.01, side in 0u32..20) {
        let source = picture("source.png");
        for (_, filter) in FILTERS {
            let found = source.resize(Bbox::new(x, y, w, h), side, 3, filter);
            prop_assert_eq!(found.rgb.len(), side.max(1) as usize * 9);
        }
    }
}
