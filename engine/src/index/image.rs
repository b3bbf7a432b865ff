//! How is an index saved and read?
//!
//! An [`Image`] is what is saved: it holds on to segments that do not change any more, and writing it
//! waits for nobody, so that a forked child can do it whatever other threads did when it came to be.
//!
//! A live segment is sealed for the image: reading it is then no different from reading any other, and
//! building is the child's work. For that it is frozen when the image is taken. Where that cannot be
//! done at once, because a document is just being inserted, the live segment's documents are named
//! instead, and have to be read anew from their keys, like those whose changes were still queued.
//!
//! ```text
//! "ILIX", version (4 bytes)
//! section 1   two numbers: segments, pending keys
//! section 2   where each pending key ends among the bytes of all
//! section 3   the pending keys
//! segments    in order of birth; see `segment::bytes`
//! ```

use super::snapshot::Pin;
use super::{keys, Index, Limits, Segment, Seq, State};
use crate::dict::suffix::Suffixed;
use crate::sections::{check, FormatError, Sink, Source};
use crate::segment::build::build;
use crate::segment::sealed::SealedSegment;
use crate::segment::{DocId, ALIVE};
use crate::sync::atomic::Ordering;
use std::io::{self, Read, Write};
use std::sync::{Arc, PoisonError, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

const MAGIC: [u8; 4] = *b"ILIX";

/// Changes whenever what is written does.
const VERSION: u32 = 1;

const HEAD: u8 = 1;
const PENDING_ENDS: u8 = 2;
const PENDING: u8 = 3;

/// An index as of one number, to be written. Neither writing nor dropping it takes a lock.
#[derive(Debug)]
pub struct Image {
    seq: Seq,
    suffixed: Arc<Suffixed>,
    /// Sealed or frozen.
    segments: Vec<Arc<Segment>>,
    /// The live segment, when it could not be frozen.
    live: Option<Arc<Segment>>,
}

/// An index that was read.
#[derive(Debug)]
pub struct Restored {
    /// Its documents. Changes are numbered from here on.
    pub index: Index,
    /// Keys that have to be looked at anew: of these the index may know nothing, or what is not so any more.
    pub pending: Vec<Box<[u8]>>,
}

/// Takes a lock if that takes no longer than until a time; tries at least once.
fn within<G>(until: Instant, mut attempt: impl FnMut() -> TryLockResult<G>) -> Option<G> {
    loop {
        match attempt() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::yield_now(),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

impl Index {
    /// What is to be saved, as of the last change that was applied.
    ///
    /// Waits for a writer for at most `patience`; with none at all it may be called in a forked child,
    /// where no lock is ever given back. `None` when a lock that is only held for moments was held: in a
    /// child that can happen, however rarely, and the index is then not saved.
    pub fn image(&self, patience: Duration) -> Option<Image> {
        let until = Instant::now() + patience;
        // Held to the end, so that nothing is born after the freezing.
        let writer = within(until, || self.writer.try_lock());
        if writer.is_some() {
            let mut state = within(until, || self.state.try_write())?;
            if !state.live.is_empty() {
                *state = Arc::new(state.frozen());
            }
        }
        // Until there is a hold on the segments; they keep what they have.
        let pin = self.pin_within(until)?;
        let state = Arc::clone(&*within(until, || self.state.try_read())?);
        drop(writer);
        let suffixed = Arc::clone(&*within(until, || self.suffixed.try_read())?);
        let live = Some(Arc::clone(&state.live)).filter(|live| !live.is_empty());
        Some(Image { seq: pin.seq, suffixed, segments: state.older.clone(), live })
    }

    /// As a query's, so that nothing that is visible is merged away before there is a hold on it.
    fn pin_within(&self, until: Instant) -> Option<Arc<Pin>> {
        let mut pins = within(until, || self.pins.try_lock())?;
        let seq = *within(until, || self.applied.try_lock())?;
        Some(self.pin_in(&mut pins, seq))
    }

    /// Reads an index that [`Image::write`] wrote.
    ///
    /// # Errors
    /// When the bytes are not those of an index of this version, or damaged.
    pub fn read(input: &mut dyn Read, limits: Limits) -> Result<Restored, FormatError> {
        let mut source = Source::new(input);
        let (mut magic, mut version) = ([0; 4], [0; 4]);
        if !source.raw(&mut magic)? || magic != MAGIC || !source.raw(&mut version)? {
            return Err(FormatError::NotAnIndex);
        }
        let version = u32::from_le_bytes(version);
        if version != VERSION {
            return Err(FormatError::Version(version, VERSION));
        }
        let head: Box<[u64]> = source.take_exactly(HEAD, 2)?;
        let pending = read_pending(&mut source, head[1])?;
        let (mut older, mut born) = (Vec::new(), 1);
        for _ in 0..head[0] {
            let segment = SealedSegment::read(&mut source, born)?;
            check(!segment.docs().is_empty(), "a segment has no documents")?;
            born += u64::from(segment.docs().len());
            older.push(Arc::new(Segment::Sealed(segment)));
        }
        Ok(Restored { index: Self::of_segments(older, limits), pending })
    }

    /// An index of sealed segments whose births are numbered from 1 without gaps.
    fn of_segments(older: Vec<Arc<Segment>>, limits: Limits) -> Self {
        let index = Self::new(limits);
        let (mut documents, mut total_len, mut versions) = (0, 0, 0);
        {
            let mut table = index.write_keys();
            table.reserve(older.iter().map(|segment| (segment.len() - segment.deaths()) as usize).sum());
            for segment in &older {
                versions += u64::from(segment.len());
                for doc in 0..segment.len() {
                    let (born, died) = segment.life(doc);
                    if died == ALIVE {
                        documents += 1;
                        total_len += u64::from(segment.facts(doc).len);
                        table.insert(segment.with_key(doc, keys::hash), born);
                    }
                }
            }
            let mut state = index.state.write().unwrap_or_else(PoisonError::into_inner);
            *state = Arc::new(State { older, live: Arc::clone(&state.live) });
        }
        index.documents.store(documents, Ordering::Relaxed);
        index.total_len.store(total_len, Ordering::Relaxed);
        index.assigned.store(versions, Ordering::Release);
        *super::lock(&index.applied) = versions;
        index
    }
}

impl Image {
    /// The number of the last change that it contains. The keys of later changes belong to
    /// [`Image::write`]'s pending ones.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// How many documents will have to be read anew because their segment could not be frozen.
    pub fn left_out(&self) -> usize {
        self.live.iter().map(|live| self.visible(live).count()).sum()
    }

    /// Writes it. `pending` are the keys whose changes may not be applied at [`Image::seq`]: to be
    /// collected before the image is taken, so that none is applied and forgotten in between.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write<'k>(&self, pending: impl IntoIterator<Item = &'k [u8]>, out: &mut dyn Write) -> io::Result<()> {
        let mut sink = Sink::new(out);
        let at_rest = |segment: &&Arc<Segment>| match &***segment {
            Segment::Live(live) => live.is_at_rest(),
            Segment::Sealed(_) => true,
        };
        let (written, left_out): (Vec<_>, Vec<_>) = self.segments.iter().partition(at_rest);
        let written: Vec<_> = written.into_iter().filter(|segment| self.visible(segment).next().is_some()).collect();
        let (mut ends, mut keys): (Vec<u64>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut name = |key: &[u8]| {
            keys.extend_from_slice(key);
            ends.push(keys.len() as u64);
        };
        pending.into_iter().for_each(&mut name);
        for segment in left_out.into_iter().chain(&self.live) {
            self.visible(segment).for_each(|doc| segment.with_key(doc, &mut name));
        }
        sink.raw(&MAGIC)?;
        sink.raw(&VERSION.to_le_bytes())?;
        sink.put(HEAD, &[written.len() as u64, ends.len() as u64])?;
        sink.put(PENDING_ENDS, &ends)?;
        sink.put(PENDING, &keys)?;
        written.into_iter().try_for_each(|segment| self.write_segment(segment, &mut sink))
    }

    fn write_segment(&self, segment: &Arc<Segment>, sink: &mut Sink<'_>) -> io::Result<()> {
        match &**segment {
            Segment::Sealed(sealed) => sealed.write(sink, |doc| !self.sees(segment.life(doc))),
            Segment::Live(_) => {
                let built = build(vec![Arc::clone(segment)], self.seq, &self.suffixed, &|| false);
                let built = built.ok_or_else(|| io::Error::other("a segment was given up"))?;
                let sealed = built.segment();
                sealed.write(sink, |doc| !self.sees(sealed.docs().life(doc)))
            }
        }
    }

    fn sees(&self, (born, died): (Seq, Seq)) -> bool {
        born <= self.seq && self.seq < died
    }

    fn visible<'s>(&'s self, segment: &'s Segment) -> impl Iterator<Item = DocId> + 's {
        (0..segment.len()).filter(|&doc| self.sees(segment.life(doc)))
    }
}

fn read_pending(source: &mut Source<'_>, count: u64) -> Result<Vec<Box<[u8]>>, FormatError> {
    let ends: Vec<u64> = source.take(PENDING_ENDS)?;
    let keys: Vec<u8> = source.take(PENDING)?;
    let whole = ends.is_sorted() && ends.last().copied().unwrap_or(0) == keys.len() as u64;
    check(whole && ends.len() as u64 == count, "pending keys overlap")?;
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Ok(starts.zip(&ends).map(|(start, &end)| keys[start as usize..end as usize].into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::document::{DocumentBuilder, Keep};
    use crate::index::{lock, Change};

    fn put(index: &Index, key: &[u8]) {
        let mut builder = DocumentBuilder::new(key, Keep::ALL);
        builder.word(0, b"word", 0, 1);
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    }

    /// As in a child that was forked while a document was being inserted.
    #[test]
    fn what_cannot_be_frozen_is_named() {
        let index = Index::default();
        put(&index, b"sealed");
        index.compact();
        put(&index, b"live");
        let writer = lock(&index.writer);
        let image = index.image(Duration::ZERO).expect("only the writer is busy");
        drop(writer);
        assert_eq!(image.left_out(), 1);
        let mut bytes = Vec::new();
        image.write([&b"queued"[..]], &mut bytes).expect("memory takes everything");
        let restored = Index::read(&mut bytes.as_slice(), Limits::default()).expect("what was written");
        assert_eq!(restored.pending, [Box::from(&b"queued"[..]), Box::from(&b"live"[..])]);
        assert!(restored.index.current(b"sealed").is_some());
        assert!(restored.index.current(b"live").is_none());
    }

    /// As in a child that was forked while the segments were being exchanged.
    #[test]
    fn an_image_waits_for_nobody() {
        let index = Index::default();
        let state = index.state.write().expect("nobody panicked");
        assert!(index.image(Duration::ZERO).is_none());
        drop(state);
        let applied = lock(&index.applied);
        assert!(index.image(Duration::ZERO).is_none());
        drop(applied);
        let image = index.image(Duration::ZERO).expect("nobody holds a lock");
        let held =
            (lock(&index.writer), lock(&index.pins), lock(&index.applied), index.state.write(), index.keys.write());
        image.write([], &mut io::sink()).expect("a sink takes everything");
        drop(image);
        drop(held);
    }
}
