//! Where does the module's memory come from?
//!
//! From the server when the module is loaded into one (so that it counts in `used_memory`), from the
//! system in tests and benches. The first allocation of the process decides, for ever: memory is
//! always given back to where it came from.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};

use redis_module::raw;

/// Alignment that the server's allocator gives to every block.
const SERVER_ALIGN: usize = 16;

const UNDECIDED: u8 = 0;
const SERVER: u8 = 1;
const SYSTEM: u8 = 2;

/// The global allocator of the module.
pub(crate) struct ModuleAlloc {
    choice: AtomicU8,
}

impl ModuleAlloc {
    pub(crate) const fn new() -> Self {
        Self { choice: AtomicU8::new(UNDECIDED) }
    }

    #[inline]
    fn uses_server(&self) -> bool {
        match self.choice.load(Ordering::Relaxed) {
            SERVER => true,
            SYSTEM => false,
            _ => self.decide(),
        }
    }

    #[cold]
    fn decide(&self) -> bool {
        // SAFETY: the pointer is written once, by the server's init call, before any thread exists.
        let present = unsafe { raw::RedisModule_Alloc }.is_some();
        let wanted = if present { SERVER } else { SYSTEM };
        match self.choice.compare_exchange(UNDECIDED, wanted, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => wanted == SERVER,
            Err(earlier) => earlier == SERVER,
        }
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

// SAFETY: every block comes from one allocator for the life of the process, see `uses_server`.
// Blocks with an alignment above the server's carry their true start in the word before them.
unsafe impl GlobalAlloc for ModuleAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.uses_server() {
            // SAFETY: the caller's contract is the same.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: the server's functions take any size; `align_up` stays inside the block.
        unsafe {
            if layout.align() <= SERVER_ALIGN {
                server_call!(RedisModule_Alloc(layout.size().max(1))).cast()
            } else {
                let start: *mut c_void = server_call!(RedisModule_Alloc(over_aligned_size(layout)));
                align_up(start.cast(), layout.align())
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` with this layout.
        unsafe {
            if !self.uses_server() {
                System.dealloc(pointer, layout);
            } else if let Some(free) = raw::RedisModule_Free {
                let start = if layout.align() <= SERVER_ALIGN { pointer } else { true_start(pointer) };
                free(start.cast());
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as `alloc`; a block of `layout.size()` bytes may be written.
        unsafe {
            if !self.uses_server() {
                System.alloc_zeroed(layout)
            } else if layout.align() <= SERVER_ALIGN {
                server_call!(RedisModule_Calloc(1, layout.size().max(1))).cast()
            } else {
                let pointer = self.alloc(layout);
                if !pointer.is_null() {
                    pointer.write_bytes(0, layout.size());
                }
                pointer
            }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `pointer` came from `alloc` with `layout`; over-aligned blocks are copied by hand.
        unsafe {
            if !self.uses_server() {
                return System.realloc(pointer, layout, size);
            }
            if layout.align() <= SERVER_ALIGN {
                return server_call!(RedisModule_Realloc(pointer.cast(), size.max(1))).cast();
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
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
