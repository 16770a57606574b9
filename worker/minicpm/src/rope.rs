//! Rotary position embedding: the table of angles.

use std::sync::Arc;

/// Cosines and sines of the rotation of each position and each pair of a head's channels.
///
/// The halves of a head are rotated against each other (channel `i` with `i + head_dim / 2`), which is the layout of
/// published Llama and MiniCPM weights, not neighbouring channels.
#[derive(Debug, Clone)]
pub struct RopeTable(Arc<Angles>);

#[derive(Debug)]
struct Angles {
    half_dim: usize,
    cos: Vec<f32>, // [context, head_dim / 2]
    sin: Vec<f32>, // [context, head_dim / 2]
}

impl RopeTable {
    /// The table for this many positions. Angles are computed in double precision, then rounded.
    #[must_use]
    pub fn new(context: usize, head_dim: usize, theta: f64) -> Self {
        let half_dim = head_dim / 2;
        let angle = |index: usize| {
            let (position, channel) = (index / half_dim, index % half_dim);
            position as f64 / theta.powf(2.0 * channel as f64 / head_dim as f64)
        };
        let angles = || (0..context * half_dim).map(angle);
        Self(Arc::new(Angles {
            half_dim,
            cos: angles().map(|angle| angle.cos() as f32).collect(),
            sin: angles().map(|angle| angle.sin() as f32).collect(),
        }))
    }

    /// Positions in the table.
    #[must_use]
    pub fn context(&self) -> usize {
        self.0.cos.len() / self.0.half_dim
    }

    /// Channels of a head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        2 * self.0.half_dim
    }

    /// All cosines, `[context, head_dim / 2]`.
    #[must_use]
    pub fn cos(&self) -> &[f32] {
        &self.0.cos
    }

    /// All sines, `[context, head_dim / 2]`.
    #[must_use]
    pub fn sin(&self) -> &[f32] {
        &self.0.sin
    }

    /// Cosines and sines of one position.
    #[must_use]
    #[inline]
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.0.half_dim..(position + 1) * self.0.half_dim;
        (&self.0.cos[row.clone()], &self.0.sin[row])
    }
}
