//! What does a command answer?
//!
//! A [`Reply`] is plain owned data: it crosses threads, keeps the order of maps, and holds any bytes.
//! `redis::write` alone turns it into the server's protocol; `python::convert` alone turns it into
//! Python objects. Both are leaves' users: this module knows neither.

/// A reply of a command, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A simple string such as `OK`. Line breaks and NUL are replaced by spaces when it is written.
    Status(Vec<u8>),
    /// A bulk string: any bytes.
    Bulk(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A double: a real double in RESP3, its shortest text as a bulk string in RESP2.
    Double(f64),
    /// A boolean: `1` or `0` in RESP2.
    Bool(bool),
    /// The null of the client's protocol.
    Null,
    /// An error; the text starts with its code, for example `ERR`. One line, as for `Status`.
    Error(Vec<u8>),
    /// An array.
    Array(Vec<Reply>),
    /// A map in the order given: a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// A set: an array in RESP2.
    Set(Vec<Reply>),
    /// An integer of any size, as decimal text: a bulk string in RESP2.
    BigNumber(Vec<u8>),
}

impl Reply {
    /// The status `OK`.
    pub fn ok() -> Self {
        Reply::Status(b"OK".to_vec())
    }

    /// A bulk string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Reply::Bulk(bytes.into())
    }

    /// An error with this text.
    pub fn error(text: impl Into<Vec<u8>>) -> Self {
        Reply::Error(text.into())
    }

    /// The error of a call that ended with a panic.
    pub fn internal_error() -> Self {
        Reply::error("ERR internal error, see the server's log")
    }

    /// An integer that counts something; the greatest one for what has no place in an integer.
    pub fn count(number: u64) -> Self {
        Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// An array of bulk strings.
    pub fn bulks<I: IntoIterator<Item = T>, T: Into<Vec<u8>>>(items: I) -> Self {
        Reply::Array(items.into_iter().map(|item| Reply::Bulk(item.into())).collect())
    }

    /// A map whose keys are bulk strings.
    pub fn map<I: IntoIterator<Item = (K, Reply)>, K: Into<Vec<u8>>>(items: I) -> Self {
        Reply::Map(items.into_iter().map(|(key, value)| (Reply::Bulk(key.into()), value)).collect())
    }
}
