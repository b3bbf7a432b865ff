//! Which free blocks are kept for the next allocation?
//!
//! Where there is one GIL, a few of each small size, in arrays that it guards: taking one and giving it back is a few
//! instructions, a walk through the server's allocator with its statistics many times as much. Where every interpreter
//! has its own GIL, none.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::{self, null_mut};

use super::alloc::{raw, ONE_GIL};

/// Blocks of each size class that are kept at most; all of them together are half a megabyte.
const MOST: usize = 64;
/// Bytes from one size class to the next: what malloc aligns to.
const STEP: usize = 16;
/// Size classes; what is larger than the last one is not kept.
const CLASSES: usize = 32;

/// Free blocks by size class, the last one freed on top.
struct Spare {
    blocks: [[*mut c_void; MOST]; CLASSES],
    counts: [usize; CLASSES],
}

struct Guarded(UnsafeCell<Spare>);

// SAFETY: only touched where there is one GIL, by functions whose callers hold it.
unsafe impl Sync for Guarded {}

static SPARE: Guarded = Guarded(UnsafeCell::new(Spare { blocks: [[null_mut(); MOST]; CLASSES], counts: [0; CLASSES] }));

/// The size class of a block of `total` bytes (at least one), if such blocks are kept.
fn class_of(total: usize) -> Option<usize> {
    let class = total.div_ceil(STEP) - 1;
    (ONE_GIL && class < CLASSES).then_some(class)
}

/// A block of `total` bytes or some more; NULL if there is no memory.
///
/// # Safety
/// With the GIL. `total` is positive.
pub(super) unsafe fn take(total: usize) -> *mut c_void {
    // SAFETY: nobody else holds the GIL; malloc of a positive size.
    unsafe {
        let Some(class) = class_of(total) else { return (raw().malloc)(total) };
        let spare = &mut *SPARE.0.get();
        let Some(top) = spare.counts[class].checked_sub(1) else { return (raw().malloc)((class + 1) * STEP) };
        spare.counts[class] = top;
        spare.blocks[class][top]
    }
}

/// As [`take`], and `total` bytes of it are zero.
///
/// # Safety
/// As [`take`].
pub(super) unsafe fn take_zeroed(total: usize) -> *mut c_void {
    // SAFETY: as in `take`; a block has room for at least `total` bytes.
    unsafe {
        if class_of(total).is_none() {
            return (raw().calloc)(1, total);
        }
        let block = take(total);
        if !block.is_null() {
            block.cast::<u8>().write_bytes(0, total);
        }
        block
    }
}

/// Takes a block of `total` bytes back.
///
/// # Safety
/// With the GIL. `block` was taken for a `total` of the same class, and nobody uses it.
pub(super) unsafe fn give(block: *mut c_void, total: usize) {
    // SAFETY: nobody else holds the GIL; what is not kept goes back where it came from.
    unsafe {
        if let Some(class) = class_of(total) {
            let spare = &mut *SPARE.0.get();
            let top = spare.counts[class];
            if top < MOST {
                spare.blocks[class][top] = block;
                spare.counts[class] = top + 1;
                return;
            }
        }
        (raw().free)(block);
    }
}

/// The same block with room for `total` bytes instead of `old`; NULL leaves it as it is.
///
/// # Safety
/// As [`give`] for `old`, but that `block` may be in use until another block is returned. `total` is positive.
pub(super) unsafe fn resize(block: *mut c_void, old: usize, total: usize) -> *mut c_void {
    // SAFETY: a block that is of no class is the allocator's own; `old.min(total)` bytes lie in both.
    unsafe {
        match (class_of(old), class_of(total)) {
            (None, None) => (raw().realloc)(block, total),
            (before, after) if before == after => block,
            _ => {
                let moved = take(total);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block.cast::<u8>(), moved.cast::<u8>(), old.min(total));
                    give(block, old);
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn size_classes_reach_to_half_a_kilobyte() {
        assert_eq!(class_of(1), ONE_GIL.then_some(0));
        assert_eq!(class_of(STEP), ONE_GIL.then_some(0));
        assert_eq!(class_of(STEP + 1), ONE_GIL.then_some(1));
        assert_eq!(class_of(STEP * CLASSES), ONE_GIL.then_some(CLASSES - 1));
        assert_eq!(class_of(STEP * CLASSES + 1), None);
        assert_eq!(class_of(usize::MAX), None);
    }

    fn filled(block: *mut c_void, from: usize, total: usize, with: u8) {
        // SAFETY: the caller's block has `total` bytes.
        unsafe { block.cast::<u8>().add(from).write_bytes(with, total - from) };
    }

    fn holds(block: *mut c_void, total: usize, what: u8) -> bool {
        // SAFETY: the caller's block has `total` bytes, which were all written.
        unsafe { std::slice::from_raw_parts(block.cast::<u8>(), total) }.iter().all(|byte| *byte == what)
    }

    proptest! {
        /// Blocks never overlap, keep what was written to them through a change of size, and begin with zeros if asked to.
        /// This is the only test of the process that allocates here, which stands for the GIL.
        #[test]
        fn blocks_keep_what_they_hold(steps in prop::collection::vec((0..4u8, 1..700usize, any::<u8>()), 1..400)) {
            let mut live: VecDeque<(*mut c_void, usize, u8)> = VecDeque::new();
            for (kind, total, with) in steps {
                // SAFETY: sizes are positive, and each block is given back once, with its size.
                unsafe {
                    match (kind, live.pop_front()) {
                        (0, Some((block, size, held))) => {
                            prop_assert!(holds(block, size, held));
                            give(block, size);
                        }
                        (1, Some((block, size, held))) => {
                            let moved = resize(block, size, total);
                            prop_assert!(holds(moved, size.min(total), held));
                            filled(moved, size.min(total), total, held);
                            live.push_back((moved, total, held));
                        }
                        (2, first) => {
                            live.extend(first);
                            let block = take_zeroed(total);
                            prop_assert!(holds(block, total, 0));
                            live.push_back((block, total, 0));
                        }
                        (_, first) => {
                            live.extend(first);
                            let block = take(total);
                            filled(block, 0, total, with);
                            live.push_back((block, total, with));
                        }
                    }
                }
            }
            for (block, size, held) in live {
                prop_assert!(holds(block, size, held));
                // SAFETY: as above.
                unsafe { give(block, size) };
            }
        }
    }
}
