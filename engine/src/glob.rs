//! Does a key match a glob pattern, as `KEYS` understands one?
//!
//! The language is that of Redis (`stringmatchlen` in `util.c`, Redis 7.0): `*`, `?`, `[abc]`,
//! `[^abc]`, `[a-z]`, `\x`. Patterns and keys are bytes. Unlike the server's recursive matcher, this
//! one remembers only the last `*`, so a hostile pattern costs at most pattern length x key length.

/// A compiled glob pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
enum Token {
    Byte(u8),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Glob {
    /// Compiles `pattern`. Every byte string is a valid pattern: an unclosed `[` ends with the
    /// pattern, and a trailing `\` stands for itself, as in the server.
    pub fn new(pattern: &[u8]) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            let token = match first {
                b'*' => Token::Star,
                b'?' => Token::Any,
                b'[' => class(&mut rest),
                b'\\' if !rest.is_empty() => {
                    let byte = rest[0];
                    rest = &rest[1..];
                    Token::Byte(byte)
                }
                byte => Token::Byte(byte),
            };
            if !(matches!(token, Token::Star) && matches!(tokens.last(), Some(Token::Star))) {
                tokens.push(token);
            }
        }
        Self { tokens }
    }

    /// Whether every key matches, so that matching can be skipped.
    pub fn matches_all(&self) -> bool {
        matches!(self.tokens.as_slice(), [Token::Star])
    }

    /// The one key that matches, if there is but one.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        self.tokens.iter().map(byte).collect()
    }

    /// Whether `key` matches the whole pattern.
    pub fn matches(&self, key: &[u8]) -> bool {
        let tokens = &self.tokens;
        let (mut at_token, mut at_byte) = (0, 0);
        // Where to go on when a byte does not match: after the last star, one byte further.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match tokens.get(at_token) {
                None if at_byte == key.len() => return true,
                Some(Token::Star) => {
                    at_token += 1;
                    retry = Some((at_token, at_byte));
                    continue;
                }
                Some(token) if at_byte < key.len() && token.matches_byte(key[at_byte]) => {
                    at_token += 1;
                    at_byte += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((after_star, start)) if start < key.len() => {
                    retry = Some((after_star, start + 1));
                    at_token = after_star;
                    at_byte = start + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn matches_byte(&self, byte: u8) -> bool {
        match self {
            Token::Byte(expected) => *expected == byte,
            Token::Any => true,
            Token::Star => false,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&byte)) != *negated
            }
        }
    }
}

/// Reads a class whose `[` has been taken from `rest`, and takes its `]` too.
fn class(rest: &mut &[u8]) -> Token {
    let mut bytes = *rest;
    let negated = bytes.first() == Some(&b'^');
    if negated {
        bytes = &bytes[1..];
    }
    let mut ranges = Vec::new();
    loop {
        match bytes {
            [] => break,
            [b'\\', byte, tail @ ..] => {
                ranges.push((*byte, *byte));
                bytes = tail;
            }
            [b']', tail @ ..] => {
                bytes = tail;
                break;
            }
            [start, b'-', end, tail @ ..] => {
                ranges.push((*start.min(end), *start.max(end)));
                bytes = tail;
            }
            [byte, tail @ ..] => {
                ranges.push((*byte, *byte));
                bytes = tail;
            }
        }
    }
    *rest = bytes;
    Token::Class { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::Glob;
    use proptest::prelude::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Glob::new(pattern.as_bytes()).matches(key.as_bytes())
    }

    #[test]
    fn a_pattern_of_one_key_is_known() {
        let literal = |pattern: &str| Glob::new(pattern.as_bytes()).literal();
        for (pattern, key) in [("", ""), ("key", "key"), (r"a\*b\[", "a*b["), (r"back\", r"back\")] {
            assert_eq!(literal(pattern).as_deref(), Some(key.as_bytes()), "{pattern}");
            assert!(matches(pattern, key));
        }
        for pattern in ["*", "a?", "[a]", "a*"] {
            assert_eq!(literal(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn the_language_of_keys_is_understood() {
        for (pattern, key, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("[\\]]", "]", true),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
            ("user:*:name", "user:12:name", true),
            ("user:*:name", "user:12:age", false),
            ("**a**", "bab", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} on {key}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(5_000)));
    }

    /// The definition, by recursion, for patterns without classes and escapes.
    fn oracle(pattern: &[u8], key: &[u8]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=key.len()).any(|skip| oracle(rest, &key[skip..])),
            ([b'?', rest @ ..], [_, tail @ ..]) => oracle(rest, tail),
            ([byte, rest @ ..], [first, tail @ ..]) => byte == first && oracle(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_agree_with_the_definition(pattern in "[ab*?]{0,8}", key in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &key), oracle(pattern.as_bytes(), key.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, key: Vec<u8>) {
            Glob::new(&pattern).matches(&key);
        }
    }
}
