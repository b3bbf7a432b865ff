//! Which numbers, and which points, does a filter let through?

use crate::columns::numeric::NumericRange;
use crate::error::QueryError;
use crate::text::{number, Point};

impl NumericRange {
    /// Reads the bounds of a `FILTER`: numbers, `(` before one that is outside, `inf`.
    ///
    /// # Errors
    /// When one of them is no number.
    pub fn parse(min: &[u8], max: &[u8]) -> Result<Self, QueryError> {
        let (low, min_exclusive) = bound(min).ok_or_else(|| QueryError::LowerBound(min.to_vec()))?;
        let (high, max_exclusive) = bound(max).ok_or_else(|| QueryError::UpperBound(max.to_vec()))?;
        Ok(Self { min: low, max: high, min_exclusive, max_exclusive })
    }
}

/// A bound as it is written: the number, and whether it is itself outside.
fn bound(text: &[u8]) -> Option<(f64, bool)> {
    let (text, exclusive) = match text.strip_prefix(b"(") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    number(text).ok().map(|value| (value, exclusive))
}

/// A unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoUnit {
    /// `m`
    Metres,
    /// `km`
    Kilometres,
    /// `ft`
    Feet,
    /// `mi`
    Miles,
}

impl GeoUnit {
    /// The unit called `name`, in any case.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &[u8]) -> Result<Self, QueryError> {
        [Self::Metres, Self::Kilometres, Self::Feet, Self::Miles]
            .into_iter()
            .find(|unit| unit.name().as_bytes().eq_ignore_ascii_case(name))
            .ok_or(QueryError::GeoUnit)
    }

    /// Its abbreviation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metres => "m",
            Self::Kilometres => "km",
            Self::Feet => "ft",
            Self::Miles => "mi",
        }
    }

    /// Its length in metres, with the factors that the server's geo commands use.
    pub fn metres(self) -> f64 {
        match self {
            Self::Metres => 1.0,
            Self::Kilometres => 1000.0,
            Self::Feet => 0.3048,
            Self::Miles => 1609.34,
        }
    }
}

/// A circle on the globe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoRadius {
    /// Its centre.
    pub centre: Point,
    /// Its radius in `unit`s.
    pub radius: f64,
    /// The unit of the radius.
    pub unit: GeoUnit,
}

impl GeoRadius {
    /// A circle.
    ///
    /// # Errors
    /// When the centre is off the grid, or the radius negative.
    pub fn new(longitude: f64, latitude: f64, radius: f64, unit: GeoUnit) -> Result<Self, QueryError> {
        let centre = Point { longitude, latitude }.on_the_grid().map_err(|_| QueryError::GeoCentre)?;
        if radius.is_nan() || radius < 0.0 {
            return Err(QueryError::GeoRadius);
        }
        Ok(Self { centre, radius, unit })
    }

    /// The radius in metres.
    pub fn metres(&self) -> f64 {
        self.radius * self.unit.metres()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_may_be_open_or_infinite() {
        let range = NumericRange::parse(b"(1", b"+inf").unwrap();
        assert!(!range.contains(1.0) && range.contains(1.5) && range.contains(f64::INFINITY));
        assert!(!range.contains(f64::NAN));
        let empty = NumericRange::parse(b"2", b"1").unwrap();
        assert!(!empty.contains(1.5));
        assert_eq!(NumericRange::parse(b"x", b"1").unwrap_err().to_string(), "Bad lower range: x");
        assert_eq!(NumericRange::parse(b"1", b"").unwrap_err().to_string(), "Bad upper range: ");
    }

    #[test]
    fn circles_have_units_and_limits() {
        let circle = GeoRadius::new(1.0, 2.0, 3.0, GeoUnit::parse(b"KM").unwrap()).unwrap();
        assert_eq!(circle.metres(), 3000.0);
        assert_eq!(GeoUnit::parse(b"yd"), Err(QueryError::GeoUnit));
        assert_eq!(GeoRadius::new(1.0, 2.0, -3.0, GeoUnit::Metres), Err(QueryError::GeoRadius));
        assert_eq!(GeoRadius::new(181.0, 2.0, 3.0, GeoUnit::Metres), Err(QueryError::GeoCentre));
    }
}
