//! The figures of an index add up to what the allocator gave.

use engine::dict::suffix::Suffixed;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits};
use engine::schema::{FieldId, ALL_FIELDS};
use stats_alloc::{Region, StatsAlloc, INSTRUMENTED_SYSTEM};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What documents consist of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Everything,
    Texts,
    Tags,
    Numbers,
    Points,
    SortValues,
    Payloads,
    /// Words that no other document has.
    RareWords,
}

fn document(kind: Kind, key: u64, dice: &mut Dice) -> Change {
    let mut builder = DocumentBuilder::new(format!("document:{key}").as_bytes(), Keep::ALL);
    let is = |other: Kind| matches!(kind, Kind::Everything) || matches!((kind, other), (a, b) if a as u8 == b as u8);
    if is(Kind::Texts) {
        for at in 0..30 {
            let word = format!("word{}", (dice.below(1 << 24) as f64).sqrt() as u64);
            let field = u8::from(dice.below(4) == 0);
            builder.word(field, word.as_bytes(), at, 1);
            builder.derived(field, format!("+{}", &word[..5]).as_bytes(), at, 1);
        }
    }
    if is(Kind::RareWords) {
        for at in 0..10 {
            builder.word(0, format!("{:x}", dice.below(u64::MAX)).as_bytes(), 100 + at, 1);
        }
    }
    if is(Kind::Numbers) {
        builder.number(FieldId(1), dice.below(1000) as f64).number(FieldId(5), key as f64);
    }
    if is(Kind::Points) {
        builder.point(FieldId(2), dice.below(180) as f64, 10.0);
    }
    if is(Kind::SortValues) {
        builder.sort_text(FieldId(3), format!("title {}", dice.below(1000)).as_bytes());
        builder.sort_text(FieldId(6), format!("a title of its own {key}").as_bytes());
    }
    if is(Kind::Tags) {
        for _ in 0..dice.below(4) {
            builder.tag(FieldId(4), format!("tag{}", dice.below(3000)).as_bytes());
        }
        builder.missing(FieldId(7));
    }
    if is(Kind::Payloads) {
        builder.payload(&vec![7; dice.below(100) as usize]).score(dice.below(10) as f32 / 10.0);
    }
    Change::Upsert(Box::new(builder.finish()))
}

/// One test, so that no other thread allocates meanwhile.
#[test]
fn figures_are_within_a_tenth_of_what_is_allocated() {
    let mut wrong = Vec::new();
    let kinds = [
        Kind::Everything,
        Kind::Texts,
        Kind::Tags,
        Kind::Numbers,
        Kind::Points,
        Kind::SortValues,
        Kind::Payloads,
        Kind::RareWords,
    ];
    for kind in kinds {
        let region = Region::new(ALLOCATOR);
        let index = Index::new(Limits { live_documents: 2_500, ..Limits::default() });
        if matches!(kind, Kind::Everything) {
            index.keep_suffixes(Suffixed { text: ALL_FIELDS, tags: vec![FieldId(4)] });
        }
        let mut dice = Dice(7);
        let mut check = |state: &str, index: &Index| {
            let change = region.change();
            let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
            let figures = index.figures();
            let told = figures.memory.total() as f64;
            if (told / held - 1.0).abs() >= 0.1 {
                let share = told / held;
                wrong.push(format!("{kind:?} {state}: told {told}, held {held}, {share:.2}, {:?}", figures.memory));
            }
        };
        let put = |key: u64, dice: &mut Dice| index.apply_now(document(kind, key, dice)).expect("in order");
        for key in 0..2_000 {
            put(key, &mut dice);
        }
        check("live", &index);
        // Every document anew, some of them gone, and what is sealed sealed.
        for key in 0..6_000 {
            put(key % 2_000, &mut dice);
            if key % 50 == 0 {
                index.apply_now(Change::Delete(format!("document:{}", key / 4).into_bytes().into())).expect("in order");
            }
            if key % 100 == 0 {
                while index.maintain(&|| false) {}
            }
        }
        check("after updates", &index);
        index.compact();
        check("in one segment", &index);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
