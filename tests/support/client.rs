//! How does a test talk to the server?
//!
//! A blocking RESP2/RESP3 client of one page: the tests look at the protocol itself, so they use no
//! client library that would translate it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A reply, as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+text`
    Status(String),
    /// `-text`
    Error(String),
    /// `:number`
    Int(i64),
    /// `$n` bytes
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`
    Null,
    /// `,number`
    Double(f64),
    /// `#t` or `#f`
    Bool(bool),
    /// `*n`, `~n` (a set) or `>n` (a push)
    Array(Vec<Value>),
    /// `%n`
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The text of a status, a bulk string or an error; panics on anything else.
    pub fn text(&self) -> String {
        match self {
            Value::Status(text) | Value::Error(text) => text.clone(),
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The elements of an array; panics on anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The integer; panics on anything else.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The text of an error; panics on anything else.
    pub fn error(&self) -> &str {
        match self {
            Value::Error(text) => text,
            other => panic!("expected an error, got {other:?}"),
        }
    }
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; a read that takes longer than a minute fails the test.
    pub fn connect(address: impl ToSocketAddrs) -> std::io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends a command given as words and waits for its reply.
    pub fn call<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Value {
        self.try_call(words).expect("the server closed the connection")
    }

    /// Sends a command given as one line, split at spaces, and waits for its reply.
    pub fn line(&mut self, line: &str) -> Value {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Client::call`], for servers that may go away.
    pub fn try_call<T: AsRef<[u8]>>(&mut self, words: &[T]) -> std::io::Result<Value> {
        self.send(words)?;
        self.receive()
    }

    /// Sends a command without waiting.
    pub fn send<T: AsRef<[u8]>>(&mut self, words: &[T]) -> std::io::Result<()> {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&out)
    }

    /// Waits for one reply.
    pub fn receive(&mut self) -> std::io::Result<Value> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line[1..]).trim_end().to_owned();
        let number = || text.parse::<i64>().map_err(|_| std::io::Error::other(format!("bad number {text:?}")));
        Ok(match line[0] {
            b'+' => Value::Status(text),
            b'-' => Value::Error(text),
            b':' => Value::Int(number()?),
            b',' => Value::Double(text.parse().map_err(std::io::Error::other)?),
            b'#' => Value::Bool(text == "t"),
            b'_' => Value::Null,
            b'$' | b'=' if number()? < 0 => Value::Null,
            b'$' | b'=' => {
                let mut bytes = vec![0; number()? as usize + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(bytes)
            }
            b'*' | b'~' | b'>' if number()? < 0 => Value::Null,
            b'*' | b'~' | b'>' => Value::Array((0..number()?).map(|_| self.receive()).collect::<std::io::Result<_>>()?),
            b'%' => Value::Map(
                (0..number()?).map(|_| Ok((self.receive()?, self.receive()?))).collect::<std::io::Result<_>>()?,
            ),
            other => return Err(std::io::Error::other(format!("unknown reply type {:?}", other as char))),
        })
    }
}
