//! What do the functions of time say? Unix time in seconds, UTC.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use std::fmt::Write;

/// The format of times that name none: ISO 8601.
const DEFAULT: &str = "%FT%TZ";

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Minute,
    Hour,
    Day,
    Month,
    Year,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
}

fn time(seconds: f64) -> Option<NaiveDateTime> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    DateTime::from_timestamp(seconds as i64, 0).map(|time| time.naive_utc())
}

fn timestamp(time: NaiveDateTime) -> f64 {
    time.and_utc().timestamp() as f64
}

/// The items of a format (`strftime`), or `None` for one that is not understood.
fn items(format: &str) -> Option<Vec<Item<'_>>> {
    StrftimeItems::new(format).map(|item| (item != Item::Error).then_some(item)).collect()
}

/// The time as text.
pub(super) fn format(seconds: f64, format: Option<&[u8]>) -> Option<Vec<u8>> {
    let format = std::str::from_utf8(format.unwrap_or(DEFAULT.as_bytes())).ok()?;
    let time: DateTime<Utc> = time(seconds)?.and_utc();
    let mut text = String::new();
    write!(text, "{}", time.format_with_items(items(format)?.into_iter())).ok()?;
    Some(text.into_bytes())
}

/// The time that a text names; what the format leaves out is the beginning.
pub(super) fn parse(text: &[u8], format: Option<&[u8]>) -> Option<f64> {
    let format = std::str::from_utf8(format.unwrap_or(DEFAULT.as_bytes())).ok()?;
    let text = std::str::from_utf8(text).ok()?;
    let mut parsed = chrono::format::Parsed::new();
    chrono::format::parse(&mut parsed, text, items(format)?.into_iter()).ok()?;
    if let Ok(time) = parsed.to_naive_datetime_with_offset(0) {
        return Some(timestamp(time));
    }
    let date = parsed.to_naive_date().ok().or_else(|| {
        let year = parsed.year()?;
        NaiveDate::from_ymd_opt(year, parsed.month().unwrap_or(1), parsed.day().unwrap_or(1))
    })?;
    let time = parsed.to_naive_time().ok().or_else(|| {
        let hour = parsed.hour_div_12().unwrap_or(0) * 12 + parsed.hour_mod_12().unwrap_or(0);
        NaiveTime::from_hms_opt(hour, parsed.minute().unwrap_or(0), 0)
    })?;
    Some(timestamp(date.and_time(time)))
}

/// The beginning of the unit that the time is in.
pub(super) fn floor(seconds: f64, unit: Unit) -> Option<f64> {
    let time = time(seconds)?;
    let minute = time.with_nanosecond(0)?.with_second(0)?;
    let day = time.date();
    Some(timestamp(match unit {
        Unit::Minute => minute,
        Unit::Hour => minute.with_minute(0)?,
        Unit::Day => day.and_time(NaiveTime::MIN),
        Unit::Month => day.checked_sub_days(Days::new(u64::from(day.day0())))?.and_time(NaiveTime::MIN),
        _ => return None,
    }))
}

/// The unit's number: months, days of the week (Sunday) and of the year from 0, days of the month from 1.
pub(super) fn part(seconds: f64, unit: Unit) -> Option<f64> {
    let time = time(seconds)?;
    Some(match unit {
        Unit::Month => f64::from(time.month0()),
        Unit::Year => f64::from(time.year()),
        Unit::DayOfMonth => f64::from(time.day()),
        Unit::DayOfWeek => f64::from(time.weekday().num_days_from_sunday()),
        Unit::DayOfYear => f64::from(time.ordinal0()),
        _ => return None,
    })
}
