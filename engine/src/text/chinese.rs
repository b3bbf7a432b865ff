//! Where are the words of a Chinese text, which has no blanks between them?
//!
//! A dictionary says. It takes some 30 MB and a good part of a second to load, so that is done when it is first needed.

use jieba_rs::Jieba;
use std::ops::Range;
use std::sync::OnceLock;

static DICTIONARY: OnceLock<Jieba> = OnceLock::new();

/// Whether the dictionary is loaded.
pub(super) fn is_loaded() -> bool {
    DICTIONARY.get().is_some()
}

fn dictionary() -> &'static Jieba {
    DICTIONARY.get_or_init(Jieba::new)
}

/// Whether there is a Chinese character in a text.
pub(super) fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'))
}

/// The words of a text without blanks and punctuation, one after the other.
///
/// Words that are not in the dictionary fall into single characters, in documents and queries alike. To guess at them
/// would give one text other words beside another text.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    dictionary().cut(text, false).iter().map(|word| word.byte_start..word.byte_end).collect()
}

/// The words of two characters and more that are inside a longer one.
pub(super) fn words_inside(word: &str) -> Vec<Range<usize>> {
    let ends: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    let mut inside = Vec::new();
    if ends.len() <= 3 || !is_chinese(word) {
        return inside;
    }
    for (at, &start) in ends.iter().enumerate() {
        let longer = ends.iter().skip(at + 2).map(|&end| start..end).filter(|range| range.len() < word.len());
        inside.extend(longer.filter(|range| dictionary().has_word(&word[range.clone()])));
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_words_and_long_words_have_others_inside() {
        let of = |text: &'static str, ranges: Vec<Range<usize>>| {
            ranges.into_iter().map(|range| &text[range]).collect::<Vec<_>>()
        };
        assert_eq!(of("北京大学生前来应聘", words("北京大学生前来应聘")), ["北京", "大学生", "前来", "应聘"]);
        assert_eq!(of("中国科学院", words_inside("中国科学院")), ["中国", "科学", "科学院", "学院"]);
        assert_eq!(of("iphone手机", words("iphone手机")), ["iphone", "手机"]);
        assert!(words_inside("手机").is_empty() && words_inside("iphone").is_empty());
        assert!(is_chinese("a中") && !is_chinese("aé"));
    }
}
