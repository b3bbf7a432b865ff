//! How does a sealed segment come about? From one or more adjacent segments, in order of birth.
//!
//! Sealing and merging are the same: versions that no query can see any more are left out, the rest
//! get new ids in the same order, and each term's postings are written one source after the other.
//! Nothing is locked against writers; deaths that happen meanwhile are taken over when the result
//! takes the sources' place ([`Built::take_over_deaths`]).

use super::sealed::{DocTableBuilder, SealedSegment};
use super::{DocId, Segment, Seq, ALIVE, END};
use crate::columns::geo::{GeoColumn, NO_POINT};
use crate::columns::numeric::NumericColumn;
use crate::columns::sort::SortColumn;
use crate::columns::Columns;
use crate::dict::sealed::SealedDict;
use crate::dict::suffix::{Suffixed, Suffixes, SuffixesBuilder};
use crate::dict::{is_derived, Prefix, Space};
use crate::postings::positions::Resume;
use crate::postings::reader::SealedList;
use crate::postings::writer::{Arena, ListWriter};
use crate::postings::{PostingList, BLOCK};
use crate::schema::{FieldId, FieldMask, ALL_FIELDS};
use fst::Streamer;
use std::sync::Arc;

/// A sealed segment that is ready to take its sources' place.
#[derive(Debug)]
pub struct Built {
    segment: SealedSegment,
    sources: Vec<Arc<Segment>>,
    /// For each source, the new id of each of its documents; [`END`] for those left out.
    new_ids: Vec<Vec<DocId>>,
}

/// Builds one sealed segment of adjacent ones, leaving out versions that died at or before
/// `horizon`, with the suffixes of some fields. Sources that are live must be frozen. `stop` is asked every few thousand postings;
/// when it says true, the work is given up.
pub fn build(sources: Vec<Arc<Segment>>, horizon: Seq, suffixed: &Suffixed, stop: &dyn Fn() -> bool) -> Option<Built> {
    let mut docs = DocTableBuilder::default();
    let mut new_ids = Vec::with_capacity(sources.len());
    for source in &sources {
        let mut ids = Vec::with_capacity(source.len() as usize);
        for doc in 0..source.len() {
            let life = source.life(doc);
            if life.1 <= horizon {
                ids.push(END);
            } else {
                ids.push(docs.len());
                source.with_key(doc, |key| docs.push(source.facts(doc), life, key, source.payload(doc)));
            }
        }
        new_ids.push(ids);
    }
    let mut lists = Lists { arena: Arena::default(), writer: ListWriter::default(), docs: &docs, since_asked: 0, stop };
    let Terms { dict, words, suffixes } = lists.merge(&sources, &new_ids, suffixed)?;
    let mut arena = lists.arena;
    arena.shrink();
    let columns = columns(&sources, &new_ids, docs.len());
    let segment = SealedSegment { dict, arena, docs: docs.finish(), columns, words, suffixes };
    Some(Built { segment, sources, new_ids })
}

impl Built {
    /// Lets die what has died in the sources since. To be called when no more can die in them.
    pub fn take_over_deaths(&self) {
        for (source, ids) in self.sources.iter().zip(&self.new_ids) {
            let mut take_over = |doc: DocId| {
                let (_, died) = source.life(doc);
                let id = ids[doc as usize];
                if died != ALIVE && id != END {
                    self.segment.docs.kill(id, died);
                }
            };
            match &**source {
                Segment::Live(_) => (0..source.len()).for_each(take_over),
                Segment::Sealed(sealed) => sealed.docs.each_dead(0, source.len(), &mut take_over),
            }
        }
    }

    /// The segments it was built from.
    pub fn sources(&self) -> &[Arc<Segment>] {
        &self.sources
    }

    /// The versions that were left out: source and document.
    pub fn left_out(&self) -> Vec<(usize, DocId)> {
        let mut left_out = Vec::new();
        for (source, ids) in self.new_ids.iter().enumerate() {
            left_out.extend((0..ids.len()).filter(|&doc| ids[doc] == END).map(|doc| (source, doc as DocId)));
        }
        left_out
    }

