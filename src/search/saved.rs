//! What of search is saved with the data set, and how does it come back?
//!
//! Definitions as the words that made them, aliases, synonyms, dictionaries, and the segments as they are. After
//! a load an index answers at once; what was not in its segments (changes that were on their way, or all of it when
//! the segments cannot be read) is indexed from the keys in the background.
//!
//! ```text
//! dictionaries   count; each: name, words
//! indexes        count; each: name, words of FT.CREATE, words of FT.ALTER, synonyms (count; each: word, groups)
//! aliases        count; each: alias, index
//! segments       count; each: index, bytes of the engine (in frames: length, bytes; 0 ends them)
//! ```
//! Numbers are 8 bytes, little-endian; a text is its length and its bytes; several texts are their count and each of
//! them.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::index::{Image, Index, Limits};
use engine::text::Synonyms;

use super::definition::{self, Created};
use super::{dictionaries, registry, scan, SearchIndex};
use crate::redis::{log, AroundFork, Held, LargeAside, Level};

/// The auxiliary data of search.
pub(super) struct Saved;

/// An index's segments and the keys whose changes are not in them.
struct Segments {
    index: Arc<SearchIndex>,
    image: Image,
    pending: Vec<Arc<[u8]>>,
}

/// What was taken hold of before a fork; the child reads it.
static PREPARED: Mutex<Option<Vec<Segments>>> = Mutex::new(None);

/// How long the thread that saves waits for an index that is being written to.
const PATIENCE: Duration = Duration::from_millis(20);

/// What has to be done around a fork, so that a child finds the segments without waiting for a lock.
pub(super) const AROUND_FORK: AroundFork = AroundFork {
    before: || {
        if registry::any() {
            *PREPARED.lock().unwrap_or_else(PoisonError::into_inner) = Some(segments());
        }
    },
    after: || {
        // Segments that have been merged meanwhile would go here: not on this thread.
        let prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner).take();
        if prepared.is_some() {
            super::work::later(move || drop(prepared));
        }
    },
};

/// The segments of all indexes, under the server's lock. One whose locks are held too long is left out, and indexed
/// anew after a load.
fn segments() -> Vec<Segments> {
    let hold = |index: &Arc<SearchIndex>| {
        // The keys first: a change that is applied in between is then in the segments, and looked at anew for nothing.
        let pending = index.queue().keys();
        let image = index.documents().image(PATIENCE)?;
        // While the keyspace is looked through, no list of keys says what is missing.
        (!index.is_scanning()).then(|| Segments { index: Arc::clone(index), image, pending })
    };
    registry::everything().0.iter().filter_map(hold).collect()
}

impl LargeAside for Saved {
    const NAME: &'static std::ffi::CStr = c"il-search";
    const VERSION: i32 = 1;

    fn is_empty() -> bool {
        !registry::any() && dictionaries::all().is_empty()
    }

    fn save(out: &mut dyn Write) -> io::Result<()> {
        let prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Without a fork this thread has the server's lock, and may wait a little.
        let segments = prepared.unwrap_or_else(segments);
        let dictionaries = dictionaries::all();
        put_number(out, dictionaries.len())?;
        for (name, words) in &dictionaries {
            put_text(out, name)?;
            put_texts(out, words.iter())?;
        }
        let (indexes, aliases) = registry::everything();
        put_number(out, indexes.len())?;
        for index in &indexes {
            let view = index.view();
            put_text(out, index.name())?;
            put_texts(out, index.definition().words.iter())?;
            put_texts(out, view.added.iter())?;
            put_number(out, view.synonyms.iter().count())?;
            for (word, groups) in view.synonyms.iter() {
                put_text(out, word.as_bytes())?;
                put_texts(out, groups.iter().map(|group| group.as_bytes()))?;
            }
        }
        put_number(out, aliases.len())?;
        for (alias, own) in &aliases {
            put_text(out, alias)?;
            put_text(out, own)?;
        }
        put_number(out, segments.len())?;
        for Segments { index, image, pending } in &segments {
            put_text(out, index.name())?;
            let mut frames = FrameWriter { out, frame: Vec::new() };
            image.write(pending.iter().map(|key| &**key), &mut frames)?;
            frames.end()?;
        }
        Ok(())
    }

    fn load(held: &Held<'_>, input: &mut dyn Read) -> Result<(), String> {
        read(held, input).map_err(|error| error.to_string())
    }
}

