//! Live and packed lists hold what was put in, whatever their length.

use super::live::LiveList;
use super::reader::SealedList;
use super::writer::{Arena, ListWriter};
use super::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Posting {
    doc: DocId,
    freq: u32,
    mask: u32,
    len: u32,
    positions: Vec<u32>,
}

/// Lists around the sizes where the format changes, and some large gaps.
fn postings() -> impl Strategy<Value = Vec<Posting>> {
    let size = prop_oneof![1usize..5, 126usize..131, 254usize..259, 380usize..400];
    let posting =
        (prop_oneof![4 => 1u32..4, 1 => 1u32..1_000_000], 1u32..9, 0u32..3, 1u32..60, btree_set(0u32..5000, 1..6));
    (size, any::<bool>(), any::<bool>(), any::<bool>()).prop_flat_map(move |(size, freqs, masks, positions)| {
        vec(posting.clone(), size).prop_map(move |rows| {
            let mut doc = 0;
            rows.into_iter()
                .map(|(gap, freq, mask, len, places)| {
                    doc += gap;
                    Posting {
                        doc: doc - 1,
                        freq: if freqs { freq } else { 1 },
                        mask: if masks { mask } else { 2 },
                        len,
                        positions: if positions { places.into_iter().collect() } else { Vec::new() },
                    }
                })
                .collect()
        })
    })
}

fn check(list: &PostingList<'_>, expected: &[Posting]) -> Result<(), TestCaseError> {
    prop_assert_eq!(list.len(), expected.len());
    prop_assert_eq!(list.has_positions(), !expected[0].positions.is_empty());
    let mut resume = positions::Resume::default();
    let (mut docs, mut freqs, mut masks) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    for (block, rows) in expected.chunks(BLOCK).enumerate() {
        prop_assert_eq!(list.decode_docs(block, &mut docs), rows.len());
        list.decode_freqs(block, &mut freqs);
        list.decode_masks(block, &mut masks);
        prop_assert_eq!(list.last_of(block), rows[rows.len() - 1].doc);
        let mut impacts = Vec::new();
        list.impacts(block, |impact| impacts.push(impact));
        for (slot, row) in rows.iter().enumerate() {
            prop_assert_eq!(docs[slot], row.doc);
            prop_assert_eq!(freqs[slot], row.freq);
            prop_assert_eq!(list.masks()[masks[slot] as usize], FieldMask::from(row.mask) + 1);
            prop_assert!(impacts.iter().any(|impact| impact.freq >= row.freq && impact.len <= row.len));
            if slot % 3 != 1 {
                let mut found = Vec::new();
                list.positions(block, slot, &mut resume, &mut found);
                prop_assert_eq!(&found, &row.positions);
            }
        }
    }
    for row in expected {
        let block = list.find_block(0, row.doc);
        prop_assert!(list.last_of(block) >= row.doc && (block == 0 || list.last_of(block - 1) < row.doc));
    }
    prop_assert_eq!(list.find_block(0, expected[expected.len() - 1].doc + 1), list.block_count());
    Ok(())
}

fn encoded(posting: &Posting) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !posting.positions.is_empty() {
        positions::write(&mut bytes, &posting.positions);
    }
    bytes
}

proptest! {
    #[test]
    fn packed_lists_hold_what_was_put_in(lists in vec(postings(), 1..4)) {
        let mut arena = Arena::default();
        for mask in 1..4 {
            arena.intern(mask);
        }
        let mut writer = ListWriter::default();
        let offsets: Vec<u64> = lists
            .iter()
            .map(|list| {
                for p in list {
                    writer.push(p.doc, p.freq, p.mask, p.len, &encoded(p));
                }
                writer.finish(&mut arena)
            })
            .collect();
        for (list, offset) in lists.iter().zip(offsets) {
            check(&PostingList::Sealed(SealedList::new(&arena, offset)), list)?;
        }
    }

    #[test]
    fn the_bits_of_long_lists_are_their_documents(lists in vec((vec(1u32..40, 100..300), 0u32..100), 1..4)) {
        let mut arena = Arena::default();
        arena.intern(1);
        let mut writer = ListWriter::default();
        for (gaps, more) in lists {
            let docs: Vec<DocId> = gaps.iter().scan(0, |doc, gap| { *doc += gap; Some(*doc) }).collect();
            docs.iter().for_each(|&doc| writer.push(doc, 1, 0, 1, &[]));
            let offset = writer.finish(&mut arena);
            let documents = docs[docs.len() - 1] + 1 + more;
            arena.densify(offset, documents);
            let list = PostingList::Sealed(SealedList::new(&arena, offset));
            let many = docs.len() > BLOCK && docs.len() * 32 >= documents as usize;
            prop_assert_eq!(list.bits().is_some(), many);
            if let Some(bits) = list.bits() {
                prop_assert_eq!(bits.len(), (documents as usize).div_ceil(64));
                let mut found = Vec::new();
                crate::cursor::window::each_bit(bits, |doc| found.push(doc));
                prop_assert_eq!(found, docs);
            }
        }
    }

    #[test]
    fn live_lists_hold_what_was_put_in(expected in postings()) {
        let mut list = LiveList::default();
        for p in &expected {
            list.push(p.doc, p.freq, p.mask, p.len, &encoded(p));
        }
        check(&PostingList::Live(list.view(&Arc::new(vec![1, 2, 3]))), &expected)?;
    }
}