    /// The new segment, while it is not in its sources' place.
    pub fn segment(&self) -> &SealedSegment {
        &self.segment
    }

    /// The new segment.
    pub fn into_segment(self) -> SealedSegment {
        self.segment
    }
}

/// The keys of one source in order, with their lists.
struct Keys<'a> {
    source: usize,
    /// The key that stands first; `None` at the end.
    key: Option<Vec<u8>>,
    list: Option<PostingList<'a>>,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Sealed(&'a SealedSegment, Box<fst::map::Stream<'a>>),
    Live(std::vec::IntoIter<(Vec<u8>, PostingList<'a>)>),
}

impl<'a> Keys<'a> {
    fn new(source: usize, segment: &'a Segment) -> Self {
        let rest = match segment {
            Segment::Sealed(sealed) => Rest::Sealed(sealed, Box::new(sealed.dict.stream())),
            Segment::Live(live) => {
                let mut lists = Vec::with_capacity(live.term_count());
                live.each_list(|key, list| lists.push((key.to_vec(), PostingList::Live(list.clone()))));
                Rest::Live(lists.into_iter())
            }
        };
        let mut keys = Self { source, key: Some(Vec::new()), list: None, rest };
        keys.advance();
        keys
    }

    fn advance(&mut self) {
        match &mut self.rest {
            Rest::Sealed(sealed, stream) => match (stream.next(), &mut self.key) {
                (Some((next, offset)), Some(key)) => {
                    key.clear();
                    key.extend_from_slice(next);
                    self.list = Some(PostingList::Sealed(SealedList::new(&sealed.arena, offset)));
                }
                _ => self.key = None,
            },
            Rest::Live(lists) => {
                let next = lists.next();
                (self.key, self.list) = next.map_or((None, None), |(key, list)| (Some(key), Some(list)));
            }
        }
    }
}

struct Lists<'a> {
    arena: Arena,
    writer: ListWriter,
    docs: &'a DocTableBuilder,
    since_asked: usize,
    stop: &'a dyn Fn() -> bool,
}

/// What a segment knows of its terms apart from their lists.
struct Terms {
    dict: SealedDict,
    words: u64,
    suffixes: Vec<(Prefix, Suffixes)>,
}

/// Postings written between questions whether to stop: about a millisecond.
const ASK_EVERY: usize = 16_384;

