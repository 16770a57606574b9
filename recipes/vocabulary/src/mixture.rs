//! Mixtures: which domain each sequence comes from, as a pure function of the sequence's number.
//!
//! Weights are whole parts of [`PARTS`], so that they, and with them a stage's key, are exact. Domains take turns so that
//! after any number of sequences each has had its share to within one sequence. The corpus decides the order of a domain's
//! own text; a mixture only says how many sequences of it came before.

use serde::{Deserialize, Serialize};

/// The most domains of one dataset.
pub const MAX_DOMAINS: usize = 8;

/// Weights are hundredths of a percent, so a percentage with two decimals is exact.
pub const PARTS: u32 = 10_000;

/// How a stage's sequences are shared out among the domains of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Parts of [`PARTS`] for each domain, in the order of the dataset. They add up to [`PARTS`].
    pub weights: [u32; MAX_DOMAINS],
    /// The first sequence that these weights apply to, counted from the root.
    pub from_sequence: u64,
    /// Sequences taken from each domain before that one. The domain continues after them, so no text repeats early.
    pub taken: [u64; MAX_DOMAINS],
}

impl Mixture {
    /// A mixture that applies from the first sequence. Weights need not be normalised; each one above zero gets at least one
    /// part.
    ///
    /// `None` if there are too many weights, none is above zero, or one is negative, infinite or NaN.
    #[must_use]
    pub fn of(weights: &[f64]) -> Option<Self> {
        let weights = parts(weights)?;
        Some(Self { weights, from_sequence: 0, taken: [0; MAX_DOMAINS] })
    }

    /// The mixture with other weights from this sequence. The same weights change nothing.
    #[must_use]
    pub fn switched(&self, weights: [u32; MAX_DOMAINS], from_sequence: u64) -> Self {
        if weights == self.weights {
            return *self;
        }
        Self { weights, from_sequence, taken: self.taken_before(from_sequence) }
    }

    /// Whether a dataset with this many domains can serve it.
    #[must_use]
    pub fn is_of(&self, domains: usize) -> bool {
        let rest = self.weights.iter().skip(domains);
        domains <= MAX_DOMAINS && self.is_whole() && rest.chain(&[]).all(|weight| *weight == 0)
    }

    /// Whether the weights add up to [`PARTS`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.weights.iter().try_fold(0_u32, |sum, weight| sum.checked_add(*weight)) == Some(PARTS)
    }

    /// A domain's share, from 0 to 1.
    #[must_use]
    pub fn share(&self, domain: usize) -> f64 {
        self.weights.get(domain).map_or(0.0, |weight| f64::from(*weight) / f64::from(PARTS))
    }

    /// Sequences taken from each domain before this one, since the root.
    #[must_use]
    pub fn taken_before(&self, sequence: u64) -> [u64; MAX_DOMAINS] {
        self.turns().taken(sequence)
    }

    /// The shares in words: `prose 70%, code 30%`.
    #[must_use]
    pub fn in_words(&self, names: &[&str]) -> String {
        let shares = names.iter().zip(self.weights).filter(|(_, weight)| *weight > 0);
        let percent = |weight: u32| f64::from(weight) * 100.0 / f64::from(PARTS);
        shares.map(|(name, weight)| format!("{name} {}%", percent(weight))).collect::<Vec<_>>().join(", ")
    }

    /// The domains in the order of their turns.
    #[must_use]
    pub fn turns(&self) -> Turns {
        Turns::new(self)
    }
}

/// Weights in parts, by largest remainder: rounded down, and the rest given to those that lost most, earlier ones first.
fn parts(weights: &[f64]) -> Option<[u32; MAX_DOMAINS]> {
    let sum: f64 = weights.iter().sum();
    let sound = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
    if weights.len() > MAX_DOMAINS || !sound || !sum.is_finite() || sum <= 0.0 {
        return None;
    }
    let mut parts = [0_u32; MAX_DOMAINS];
    let mut lost = [0.0; MAX_DOMAINS];
    for (index, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        let exact = weight / sum * f64::from(PARTS);
        // A whole number of parts, up to the rounding error of the division, is that number.
        let near = exact.round();
        let exact = if (exact - near).abs() < 1e-6 { near } else { exact };
        parts[index] = (exact.floor() as u32).max(1);
        lost[index] = exact - f64::from(parts[index]);
    }
    while parts.iter().sum::<u32>() != PARTS {
        let adds = parts.iter().sum::<u32>() < PARTS;
        let gain = |index: usize| if adds { lost[index] } else { -lost[index] };
        let may = |index: &usize| weights[*index] > 0.0 && (adds || parts[*index] > 1);
        let index = (0..weights.len()).filter(may).reduce(|a, b| if gain(b) > gain(a) { b } else { a })?;
        let step = if adds { 1.0 } else { -1.0 };
        parts[index] = parts[index].saturating_add_signed(step as i32);
        lost[index] -= step;
    }
    Some(parts)
}

/// The order in which domains take turns, which is periodic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    mixture: Mixture,
    /// One period of it.
    order: Vec<u8>,
    /// Turns of each domain per period.
    each: [u64; MAX_DOMAINS],
}

/// A sequence of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    pub domain: usize,
    /// How many sequences of the domain came before, since the root.
    pub number: u128,
}

