//! Which functions are there?

use super::calendar::{self, Unit};
use super::value::parse_number;
use super::{EvaluationError, Value, MAX_TEXT};
use crate::columns::geo;
use crate::text::geo_point;

/// Terms that `matched_terms` gives when it is not told how many.
pub(super) const MATCHED_TERMS: usize = 100;

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Log,
    Log2,
    Exp,
    Ceil,
    Floor,
    Abs,
    Sqrt,
    Upper,
    Lower,
    StartsWith,
    Contains,
    StrLen,
    Substr,
    Format,
    Split,
    ToNumber,
    ToStr,
    TimeFmt,
    ParseTime,
    Floored(Unit),
    Part(Unit),
    GeoDistance,
    MatchedTerms,
    Exists,
    Case,
}

/// Each with its names, and the least and greatest number of arguments.
const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("log", Function::Log, 1, 1),
    ("log2", Function::Log2, 1, 1),
    ("exp", Function::Exp, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("floor", Function::Floor, 1, 1),
    ("abs", Function::Abs, 1, 1),
    ("sqrt", Function::Sqrt, 1, 1),
    ("upper", Function::Upper, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("startswith", Function::StartsWith, 2, 2),
    ("contains", Function::Contains, 2, 2),
    ("strlen", Function::StrLen, 1, 1),
    ("substr", Function::Substr, 3, 3),
    ("format", Function::Format, 1, usize::MAX),
    ("split", Function::Split, 1, 3),
    ("to_number", Function::ToNumber, 1, 1),
    ("to_str", Function::ToStr, 1, 1),
    ("timefmt", Function::TimeFmt, 1, 2),
    ("parsetime", Function::ParseTime, 1, 2),
    ("parse_time", Function::ParseTime, 1, 2),
    ("hour", Function::Floored(Unit::Hour), 1, 1),
    ("minute", Function::Floored(Unit::Minute), 1, 1),
    ("day", Function::Floored(Unit::Day), 1, 1),
    ("month", Function::Floored(Unit::Month), 1, 1),
    ("monthofyear", Function::Part(Unit::Month), 1, 1),
    ("year", Function::Part(Unit::Year), 1, 1),
    ("dayofmonth", Function::Part(Unit::DayOfMonth), 1, 1),
    ("dayofweek", Function::Part(Unit::DayOfWeek), 1, 1),
    ("dayofyear", Function::Part(Unit::DayOfYear), 1, 1),
    ("geodistance", Function::GeoDistance, 2, 4),
    ("matched_terms", Function::MatchedTerms, 0, 1),
    ("exists", Function::Exists, 1, 1),
    ("case", Function::Case, 3, 3),
];

impl Function {
    /// The function of this name, in any case.
    pub(super) fn find(name: &[u8]) -> Option<Self> {
        FUNCTIONS
            .iter()
            .find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|&(_, function, ..)| function)
    }

    fn entry(self) -> Option<&'static (&'static str, Function, usize, usize)> {
        FUNCTIONS.iter().find(|(_, function, ..)| *function == self)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.entry().map_or("", |(name, ..)| name)
    }

    /// Whether it may have so many arguments.
    pub(super) fn takes(self, count: usize) -> bool {
        self.entry().is_some_and(|&(_, _, least, most)| (least..=most).contains(&count))
    }

    /// Calls it. `exists`, `case` and `matched_terms` are not called but evaluated with their row.
    pub(super) fn call(self, arguments: &[Value]) -> Result<Value, EvaluationError> {
        let bad = || EvaluationError::Arguments(self.name());
        let first = arguments.first().unwrap_or(&Value::Null);
        let number = first.number();
        // Functions of text also take numbers, as they are shown.
        let texts = || {
            let is_list = |value: &Value| matches!(value, Value::List(_) | Value::Null);
            match arguments.iter().any(is_list) {
                true => Err(bad()),
                false => Ok(arguments.iter().map(Value::text).collect::<Vec<_>>()),
            }
        };
        Ok(match self {
            Function::Log => Value::Number(number.ln()),
            Function::Log2 => Value::Number(number.log2()),
            Function::Exp => Value::Number(number.exp()),
            Function::Ceil => Value::Number(number.ceil()),
            Function::Floor => Value::Number(number.floor()),
            Function::Abs => Value::Number(number.abs()),
            Function::Sqrt => Value::Number(number.sqrt()),
            Function::Upper => Value::from(String::from_utf8_lossy(&texts()?[0]).to_uppercase().as_str()),
            Function::Lower => Value::from(String::from_utf8_lossy(&texts()?[0]).to_lowercase().as_str()),
            Function::StartsWith => Value::from(texts()?[0].starts_with(&texts()?[1])),
            Function::Contains => {
                let texts = texts()?;
                Value::Number(occurrences(&texts[0], &texts[1]) as f64)
            }
            Function::StrLen => Value::Number(texts()?[0].len() as f64),
            Function::Substr => {
                let text = if matches!(first, Value::List(_) | Value::Null) { return Err(bad()) } else { first.text() };
                substr(&text, arguments[1].number(), arguments[2].number()).map(Value::Text).ok_or_else(bad)?
            }
            Function::Format => format(&texts()?)?,
            Function::Split => split(&texts()?),
            Function::ToNumber => {
                let text = texts()?.swap_remove(0);
                Value::Number(parse_number(&text).ok_or(EvaluationError::NotANumber(text))?)
            }
            Function::ToStr => Value::Text(texts()?.swap_remove(0)),
            Function::TimeFmt => {
                let format = arguments.get(1).map(Value::text);
                calendar::format(number, format.as_deref()).map_or(Value::Null, Value::Text)
            }
            Function::ParseTime => {
                let format = arguments.get(1).map(Value::text);
                calendar::parse(&first.text(), format.as_deref()).map_or(Value::Null, Value::Number)
            }
            Function::Floored(unit) => calendar::floor(number, unit).map_or(Value::Null, Value::Number),
            Function::Part(unit) => calendar::part(number, unit).map_or(Value::Null, Value::Number),
            Function::GeoDistance => Value::Number(distance(arguments).ok_or_else(bad)?),
            Function::Exists | Function::Case | Function::MatchedTerms => return Err(bad()),
        })
    }
}

