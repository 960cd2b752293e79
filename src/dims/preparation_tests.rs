//! Every method on vectors whose moments are known.

use super::*;

const DIM: usize = 24;

/// Rows whose dimension d has standard deviation (d + 1), from a fixed sequence.
fn rows(count: usize) -> Vec<f32> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f32 / (1u64 << 31) as f32 - 0.5
    };
    (0..count * DIM).map(|at| (next() + 3.0) * (at % DIM + 1) as f32).collect()
}

fn fitted(text: &str, rows: &[f32]) -> Preparation {
    Preparation::fit(&text.parse().unwrap(), &Moments::of_rows(rows, DIM), None).unwrap()
}

#[test]
fn dropping_takes_the_dimensions_of_highest_variance() {
    let rows = rows(500);
    let prepared = fitted("drop:4", &rows);
    assert_eq!(prepared.output_dim(), DIM - 4);
    assert_eq!(prepared.apply(&rows)[..DIM - 4], rows[..DIM - 4], "the last four dimensions vary most");
}

#[test]
fn whitened_vectors_have_unit_covariance() {
    let rows = rows(4000);
    let white = fitted("whiten", &rows).apply(&rows);
    let covariance = Moments::of_rows(&white, DIM).covariance();
    for row in 0..DIM {
        for col in 0..DIM {
            let expected = if row == col { 1.0 } else { 0.0 };
            // The floor under small eigenvalues takes 2.5 % off the smallest of these.
            assert!((covariance[row * DIM + col] - expected).abs() < 0.03, "{row},{col}");
        }
    }
}

#[test]
fn removed_directions_carry_nothing_and_the_rest_is_untouched() {
    let rows = rows(1000);
    let out = fitted("remove:2", &rows).apply(&rows);
    let before = Moments::of_rows(&rows, DIM);
    let (values, _) = principal(&before.covariance(), DIM);
    let (after, _) = principal(&Moments::of_rows(&out, DIM).covariance(), DIM);
    assert!((after[0] - values[2]).abs() < 1e-3 * values[2]);
    assert!(after[DIM - 1] < 1e-6 && after[DIM - 2] < 1e-6);
}

#[test]
fn standardised_dimensions_have_unit_variance_and_pca_has_few() {
    let rows = rows(1000);
    let standard = fitted("standardise", &rows).apply(&rows);
    assert!(Moments::of_rows(&standard, DIM).variance().iter().all(|v| (v - 1.0).abs() < 1e-3));
    let centred = fitted("centre", &rows).apply(&rows);
    assert!(Moments::of_rows(&centred, DIM).mean.iter().all(|v| v.abs() < 1e-3));
    assert_eq!(fitted("pca:5", &rows).output_dim(), 5);
}

#[test]
fn every_method_reads_back_from_its_bytes() {
    let rows = rows(200);
    for text in ["centre", "standardise", "drop:3", "remove:2", "pca:7", "whiten"] {
        let prepared = fitted(text, &rows);
        let read = Preparation::from_bytes(&prepared.to_bytes(), "").unwrap();
        assert_eq!(read, prepared, "{text}");
        assert_eq!(read.digest(), prepared.digest());
        assert_eq!(read.apply(&rows), prepared.apply(&rows));
    }
    assert_eq!(Preparation::none(DIM).digest(), "");
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let moments = Moments::of_rows(&rows(10), DIM);
    for text in ["drop:24", "pca:25", "pca:0", "remove:99"] {
        assert!(Preparation::fit(&text.parse().unwrap(), &moments, None).is_err(), "{text}");
    }
    assert!(Preparation::fit(&Method::Whiten, &Moments::empty(DIM), None).is_err());
}

#[test]
fn a_dimension_list_is_checked_line_by_line() {
    let method = Method::Keep("f".into());
    let kept = Preparation::keep_listed("3\n1\n\n", &method, DIM).unwrap();
    assert_eq!(kept.apply(&rows(1)[..DIM]), vec![rows(1)[1], rows(1)[3]]);
    for text in ["", "1\nx", "24", "1\n1", "-1"] {
        assert!(Preparation::keep_listed(text, &method, DIM).is_err(), "{text:?}");
    }
}

#[test]
fn a_generic_whitening_gives_its_moments_back() {
    let rows = rows(4000);
    let moments = Moments::of_rows(&rows, DIM);
    let recovered = fitted("whiten", &rows).moments().unwrap();
    let covariance = moments.covariance();
    let largest = covariance.iter().copied().fold(0.0, f64::max);
    for (a, b) in recovered.covariance().iter().zip(&covariance) {
        assert!((a - b).abs() < 1e-4 * largest, "{a} {b}");
    }
    // Few tokens: the generic map prevails.
    let few = Preparation::fit(
        &Method::Whiten,
        &Moments::of_rows(&rows[..DIM * 3], DIM),
        Some(&fitted("whiten", &rows)),
    );
    let white = few.unwrap().apply(&rows);
    assert!(Moments::of_rows(&white, DIM).variance().iter().all(|v| (v - 1.0).abs() < 0.1));
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = fitted("drop:3", &rows(50)).to_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(Preparation::from_bytes(&damaged, "").is_err(), "byte {at}");
    }
}
