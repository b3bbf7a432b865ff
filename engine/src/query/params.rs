//! In which dialect is a query, and what do its parameters stand for?

use crate::error::QueryError;
use std::collections::HashMap;

/// A version of the query language. Each understands what the one before it does, but for what
/// [`Dialect::V1`] says. Versions 3 and 4 differ from 2 only in replies and in fields that are not
/// text, tag, numeric or geo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Dialect {
    /// The oldest, and the default. `-`, `~` and `@field:` reach further than in the others, and `|`
    /// binds tighter than a sequence of anything but plain words; there are no parameters.
    #[default]
    V1,
    /// A sign or a field binds only the clause after it; `|` binds weakest.
    V2,
    /// Several values of one field.
    V3,
    /// Optimised plans; what it finds is the same.
    V4,
}

impl Dialect {
    /// The dialect with this number.
    ///
    /// # Errors
    /// When the number is not 1 to 4.
    pub fn parse(number: i64) -> Result<Self, QueryError> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            3 => Ok(Self::V3),
            4 => Ok(Self::V4),
            _ => Err(QueryError::Dialect),
        }
    }

    /// Its number.
    pub fn number(self) -> i64 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// The values of a query's parameters (`PARAMS`).
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl Params {
    /// Reads `name value name value ...`.
    ///
    /// # Errors
    /// When a name comes twice or has no value.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, QueryError> {
        let mut values = HashMap::new();
        let mut words = words.into_iter();
        while let Some(name) = words.next() {
            let value = words.next().ok_or(QueryError::ParametersNotPaired)?;
            if values.insert(name.to_vec(), value.to_vec()).is_some() {
                return Err(QueryError::DuplicateParameter(name.to_vec()));
            }
        }
        Ok(Self { values })
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// When it has none.
    pub fn get(&self, name: &[u8]) -> Result<&[u8], QueryError> {
        self.values.get(name).map(Vec::as_slice).ok_or_else(|| QueryError::NoSuchParameter(name.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_pairs_and_once() {
        let params = Params::from_words([&b"a"[..], b"1", b"b", b""]).unwrap();
        assert_eq!(params.get(b"a"), Ok(&b"1"[..]));
        assert_eq!(params.get(b"b"), Ok(&b""[..]));
        assert_eq!(params.get(b"q").unwrap_err().to_string(), "No such parameter `q`");
        let error = Params::from_words([&b"a"[..], b"1", b"a", b"2"]).unwrap_err();
        assert_eq!(error.to_string(), "Duplicate parameter `a`");
        assert_eq!(Params::from_words([&b"a"[..]]).unwrap_err(), QueryError::ParametersNotPaired);
    }

    #[test]
    fn there_are_four_dialects() {
        for number in 1..=4 {
            assert_eq!(Dialect::parse(number).map(Dialect::number), Ok(number));
        }
        assert!(Dialect::parse(0).is_err() && Dialect::parse(5).is_err());
    }
}
