//! How is a sealed segment saved and read?
//!
//! As it is in memory, less what can be made again: births are numbered anew in their order, and of
//! deaths only that they happened is kept.

use super::sealed::{DocTable, Scores, SealedSegment};
use super::{DocId, Seq, ALIVE};
use crate::columns::Columns;
use crate::dict::sealed::SealedDict;
use crate::dict::suffix::Suffixes;
use crate::postings::writer::Arena;
use crate::schema::FieldMask;
use crate::sections::{check, check_ends, FormatError, Sink, Source};
use crate::sync::atomic::{AtomicU32, AtomicU64};
use fst::Streamer;
use std::io;

/// Sections of segments.
const HEAD: u8 = 10;
const DICTIONARY: u8 = 11;
const LENGTHS: u8 = 12;
const MAX_FREQS: u8 = 13;
const SCORES: u8 = 14;
const DEAD: u8 = 15;
const KEY_ENDS: u8 = 16;
const KEYS: u8 = 17;
const PAYLOAD_DOCS: u8 = 18;
const PAYLOAD_ENDS: u8 = 19;
const PAYLOADS: u8 = 30;
const SUFFIXED: u8 = 31;
const SUFFIX_FIELDS: u8 = 32;
const SUFFIX_ENDS: u8 = 33;
const SUFFIX_TEXT: u8 = 34;
const SUFFIX_ORDER: u8 = 35;

