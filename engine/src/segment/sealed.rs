//! What does a segment look like when nothing is added to it any more?
//!
//! Flat arrays by document id, one dictionary, one arena of posting lists. Only deaths change it:
//! one atomic number a document, and one bit that says whether to look at it.

use super::{DocFacts, DocId, Memory, Seq, ALIVE};
use crate::columns::Columns;
use crate::cursor::budget::Budget;
use crate::dict::pattern::Pattern;
use crate::dict::sealed::SealedDict;
use crate::dict::suffix::Suffixes;
use crate::dict::{Prefix, Space};
use crate::postings::reader::SealedList;
use crate::postings::writer::Arena;
use crate::schema::FieldMask;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An immutable segment.
#[derive(Debug)]
pub struct SealedSegment {
    pub(crate) dict: SealedDict,
    pub(crate) arena: Arena,
    pub(crate) docs: DocTable,
    pub(crate) columns: Columns,
    /// Terms that are words or derived from some.
    pub(crate) words: u64,
    /// By space.
    pub(crate) suffixes: Vec<(Prefix, Suffixes)>,
}

impl SealedSegment {
    pub(super) fn list(&self, key: &[u8]) -> Option<SealedList<'_>> {
        self.dict.get(key).map(|offset| SealedList::new(&self.arena, offset))
    }

    pub(super) fn matching(
        &self,
        space: Space,
        pattern: &Pattern,
        fields: FieldMask,
        budget: &Budget<'_>,
        visit: impl FnMut(&[u8]) -> bool,
    ) {
        let suffixes = self.suffixes.iter().find(|(prefix, _)| *prefix == space.prefix()).map(|(_, suffixes)| suffixes);
        match suffixes.filter(|suffixes| suffixes.serve(pattern, fields)) {
            Some(suffixes) => suffixes.matching(pattern, budget, visit),
            None => self.dict.matching(space, pattern, budget, visit),
        }
    }

    /// The document table.
    pub fn docs(&self) -> &DocTable {
        &self.docs
    }

    /// The columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(super) fn memory(&self) -> Memory {
        let (postings, positions) = self.arena.memory();
        let columns = &self.columns;
        Memory {
            postings,
            positions,
            dictionary: self.dict.memory() + self.suffixes.iter().map(|(_, suffixes)| suffixes.memory()).sum::<usize>(),
            documents: self.docs.memory(),
            columns: columns.numeric.iter().map(|(_, column)| column.memory()).sum::<usize>()
                + columns.geo.iter().map(|(_, column)| column.memory()).sum::<usize>(),
            sort: columns.sort.iter().map(|(_, column)| column.memory()).sum(),
            keys: 0,
        }
    }
}

/// What a segment knows of its documents apart from their contents.
#[derive(Debug)]
pub struct DocTable {
    pub(super) lens: Box<[u32]>,
    pub(super) max_freqs: Box<[u32]>,
    pub(super) scores: Scores,
    pub(super) born: Box<[Seq]>,
    pub(super) died: Box<[AtomicU64]>,
    pub(super) dead: Box<[AtomicU64]>,
    pub(super) deaths: AtomicU32,
    /// Where each key ends in `keys`.
    pub(super) key_ends: Box<[u32]>,
    pub(super) keys: Box<[u8]>,
    /// Sorted by document; most indexes have none.
    pub(super) payloads: Box<[(DocId, Box<[u8]>)]>,
}

/// Documents' own scores: nearly always all the same.
#[derive(Debug)]
pub(super) enum Scores {
    Uniform(f32),
    /// Of each document, and the greatest of them.
    Each(Box<[f32]>, f32),
}

impl Scores {
    pub(super) fn each(scores: Box<[f32]>) -> Self {
        let greatest = scores.iter().copied().fold(0.0, f32::max);
        Self::Each(scores, greatest)
    }
}

/// A document table while it is filled.
#[derive(Debug, Default)]
pub(super) struct DocTableBuilder {
    lens: Vec<u32>,
    max_freqs: Vec<u32>,
    scores: Vec<f32>,
    born: Vec<Seq>,
    died: Vec<Seq>,
    key_ends: Vec<u32>,
    keys: Vec<u8>,
    payloads: Vec<(DocId, Box<[u8]>)>,
}

impl DocTableBuilder {
    pub(super) fn push(&mut self, facts: DocFacts, (born, died): (Seq, Seq), key: &[u8], payload: Option<&[u8]>) {
        if let Some(payload) = payload {
            self.payloads.push((self.lens.len() as DocId, payload.into()));
        }
        self.lens.push(facts.len);
        self.max_freqs.push(facts.max_freq);
        self.scores.push(facts.score);
        self.born.push(born);
        self.died.push(died);
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
    }

    pub(super) fn len(&self) -> DocId {
        self.lens.len() as DocId
    }

