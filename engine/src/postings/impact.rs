//! How good can a posting of this block be?
//!
//! Every scorer grows with a term's frequency and does not grow with the document's length. So of a
//! block's postings only those matter that no other one beats in both: a short list of pairs. It is
//! independent of the scorer and of collection statistics, which change while a segment stays.
//!
//! Pairs are stored in two bytes, rounded to the safe side: frequencies up, lengths down.

/// A frequency and a length which some postings do not exceed in impact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impact {
    /// At least the postings' frequency; `u32::MAX` when that is only known to be large.
    pub freq: u32,
    /// At most the postings' document length.
    pub len: u32,
}

/// Pairs kept of one block at most; past it the rest is covered by one pair.
pub const MAX_IMPACTS: usize = 6;

/// A pair as it is stored.
pub type Stored = [u8; 2];

impl Impact {
    /// Rounds to the stored form.
    pub fn store(self) -> Stored {
        [self.freq.min(255) as u8, store_len(self.len)]
    }

    /// The pair that a stored one stands for.
    pub fn load(stored: Stored) -> Self {
        let freq = if stored[0] == 255 { u32::MAX } else { u32::from(stored[0]) };
        Self { freq, len: load_len(stored[1]) }
    }
}

/// Reduces pairs to those that no other one beats in both, at most [`MAX_IMPACTS`].
pub fn frontier(pairs: &mut Vec<Impact>) {
    pairs.sort_unstable_by(|a, b| b.freq.cmp(&a.freq).then(a.len.cmp(&b.len)));
    let mut shortest = None;
    pairs.retain(|pair| {
        let better = shortest.is_none_or(|len| pair.len < len);
        if better {
            shortest = Some(pair.len);
        }
        better
    });
    if pairs.len() > MAX_IMPACTS {
        let rest = Impact { freq: pairs[MAX_IMPACTS - 1].freq, len: pairs[pairs.len() - 1].len };
        pairs.truncate(MAX_IMPACTS - 1);
        pairs.push(rest);
    }
}

/// Four significant bits: exact below 16, at most an eighth too small above.
fn store_len(len: u32) -> u8 {
    if len < 16 {
        return len as u8;
    }
    let shift = 28 - len.leading_zeros();
    (shift * 8 + (len >> shift)) as u8
}

fn load_len(code: u8) -> u32 {
    if code < 16 {
        return u32::from(code);
    }
    // No code above 239 is ever stored.
    let shift = (u32::from(code) / 8 - 1).min(28);
    (u32::from(code) - shift * 8) << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_round_down_and_not_far(len: u32) {
            let loaded = load_len(store_len(len));
            prop_assert!(loaded <= len);
            prop_assert!(u64::from(loaded) * 9 / 8 + 1 >= u64::from(len) || loaded as f64 >= len as f64 * 0.875);
        }

        #[test]
        fn every_posting_is_dominated(pairs in vec((1u32..600, 0u32..5000), 1..200)) {
            let all: Vec<Impact> = pairs.into_iter().map(|(freq, len)| Impact { freq, len }).collect();
            let mut kept = all.clone();
            frontier(&mut kept);
            prop_assert!(kept.len() <= MAX_IMPACTS);
            for pair in all {
                let dominated = |kept: &Impact| {
                    let kept = Impact::load(kept.store());
                    kept.freq >= pair.freq && kept.len <= pair.len
                };
                prop_assert!(kept.iter().any(dominated));
            }
        }
    }

    #[test]
    fn stored_lengths_keep_their_order() {
        let mut previous = 0;
        for code in 0..240 {
            let len = load_len(code);
            assert!(code == 0 || len > previous, "{code}");
            assert_eq!(store_len(len), code);
            previous = len;
        }
    }
}