fn read(held: &Held<'_>, input: &mut dyn Read) -> io::Result<()> {
    for _ in 0..number(input)? {
        let (name, words) = (text(input)?, texts(input)?);
        dictionaries::add(held, &name, &slices(&words));
    }
    for _ in 0..number(input)? {
        let index = read_index(input)?;
        registry::add(held, Arc::clone(&index));
        // Until its segments are read; the scan itself waits for the end of the loading.
        scan::start(held, &index);
    }
    for _ in 0..number(input)? {
        let (alias, own) = (text(input)?, text(input)?);
        if let Some(index) = registry::find_own(held, &own) {
            registry::add_alias(held, &alias, &index);
        }
    }
    for _ in 0..number(input)? {
        let name = text(input)?;
        let mut frames = FrameReader { input, left: 0, ended: false };
        match Index::read(&mut frames, Limits::default()) {
            Ok(restored) => {
                if let Some(old) = registry::find_own(held, &name) {
                    let new = old.with_documents(restored.index);
                    registry::replace(held, &new);
                    scan::check(&new, restored.pending);
                }
            }
            Err(error) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                log(Level::Notice, &format!("Interlock: index {name} is indexed anew: {error}"));
            }
        }
        io::copy(&mut frames, &mut io::sink())?;
    }
    Ok(())
}

fn read_index(input: &mut dyn Read) -> io::Result<Arc<SearchIndex>> {
    let (name, words, added) = (text(input)?, texts(input)?, texts(input)?);
    let mut synonyms = Synonyms::default();
    for _ in 0..number(input)? {
        let (word, groups) = (text(input)?, texts(input)?);
        groups.iter().for_each(|group| synonyms.update(group, [&*word]));
    }
    let bad = |why: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("index {}: {why}", String::from_utf8_lossy(&name)))
    };
    let created: Created = definition::parse(&slices(&words)).map_err(bad)?;
    let index = SearchIndex::new(&name, created);
    if !added.is_empty() {
        let (view, added) = (index.view(), slices(&added));
        let schema = definition::extend(&view.schema, &added).map_err(bad)?;
        index.set_view(view.with_schema(schema, &added));
    }
    if !synonyms.is_empty() {
        index.set_view(index.view().with_synonyms(synonyms));
    }
    Ok(index)
}

fn slices(texts: &[Box<[u8]>]) -> Vec<&[u8]> {
    texts.iter().map(|text| &**text).collect()
}

fn put_number(out: &mut dyn Write, number: usize) -> io::Result<()> {
    out.write_all(&(number as u64).to_le_bytes())
}

fn put_text(out: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    put_number(out, text.len())?;
    out.write_all(text)
}

fn put_texts<T: AsRef<[u8]>>(out: &mut dyn Write, texts: impl Iterator<Item = T>) -> io::Result<()> {
    let texts: Vec<T> = texts.collect();
    put_number(out, texts.len())?;
    texts.iter().try_for_each(|text| put_text(out, text.as_ref()))
}

fn number(input: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn text(input: &mut dyn Read) -> io::Result<Box<[u8]>> {
    let length = number(input)?;
    let mut bytes = Vec::new();
    // Not allocated beforehand: a damaged length must not.
    if input.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a text is cut short"));
    }
    Ok(bytes.into())
}

fn texts(input: &mut dyn Read) -> io::Result<Vec<Box<[u8]>>> {
    (0..number(input)?).map(|_| text(input)).collect()
}

/// Bytes of one frame.
const FRAME: usize = 64 << 10;

/// Writes bytes so that a reader who gives up finds their end.
struct FrameWriter<'w> {
    out: &'w mut dyn Write,
    frame: Vec<u8>,
}

impl FrameWriter<'_> {
    fn put(&mut self) -> io::Result<()> {
        put_text(self.out, &self.frame)?;
        self.frame.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.put()
    }
}

impl Write for FrameWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == FRAME {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        self.put()
    }
}

/// Reads what [`FrameWriter`] wrote, to its end and no further.
struct FrameReader<'r> {
    input: &'r mut dyn Read,
    left: u64,
    ended: bool,
}

impl Read for FrameReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.left = number(self.input)?;
            self.ended = self.left == 0;
        }
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let taken = self.input.read(&mut buffer[..wanted])?;
        if taken == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= taken as u64;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_they_ended() {
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME] {
            let data: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let mut file = Vec::new();
            let mut frames = FrameWriter { out: &mut file, frame: Vec::new() };
            frames.write_all(&data).expect("memory");
            frames.end().expect("memory");
            file.extend_from_slice(b"next");
            let mut input = file.as_slice();
            let mut read = Vec::new();
            FrameReader { input: &mut input, left: 0, ended: false }.read_to_end(&mut read).expect("whole");
            assert_eq!((read, input), (data, &b"next"[..]));
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let mut file = Vec::new();
        put_texts(&mut file, [b"one".as_slice(), b"two"].into_iter()).expect("memory");
        assert_eq!(texts(&mut file.as_slice()).expect("whole").len(), 2);
        for end in 0..file.len() {
            assert!(texts(&mut &file[..end]).is_err(), "{end}");
        }
        // A length of many gigabytes is not believed.
        assert!(text(&mut &u64::MAX.to_le_bytes()[..]).is_err());
    }
}
