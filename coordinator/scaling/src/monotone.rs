//! Makes loss curves monotone, so that each loss is reached once.
//!
//! A training loss jumps from step to step. Isotonic regression (pooled adjacent violators) takes the nearest falling
//! curve: points that violate monotonicity are replaced by their mean. It has no parameter to tune, leaves a falling
//! curve unchanged, and averages most where noise is largest relative to the slope.

/// A falling curve of loss over log tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FallingCurve {
    /// Log tokens and loss of each block, in order of tokens; losses strictly fall.
    blocks: Vec<(f64, f64)>,
}

impl FallingCurve {
    /// The falling curve nearest to points (tokens, loss), which are in ascending order of tokens.
    pub(crate) fn nearest(points: &[(f64, f64)]) -> Self {
        // Mean of log tokens, mean loss, count.
        let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
        for &(tokens, loss) in points {
            let mut block = (tokens.ln(), loss, 1.0);
            while let Some(&before) = blocks.last()
                && before.1 <= block.1
            {
                let count = before.2 + block.2;
                let mean = |a: f64, b: f64| (a * before.2 + b * block.2) / count;
                block = (mean(before.0, block.0), mean(before.1, block.1), count);
                blocks.pop();
            }
            blocks.push(block);
        }
        Self { blocks: blocks.into_iter().map(|(tokens, loss, _)| (tokens, loss)).collect() }
    }

    /// The highest and lowest loss it covers. `None` for an empty curve.
    pub(crate) fn losses(&self) -> Option<(f64, f64)> {
        Some((self.blocks.first()?.1, self.blocks.last()?.1))
    }

    /// Tokens needed to reach a loss, interpolated between blocks; `None` beyond them.
    pub(crate) fn tokens_to(&self, loss: f64) -> Option<f64> {
        let (most, least) = self.losses()?;
        if !(least..=most).contains(&loss) {
            return None;
        }
        let after = self.blocks.partition_point(|block| block.1 > loss);
        let (x, y) = self.blocks[after];
        if y == loss || after == 0 {
            return Some(x.exp());
        }
        let (x0, y0) = self.blocks[after - 1];
        Some((x0 + (x - x0) * (y0 - loss) / (y0 - y)).exp())
    }

    /// The loss after this many tokens, interpolated over log tokens between blocks; `None` beyond them.
    pub(crate) fn loss_at(&self, tokens: f64) -> Option<f64> {
        let x = tokens.ln();
        let (first, last) = (self.blocks.first()?.0, self.blocks.last()?.0);
        // A small tolerance for the rounding of the logarithm.
        if !(first - 1e-12..=last + 1e-12).contains(&x) {
            return None;
        }
        let after =
            self.blocks.partition_point(|block| block.0 < x).clamp(1.min(self.blocks.len() - 1), self.blocks.len() - 1);
        if after == 0 {
            return Some(self.blocks[0].1);
        }
        let ((x0, y0), (x1, y1)) = (self.blocks[after - 1], self.blocks[after]);
        Some(y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_stays_as_it_is() {
        let curve = FallingCurve::nearest(&[(1.0, 5.0), (10.0, 4.0), (100.0, 3.0)]);
        assert_eq!(curve.losses(), Some((5.0, 3.0)));
        for (tokens, loss) in [(1.0, 5.0), (10.0, 4.0), (100.0, 3.0), (10.0_f64.powf(1.5), 3.5)] {
            assert!((curve.tokens_to(loss).expect("covered") / tokens - 1.0).abs() < 1e-12);
            assert!((curve.loss_at(tokens).expect("covered") - loss).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_is_extrapolated() {
        let curve = FallingCurve::nearest(&[(1.0, 5.0), (10.0, 4.0)]);
        for loss in [5.1, 3.9, f64::NAN] {
            assert_eq!(curve.tokens_to(loss), None);
        }
        for tokens in [0.5, 10.1] {
            assert_eq!(curve.loss_at(tokens), None);
        }
        assert_eq!(FallingCurve::nearest(&[]).tokens_to(4.0), None);
        assert_eq!(FallingCurve::nearest(&[(2.0, 4.0)]).loss_at(2.0), Some(4.0));
    }

    #[test]
    fn what_contradicts_a_fall_is_averaged() {
        let curve = FallingCurve::nearest(&[(1.0, 5.0), (2.0, 3.0), (4.0, 4.0), (8.0, 2.0)]);
        assert_eq!(curve.blocks.len(), 3);
        assert!((curve.loss_at(8.0_f64.sqrt()).expect("covered") - 3.5).abs() < 1e-12);
    }
}
