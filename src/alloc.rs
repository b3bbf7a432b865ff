//! Where does the module's memory come from?
//!
//! From the server when the module is loaded into one (so that it counts in `used_memory`), from the
//! system in tests and benches. The first allocation of the process decides, for ever: memory is
//! always given back to where it came from.

#![allow(unsafe_code)]

mod spare;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};

use redis_module::raw;

/// Alignment that the server's allocator gives to every block.
const SERVER_ALIGN: usize = 16;

const UNDECIDED: u8 = 0;
const SERVER: u8 = 1;
const SYSTEM: u8 = 2;

/// Who gives the memory; undecided at first.
static CHOICE: AtomicU8 = AtomicU8::new(UNDECIDED);

#[inline]
fn uses_server() -> bool {
    match CHOICE.load(Ordering::Relaxed) {
        SERVER => true,
        SYSTEM => false,
        _ => decide(),
    }
}

#[cold]
fn decide() -> bool {
    // SAFETY: the pointer is written once, by the server's init call, before any thread exists.
    let present = unsafe { raw::RedisModule_Alloc }.is_some();
    let wanted = if present { SERVER } else { SYSTEM };
    match CHOICE.compare_exchange(UNDECIDED, wanted, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => wanted == SERVER,
        Err(earlier) => earlier == SERVER,
    }
}

/// The server's functions; the latch says that they are there.
macro_rules! server_call {
    ($name:ident ( $($arg:expr),* )) => {
        match raw::$name {
            Some(function) => function($($arg),*),
            None => std::ptr::null_mut(),
        }
    };
}

/// The global allocator of the module.
pub(crate) struct ModuleAlloc;

