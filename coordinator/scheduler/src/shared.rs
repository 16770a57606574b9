//! A map whose copies share what neither of them has changed.
//!
//! Whoever looks at the state works on a copy of it, however large it is, while its owner continues. The map is kept in 256
//! parts, by the first byte of the key: copying it copies 256 pointers, and changing a value copies the part it is in, if
//! another copy shares that part. Keys are hashes, so the parts are of one size.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use vocabulary::StageKey;

const PARTS: usize = 256;

/// A key that begins with a byte of a hash, by which it is ordered first.
pub trait Spread: Ord + Clone {
    /// The first byte.
    fn part(&self) -> u8;
}

impl Spread for StageKey {
    fn part(&self) -> u8 {
        self.as_bytes()[0]
    }
}

impl<T: Ord + Clone> Spread for (StageKey, T) {
    fn part(&self) -> u8 {
        self.0.part()
    }
}

/// A part of a map, shared until it is changed.
type Part<K, V> = Arc<BTreeMap<K, Arc<V>>>;

/// A map in parts that copies share until they are changed.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedMap<K: Spread, V> {
    parts: Box<[Part<K, V>]>,
    len: usize,
}

impl<K: Spread, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Arc::default()).collect(), len: 0 }
    }
}

impl<K: Spread, V> SharedMap<K, V> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.parts[usize::from(key.part())].get(key).map(Arc::as_ref)
    }

    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.parts[usize::from(key.part())].contains_key(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V>
    where
        V: Clone,
    {
        // One that is not there must not cost a copy.
        if !self.contains_key(key) {
            return None;
        }
        self.part_mut(key).get_mut(key).map(Arc::make_mut)
    }

    /// Whether the key is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let is_new = self.part_mut(&key).insert(key, Arc::new(value)).is_none();
        self.len += usize::from(is_new);
        is_new
    }

    /// The value that was there.
    pub fn remove(&mut self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        if !self.contains_key(key) {
            return None;
        }
        self.len -= 1;
        self.part_mut(key).remove(key).map(Arc::unwrap_or_clone)
    }

    /// In the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter()).map(|(key, value)| (key, value.as_ref()))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Those within bounds, in the order of the keys. Nothing outside of them is looked at.
    pub fn range(&self, bounds: RangeInclusive<K>) -> impl Iterator<Item = (&K, &V)> {
        let parts = usize::from(bounds.start().part())..=usize::from(bounds.end().part());
        let is_empty = bounds.is_empty();
        let parts = if is_empty { &[] } else { &self.parts[parts] };
        let within = parts.iter().flat_map(move |part| part.range(bounds.clone()));
        within.map(|(key, value)| (key, value.as_ref()))
    }

    /// How many of its parts this copy does not share with another.
    #[must_use]
    pub fn parts_of_its_own(&self, other: &Self) -> usize {
        self.parts.iter().zip(&other.parts).filter(|(own, other)| !Arc::ptr_eq(own, other)).count()
    }

    fn part_mut(&mut self, key: &K) -> &mut BTreeMap<K, Arc<V>> {
        Arc::make_mut(&mut self.parts[usize::from(key.part())])
    }
}

impl<K: Spread, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(bytes: [u8; 2]) -> StageKey {
        let mut all = [0; 32];
        all[..2].copy_from_slice(&bytes);
        StageKey::from_bytes(all)
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_a_copy_of_it_never_changes(
            changes in prop::collection::vec((any::<bool>(), any::<[u8; 2]>(), any::<u8>()), 0..200),
            bounds in (any::<[u8; 2]>(), any::<[u8; 2]>()),
        ) {
            let (mut map, mut plain) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (inserts, bytes, value) in changes {
                copies.push((map.clone(), plain.clone()));
                let key = key(bytes);
                if inserts {
                    prop_assert_eq!(map.insert(key, value), plain.insert(key, value).is_none());
                } else {
                    prop_assert_eq!(map.remove(&key), plain.remove(&key));
                }
                if let Some(known) = map.get_mut(&key) {
                    *known = known.wrapping_add(1);
                    plain.entry(key).and_modify(|known| *known = known.wrapping_add(1));
                }
                prop_assert_eq!(map.get(&key), plain.get(&key));
            }
            copies.push((map, plain));
            let (from, to) = (key(bounds.0), key(bounds.1));
            for (map, plain) in copies {
                prop_assert_eq!(map.len(), plain.len());
                prop_assert!(map.iter().eq(plain.iter()));
                let within = plain.iter().filter(|(key, _)| (from..=to).contains(key));
                prop_assert!(map.range(from..=to).eq(within));
            }
        }
    }

    #[test]
    fn a_change_copies_the_part_it_is_in() {
        let mut map: SharedMap<StageKey, u8> = (0..=255).flat_map(|a| [0, 1].map(|b| (key([a, b]), b))).collect();
        let copy = map.clone();
        assert_eq!(map.parts_of_its_own(&copy), 0);
        *map.get_mut(&key([7, 0])).expect("it is there") = 9;
        map.remove(&key([7, 1]));
        assert_eq!(map.get_mut(&key([9, 9])), None);
        assert_eq!(map.parts_of_its_own(&copy), 1);
        assert_eq!((map.get(&key([7, 0])), copy.get(&key([7, 0]))), (Some(&9), Some(&0)));
    }
}
