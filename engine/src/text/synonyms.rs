//! Which words mean the same?

use super::normalise::normalise;
use std::collections::BTreeMap;

/// Groups of words: a document with one word of a group is found by every other.
///
/// Words are normalised as terms are; group names are kept as given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synonyms {
    groups_of: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl Synonyms {
    /// Adds words to a group, and the group with its first words.
    pub fn update<'a>(&mut self, group: &[u8], words: impl IntoIterator<Item = &'a [u8]>) {
        let group = String::from_utf8_lossy(group);
        for word in words {
            let groups = self.groups_of.entry(normalise(word).into_boxed_str()).or_default();
            if !groups.iter().any(|known| **known == *group) {
                groups.push(Box::from(&*group));
            }
        }
    }

    /// The groups that a normalised term is in.
    pub fn groups_of(&self, term: &str) -> &[Box<str>] {
        self.groups_of.get(term).map_or(&[], Vec::as_slice)
    }

    /// Each word with its groups, in alphabetical order: what `FT.SYNDUMP` shows.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.groups_of.iter().map(|(word, groups)| (&**word, groups.as_slice()))
    }

    /// How many words have groups.
    pub fn len(&self) -> usize {
        self.groups_of.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.groups_of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_in_each_of_its_groups_once() {
        let mut synonyms = Synonyms::default();
        synonyms.update(b"g1", [&b"Boy"[..], b"child"]);
        synonyms.update(b"g2", [&b"boy"[..]]);
        synonyms.update(b"g1", [&b"BOY"[..]]);
        assert_eq!(synonyms.groups_of("boy"), [Box::from("g1"), Box::from("g2")]);
        assert_eq!(synonyms.groups_of("girl"), []);
        assert_eq!(synonyms.iter().map(|(word, _)| word).collect::<Vec<_>>(), ["boy", "child"]);
    }
}
