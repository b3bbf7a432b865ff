//! Which options does a search take, and what do they ask for?
//!
//! One reader for all commands that take a query: FT.SEARCH, FT.EXPLAIN, FT.EXPLAINCLI, FT.PROFILE.

use std::collections::HashSet;
use std::time::Duration;

use engine::query::{Dialect, Expander, GeoRadius, GeoUnit, NumericRange, Params};
use engine::score::Scorer;
use engine::text::Language;

use super::words::{bad, number, owned, unknown, Words, NOT_CONVERTIBLE, NO_ARGUMENT};
use crate::commands::args::shown;
use crate::search::{Content, Filter, Highlight, Request, Returned, Sort, Summarize};
use crate::settings;

/// Reads the query and the options after it.
///
/// # Errors
/// The text for the client.
pub(super) fn request(words: &[&[u8]]) -> Result<Request, String> {
    let mut words = Words::new(words);
    let query = words.next().ok_or("No query string provided")?;
    let mut request = Request {
        dialect: Dialect::parse(settings::DEFAULT_DIALECT.get()).unwrap_or_default(),
        timeout: settings::TIMEOUT.millis(),
        ..Request::new(query)
    };
    let mut has_params = false;
    while let Some(word) = words.next() {
        let option = word.to_ascii_uppercase();
        match option.as_slice() {
            b"NOCONTENT" => request.content = Content::None,
            b"VERBATIM" => request.verbatim = true,
            b"NOSTOPWORDS" => request.keep_stop_words = true,
            b"WITHSCORES" => request.scores = true,
            b"WITHPAYLOADS" => request.payloads = true,
            b"WITHSORTKEYS" => request.sort_keys = true,
            b"WITHWARNINGS" => request.warnings = true,
            b"EXPLAINSCORE" => request.explain = true,
            b"INORDER" => request.in_order = true,
            b"SLOP" => request.slop = Some(words.number("SLOP")?),
            b"FILTER" => request.filters.push(filter(&mut words)?),
            b"GEOFILTER" => request.filters.push(geo_filter(&mut words)?),
            b"INKEYS" => request.keys = Some(owned(words.counted("INKEYS")?)),
            b"INFIELDS" => request.fields = Some(owned(words.counted("INFIELDS")?)),
            b"RETURN" => returned(&mut words, &mut request)?,
            b"SUMMARIZE" => request.summarize = Some(summarize(&mut words).ok_or("Bad arguments for SUMMARIZE")?),
            b"HIGHLIGHT" => request.highlight = Some(highlight(&mut words).ok_or("Bad arguments for HIGHLIGHT")?),
            b"LIMIT" => (request.offset, request.count) = limit(&mut words)?,
            b"SORTBY" => request.sort = Some(sort(&mut words)?),
            b"TIMEOUT" => request.timeout = timeout(&mut words)?,
            b"LANGUAGE" => {
                let name = words.value("LANGUAGE")?;
                request.language = Some(Language::parse(name).ok_or("No such language")?);
            }
            b"SCORER" => {
                let name = words.value("SCORER")?;
                request.scorer = Scorer::by_name(name).ok_or_else(|| format!("No such scorer {}", shown(name)))?;
            }
            // As in RediSearch, a name that is not known is the default's.
            b"EXPANDER" => request.expander = Expander::by_name(words.value("EXPANDER")?).unwrap_or_default(),
            b"PAYLOAD" => request.payload = Some(words.value("PAYLOAD")?.to_vec()),
            b"FORMAT" => format(words.value("FORMAT")?)?,
            b"PARAMS" if has_params => {
                return Err("Multiple PARAMS are not allowed. Parameters can be defined only once".to_owned());
            }
            b"PARAMS" => {
                has_params = true;
                let pairs = words.counted("PARAMS")?.iter().copied();
                request.params = Params::from_words(pairs).map_err(|error| error.to_string())?;
            }
            b"DIALECT" => {
                let version = words.next().and_then(number).unwrap_or(0);
                request.dialect = Dialect::parse(version).map_err(|error| error.to_string())?;
            }
            _ => return Err(unknown(word, words.read() - 1)),
        }
    }
    if request.explain && !request.scores {
        return Err("EXPLAINSCORE must be accompanied with WITHSCORES".to_owned());
    }
    Ok(request)
}

fn filter(words: &mut Words<'_>) -> Result<Filter, String> {
    let [field, min, max] = words.several(3).ok_or("FILTER requires 3 arguments")? else {
        return Err("FILTER requires 3 arguments".to_owned());
    };
    let range = NumericRange::parse(min, max).map_err(|error| error.to_string())?;
    Ok(Filter::Numeric(field.to_vec(), range))
}

