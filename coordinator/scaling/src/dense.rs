//! Small symmetric linear systems.

/// A small symmetric matrix, stored in full.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Symmetric {
    n: usize,
    entries: Vec<f64>,
}

impl Symmetric {
    pub(crate) fn zero(n: usize) -> Self {
        Self { n, entries: vec![0.0; n * n] }
    }

    pub(crate) fn get(&self, i: usize, j: usize) -> f64 {
        self.entries[i * self.n + j]
    }

    pub(crate) fn set(&mut self, i: usize, j: usize, value: f64) {
        self.entries[i * self.n + j] = value;
        self.entries[j * self.n + i] = value;
    }

    /// Adds `scale * v vᵀ`.
    pub(crate) fn add_outer(&mut self, v: &[f64], scale: f64) {
        for i in 0..self.n {
            for j in 0..self.n {
                self.entries[i * self.n + j] += scale * v[i] * v[j];
            }
        }
    }

    pub(crate) fn times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| (0..self.n).map(|j| self.get(i, j) * v[j]).sum()).collect()
    }

    /// `gᵀ M g`: the variance of a combination, if the matrix is a covariance.
    pub(crate) fn quadratic(&self, g: &[f64]) -> f64 {
        self.times(g).iter().zip(g).map(|(a, b)| a * b).sum()
    }

    /// Solves `M x = right`; `None` if the matrix is not numerically positive definite.
    pub(crate) fn solve(&self, right: &[f64]) -> Option<Vec<f64>> {
        let lower = self.cholesky()?;
        let n = self.n;
        let mut x = vec![0.0; n];
        for i in 0..n {
            x[i] = (right[i] - (0..i).map(|k| lower[i * n + k] * x[k]).sum::<f64>()) / lower[i * n + i];
        }
        for i in (0..n).rev() {
            x[i] = (x[i] - (i + 1..n).map(|k| lower[k * n + i] * x[k]).sum::<f64>()) / lower[i * n + i];
        }
        Some(x)
    }

    pub(crate) fn inverse(&self) -> Option<Self> {
        let mut inverse = Self::zero(self.n);
        for j in 0..self.n {
            let mut unit = vec![0.0; self.n];
            unit[j] = 1.0;
            for (i, value) in self.solve(&unit)?.into_iter().enumerate() {
                inverse.entries[i * self.n + j] = value;
            }
        }
        Some(inverse)
    }

    fn cholesky(&self) -> Option<Vec<f64>> {
        let n = self.n;
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let rest = self.get(i, j) - (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum::<f64>();
                if i == j {
                    if !(rest.is_finite() && rest > 1e-14 * self.get(i, i).abs()) {
                        return None;
                    }
                    lower[i * n + i] = rest.sqrt();
                } else {
                    lower[i * n + j] = rest / lower[j * n + j];
                }
            }
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_and_a_singular_one_refused() {
        let mut matrix = Symmetric::zero(2);
        matrix.add_outer(&[1.0, 2.0], 1.0);
        assert_eq!(matrix.solve(&[1.0, 2.0]), None);
        matrix.add_outer(&[1.0, -1.0], 1.0);
        let x = matrix.solve(&[3.0, 4.0]).expect("two directions");
        let back = matrix.times(&x);
        assert!((back[0] - 3.0).abs() < 1e-12 && (back[1] - 4.0).abs() < 1e-12);
        let inverse = matrix.inverse().expect("two directions");
        assert!((inverse.quadratic(&[3.0, 4.0]) - (3.0 * x[0] + 4.0 * x[1])).abs() < 1e-12);
    }
}
