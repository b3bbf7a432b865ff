//! What is a property's value, and how do values compare?

use std::cmp::Ordering;

/// A value of a property or an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: a null.
    Null,
    /// A double.
    Number(f64),
    /// Bytes, usually text.
    Text(Vec<u8>),
    /// Several values.
    List(Vec<Value>),
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Value::Number(f64::from(u8::from(holds)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.as_bytes().to_vec())
    }
}

impl Value {
    /// Whether a filter lets it pass: a number that is not 0, a text or list that is not empty.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
        }
    }

    /// Its number; that of the text as a whole; NaN where there is none.
    pub fn number(&self) -> f64 {
        match self {
            Value::Number(number) => *number,
            Value::Text(text) => parse_number(text).unwrap_or(f64::NAN),
            Value::Null | Value::List(_) => f64::NAN,
        }
    }

    /// Its text, as rows show it. That of a list: its items with commas between.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Value::Null => Vec::new(),
            Value::Number(number) => number_text(*number).into_bytes(),
            Value::Text(text) => text.clone(),
            Value::List(items) => items.iter().map(Value::text).collect::<Vec<_>>().join(&b","[..]),
        }
    }

    /// Which one is greater. A number and a text compare as numbers if the text is one, else as texts.
    /// NaN compares with nothing; a null is equal to itself only and less than all else.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Null, Value::Null) => Some(Ordering::Equal),
            (Value::Null, _) => Some(Ordering::Less),
            (_, Value::Null) => Some(Ordering::Greater),
            (Value::Number(a), Value::Text(text)) => match parse_number(text) {
                Some(b) => a.partial_cmp(&b),
                None => Some(self.text().cmp(text)),
            },
            (Value::Text(_), Value::Number(_)) => other.compare(self).map(Ordering::reverse),
            _ => Some(self.text().cmp(&other.text())),
        }
    }
}

/// The number that a text is as a whole.
pub(super) fn parse_number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A number as rows show it: whole ones without decimals, others with at most 12 significant digits.
pub fn number_text(number: f64) -> String {
    /// Above this a double does not tell neighbouring whole numbers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return (number as i64).to_string();
    }
    twelve_digits(number)
}

/// A number with at most 12 significant digits, as C's `%.12g` writes it.
pub fn twelve_digits(number: f64) -> String {
    const DIGITS: i32 = 12;
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // The exponent after rounding to so many digits decides on the form.
    let scientific = format!("{number:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        return trim(&format!("{number:.*}", (DIGITS - 1 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}