impl SealedSegment {
    /// Writes the segment. Versions for which `dead` is true are dead to who reads it.
    pub(crate) fn write(&self, sink: &mut Sink<'_>, dead: impl Fn(DocId) -> bool) -> io::Result<()> {
        let docs = &self.docs;
        sink.put(HEAD, &[u64::from(docs.len()), self.words])?;
        sink.put(DICTIONARY, self.dict.bytes())?;
        sink.put(SUFFIXED, &self.suffixes.iter().map(|(prefix, _)| u16::from_be_bytes(*prefix)).collect::<Vec<_>>())?;
        for (_, suffixes) in &self.suffixes {
            sink.put(SUFFIX_FIELDS, &[suffixes.fields])?;
            sink.put(SUFFIX_ENDS, &suffixes.ends)?;
            sink.put(SUFFIX_TEXT, &suffixes.text)?;
            sink.put(SUFFIX_ORDER, &suffixes.order)?;
        }
        self.arena.write(sink)?;
        sink.put(LENGTHS, &docs.lens)?;
        sink.put(MAX_FREQS, &docs.max_freqs)?;
        match &docs.scores {
            Scores::Uniform(score) => sink.put(SCORES, &[*score])?,
            Scores::Each(scores, _) => sink.put(SCORES, scores)?,
        }
        let mut bits = vec![0u64; docs.dead.len()];
        for doc in (0..docs.len()).filter(|&doc| dead(doc)) {
            bits[doc as usize / 64] |= 1 << (doc % 64);
        }
        sink.put(DEAD, &bits)?;
        sink.put(KEY_ENDS, &docs.key_ends)?;
        sink.put(KEYS, &docs.keys)?;
        let (mut of, mut ends, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for (doc, payload) in &docs.payloads {
            of.push(*doc);
            bytes.extend_from_slice(payload);
            ends.push(bytes.len() as u64);
        }
        sink.put(PAYLOAD_DOCS, &of)?;
        sink.put(PAYLOAD_ENDS, &ends)?;
        sink.put(PAYLOADS, &bytes)?;
        self.columns.write(sink)
    }

    /// Reads a segment whose first version was born at `born`.
    pub(crate) fn read(source: &mut Source<'_>, born: Seq) -> Result<Self, FormatError> {
        let head: Box<[u64]> = source.take_exactly(HEAD, 2)?;
        let count = usize::try_from(head[0]).ok().filter(|&count| count < u32::MAX as usize);
        let count = count.ok_or(FormatError::Inconsistent("a segment has too many documents"))?;
        let words = head[1];
        let dict = SealedDict::new(source.take(DICTIONARY)?);
        let dict = dict.map_err(|_| FormatError::Inconsistent("a dictionary is not one"))?;
        let mut suffixes = Vec::new();
        for prefix in source.take::<u16>(SUFFIXED)? {
            suffixes.push((prefix.to_be_bytes(), read_suffixes(source)?));
        }
        let mut arena = Arena::read(source)?;
        let mut lists = dict.stream();
        while let Some((_, offset)) = lists.next() {
            arena.densify(offset, count as DocId);
        }
        arena.shrink();
        let docs = DocTable::read(source, count, born)?;
        let columns = Columns::read(source, count)?;
        Ok(Self { dict, arena, docs, columns, words, suffixes })
    }
}

impl DocTable {
    fn read(source: &mut Source<'_>, count: usize, born: Seq) -> Result<Self, FormatError> {
        let lens = source.take_exactly(LENGTHS, count)?;
        let max_freqs = source.take_exactly(MAX_FREQS, count)?;
        let scores: Vec<f32> = source.take(SCORES)?;
        let scores = match scores.as_slice() {
            // One document's own score is also all documents'.
            &[score] => Scores::Uniform(score),
            _ => {
                check(scores.len() == count, "there is not one score for each document")?;
                Scores::each(scores.into())
            }
        };
        let bits: Box<[u64]> = source.take_exactly(DEAD, count.div_ceil(64))?;
        let in_use = |at: usize| if count - at * 64 < 64 { (1 << (count % 64)) - 1 } else { u64::MAX };
        check(bits.iter().enumerate().all(|(at, word)| word & !in_use(at) == 0), "more are dead than there are")?;
        let key_ends: Box<[u32]> = source.take_exactly(KEY_ENDS, count)?;
        let keys: Box<[u8]> = source.take(KEYS)?.into();
        check_ends(&key_ends, keys.len())?;
        let payloads = payloads(source, count)?;
        let born: Box<[Seq]> = (born..).take(count).collect();
        let is_dead = |doc: usize| bits[doc / 64] >> (doc % 64) & 1 == 1;
        // Dead from the first: nobody asks about a time before.
        let died = (0..count).map(|doc| AtomicU64::new(if is_dead(doc) { born[doc] } else { ALIVE })).collect();
        let deaths = AtomicU32::new(bits.iter().map(|word| word.count_ones()).sum());
        let dead = bits.iter().map(|&word| AtomicU64::new(word)).collect();
        Ok(Self { lens, max_freqs, scores, born, died, dead, deaths, key_ends, keys, payloads })
    }
}

fn read_suffixes(source: &mut Source<'_>) -> Result<Suffixes, FormatError> {
    let fields: Box<[FieldMask]> = source.take_exactly(SUFFIX_FIELDS, 1)?;
    let ends: Box<[u32]> = source.take(SUFFIX_ENDS)?.into();
    let text: Box<[u8]> = source.take(SUFFIX_TEXT)?.into();
    let order: Box<[u32]> = source.take(SUFFIX_ORDER)?.into();
    check_ends(&ends, text.len())?;
    check(order.iter().all(|&at| (at as usize) < text.len()), "a suffix begins after all terms")?;
    Ok(Suffixes { fields: fields[0], ends, text, order })
}

type Payloads = Box<[(DocId, Box<[u8]>)]>;

fn payloads(source: &mut Source<'_>, count: usize) -> Result<Payloads, FormatError> {
    let of: Vec<DocId> = source.take(PAYLOAD_DOCS)?;
    let ends: Box<[u64]> = source.take_exactly(PAYLOAD_ENDS, of.len())?;
    let bytes: Vec<u8> = source.take(PAYLOADS)?;
    let order = of.is_sorted_by(|a, b| a < b) && of.last().is_none_or(|&doc| (doc as usize) < count);
    check(order, "payloads are not in order of documents")?;
    let whole = ends.is_sorted() && ends.last().copied().unwrap_or(0) == bytes.len() as u64;
    check(whole, "payloads overlap")?;
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let payload = |((doc, start), &end): ((DocId, u64), &u64)| (doc, bytes[start as usize..end as usize].into());
    Ok(of.into_iter().zip(starts).zip(ends.iter()).map(payload).collect())
}
