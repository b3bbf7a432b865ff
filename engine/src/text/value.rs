//! How are the values of tag, numeric and geo fields read?

use super::normalise::fold;
use crate::error::ValueProblem;
use crate::limits::{MAX_LATITUDE, MAX_LONGITUDE};
use crate::schema::TagOptions;

/// A point on the globe, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// East of Greenwich, -180 to 180.
    pub longitude: f64,
    /// North of the equator, within [`MAX_LATITUDE`].
    pub latitude: f64,
}

/// The tags of a value: separated, trimmed, in their normal form; empty ones dropped. A tag may
/// come twice.
pub fn tags<'v>(value: &'v [u8], options: &'v TagOptions) -> impl Iterator<Item = Vec<u8>> + 'v {
    value
        .split(move |&byte| byte == options.separator)
        .map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty())
        .map(move |tag| normalise_tag(tag, options))
}

/// The one form of a tag, in a document or in a query: case-folded unless the field keeps case.
/// Unlike a term, a tag keeps every byte else.
pub fn normalise_tag(tag: &[u8], options: &TagOptions) -> Vec<u8> {
    if options.case_sensitive {
        tag.to_vec()
    } else {
        fold(tag)
    }
}

/// The number that the whole of `value` says: decimal, with sign and exponent, or infinite.
///
/// # Errors
/// When it says something else, also "not a number".
pub fn number(value: &[u8]) -> Result<f64, ValueProblem> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|number| !number.is_nan())
        .ok_or_else(|| ValueProblem::NotANumber(value.to_vec()))
}

/// The point that `lon,lat` or `lon lat` says.
///
/// # Errors
/// When there are not two numbers, or they are off the grid.
pub fn geo_point(value: &[u8]) -> Result<Point, ValueProblem> {
    let value = value.trim_ascii();
    let separator = |&byte: &u8| byte == b',' || byte == b' ';
    let end = value.iter().position(separator).ok_or(ValueProblem::NotAPoint)?;
    let mut rest = value[end..].trim_ascii_start();
    rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    let read = |text| number(text).map_err(|_| ValueProblem::NotAPoint);
    Point { longitude: read(&value[..end])?, latitude: read(rest)? }.on_the_grid()
}

impl Point {
    /// The point, if it is one.
    ///
    /// # Errors
    /// When a coordinate is out of range.
    pub fn on_the_grid(self) -> Result<Self, ValueProblem> {
        let inside = self.longitude.abs() <= MAX_LONGITUDE && self.latitude.abs() <= MAX_LATITUDE;
        inside.then_some(self).ok_or(ValueProblem::OffTheGrid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str, options: &TagOptions) -> Vec<String> {
        tags(value.as_bytes(), options).map(|tag| String::from_utf8(tag).unwrap()).collect()
    }

    #[test]
    fn tags_are_separated_trimmed_and_folded() {
        let folded = TagOptions::default();
        assert_eq!(split(" Hello World ,, B\t,ÉCOLE,", &folded), ["hello world", "b", "école"]);
        assert_eq!(split("", &folded), [""; 0]);
        let kept = TagOptions { separator: b';', case_sensitive: true, suffix_trie: false };
        assert_eq!(split("A,b; C", &kept), ["A,b", "C"]);
    }

    #[test]
    fn bytes_that_are_no_text_stay_in_tags() {
        assert_eq!(tags(b"\xff\x01A,b", &TagOptions::default()).collect::<Vec<_>>(), [&b"\xff\x01a"[..], b"b"]);
    }

    #[test]
    fn numbers_must_be_whole() {
        for (text, expected) in [("1", 1.0), ("-2.5e3", -2500.0), ("+.5", 0.5), ("inf", f64::INFINITY)] {
            assert_eq!(number(text.as_bytes()), Ok(expected));
        }
        for text in ["", " 1", "1 ", "1x", "0x10", "nan", "NaN", "one"] {
            assert!(number(text.as_bytes()).is_err(), "{text}");
        }
        assert!(number(b"1\xff").is_err());
    }

    #[test]
    fn points_have_two_numbers_on_the_grid() {
        let point = Point { longitude: -1.5, latitude: 52.0 };
        for text in ["-1.5,52", "-1.5 52", "-1.5, 52", " -1.5  52 "] {
            assert_eq!(geo_point(text.as_bytes()), Ok(point), "{text}");
        }
        for text in ["", "1", "1,", "1,2,3", "a,b", "1;2"] {
            assert_eq!(geo_point(text.as_bytes()), Err(ValueProblem::NotAPoint), "{text}");
        }
        for text in ["181,0", "0,86", "inf,0"] {
            assert_eq!(geo_point(text.as_bytes()), Err(ValueProblem::OffTheGrid), "{text}");
        }
    }
}