// SAFETY: every block comes from one allocator for the life of the process, see `uses_server`, and goes back there with
// the size that it was asked for with: that of its class where there is one.
unsafe impl GlobalAlloc for ModuleAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = spare::class_of(layout) else {
            // SAFETY: the caller's contract is the same.
            return unsafe { fetch(layout) };
        };
        let block = spare::take(class);
        if block.is_null() {
            // SAFETY: classes have a size.
            return unsafe { fetch(spare::layout_of(class)) };
        }
        block
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` with this layout.
        unsafe {
            match spare::class_of(layout) {
                Some(class) if spare::keep(pointer, class) => {}
                Some(class) => give_back(pointer, spare::layout_of(class)),
                None => give_back(pointer, layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as `alloc`; a block of `layout.size()` bytes may be written.
        unsafe {
            if spare::class_of(layout).is_none() && layout.align() <= SERVER_ALIGN {
                return if uses_server() {
                    server_call!(RedisModule_Calloc(1, layout.size().max(1))).cast()
                } else {
                    System.alloc_zeroed(layout)
                };
            }
            let pointer = self.alloc(layout);
            if !pointer.is_null() {
                pointer.write_bytes(0, layout.size());
            }
            pointer
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `pointer` came from `alloc` with `layout`, and the caller promises that `size` is valid with its alignment.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (spare::class_of(layout), spare::class_of(wanted)) {
                (None, None) if layout.align() <= SERVER_ALIGN => {
                    return if uses_server() {
                        server_call!(RedisModule_Realloc(pointer.cast(), size.max(1))).cast()
                    } else {
                        System.realloc(pointer, layout, size)
                    };
                }
                (Some(before), Some(after)) if before == after => return pointer,
                _ => {}
            }
            let new = self.alloc(wanted);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}

/// A block from the server or the system; NULL if there is no memory. Blocks with an alignment above the server's carry
/// their true start in the word before them.
///
/// # Safety
/// As [`GlobalAlloc::alloc`].
unsafe fn fetch(layout: Layout) -> *mut u8 {
    // SAFETY: the server's functions take any size; `align_up` stays inside the block.
    unsafe {
        if !uses_server() {
            System.alloc(layout)
        } else if layout.align() <= SERVER_ALIGN {
            server_call!(RedisModule_Alloc(layout.size().max(1))).cast()
        } else {
            let start: *mut c_void = server_call!(RedisModule_Alloc(over_aligned_size(layout)));
            align_up(start.cast(), layout.align())
        }
    }
}

/// Gives a block back to where it came from.
///
/// # Safety
/// `pointer` came from [`fetch`] with this layout, and nobody uses it.
unsafe fn give_back(pointer: *mut u8, layout: Layout) {
    // SAFETY: as promised to us.
    unsafe {
        if !uses_server() {
            System.dealloc(pointer, layout);
        } else if let Some(free) = raw::RedisModule_Free {
            let start = if layout.align() <= SERVER_ALIGN { pointer } else { true_start(pointer) };
            free(start.cast());
        }
    }
}

/// Room for the block, for moving it to its alignment, and for the word that remembers its start.
fn over_aligned_size(layout: Layout) -> usize {
    layout.size() + layout.align() + std::mem::size_of::<usize>()
}

/// # Safety
/// `start` is null or the start of a block of [`over_aligned_size`] bytes.
unsafe fn align_up(start: *mut u8, align: usize) -> *mut u8 {
    if start.is_null() {
        return start;
    }
    let word = std::mem::size_of::<usize>();
    // SAFETY: the block has `align + word` bytes more than the caller needs.
    unsafe {
        let after_word = start.add(word);
        let pointer = after_word.add(after_word.align_offset(align));
        pointer.cast::<usize>().sub(1).write_unaligned(start as usize);
        pointer
    }
}

/// # Safety
/// `pointer` came from [`align_up`].
unsafe fn true_start(pointer: *mut u8) -> *mut u8 {
    // SAFETY: `align_up` wrote the word.
    unsafe { pointer.cast::<usize>().sub(1).read_unaligned() as *mut u8 }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// A live block, its layout, and the byte that it is full of.
    type Held = (*mut u8, Layout, u8);

    fn fill((block, layout, with): Held, from: usize) {
        // SAFETY: the block has so many bytes.
        unsafe { block.add(from).write_bytes(with, layout.size() - from) };
    }

    fn holds((block, layout, what): Held, size: usize) -> bool {
        // SAFETY: the block has at least so many bytes, which were all written.
        let bytes = unsafe { std::slice::from_raw_parts(block, size) };
        block.align_offset(layout.align()) == 0 && bytes.iter().all(|byte| *byte == what)
    }

    proptest! {
        /// Blocks do not overlap, are aligned, begin with zeros if asked to, and keep what they hold through a change of size.
        #[test]
        fn blocks_keep_what_they_hold(
            steps in prop::collection::vec((0..4u8, 1..700usize, 0..7u32, any::<u8>()), 1..400)
        ) {
            let mut live: VecDeque<Held> = VecDeque::new();
            for (kind, size, align, with) in steps {
                let layout = Layout::from_size_align(size, 1 << align).unwrap();
                // SAFETY: sizes are positive, and each block goes back once, with its layout.
                unsafe {
                    match (kind, live.pop_front()) {
                        (0, Some(held)) => {
                            prop_assert!(holds(held, held.1.size()));
                            ModuleAlloc.dealloc(held.0, held.1);
                        }
                        (1, Some((block, before, what))) => {
                            let kept = before.size().min(size);
                            let after = Layout::from_size_align(size, before.align()).unwrap();
                            let moved = (ModuleAlloc.realloc(block, before, size), after, what);
                            prop_assert!(holds(moved, kept));
                            fill(moved, kept);
                            live.push_back(moved);
                        }
                        (2, first) => {
                            live.extend(first);
                            let held = (ModuleAlloc.alloc_zeroed(layout), layout, 0);
                            prop_assert!(holds(held, size));
                            live.push_back(held);
                        }
                        (_, first) => {
                            live.extend(first);
                            let held = (ModuleAlloc.alloc(layout), layout, with);
                            fill(held, 0);
                            live.push_back(held);
                        }
                    }
                }
            }
            for held in live {
                prop_assert!(holds(held, held.1.size()));
                // SAFETY: as above.
                unsafe { ModuleAlloc.dealloc(held.0, held.1) };
            }
        }
    }

    #[test]
    fn a_thread_that_ends_keeps_nothing() {
        // Blocks that one thread drops for another, and a thread-local value that outlives the kept blocks.
        thread_local!(static LAST: std::cell::RefCell<Vec<Vec<u8>>> = const { std::cell::RefCell::new(Vec::new()) });
        for _ in 0..100 {
            let boxes: Vec<_> = (0..500).map(|n| Box::new([n as u8; 40])).collect();
            let sum = std::thread::spawn(move || {
                LAST.with_borrow_mut(|last| last.push(vec![1; 40]));
                boxes.iter().map(|one| usize::from(one[7])).sum::<usize>()
            });
            assert_eq!(sum.join().unwrap(), (0..500usize).map(|n| n & 255).sum());
        }
    }
}
