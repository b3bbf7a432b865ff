//! Does a term match a wildcard pattern?

/// A compiled `w'...'` pattern: `*` is any run of characters, `?` any one character, a backslash
/// makes the next character stand for itself.
///
/// Works on bytes: a character is a UTF-8 sequence, or a single byte that is part of none. Matching
/// costs at most pattern length times term length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard {
    pieces: Vec<Piece>,
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// This byte.
    Byte(u8),
    /// `?`
    AnyCharacter,
    /// `*`
    AnyRun,
}

impl Wildcard {
    /// Compiles a pattern whose literal parts are passed through `normalise` one by one, so that
    /// they are in the form in which terms are stored.
    pub fn new(pattern: &[u8], normalise: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut bytes = pattern.iter();
        while let Some(&byte) = bytes.next() {
            let piece = match byte {
                b'*' => Piece::AnyRun,
                b'?' => Piece::AnyCharacter,
                b'\\' => {
                    literal.extend(bytes.next());
                    continue;
                }
                _ => {
                    literal.push(byte);
                    continue;
                }
            };
            pieces.extend(normalise(&literal).into_iter().map(Piece::Byte));
            literal.clear();
            if piece != Piece::AnyRun || pieces.last() != Some(&Piece::AnyRun) {
                pieces.push(piece);
            }
        }
        pieces.extend(normalise(&literal).into_iter().map(Piece::Byte));
        Self { pieces }
    }

    /// What it consists of: for a walk over a dictionary, which matches byte by byte.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes with which every match starts: where a scan of a sorted dictionary begins.
    pub fn prefix(&self) -> Vec<u8> {
        let literal = self.pieces.iter().map_while(|piece| match piece {
            Piece::Byte(byte) => Some(*byte),
            _ => None,
        });
        literal.collect()
    }

    /// Whether it matches one term only, which is then [`Wildcard::prefix`].
    pub fn is_literal(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Byte(_)))
    }

    /// Whether the whole of `term` matches.
    pub fn matches(&self, term: &[u8]) -> bool {
        let (mut at_piece, mut at) = (0, 0);
        // Where to go on when something does not match: after the last run, one byte further.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match self.pieces.get(at_piece) {
                None if at == term.len() => return true,
                Some(Piece::AnyRun) => {
                    at_piece += 1;
                    retry = Some((at_piece, at));
                    continue;
                }
                Some(Piece::Byte(byte)) if term.get(at) == Some(byte) => {
                    (at_piece, at) = (at_piece + 1, at + 1);
                    continue;
                }
                Some(Piece::AnyCharacter) if at < term.len() => {
                    (at_piece, at) = (at_piece + 1, at + character_len(&term[at..]));
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((after, start)) if start < term.len() => {
                    // A whole character further, so that no match starts inside one.
                    at = start + character_len(&term[start..]);
                    at_piece = after;
                    retry = Some((after, at));
                }
                _ => return false,
            }
        }
    }
}

/// The bytes of the character with which `text`, not empty, starts.
fn character_len(text: &[u8]) -> usize {
    let head = &text[..text.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, term: &str) -> bool {
        Wildcard::new(pattern.as_bytes(), <[u8]>::to_vec).matches(term.as_bytes())
    }

    #[test]
    fn runs_and_characters_match() {
        for (pattern, term, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "héllo", true),
            ("h??llo", "héllo", false),
            ("*l?o", "hello", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*?", "é", true),
            ("*??", "é", false),
        ] {
            assert_eq!(matches(pattern, term), expected, "{pattern} on {term}");
        }
    }

    #[test]
    fn the_prefix_ends_at_the_first_wildcard() {
        let pattern = Wildcard::new(b"ab\\*c?d*", <[u8]>::to_vec);
        assert_eq!(pattern.prefix(), b"ab*c");
        assert!(!pattern.is_literal());
        assert!(Wildcard::new(b"ab", <[u8]>::to_vec).is_literal());
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches(&("a*".repeat(200) + "b"), &"a".repeat(5_000)));
    }

    /// The definition, by recursion.
    fn oracle(pattern: &[char], term: &[char]) -> bool {
        match (pattern, term) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=term.len()).any(|skip| oracle(rest, &term[skip..])),
            (['?', rest @ ..], [_, tail @ ..]) => oracle(rest, tail),
            ([c, rest @ ..], [first, tail @ ..]) => c == first && oracle(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[aé*?]{0,8}", term in "[aé]{0,10}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), term.chars().collect());
            prop_assert_eq!(matches(&pattern, &term), oracle(&p, &t));
        }

        #[test]
        fn any_bytes_can_be_matched(pattern: Vec<u8>, term: Vec<u8>) {
            Wildcard::new(&pattern, <[u8]>::to_vec).matches(&term);
        }
    }
}
