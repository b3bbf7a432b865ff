//! Which documents have this term, in these fields?

use super::budget::Budget;
use super::window::Window;
use super::{Bound, Cursor};
use crate::postings::positions::{self, Resume};
use crate::postings::{Block, PostingList, BLOCK};
use crate::schema::FieldMask;
use crate::score::explain::Explanation;
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};
use std::sync::Arc;

/// Cursor over one posting list.
pub struct TermCursor<'a> {
    list: PostingList<'a>,
    leaf: Leaf,
    scoring: &'a Scoring,
    name: Arc<[u8]>,
    budget: &'a Budget<'a>,
    /// The fields that count, unless all postings are in one of them.
    fields: Option<FieldMask>,
    block: usize,
    at: usize,
    len: usize,
    doc: DocId,
    docs: Block,
    freqs: Block,
    has_freqs: bool,
    /// With a field filter: where in the list's block each kept posting stood.
    slots: Option<Box<[u8; BLOCK]>>,
    /// One bit for each document, when all postings count and there are many.
    bits: Option<&'a [u64]>,
    resume: Resume,
    /// The block that `ceiling` is of.
    bounded: usize,
    ceiling: f64,
    scratch: Vec<u32>,
}

impl<'a> TermCursor<'a> {
    /// A cursor over the postings in any of `fields`. `name` is for explanations.
    pub fn new(
        list: PostingList<'a>,
        fields: FieldMask,
        leaf: Leaf,
        scoring: &'a Scoring,
        name: Arc<[u8]>,
        budget: &'a Budget<'a>,
    ) -> Self {
        let all = fields == FieldMask::MAX || list.uniform_mask().is_some_and(|mask| mask & !fields == 0);
        let bits = if all { list.bits() } else { None };
        let mut cursor = Self {
            list,
            leaf,
            scoring,
            name,
            budget,
            fields: if all { None } else { Some(fields) },
            block: 0,
            at: 0,
            len: 0,
            doc: END,
            docs: [0; BLOCK],
            freqs: [0; BLOCK],
            has_freqs: false,
            slots: if all { None } else { Some(Box::new([0; BLOCK])) },
            bits,
            resume: Resume::default(),
            bounded: usize::MAX,
            ceiling: 0.0,
            scratch: Vec::new(),
        };
        cursor.load(0);
        cursor
    }

    /// Whether every posting of the list counts, whatever its fields.
    pub fn takes_all(&self) -> bool {
        self.fields.is_none()
    }

    /// How many postings the list has.
    pub fn list_len(&self) -> usize {
        self.list.len()
    }

    /// Decodes the first block from `block` on that has a posting that counts.
    fn load(&mut self, mut block: usize) -> DocId {
        let count = self.list.block_count();
        loop {
            self.block = block;
            self.at = 0;
            self.has_freqs = false;
            if block >= count || self.budget.spend(BLOCK as u32) {
                self.len = 0;
                self.doc = END;
                return END;
            }
            self.len = self.list.decode_docs(block, &mut self.docs);
            if self.fields.is_some() {
                self.filter();
            }
            if self.len > 0 {
                self.doc = self.docs[0];
                return self.doc;
            }
            block += 1;
        }
    }