/// How often `part` stands in `text`, side by side; an empty one everywhere.
fn occurrences(text: &[u8], part: &[u8]) -> usize {
    if part.is_empty() {
        return text.len() + 1;
    }
    let (mut count, mut at) = (0, 0);
    while at + part.len() <= text.len() {
        if &text[at..at + part.len()] == part {
            count += 1;
            at += part.len();
        } else {
            at += 1;
        }
    }
    count
}

/// `count` bytes from `offset`; a negative offset counts from the end, a negative count leaves so many off
/// the end.
fn substr(text: &[u8], offset: f64, count: f64) -> Option<Vec<u8>> {
    if offset.is_nan() || count.is_nan() {
        return None;
    }
    // Casts of floats saturate.
    let (length, offset, count) = (text.len() as i64, offset as i64, count as i64);
    let start = if offset < 0 { length.saturating_add(offset).max(0) } else { offset.min(length) };
    let end = if count < 0 { length.saturating_add(count) } else { start.saturating_add(count).min(length) };
    Some(text[start as usize..end.max(start) as usize].to_vec())
}

/// Puts the arguments in the places `%s` of the first one.
fn format(texts: &[Vec<u8>]) -> Result<Value, EvaluationError> {
    let Some((format, values)) = texts.split_first() else { return Err(EvaluationError::Format) };
    let mut values = values.iter();
    let mut text = Vec::new();
    let mut bytes = format.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next() {
                Some(b's') => text.extend_from_slice(values.next().ok_or(EvaluationError::Format)?),
                Some(b'%') => text.push(b'%'),
                _ => return Err(EvaluationError::Format),
            },
            byte => text.push(byte),
        }
        if text.len() > MAX_TEXT {
            return Err(EvaluationError::TooLong("format"));
        }
    }
    Ok(Value::Text(text))
}

/// Parts between separators (any of the second argument's bytes, else a comma), without the bytes of the
/// third (else blanks) at either end, and without empty ones.
fn split(texts: &[Vec<u8>]) -> Value {
    let separators = texts.get(1).map_or(&b","[..], Vec::as_slice);
    let strip = texts.get(2).map_or(&b" "[..], Vec::as_slice);
    let trimmed = |part: &[u8]| {
        let from = part.iter().position(|byte| !strip.contains(byte))?;
        let to = part.iter().rposition(|byte| !strip.contains(byte))?;
        Some(Value::Text(part[from..=to].to_vec()))
    };
    Value::List(texts[0].split(|byte| separators.contains(byte)).filter_map(trimmed).collect())
}

/// Metres between two points, each one text `lon,lat` or two numbers.
fn distance(arguments: &[Value]) -> Option<f64> {
    let text = |value: &Value| geo_point(&value.text()).ok().map(|point| (point.longitude, point.latitude));
    let pair = |longitude: &Value, latitude: &Value| {
        let joined = format!("{},{}", longitude.number(), latitude.number());
        text(&Value::from(joined.as_str()))
    };
    let (from, to) = match arguments {
        [a, b] => (text(a)?, text(b)?),
        // Of three, the one that is a number begins a pair.
        [a, b, c] if matches!(a, Value::Number(_)) => (pair(a, b)?, text(c)?),
        [a, b, c] => (text(a)?, pair(b, c)?),
        [a, b, c, d] => (pair(a, b)?, pair(c, d)?),
        _ => return None,
    };
    Some((geo::distance(from, to) * 100.0).round() / 100.0)
}
