//! The few largest of many, by selection: never a sort of everything, never more than was asked for in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Indexes of the entries with the largest keys, at most `max` of them.
#[derive(Debug)]
pub(crate) struct Top<K> {
    max: usize,
    /// The smallest of the kept ones is on top.
    heap: BinaryHeap<Reverse<(K, u32)>>,
}

impl<K: Ord> Top<K> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, heap: BinaryHeap::with_capacity(max + 1) }
    }

    pub(crate) fn offer(&mut self, key: K, index: u32) {
        if self.heap.len() < self.max {
            self.heap.push(Reverse((key, index)));
        } else if let Some(mut least) = self.heap.peek_mut()
            && least.0.0 < key
        {
            *least = Reverse((key, index));
        }
    }

    /// The largest first.
    pub(crate) fn into_indexes(self) -> impl Iterator<Item = u32> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse((_, index))| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_in_order() {
        let mut top = Top::new(3);
        for (index, key) in [5, 1, 9, 7, 9, 2].into_iter().enumerate() {
            top.offer(key, index as u32);
        }
        assert_eq!(top.into_indexes().collect::<Vec<_>>(), [4, 2, 3]);
        let mut none = Top::new(0);
        none.offer(1, 1);
        assert_eq!(none.into_indexes().count(), 0);
    }
}
