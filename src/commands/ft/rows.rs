//! What does the answer to a search look like on the wire?
//!
//! RESP2 has a flat array: the total, then for each row its key and what was asked for. RESP3 has a map
//! with a map for each row.

use engine::columns::SortValue;
use engine::expression::twelve_digits;
use engine::score::explain::Explanation;

use crate::reply::Reply;
use crate::search::{Answer, Content, Request, Row, TIMED_OUT};

/// What an answer shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    resp3: bool,
    scores: bool,
    payloads: bool,
    sort_keys: bool,
    warnings: bool,
    content: bool,
}

impl Shape {
    pub(super) fn new(request: &Request, resp3: bool) -> Self {
        Self {
            resp3,
            scores: request.scores,
            payloads: request.payloads,
            sort_keys: request.sort_keys,
            warnings: request.warnings,
            content: request.content != Content::None,
        }
    }

    pub(super) fn reply(self, answer: Answer) -> Reply {
        if self.resp3 {
            return Reply::Map(self.map(answer));
        }
        let warnings = self.warnings.then(|| warnings(&answer));
        let rows = self.flat(answer);
        match warnings {
            // Clients read rows to the end of the array, so warnings can't stand among them.
            Some(warnings) => Reply::Array(vec![rows, warnings]),
            None => rows,
        }
    }

    fn flat(self, answer: Answer) -> Reply {
        let mut items = Vec::with_capacity(1 + answer.rows.len() * 2);
        items.push(Reply::count(answer.total));
        for row in answer.rows {
            let parts = self.parts(row);
            items.push(parts.key);
            items.extend(parts.score);
            items.extend(parts.payload);
            items.extend(parts.sort_key);
            items.extend(parts.fields);
        }
        Reply::Array(items)
    }

    /// The entries of the RESP3 map.
    pub(super) fn map(self, answer: Answer) -> Vec<(Reply, Reply)> {
        let warnings = warnings(&answer);
        let total = Reply::count(answer.total);
        let rows = answer.rows.into_iter().map(|row| {
            let parts = self.parts(row);
            let mut row = vec![entry("id", parts.key)];
            row.extend(parts.score.map(|score| entry("score", score)));
            row.extend(parts.payload.map(|payload| entry("payload", payload)));
            row.extend(parts.sort_key.map(|key| entry("sortkey", key)));
            row.extend(parts.fields.map(|fields| entry("extra_attributes", fields)));
            row.push(entry("values", Reply::Array(Vec::new())));
            Reply::Map(row)
        });
        vec![
            entry("attributes", Reply::Array(Vec::new())),
            entry("total_results", total),
            entry("format", word("STRING")),
            entry("results", Reply::Array(rows.collect())),
            entry("warning", warnings),
        ]
    }

    fn parts(self, row: Row) -> Parts {
        let score = match row.explanation {
            Some(explanation) => Reply::Array(vec![Reply::Double(row.score), explained(explanation)]),
            None => Reply::Double(row.score),
        };
        Parts {
            key: Reply::Bulk(row.key),
            score: self.scores.then_some(score),
            payload: self.payloads.then(|| row.payload.map_or(Reply::Null, Reply::bulk)),
            sort_key: self.sort_keys.then(|| row.sort.map_or(Reply::Null, sort_key)),
            fields: self
                .content
                .then(|| Reply::map(row.fields.into_iter().map(|(name, value)| (name, Reply::bulk(value))))),
        }
    }
}

/// What is to be known of the answer as a whole.
fn warnings(answer: &Answer) -> Reply {
    Reply::Array(answer.partial.then(|| Reply::bulk(TIMED_OUT)).into_iter().collect())
}

/// What a row shows, in order.
struct Parts {
    key: Reply,
    score: Option<Reply>,
    payload: Option<Reply>,
    sort_key: Option<Reply>,
    fields: Option<Reply>,
}

fn word(text: &str) -> Reply {
    Reply::Status(text.into())
}

fn entry(key: &str, value: Reply) -> (Reply, Reply) {
    (word(key), value)
}

/// A step of a calculation; with the steps below it, a pair.
fn explained(step: Explanation) -> Reply {
    let text = Reply::Status(step.text.into_bytes());
    if step.children.is_empty() {
        return text;
    }
    let below = step.children.into_iter().map(explained).collect();
    Reply::Array(vec![text, Reply::Array(below)])
}

/// `#` and a number, or `$` and a text.
fn sort_key(value: SortValue) -> Reply {
    Reply::Bulk(match value {
        SortValue::Number(number) => format!("#{}", twelve_digits(number)).into_bytes(),
        SortValue::Text(text) => [b"$", &*text].concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_c() {
        for (number, text) in [
            (3.0, "3"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1.0 / 3.0, "0.333333333333"),
            (1e11, "100000000000"),
            (1e12, "1e+12"),
            (123_456_789_012_345.0, "1.23456789012e+14"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (999_999_999_999.9, "1e+12"),
            (0.0, "0"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(twelve_digits(number), text);
        }
    }

    fn answer() -> Answer {
        let row = Row {
            key: b"k".to_vec(),
            score: 0.5,
            explanation: Some(Explanation { text: "a".into(), children: vec![Explanation::leaf("b".into())] }),
            payload: None,
            sort: Some(SortValue::Number(7.0)),
            fields: vec![(b"f"[..].into(), b"v"[..].into())],
        };
        Answer { total: 4, rows: vec![row], partial: true }
    }

    #[test]
    fn resp2_is_flat() {
        let request = Request { scores: true, payloads: true, sort_keys: true, ..Request::new(b"q") };
        let Reply::Array(items) = Shape::new(&request, false).reply(answer()) else { panic!("an array") };
        let score =
            Reply::Array(vec![Reply::Double(0.5), Reply::Array(vec![word("a"), Reply::Array(vec![word("b")])])]);
        let fields = Reply::map([("f", Reply::bulk("v"))]);
        assert_eq!(items, [Reply::Int(4), Reply::bulk("k"), score, Reply::Null, Reply::bulk("#7"), fields]);
        let bare = Request { content: Content::None, ..Request::new(b"q") };
        assert_eq!(Shape::new(&bare, false).reply(answer()), Reply::Array(vec![Reply::Int(4), Reply::bulk("k")]));
    }

    #[test]
    fn resp2_warns_who_asks_for_it() {
        let request = Request { content: Content::None, warnings: true, ..Request::new(b"q") };
        let rows = Reply::Array(vec![Reply::Int(4), Reply::bulk("k")]);
        let expected = |warnings| Reply::Array(vec![rows.clone(), warnings]);
        assert_eq!(Shape::new(&request, false).reply(answer()), expected(Reply::bulks([TIMED_OUT])));
        let whole = Answer { partial: false, ..answer() };
        assert_eq!(Shape::new(&request, false).reply(whole), expected(Reply::Array(Vec::new())));
    }

    #[test]
    fn resp3_is_a_map_that_warns() {
        let Reply::Map(entries) = Shape::new(&Request::new(b"q"), true).reply(answer()) else { panic!("a map") };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, ["attributes", "total_results", "format", "results", "warning"].map(word));
        assert_eq!(entries[4].1, Reply::bulks([TIMED_OUT]));
    }
}
