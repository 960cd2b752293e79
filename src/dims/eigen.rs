//! Principal directions of a covariance matrix.

use nalgebra::{DMatrix, SymmetricEigen};

/// Eigenvalues in descending order, and the directions that belong to them as rows. The sign of a direction is such
/// that its largest component is positive, so that equal matrices give equal directions.
pub(super) fn principal(covariance: &[f64], dim: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let eigen = SymmetricEigen::new(DMatrix::from_row_slice(dim, dim, covariance));
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]).then(a.cmp(&b)));
    let values = order.iter().map(|&at| eigen.eigenvalues[at].max(0.0)).collect();
    let directions = order
        .iter()
        .map(|&at| {
            let direction: Vec<f64> = eigen.eigenvectors.column(at).iter().copied().collect();
            let largest =
                direction.iter().copied().fold(0.0f64, |best, v| if v.abs() > best.abs() { v } else { best });
            direction.into_iter().map(|v| v * largest.signum()).collect()
        })
        .collect();
    (values, directions)
}