fn geo_filter(words: &mut Words<'_>) -> Result<Filter, String> {
    let [field, longitude, latitude, radius, unit] = words.several(5).ok_or("GEOFILTER requires 5 arguments")? else {
        return Err("GEOFILTER requires 5 arguments".to_owned());
    };
    let read = |name, word| number::<f64>(word).ok_or_else(|| bad(name, NOT_CONVERTIBLE));
    let (longitude, latitude) = (read("<lon>", longitude)?, read("<lat>", latitude)?);
    let radius = read("<radius>", radius)?;
    let unit = GeoUnit::parse(unit).map_err(|_| format!("Unknown distance unit {}", shown(unit)))?;
    let circle = GeoRadius::new(longitude, latitude, radius, unit).map_err(|error| error.to_string())?;
    Ok(Filter::Geo(field.to_vec(), circle))
}

/// `RETURN n field [AS name]...`, where n counts every word.
fn returned(words: &mut Words<'_>, request: &mut Request) -> Result<(), String> {
    let mut list = Words::new(words.counted("RETURN")?);
    let mut fields: Vec<Returned> = Vec::new();
    let mut names = HashSet::new();
    while let Some(field) = list.next() {
        let name = if list.take("AS") {
            list.next().ok_or("RETURN path AS name - must be accompanied with NAME")?
        } else {
            field
        };
        // A row is a map: a name has one value.
        if names.insert(name) {
            fields.push(Returned { field: field.to_vec(), name: name.to_vec() });
        }
    }
    // NOCONTENT wins, wherever it stands.
    if request.content != Content::None {
        request.content = if fields.is_empty() { Content::None } else { Content::Fields(fields) };
    }
    Ok(())
}

/// The options after `SUMMARIZE`; `None` when one of them is bad.
fn summarize(words: &mut Words<'_>) -> Option<Summarize> {
    let mut summarize = Summarize { fields: Vec::new(), fragments: 3, words: 20, separator: b"... ".to_vec() };
    loop {
        if words.take("FIELDS") {
            summarize.fields = owned(words.counted("").ok()?);
        } else if words.take("FRAGS") {
            summarize.fragments = words.count("").ok()?;
        } else if words.take("LEN") {
            summarize.words = words.count("").ok()?;
        } else if words.take("SEPARATOR") {
            summarize.separator = words.next()?.to_vec();
        } else {
            return Some(summarize);
        }
    }
}

/// The options after `HIGHLIGHT`; `None` when one of them is bad.
fn highlight(words: &mut Words<'_>) -> Option<Highlight> {
    let mut highlight = Highlight { fields: Vec::new(), open: b"<b>".to_vec(), close: b"</b>".to_vec() };
    loop {
        if words.take("FIELDS") {
            highlight.fields = owned(words.counted("").ok()?);
        } else if words.take("TAGS") {
            let [open, close] = words.several(2)? else { return None };
            (highlight.open, highlight.close) = (open.to_vec(), close.to_vec());
        } else {
            return Some(highlight);
        }
    }
}

fn limit(words: &mut Words<'_>) -> Result<(usize, usize), String> {
    let [offset, count] = words.several(2).ok_or("LIMIT requires two arguments")? else {
        return Err("LIMIT requires two arguments".to_owned());
    };
    let read = |word| number::<usize>(word).ok_or("LIMIT needs two numeric arguments");
    let (offset, count) = (read(offset)?, read(count)?);
    let most = settings::MAX_SEARCH_RESULTS.count();
    if count > most {
        return Err(format!("LIMIT exceeds maximum of {most}"));
    }
    if offset > most {
        return Err(format!("OFFSET exceeds maximum of {most}"));
    }
    Ok((offset, count))
}

fn sort(words: &mut Words<'_>) -> Result<Sort, String> {
    let field = words.next().ok_or_else(|| bad("SORTBY", NO_ARGUMENT))?;
    let descending = words.take("DESC");
    if !descending {
        words.take("ASC");
    }
    Ok(Sort { field: field.to_vec(), descending })
}

