//! The figures of an index add up to what the allocator gave.

use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits};
use engine::schema::FieldId;
use stats_alloc::{Region, StatsAlloc, INSTRUMENTED_SYSTEM};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn fill(index: &Index, from: u64, to: u64) {
    let mut seed = 1u64;
    for number in from..to {
        let mut builder = DocumentBuilder::new(format!("document:{number}").as_bytes(), Keep::ALL);
        for at in 0..30 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = format!("word{}", ((seed >> 40) as f64).sqrt() as u64);
            builder.word(0, word.as_bytes(), at, 1);
        }
        builder.number(FieldId(1), number as f64);
        builder.point(FieldId(2), (number % 180) as f64, 10.0);
        builder.sort_text(FieldId(3), format!("title {}", number % 1000).as_bytes());
        builder.tag(FieldId(4), format!("tag{}", number % 10).as_bytes());
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    }
}

/// One test, so that no other thread allocates meanwhile.
#[test]
fn figures_are_within_a_tenth_of_what_is_allocated() {
    for sealed in [true, false] {
        let region = Region::new(ALLOCATOR);
        let index = Index::new(Limits { live_documents: 25_000, ..Limits::default() });
        fill(&index, 0, 20_000);
        if sealed {
            index.compact();
            fill(&index, 5_000, 10_000);
            index.compact();
        }
        let change = region.change();
        let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        let figures = index.figures();
        let told = figures.memory.total() as f64;
        assert_eq!(figures.documents, 20_000);
        assert!((told / held - 1.0).abs() < 0.1, "sealed {sealed}: told {told}, held {held}, {:?}", figures.memory);
    }
}