impl Lists<'_> {
    /// Writes all lists.
    fn merge(&mut self, sources: &[Arc<Segment>], new_ids: &[Vec<DocId>], suffixed: &Suffixed) -> Option<Terms> {
        let mut words = 0;
        let text = (suffixed.text != 0).then_some((Space::Text, suffixed.text));
        let tags = suffixed.tags.iter().map(|&field| (Space::Tag(field), ALL_FIELDS));
        let mut suffixes: Vec<_> =
            text.into_iter().chain(tags).map(|(space, fields)| (space, fields, SuffixesBuilder::default())).collect();
        let mut builder = fst::MapBuilder::memory();
        let mut keys: Vec<Keys<'_>> = sources.iter().enumerate().map(|(at, source)| Keys::new(at, source)).collect();
        while let Some(least) = keys.iter().filter_map(|keys| keys.key.as_ref()).min().cloned() {
            for source in keys.iter_mut().filter(|keys| keys.key.as_ref() == Some(&least)) {
                if let Some(list) = &source.list {
                    self.add(list, &new_ids[source.source]);
                }
                source.advance();
            }
            if !self.writer.is_empty() {
                self.since_asked += self.writer.len();
                words += u64::from(least.starts_with(&Space::Text.prefix()));
                for (space, fields, suffixes) in &mut suffixes {
                    let wanted = least.starts_with(&space.prefix()) && self.writer.is_in(*fields, &self.arena);
                    if wanted && (*space != Space::Text || !is_derived(&least[2..])) {
                        suffixes.push(&least[2..]);
                    }
                }
                let offset = self.writer.finish(&mut self.arena);
                self.arena.densify(offset, self.docs.len());
                builder.insert(&least, offset).expect("keys come in order, each once");
            }
            if self.since_asked >= ASK_EVERY {
                self.since_asked = 0;
                if (self.stop)() {
                    return None;
                }
            }
        }
        let mut bytes = builder.into_inner().expect("writing to memory does not fail");
        bytes.shrink_to_fit();
        let finish = |(space, fields, suffixes): (Space, FieldMask, SuffixesBuilder)| {
            suffixes.finish(fields, self.stop).map(|suffixes| (space.prefix(), suffixes))
        };
        let suffixes: Vec<_> = suffixes.into_iter().filter_map(finish).collect();
        if (self.stop)() {
            return None;
        }
        Some(Terms { dict: SealedDict::new(bytes).expect("the builder's own bytes"), words, suffixes })
    }

    fn add(&mut self, list: &PostingList<'_>, new_ids: &[DocId]) {
        match list {
            PostingList::Live(view) => view.for_each(|doc, freq, mask, positions| {
                // Postings of a document that was never published have no new id.
                let id = new_ids.get(doc as usize).copied().unwrap_or(END);
                if id != END {
                    let mask = self.arena.intern(mask);
                    self.writer.push(id, freq, mask, self.docs.facts_len(id), positions);
                }
            }),
            PostingList::Sealed(sealed) => {
                let (mut docs, mut freqs, mut masks) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
                let mask_numbers: Vec<u32> = list.masks().iter().map(|&mask| self.arena.intern(mask)).collect();
                let mut resume = Resume::default();
                for block in 0..list.block_count() {
                    let count = list.decode_docs(block, &mut docs);
                    list.decode_freqs(block, &mut freqs);
                    list.decode_masks(block, &mut masks);
                    for slot in 0..count {
                        let id = new_ids.get(docs[slot] as usize).copied().unwrap_or(END);
                        if id != END {
                            let positions = sealed.position_bytes(block, slot, &mut resume);
                            let mask = mask_numbers.get(masks[slot] as usize).copied().unwrap_or(0);
                            self.writer.push(id, freqs[slot], mask, self.docs.facts_len(id), positions);
                        }
                    }
                }
            }
        }
    }
}

fn columns(sources: &[Arc<Segment>], new_ids: &[Vec<DocId>], len: DocId) -> Columns {
    let mut fields: [Vec<FieldId>; 3] = Default::default();
    for source in sources {
        let found = match &**source {
            Segment::Live(live) => live.fields_with_values(),
            Segment::Sealed(sealed) => {
                let columns = &sealed.columns;
                [
                    columns.numeric.iter().map(|(field, _)| *field).collect(),
                    columns.geo.iter().map(|(field, _)| *field).collect(),
                    columns.sort.iter().map(|(field, _)| *field).collect(),
                ]
            }
        };
        fields.iter_mut().zip(found).for_each(|(all, found)| all.extend(found));
    }
    for list in &mut fields {
        list.sort_unstable();
        list.dedup();
    }
    let [numeric, geo, sort] = fields;
    let kept = || {
        sources.iter().zip(new_ids).flat_map(|(source, ids)| {
            let docs = (0..ids.len() as DocId).filter(|&doc| ids[doc as usize] != END);
            docs.map(move |doc| (source, doc, ids[doc as usize] as usize))
        })
    };
    let mut columns = Columns::default();
    for field in numeric {
        let mut values = vec![f64::NAN; len as usize];
        kept().for_each(|(source, doc, id)| values[id] = source.number(field, doc));
        columns.numeric.push((field, NumericColumn::new(values)));
    }
    for field in geo {
        let mut codes = vec![NO_POINT; len as usize];
        kept().for_each(|(source, doc, id)| codes[id] = source.point(field, doc));
        columns.geo.push((field, GeoColumn::new(codes)));
    }
    for field in sort {
        let mut values = vec![None; len as usize];
        kept().for_each(|(source, doc, id)| values[id] = source.sort_text(field, doc));
        columns.sort.push((field, SortColumn::new(&values)));
    }
    columns
}
