//! What does the first line of a library say? `#!python name=lib [isolation=...] [timeout=ms] [maxmemory=bytes]
//! [requirement=package ...]`

use std::time::Duration;

use crate::gears::requirements;
use crate::persistence::bytes::{Reader, Writer};
use crate::python::Isolation;
use crate::settings;

/// The name of a library, and how its functions run.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub isolation: Isolation,
    /// How long its body, and each call, may take.
    pub limit: Option<Duration>,
    /// How much memory it may allocate.
    pub max_memory: Option<u64>,
    /// The packages that it needs, in their order, each once.
    pub requirements: Vec<String>,
}

/// Whether a library or a function may have this name.
pub(super) fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Header {
    /// Reads the first line of a source; what it does not say is as the settings are now.
    ///
    /// # Errors
    /// The text for the client.
    pub(super) fn parse(source: &[u8]) -> Result<Self, String> {
        let line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let missing = "ERR Missing library metadata, the first line must be '#!python name=<library>'";
        let mut words = line.strip_prefix("#!").ok_or(missing)?.split_whitespace();
        match words.next() {
            Some(engine) if engine.eq_ignore_ascii_case("python") => {}
            Some(engine) => return Err(format!("ERR Engine '{engine}' not found, expected python")),
            None => return Err(missing.to_owned()),
        }
        let mut header = Self {
            name: String::new(),
            isolation: if settings::ISOLATION.is_on() { Isolation::Shared } else { Isolation::Subinterpreter },
            limit: settings::PYTHON_TIME_LIMIT.millis(),
            max_memory: Some(settings::PYTHON_MAX_MEMORY.get().unsigned_abs()).filter(|&bytes| bytes > 0),
            requirements: Vec::new(),
        };
        let mut seen: Vec<String> = Vec::new();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let key = key.to_ascii_lowercase();
            if seen.contains(&key) && key != "requirement" {
                return Err(format!("ERR Invalid metadata value, {key} argument was given multiple times"));
            }
            header.read(&key, value).map_err(|error| format!("ERR Invalid metadata value given: {word}{error}"))?;
            seen.push(key);
        }
        if header.name.is_empty() {
            return Err("ERR Library name was not given".to_owned());
        }
        if !is_valid_name(&header.name) {
            return Err("ERR Library names can only contain letters, numbers, or underscores(_) and must be at least \
                        one character long"
                .to_owned());
        }
        let names: Vec<&[u8]> = header.requirements.iter().map(String::as_bytes).collect();
        header.requirements = requirements::checked(&names).map_err(|error| format!("ERR {error}"))?;
        Ok(header)
    }

    fn read(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "name" => self.name = value.to_owned(),
            "isolation" => {
                self.isolation = match value.to_ascii_lowercase().as_str() {
                    "subinterpreter" => Isolation::Subinterpreter,
                    "shared" => Isolation::Shared,
                    _ => return Err(", expected subinterpreter or shared"),
                }
            }
            "timeout" => {
                let millis: u64 = value.parse().map_err(|_| ", expected a number of milliseconds, 0 for no limit")?;
                self.limit = Some(millis).filter(|&millis| millis > 0).map(Duration::from_millis);
            }
            "maxmemory" => {
                let bytes = settings::parse_bytes(value);
                let bytes = bytes.ok_or(", expected a number of bytes such as 64mb, 0 for no limit")?;
                self.max_memory = Some(bytes.unsigned_abs()).filter(|&bytes| bytes > 0);
            }
            "requirement" => self.requirements.push(value.to_owned()),
            _ => return Err(", expected name, isolation, timeout, maxmemory or requirement"),
        }
        Ok(())
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        let limit = self.limit.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let writer = writer.string(self.name.as_bytes()).number(u64::from(self.isolation == Isolation::Shared));
        let writer = writer.number(limit).number(self.max_memory.unwrap_or(0));
        let writer = writer.number(self.requirements.len() as u64);
        self.requirements.iter().fold(writer, |writer, name| writer.string(name.as_bytes()))
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Option<Self> {
        let name = String::from_utf8(reader.string()?).ok()?;
        let isolation = if reader.number()? != 0 { Isolation::Shared } else { Isolation::Subinterpreter };
        let limit = Some(reader.number()?).filter(|&millis| millis > 0).map(Duration::from_millis);
        let max_memory = Some(reader.number()?).filter(|&bytes| bytes > 0);
        let count = reader.number()?;
        let requirements = (0..count).map(|_| String::from_utf8(reader.string()?).ok()).collect::<Option<_>>()?;
        Some(Self { name, isolation, limit, max_memory, requirements })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_library_and_says_how_it_runs() {
        let header =
            Header::parse(b"#!python name=a_1 isolation=shared timeout=50 maxmemory=1kb\r\nx = 1").expect("read");
        assert_eq!(header.name, "a_1");
        assert_eq!(header.isolation, Isolation::Shared);
        assert_eq!(header.limit, Some(Duration::from_millis(50)));
        assert_eq!(header.max_memory, Some(1024));
        let header =
            Header::parse(b"#!python name=x requirement=b==1 requirement=a>=1,<2 requirement=b==1").expect("read");
        assert_eq!(header.requirements, ["a>=1,<2", "b==1"]);
        let header = Header::parse(b"#!PYTHON NAME=x timeout=0").expect("read");
        assert_eq!((header.name.as_str(), header.limit, header.max_memory), ("x", None, None));
    }

    #[test]
    fn a_bad_header_says_what_was_expected() {
        let text = |source: &[u8]| Header::parse(source).expect_err("refused");
        for source in [&b""[..], b"x = 1\n#!python name=x", b"#!", b"# python name=x"] {
            assert!(text(source).starts_with("ERR Missing library metadata"));
        }
        assert_eq!(text(b"#!lua name=x"), "ERR Engine 'lua' not found, expected python");
        assert_eq!(text(b"#!python"), "ERR Library name was not given");
        assert!(text(b"#!python name=a-b").starts_with("ERR Library names can only contain"));
        assert!(text(b"#!python name=a name=b").ends_with("name argument was given multiple times"));
        assert!(text(b"#!python name=a timeout=x")
            .ends_with("timeout=x, expected a number of milliseconds, 0 for no limit"));
        assert!(text(b"#!python name=a what")
            .ends_with("what, expected name, isolation, timeout, maxmemory or requirement"));
    }
}
