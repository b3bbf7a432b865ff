//! Are two words a few mistakes apart?

/// Whether the Levenshtein distance of two words, in code points, is at most `limit`.
///
/// Costs at most (2 x `limit` + 1) x the length of the shorter word: only the band of the table in
/// which distances can be that small is computed.
pub fn within_distance(one: &str, other: &str, limit: usize) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > limit {
        return false;
    }
    let too_far = limit + 1;
    let mut row: Vec<usize> = (0..=other.len()).map(|column| column.min(too_far)).collect();
    for (line, letter) in one.iter().enumerate() {
        let from = line.saturating_sub(limit);
        let to = (line + limit + 1).min(other.len());
        // `diagonal` is the cell above and to the left of the next one to compute.
        let mut diagonal = row[from];
        row[from] = if from == 0 { (line + 1).min(too_far) } else { too_far };
        if from == 0 && line + 1 > limit {
            row[0] = too_far;
        }
        let mut nearest = row[from];
        for column in from..to {
            let above = row[column + 1];
            let above = if column + 1 > line + limit { too_far } else { above };
            let replaced = diagonal + usize::from(*letter != other[column]);
            let cell = replaced.min(above + 1).min(row[column] + 1).min(too_far);
            diagonal = row[column + 1];
            row[column + 1] = cell;
            nearest = nearest.min(cell);
        }
        if nearest > limit {
            return false;
        }
    }
    row[other.len()] <= limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, by recursion.
    fn distance(one: &[char], other: &[char]) -> usize {
        match (one, other) {
            ([], rest) | (rest, []) => rest.len(),
            ([a, one_rest @ ..], [b, other_rest @ ..]) => (distance(one_rest, other_rest) + usize::from(a != b))
                .min(distance(one_rest, other) + 1)
                .min(distance(one, other_rest) + 1),
        }
    }

    #[test]
    fn mistakes_are_counted_in_code_points() {
        assert!(within_distance("kitten", "sitting", 3) && !within_distance("kitten", "sitting", 2));
        assert!(within_distance("été", "ete", 2) && !within_distance("été", "ete", 1));
        assert!(within_distance("", "", 0) && within_distance("", "ab", 2) && !within_distance("", "ab", 1));
    }

    proptest! {
        #[test]
        fn the_band_agrees_with_the_definition(one in "[abé]{0,6}", other in "[abé]{0,6}", limit in 0usize..5) {
            let (a, b): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
            prop_assert_eq!(within_distance(&one, &other, limit), distance(&a, &b) <= limit);
        }
    }
}
