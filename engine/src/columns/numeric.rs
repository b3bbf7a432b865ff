//! Which documents have a number in this range?

use crate::segment::DocId;

/// A range of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumericRange {
    /// The lower bound.
    pub min: f64,
    /// The upper bound.
    pub max: f64,
    /// Whether the lower bound itself is outside.
    pub min_exclusive: bool,
    /// Whether the upper bound itself is outside.
    pub max_exclusive: bool,
}

impl NumericRange {
    /// Both bounds included.
    pub fn inclusive(min: f64, max: f64) -> Self {
        Self { min, max, min_exclusive: false, max_exclusive: false }
    }

    /// Whether a value is inside. The value that stands for a missing one never is.
    #[inline]
    pub fn contains(&self, value: f64) -> bool {
        !self.is_below(value) && !self.is_above(value) && !value.is_nan()
    }

    fn is_below(&self, value: f64) -> bool {
        value < self.min || (self.min_exclusive && value == self.min)
    }

    fn is_above(&self, value: f64) -> bool {
        value > self.max || (self.max_exclusive && value == self.max)
    }
}

/// The numbers of one field by document.
#[derive(Debug)]
pub struct NumericColumn {
    /// NaN where there is none.
    pub(super) values: Box<[f64]>,
    /// The documents that have one, by value and then by id.
    pub(super) order: Box<[DocId]>,
}

impl NumericColumn {
    /// Makes a column of values by document; NaN says that there is none.
    pub fn new(values: Vec<f64>) -> Self {
        let mut order: Vec<DocId> = (0..values.len() as DocId).filter(|&doc| !values[doc as usize].is_nan()).collect();
        // Stable: documents of one value stay in order.
        order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        Self { values: values.into_boxed_slice(), order: order.into_boxed_slice() }
    }

    /// A document's number; NaN when it has none.
    #[inline]
    pub fn value(&self, doc: DocId) -> f64 {
        self.values.get(doc as usize).copied().unwrap_or(f64::NAN)
    }

    /// All values by document.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The documents with a value in the range, ordered by value.
    pub fn in_range(&self, range: &NumericRange) -> &[DocId] {
        let start = self.order.partition_point(|&doc| range.is_below(self.values[doc as usize]));
        let end = self.order.partition_point(|&doc| !range.is_above(self.values[doc as usize]));
        self.order.get(start..end).unwrap_or(&[])
    }

    /// All documents with a value, ordered by it.
    pub fn order(&self) -> &[DocId] {
        &self.order
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.values.len() * size_of::<f64>() + self.order.len() * size_of::<DocId>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![8 => (-3i32..4).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY),
            1 => Just(f64::NEG_INFINITY), 1 => Just(-0.0)]
    }

    proptest! {
        #[test]
        fn ranges_hold_what_a_scan_finds(values in vec(value(), 0..50), a in value(), b in value(), x: bool, y: bool) {
            let column = NumericColumn::new(values.clone());
            let range = NumericRange { min: a, max: b, min_exclusive: x, max_exclusive: y };
            if !a.is_nan() && !b.is_nan() {
                let mut found = column.in_range(&range).to_vec();
                found.sort_unstable();
                let expected: Vec<DocId> = (0..values.len() as DocId)
                    .filter(|&doc| {
                        let v = values[doc as usize];
                        (if x { v > a } else { v >= a }) && (if y { v < b } else { v <= b })
                    })
                    .collect();
                prop_assert_eq!(found, expected);
            }
            for (doc, value) in values.iter().enumerate() {
                prop_assert_eq!(column.value(doc as DocId).to_bits(), value.to_bits());
            }
        }
    }
}