    pub(super) fn facts_len(&self, doc: DocId) -> u32 {
        self.lens[doc as usize]
    }

    pub(super) fn finish(self) -> DocTable {
        let first = self.scores.first().copied().unwrap_or(1.0);
        let uniform = self.scores.iter().all(|&score| score == first);
        let table = DocTable {
            scores: if uniform { Scores::Uniform(first) } else { Scores::each(self.scores.into()) },
            dead: (0..self.lens.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            deaths: AtomicU32::new(0),
            lens: self.lens.into(),
            max_freqs: self.max_freqs.into(),
            born: self.born.into(),
            died: (0..self.died.len()).map(|_| AtomicU64::new(ALIVE)).collect(),
            key_ends: self.key_ends.into(),
            keys: self.keys.into(),
            payloads: self.payloads.into(),
        };
        for (doc, &died) in self.died.iter().enumerate() {
            if died != ALIVE {
                table.kill(doc as DocId, died);
            }
        }
        table
    }
}

impl DocTable {
    /// How many versions there are.
    pub fn len(&self) -> DocId {
        self.lens.len() as DocId
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Documents' lengths.
    pub fn lens(&self) -> &[u32] {
        &self.lens
    }

    /// Documents' greatest frequencies.
    pub fn max_freqs(&self) -> &[u32] {
        &self.max_freqs
    }

    /// The score that all documents have, if they have the same.
    pub fn uniform_score(&self) -> Option<f32> {
        match &self.scores {
            Scores::Uniform(score) => Some(*score),
            Scores::Each(..) => None,
        }
    }

    #[inline]
    pub(super) fn facts(&self, doc: DocId) -> DocFacts {
        let at = doc as usize;
        let score = match &self.scores {
            Scores::Uniform(score) => *score,
            Scores::Each(scores, _) => scores.get(at).copied().unwrap_or(0.0),
        };
        DocFacts {
            len: self.lens.get(at).copied().unwrap_or(0),
            max_freq: self.max_freqs.get(at).copied().unwrap_or(0),
            score,
        }
    }

    /// The greatest score of any document.
    pub fn max_score(&self) -> f32 {
        match &self.scores {
            Scores::Uniform(score) => *score,
            Scores::Each(_, greatest) => *greatest,
        }
    }

    pub(crate) fn life(&self, doc: DocId) -> (Seq, Seq) {
        let at = doc as usize;
        (
            self.born.get(at).copied().unwrap_or(ALIVE),
            self.died.get(at).map_or(ALIVE, |died| died.load(Ordering::Acquire)),
        )
    }

    #[inline]
    pub(super) fn lives_at(&self, doc: DocId, seq: Seq) -> bool {
        let at = doc as usize;
        let marked = self.dead.get(at / 64).is_some_and(|word| word.load(Ordering::Acquire) >> (at % 64) & 1 == 1);
        !marked || self.died[at].load(Ordering::Acquire) > seq
    }

    pub(super) fn kill(&self, doc: DocId, seq: Seq) {
        let at = doc as usize;
        let Some(died) = self.died.get(at) else { return };
        if died.compare_exchange(ALIVE, seq, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.dead[at / 64].fetch_or(1 << (at % 64), Ordering::AcqRel);
            self.deaths.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::Acquire)
    }

    /// Calls `visit` with each version from `start` to before `end` that has died by now. `start`
    /// must be a multiple of 64.
    pub(super) fn each_dead(&self, start: DocId, end: DocId, mut visit: impl FnMut(DocId)) {
        let last = (end as usize).div_ceil(64).min(self.dead.len());
        for at in start as usize / 64..last {
            let mut word = self.dead[at].load(Ordering::Acquire);
            while word != 0 {
                visit((at * 64) as DocId + word.trailing_zeros());
                word &= word - 1;
            }
        }
    }

    pub(super) fn key(&self, doc: DocId) -> &[u8] {
        let at = doc as usize;
        let Some(&end) = self.key_ends.get(at) else { return &[] };
        let start = if at == 0 { 0 } else { self.key_ends[at - 1] as usize };
        &self.keys[start..end as usize]
    }

    pub(super) fn payload(&self, doc: DocId) -> Option<&[u8]> {
        let at = self.payloads.binary_search_by_key(&doc, |(doc, _)| *doc).ok()?;
        Some(&self.payloads[at].1)
    }

    fn memory(&self) -> usize {
        let scores = match &self.scores {
            Scores::Uniform(_) => 0,
            Scores::Each(scores, _) => scores.len() * 4,
        };
        let payloads = self.payloads.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        self.lens.len() * (4 + 4 + 8 + 8 + 4)
            + self.dead.len() * 8
            + scores
            + self.keys.len()
            + self.payloads.len() * size_of::<(DocId, Box<[u8]>)>()
            + payloads
    }
}