fn timeout(words: &mut Words<'_>) -> Result<Option<Duration>, String> {
    let millis = words.next().and_then(number::<u64>).ok_or("TIMEOUT requires a non negative integer")?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

fn format(name: &[u8]) -> Result<(), String> {
    if name.eq_ignore_ascii_case(b"STRING") {
        Ok(())
    } else if name.eq_ignore_ascii_case(b"EXPAND") {
        Err("EXPAND format is only supported with JSON".to_owned())
    } else {
        Err(format!("FORMAT {} is not supported, expected STRING", shown(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, String> {
        let words: Vec<&[u8]> = text.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect();
        request(&words)
    }

    #[test]
    fn every_option_is_read() {
        let request = read(
            "hello NOCONTENT verbatim NOSTOPWORDS WITHSCORES EXPLAINSCORE WITHPAYLOADS WITHSORTKEYS FILTER n (1 inf \
             GEOFILTER g 1 2 3 km INKEYS 2 a b INFIELDS 1 t SLOP -1 TIMEOUT 0 INORDER LANGUAGE french EXPANDER any \
             SCORER BM25 PAYLOAD p SORTBY n DESC LIMIT 5 7 PARAMS 2 x 1 DIALECT 3 FORMAT STRING",
        )
        .unwrap();
        assert_eq!((request.offset, request.count, request.content), (5, 7, Content::None));
        assert_eq!(request.sort, Some(Sort { field: b"n".to_vec(), descending: true }));
        assert_eq!((request.filters.len(), request.keys.map(|keys| keys.len())), (2, Some(2)));
        assert_eq!((request.slop, request.in_order, request.timeout), (Some(-1), true, None));
        assert_eq!((request.language, request.scorer), (Some(Language::French), Scorer::Bm25));
        assert_eq!(request.dialect, Dialect::V3);
    }

    #[test]
    fn return_counts_its_words_and_names_fields() {
        let request = read("q RETURN 4 title AS t price LIMIT 0 1").unwrap();
        let returned = |field: &str, name: &str| Returned { field: field.into(), name: name.into() };
        assert_eq!(request.content, Content::Fields(vec![returned("title", "t"), returned("price", "price")]));
        assert_eq!(read("q RETURN 0").unwrap().content, Content::None);
    }

    #[test]
    fn a_row_of_very_many_fields_is_asked_for_in_little_time() {
        let names: Vec<String> = (0..100_000).map(|n| format!("f{n} f{}", n / 2)).collect();
        let begun = std::time::Instant::now();
        let request = read(&format!("q RETURN 200000 {}", names.join(" "))).unwrap();
        let Content::Fields(fields) = request.content else { panic!("fields") };
        assert_eq!(fields.len(), 100_000);
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn highlight_and_summarize_end_at_the_first_word_that_is_not_theirs() {
        let request =
            read("q SUMMARIZE FIELDS 1 t FRAGS 2 LEN 4 SEPARATOR | HIGHLIGHT TAGS <i> </i> FIELDS 1 u SLOP 1").unwrap();
        let summarize = request.summarize.unwrap();
        assert_eq!((summarize.fragments, summarize.words, summarize.separator), (2, 4, b"|".to_vec()));
        let highlight = request.highlight.unwrap();
        assert_eq!((highlight.open, highlight.fields), (b"<i>".to_vec(), vec![b"u".to_vec()]));
        assert_eq!(request.slop, Some(1));
    }

    #[test]
    fn errors_have_the_words_that_clients_know() {
        for (text, error) in [
            ("", "No query string provided"),
            ("q FOO", "Unknown argument `FOO` at position 1 for <main>"),
            ("q VERBATIM FOO", "Unknown argument `FOO` at position 2 for <main>"),
            ("q LIMIT 1", "LIMIT requires two arguments"),
            ("q LIMIT a b", "LIMIT needs two numeric arguments"),
            ("q LIMIT 0 -1", "LIMIT needs two numeric arguments"),
            ("q LIMIT 0 1000001", "LIMIT exceeds maximum of 1000000"),
            ("q LIMIT 1000001 1", "OFFSET exceeds maximum of 1000000"),
            ("q RETURN 2 f AS", "RETURN path AS name - must be accompanied with NAME"),
            ("q RETURN x", "Bad arguments for RETURN: Could not convert argument to expected type"),
            ("q RETURN -1", "Bad arguments for RETURN: Value is outside acceptable bounds"),
            ("q INKEYS 2 a", "Bad arguments for INKEYS: Expected an argument, but none provided"),
            ("q FILTER n 1", "FILTER requires 3 arguments"),
            ("q FILTER n x 1", "Bad lower range: x"),
            ("q GEOFILTER g 1 2 3", "GEOFILTER requires 5 arguments"),
            ("q GEOFILTER g 1 2 3 yd", "Unknown distance unit yd"),
            ("q GEOFILTER g x 2 3 m", "Bad arguments for <lon>: Could not convert argument to expected type"),
            ("q SLOP x", "Bad arguments for SLOP: Could not convert argument to expected type"),
            ("q TIMEOUT -1", "TIMEOUT requires a non negative integer"),
            ("q TIMEOUT", "TIMEOUT requires a non negative integer"),
            ("q LANGUAGE klingon", "No such language"),
            ("q SCORER x", "No such scorer x"),
            ("q EXPLAINSCORE", "EXPLAINSCORE must be accompanied with WITHSCORES"),
            ("q SUMMARIZE LEN", "Bad arguments for SUMMARIZE"),
            ("q HIGHLIGHT TAGS a", "Bad arguments for HIGHLIGHT"),
            ("q DIALECT 5", "DIALECT requires a non negative integer >=1 and <= 4"),
            ("q DIALECT", "DIALECT requires a non negative integer >=1 and <= 4"),
            ("q PARAMS 1 a", "Parameters must be specified in PARAM VALUE pairs"),
            ("q PARAMS 4 a 1 a 2", "Duplicate parameter `a`"),
            ("q PARAMS 2 a 1 PARAMS 2 b 1", "Multiple PARAMS are not allowed. Parameters can be defined only once"),
            ("q FORMAT EXPAND", "EXPAND format is only supported with JSON"),
            ("q SORTBY", "Bad arguments for SORTBY: Expected an argument, but none provided"),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }
}