    fn filter(&mut self) {
        let (Some(fields), Some(slots)) = (self.fields, &mut self.slots) else { return };
        let mut numbers = [0; BLOCK];
        self.list.decode_masks(self.block, &mut numbers);
        let masks = self.list.masks();
        let mut kept = 0;
        for (slot, &number) in numbers[..self.len].iter().enumerate() {
            if masks.get(number as usize).is_some_and(|mask| mask & fields != 0) {
                self.docs[kept] = self.docs[slot];
                slots[kept] = slot as u8;
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// The place of the current posting in the list's block.
    fn slot(&self) -> usize {
        self.slots.as_ref().map_or(self.at, |slots| usize::from(slots[self.at]))
    }

    /// The block that `from`, which is not before the current block, is in or before.
    fn block_of(&self, from: DocId) -> usize {
        let known = self.bounded;
        if known == usize::MAX || known < self.block {
            return self.list.find_block(self.block, from);
        }
        if self.list.last_of(known) < from {
            return self.list.find_block(known + 1, from);
        }
        if known == self.block || self.list.last_of(known - 1) < from {
            return known;
        }
        self.list.find_block(self.block, from)
    }

    /// The current document's frequency.
    #[inline]
    pub fn freq(&mut self) -> u32 {
        if !self.has_freqs {
            self.list.decode_freqs(self.block, &mut self.freqs);
            self.has_freqs = true;
        }
        self.freqs[self.slot()]
    }

    /// The current block's documents from the current one on.
    pub fn docs_of_block(&self) -> &[DocId] {
        &self.docs[self.at..self.len]
    }

    /// The current block's documents from the current one on, with their frequencies.
    pub fn rest_of_block(&mut self) -> (&[DocId], &[u32]) {
        if !self.has_freqs {
            self.list.decode_freqs(self.block, &mut self.freqs);
            self.has_freqs = true;
        }
        if let Some(slots) = &self.slots {
            // Slots only move down, so that one pass in order overwrites nothing that is still needed.
            for at in 0..self.len {
                self.freqs[at] = self.freqs[usize::from(slots[at])];
            }
            self.has_freqs = false;
        }
        (&self.docs[self.at..self.len], &self.freqs[self.at..self.len])
    }

    /// Calls `visit` with documents and frequencies, run by run, of all documents before `end`, and leaves
    /// them behind. Returns the next document.
    pub fn each_before(&mut self, end: DocId, mut visit: impl FnMut(&[DocId], &[u32])) -> DocId {
        while self.doc < end {
            let (docs, freqs) = self.rest_of_block();
            let count = if docs[docs.len() - 1] < end { docs.len() } else { docs.partition_point(|&doc| doc < end) };
            visit(&docs[..count], &freqs[..count]);
            self.at += count;
            if self.at == self.len {
                self.next_block();
            } else {
                self.doc = self.docs[self.at];
            }
        }
        self.doc
    }

    /// Leaves the current block behind.
    pub fn next_block(&mut self) -> DocId {
        self.load(self.block + 1)
    }

    /// Goes on to the first block whose ceiling is above `floor`, unless the current one's is.
    pub fn skip_blocks(&mut self, floor: f64) -> DocId {
        let count = self.list.block_count();
        let mut block = self.block;
        while self.doc != END && block < count {
            self.bound_block(block);
            if self.ceiling > floor {
                break;
            }
            block += 1;
            if self.budget.spend(1) {
                block = count;
            }
        }
        if block != self.block {
            self.load(block);
        }
        self.doc
    }

    /// Calculates the ceiling of a block, unless it is known.
    fn bound_block(&mut self, block: usize) {
        if block != self.bounded {
            let mut ceiling = 0.0f64;
            self.list.impacts(block, |impact| {
                ceiling = ceiling.max(self.scoring.ceiling(&self.leaf, impact.freq, impact.len));
            });
            self.bounded = block;
            self.ceiling = ceiling;
        }
    }

    /// The leaf that values its frequencies.
    pub fn leaf(&self) -> Leaf {
        self.leaf
    }

    /// A bound for the whole list.
    pub fn list_bound(&self) -> f64 {
        let mut bound = 0.0f64;
        let mut any = false;
        self.list.list_impacts(|impact| {
            any = true;
            bound = bound.max(self.scoring.ceiling(&self.leaf, impact.freq, impact.len));
        });
        if !any {
            self.list.impacts(0, |impact| {
                bound = bound.max(self.scoring.ceiling(&self.leaf, impact.freq, impact.len));
            });
        }
        bound
    }
}

/// Documents that are compared at once.
const NEAR: usize = 8;

/// The place of the first document that is not below `target`. Targets are mostly near: within a few documents without a
/// branch that nobody could predict; else gallop, then halve.
#[inline]
fn first_from(docs: &[DocId], target: DocId) -> usize {
    let mut step = 1;
    if let Some(near) = docs.first_chunk::<NEAR>() {
        let below = near.iter().filter(|&&doc| doc < target).count();
        if below < NEAR {
            return below;
        }
        step = NEAR;
    }
    while step < docs.len() && docs[step] < target {
        step *= 2;
    }
    let (low, high) = (step / 2, (step + 1).min(docs.len()));
    low + docs[low..high].partition_point(|&doc| doc < target)
}

impl Cursor for TermCursor<'_> {
    #[inline]
    fn doc(&self) -> DocId {
        self.doc
    }

    #[inline]
    fn next(&mut self) -> DocId {
        self.at += 1;
        if self.at < self.len {
            self.doc = self.docs[self.at];
            return self.doc;
        }
        if self.doc == END {
            return END;
        }
        self.load(self.block + 1)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc >= target {
            return self.doc;
        }
        if self.docs[self.len - 1] < target {
            let block = self.list.find_block(self.block + 1, target);
            if self.load(block) >= target {
                return self.doc;
            }
            if self.docs[self.len - 1] < target {
                // All that counts in the block is before the target.
                return self.load(block + 1);
            }
        }
        self.at += first_from(&self.docs[self.at..self.len], target);
        self.doc = self.docs[self.at];
        self.doc
    }

    fn cost(&self) -> u64 {
        self.list.len() as u64
    }

    fn bound(&mut self, from: DocId) -> Bound {
        let block = self.block_of(from);
        if block >= self.list.block_count() {
            return Bound { score: 0.0, up_to: END - 1 };
        }
        self.bound_block(block);
        Bound { score: self.ceiling, up_to: self.list.last_of(block) }
    }

    #[inline]
    fn score(&mut self, scale: &Scale) -> f64 {
        let freq = self.freq();
        self.leaf.value(freq, scale)
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        let slot = self.slot();
        match self.fields {
            None => self.list.positions(self.block, slot, &mut self.resume, out),
            Some(fields) => {
                self.scratch.clear();
                self.list.positions(self.block, slot, &mut self.resume, &mut self.scratch);
                out.extend(self.scratch.iter().filter(|&&at| positions::field_of(at) & fields != 0));
            }
        }
    }

    fn fill(&mut self, window: &mut Window) {
        if let Some(bits) = self.bits {
            if !self.budget.spend(BLOCK as u32) {
                window.union_bits(bits, self.doc);
            }
            return;
        }
        self.seek(window.start());
        while self.doc < window.end() {
            let docs = &self.docs[self.at..self.len];
            if docs[docs.len() - 1] < window.end() {
                window.insert_all(docs);
                self.load(self.block + 1);
            } else {
                let within = docs.partition_point(|&doc| doc < window.end());
                window.insert_all(&docs[..within]);
                self.at += within;
                self.doc = self.docs[self.at];
            }
        }
    }

    fn fills_fast(&self) -> bool {
        true
    }

    fn bits(&self) -> Option<&[u64]> {
        self.bits
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        let freq = self.freq();
        let name = String::from_utf8_lossy(&self.name);
        scoring.explain_leaf(&self.leaf, &name, freq, facts, &scoring.scale(facts))
    }
}
