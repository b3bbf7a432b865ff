//! Which free blocks does a thread keep for its next allocation?
//!
//! A few of each small size. A search makes and drops hundreds of them, a call of a script dozens; each of these would
//! otherwise walk through the server's allocator and its statistics, which takes many times as long as its use.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::null_mut;

/// From one size class to the next, in bytes: the server's alignment.
const STEP: usize = super::SERVER_ALIGN;
const CLASSES: usize = 32;
/// Bytes that a thread keeps of each class at most, 128 kB of all together.
const KEPT: usize = 4096;

/// The size class of these blocks, if such are kept.
#[inline]
pub(super) fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size().wrapping_sub(1) / STEP;
    (class < CLASSES && layout.align() <= STEP).then_some(class)
}

/// What all blocks of a class are fetched with.
#[inline]
pub(super) fn layout_of(class: usize) -> Layout {
    // SAFETY: a power of two, and a multiple of it that is far from any bound.
    unsafe { Layout::from_size_align_unchecked((class + 1) * STEP, STEP) }
}

/// The free blocks of a thread, one list for each class: the first bytes of a block hold the next one's address.
struct Spare {
    first: [Cell<*mut u8>; CLASSES],
    bytes: [Cell<usize>; CLASSES],
}

thread_local! {
    static SPARE: Spare = const {
        Spare { first: [const { Cell::new(null_mut()) }; CLASSES], bytes: [const { Cell::new(0) }; CLASSES] }
    };
}

impl Spare {
    fn take(&self, class: usize) -> *mut u8 {
        let block = self.first[class].get();
        if !block.is_null() {
            // SAFETY: a kept block is ours alone, and holds the next one's address since `keep`.
            self.first[class].set(unsafe { block.cast::<*mut u8>().read() });
            self.bytes[class].set(self.bytes[class].get() - layout_of(class).size());
        }
        block
    }

    /// # Safety
    /// As the function of this name.
    unsafe fn keep(&self, block: *mut u8, class: usize) -> bool {
        let bytes = self.bytes[class].get() + layout_of(class).size();
        if bytes > KEPT {
            return false;
        }
        // SAFETY: the block is nobody's any more, aligned, and has room for an address.
        unsafe { block.cast::<*mut u8>().write(self.first[class].get()) };
        self.first[class].set(block);
        self.bytes[class].set(bytes);
        true
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            loop {
                let block = self.take(class);
                if block.is_null() {
                    break;
                }
                // SAFETY: from `keep`.
                unsafe { super::give_back(block, layout_of(class)) };
            }
        }
    }
}

/// A block of this class; NULL if the thread keeps none.
#[inline]
pub(super) fn take(class: usize) -> *mut u8 {
    // A thread that ends has given all back.
    SPARE.try_with(|spare| spare.take(class)).unwrap_or(null_mut())
}

/// Keeps a block for the thread's next allocation, if there is room.
///
/// # Safety
/// The block has the size of its class, and nobody uses it from now on unless this returns false.
#[inline]
pub(super) unsafe fn keep(block: *mut u8, class: usize) -> bool {
    // SAFETY: as promised to us.
    SPARE.try_with(|spare| unsafe { spare.keep(block, class) }).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(size: usize, align: usize) -> Option<usize> {
        class_of(Layout::from_size_align(size, align).unwrap())
    }

    #[test]
    fn classes_reach_to_half_a_kilobyte() {
        assert_eq!([class(1, 1), class(16, 16), class(17, 8), class(512, 1)], [Some(0), Some(0), Some(1), Some(31)]);
        assert_eq!([class(0, 1), class(513, 1), class(16, 32), class(isize::MAX as usize, 1)], [None; 4]);
        assert!((0..CLASSES).all(|one| class_of(layout_of(one)) == Some(one)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        std::thread::spawn(|| {
            let blocks: Vec<_> = (0..KEPT / 512 + 1)
                // SAFETY: a layout with a size.
                .map(|_| unsafe { super::super::fetch(layout_of(31)) })
                .collect();
            // SAFETY: blocks of that class that nobody uses.
            let kept: Vec<_> = blocks.iter().map(|block| unsafe { keep(*block, 31) }).collect();
            assert!(kept[..8].iter().all(|kept| *kept) && !kept[8], "{kept:?}");
            assert_eq!(take(31), blocks[7], "the last one first");
            // SAFETY: ours again, both.
            unsafe { blocks[7..].iter().for_each(|block| super::super::give_back(*block, layout_of(31))) };
        })
        .join()
        .unwrap();
    }
}