impl Turns {
    /// In a period each domain has as many turns as its weight in lowest terms. The k-th turn of a domain with share w falls
    /// between (k - 1) / w and k / w, rounded outwards, and the earliest deadline goes first. One turn per step suffices
    /// for that (Baruah et al., "Proportionate progress", 1996), so no domain is ever a whole sequence ahead of its share
    /// or behind it.
    fn new(mixture: &Mixture) -> Self {
        let divisor = mixture.weights.iter().fold(0, |divisor, weight| gcd(divisor, *weight)).max(1);
        let each = mixture.weights.map(|weight| u64::from(weight / divisor));
        let period: u64 = each.iter().sum();
        let mut had = [0_u64; MAX_DOMAINS];
        let mut order = Vec::with_capacity(period as usize);
        for step in 0..period {
            let released = |domain: &usize| each[*domain] > 0 && had[*domain] * period / each[*domain] <= step;
            let deadline = |domain: &usize| ((had[*domain] + 1) * period).div_ceil(each[*domain]);
            let Some(domain) = (0..MAX_DOMAINS).filter(released).min_by_key(deadline) else { break };
            had[domain] += 1;
            order.push(domain as u8);
        }
        Self { mixture: *mixture, order, each }
    }

    /// The mixture.
    #[must_use]
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// Sequences taken from each domain before this one.
    fn taken(&self, sequence: u64) -> [u64; MAX_DOMAINS] {
        self.before(u128::from(sequence)).map(|number| u64::try_from(number).unwrap_or(u64::MAX))
    }

    fn before(&self, sequence: u128) -> [u128; MAX_DOMAINS] {
        let period = self.order.len().max(1) as u128;
        let since = sequence.saturating_sub(u128::from(self.mixture.from_sequence));
        let (periods, rest) = (since / period, (since % period) as usize);
        let mut taken: [u128; MAX_DOMAINS] = std::array::from_fn(|domain| {
            u128::from(self.mixture.taken[domain]) + periods * u128::from(self.each[domain])
        });
        for domain in &self.order[..rest] {
            taken[usize::from(*domain)] += 1;
        }
        taken
    }

    /// `count` turns from sequence `first`, to which these weights have to apply already.
    pub fn from(&self, first: u128, count: usize) -> impl Iterator<Item = Turn> + '_ {
        let mut taken = self.before(first);
        let since = first.saturating_sub(u128::from(self.mixture.from_sequence));
        let place = (since % self.order.len().max(1) as u128) as usize;
        self.order.iter().cycle().skip(place).take(count).map(move |domain| {
            let domain = usize::from(*domain);
            let number = taken[domain];
            taken[domain] += 1;
            Turn { domain, number }
        })
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights() -> impl Strategy<Value = Vec<f64>> {
        let weight = prop_oneof![1 => Just(0.0), 4 => 1e-7_f64..1.0];
        proptest::collection::vec(weight, 1..=MAX_DOMAINS)
            .prop_filter("one counts", |all| all.iter().sum::<f64>() > 0.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_stretch_has_its_shares(weights in weights(), start in 0_u64..100_000) {
            let mixture = Mixture::of(&weights).expect("weights that count");
            prop_assert!(mixture.is_of(weights.len()));
            let turns = mixture.turns();
            prop_assert_eq!(turns.order.len() as u64, turns.each.iter().sum::<u64>());
            let mut had = [0_u32; MAX_DOMAINS];
            for (count, domain) in turns.order.iter().enumerate() {
                had[usize::from(*domain)] += 1;
                for (domain, had) in had.iter().enumerate() {
                    let due = (count + 1) as f64 * mixture.share(domain);
                    prop_assert!((f64::from(*had) - due).abs() < 1.0, "{had} of {due} after {count}");
                }
            }
            // Where one begins to count makes no difference.
            let from: Vec<_> = turns.from(u128::from(start), 30).collect();
            prop_assert_eq!(&from[10..], &turns.from(u128::from(start) + 10, 20).collect::<Vec<_>>()[..]);
        }

        #[test]
        fn after_a_switch_each_domain_goes_on_where_it_was(one in weights(), other in weights(), at in 0_u64..50_000) {
            let before = Mixture::of(&one).expect("weights that count");
            let after = before.switched(Mixture::of(&other).expect("weights that count").weights, at);
            let mut next = [0_u128; MAX_DOMAINS];
            let (first, second) = (before.turns(), after.turns());
            for turn in first.from(0, at as usize).chain(second.from(u128::from(at), 300)) {
                prop_assert_eq!(turn.number, next[turn.domain]);
                next[turn.domain] += 1;
            }
        }
    }

    #[test]
    fn weights_in_percent_are_exact_and_small_ones_are_not_lost() {
        let parts = |weights: &[f64]| Mixture::of(weights).map(|mixture| mixture.weights);
        assert_eq!(
            parts(&[0.25, 0.25, 0.24, 0.15, 0.08, 0.01, 0.01, 0.01]),
            Some([2500, 2500, 2400, 1500, 800, 100, 100, 100])
        );
        assert_eq!(parts(&[1.0, 1.0, 1.0]), Some([3334, 3333, 3333, 0, 0, 0, 0, 0]));
        assert_eq!(parts(&[1e-9, 1.0]), Some([1, 9999, 0, 0, 0, 0, 0, 0]));
        assert_eq!(parts(&[3.0, 1.0]), parts(&[0.75, 0.25]));
        assert_eq!([parts(&[0.0]), parts(&[]), parts(&[f64::NAN]), parts(&[-1.0, 2.0]), parts(&[1.0; 9])], [None; 5]);
    }

    #[test]
    fn the_same_weights_are_no_switch() {
        let mixture = Mixture::of(&[1.0, 3.0]).expect("weights");
        assert_eq!(mixture.switched(mixture.weights, 17), mixture);
    }
}
