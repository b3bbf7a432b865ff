//! How much memory does each interpreter use, and who gives it back?
//!
//! CPython's object and "mem" domains allocate through [`install`]ed functions. Each block carries a small
//! header that names the [`Heap`] of the interpreter that allocated it. That gives three things:
//!
//! * accounting and a limit per interpreter (over the limit an allocation fails: `MemoryError`);
//! * the server's own allocator underneath, so that `used_memory` tells the truth;
//! * with an own GIL per interpreter, reclaiming: CPython keeps every arena of an interpreter that ended with
//!   one live block, which costs megabytes per script. Blocks of such an interpreter are
//!   linked into a list, and what is left after its end is freed ([`Heap::reclaim`]). With a shared
//!   GIL this would be wrong: interned strings are shared between interpreters there.
//!
//! Small blocks are taken where the module's own come from, which keeps a few free ones for each thread: a call of a
//! script takes and gives back dozens, and a walk through the server's allocator for each was a tenth of its time. CPython's
//! own pools would be as fast, but what scripts leave behind keeps whole arenas of them: eight times the memory, seen after
//! scripts that were large for a moment.
//!
//! The "raw" domain is left alone: it is used before initialisation and without any interpreter.

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use pyo3_ffi as ffi;

/// The four functions every allocation ends in, with the meaning of C's.
#[derive(Debug, Clone, Copy)]
pub struct RawAllocator {
    /// Like `malloc`.
    pub malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    /// Like `calloc`.
    pub calloc: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    /// Like `realloc`.
    pub realloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    /// Like `free`.
    pub free: unsafe extern "C" fn(*mut c_void),
}

const LIBC: RawAllocator =
    RawAllocator { malloc: libc::malloc, calloc: libc::calloc, realloc: libc::realloc, free: libc::free };

static RAW: OnceLock<RawAllocator> = OnceLock::new();
static LINKED: AtomicBool = AtomicBool::new(false);

/// After a request was refused, requests up to this size may go over the limit by [`RESERVE`], so that Python has
/// something left to raise its `MemoryError` with.
const SMALL: usize = 1024;
const RESERVE: usize = 128 * 1024;

/// Blocks up to this size, header included, are taken from the module's allocator, larger ones from [`RawAllocator`]: they
/// may be too large, which that one tells.
const SMALL_BLOCK: usize = 512;

/// Whether all allocations of these domains happen under one lock, as CPython promises: then nothing needs to be atomic
/// but what others read.
const ONE_GIL: bool = !super::OWN_GIL;

/// What one interpreter has allocated.
#[derive(Debug)]
pub(crate) struct Heap {
    used: AtomicUsize,
    /// All that was ever charged.
    total: AtomicU64,
    limit: AtomicUsize,
    /// Whether the limit was met, so that the reserve may be used.
    met: AtomicBool,
    /// Guards the list that starts at `first`; held for a few instructions only.
    busy: AtomicBool,
    first: Cell<*mut Block>,
}

// SAFETY: `first` and everything linked from it is only touched while `busy` is held.
unsafe impl Sync for Heap {}
// SAFETY: as above; nothing in a heap belongs to one thread.
unsafe impl Send for Heap {}

/// The header of every block when blocks are not linked: 16 bytes keep malloc's alignment.
#[repr(C)]
struct Plain {
    heap: *const Heap,
    size: usize,
}

/// The header when they are.
#[repr(C)]
struct Block {
    prev: *mut Block,
    next: *mut Block,
    plain: Plain,
}

/// The heap of the main interpreter, and of whatever runs outside any interpreter.
static MAIN: Heap = Heap::new();

/// Which heap belongs to which live interpreter (by its address).
static HEAPS: OnceLock<RwLock<HashMap<usize, &'static Heap>>> = OnceLock::new();
/// Changes with `HEAPS`, so that threads know when their cached answer is old.
static EPOCH: AtomicU64 = AtomicU64::new(1);
/// Heaps of ended interpreters. Blocks that CPython keeps for ever point to theirs, so one is used again
/// only when it is empty.
static RETIRED: Mutex<Vec<&'static Heap>> = Mutex::new(Vec::new());

thread_local! {
    /// While an interpreter is being created or ended: its heap, whatever CPython's current one is.
    static OVERRIDE: Cell<*const Heap> = const { Cell::new(ptr::null()) };
    /// The last lookup: interpreter, epoch, heap.
    static CACHE: Cell<(usize, u64, *const Heap)> = const { Cell::new((0, 0, ptr::null())) };
}

impl Heap {
    const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
            total: AtomicU64::new(0),
            limit: AtomicUsize::new(usize::MAX),
            met: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            first: Cell::new(null_mut()),
        }
    }

    /// The main interpreter's heap.
    pub(crate) fn main() -> &'static Heap {
        &MAIN
    }

    /// A heap for an interpreter that is about to be created.
    pub(crate) fn fresh() -> &'static Heap {
        let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = retired.len().saturating_sub(16);
        if let Some(at) = (newest..retired.len()).find(|at| retired[*at].used() == 0) {
            let heap = retired.swap_remove(at);
            heap.set_limit(None);
            return heap;
        }
        drop(retired);
        Box::leak(Box::new(Heap::new()))
    }

    /// Bytes allocated now, without headers.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Sets the largest value of [`Heap::used`]; `None` lifts it.
    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        self.limit.store(limit.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Allocates for this heap while `work` runs on this thread, and remembers which interpreter it is.
    pub(crate) fn owning<R>(&'static self, work: impl FnOnce() -> R) -> R {
        let before = OVERRIDE.replace(self);
        let result = work();
        OVERRIDE.set(before);
        result
    }

    /// Says that this heap is `interp`'s from now on.
    pub(crate) fn claim(&'static self, interp: *mut ffi::PyInterpreterState) {
        let mut heaps = heaps().write().unwrap_or_else(PoisonError::into_inner);
        heaps.insert(interp as usize, self);
        EPOCH.fetch_add(1, Ordering::Release);
    }

    /// Forgets an interpreter that ended, frees what it left behind (only when blocks are linked), and
    /// returns how many bytes those were.
    pub(crate) fn retire(&'static self, interp: *mut ffi::PyInterpreterState) -> usize {
        {
            let mut heaps = heaps().write().unwrap_or_else(PoisonError::into_inner);
            heaps.remove(&(interp as usize));
            EPOCH.fetch_add(1, Ordering::Release);
        }
        let left = self.used();
        if LINKED.load(Ordering::Relaxed) {
            self.reclaim();
        }
        RETIRED.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        left
    }

    fn reclaim(&self) {
        self.lock();
        let mut block = self.first.replace(null_mut());
        self.used.store(0, Ordering::Relaxed);
        self.unlock();
        while !block.is_null() {
            // SAFETY: the list holds live blocks of this heap; nobody else knows them once they are off it.
            unsafe {
                let next = (*block).next;
                give(block.cast(), occupied::<Block>((*block).plain.size));
                block = next;
            }
        }
    }

    fn lock(&self) {
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            // The holder may be a thread that is not running: on few cores spinning would only delay it.
            std::thread::yield_now();
        }
    }

    fn unlock(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// Whether `size` bytes more are too much; counts them if not.
    fn charge(&self, size: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit != usize::MAX {
            let wanted = self.used().saturating_add(size);
            if wanted > limit {
                let met = self.met.swap(true, Ordering::Relaxed);
                if !met || size > SMALL || wanted > limit.saturating_add(RESERVE) {
                    return false;
                }
            } else if wanted < limit.saturating_sub(RESERVE) && self.met.load(Ordering::Relaxed) {
                self.met.store(false, Ordering::Relaxed);
            }
        }
        if ONE_GIL {
            self.used.store(self.used().wrapping_add(size), Ordering::Relaxed);
            self.total.store(self.total.load(Ordering::Relaxed).wrapping_add(size as u64), Ordering::Relaxed);
        } else {
            self.used.fetch_add(size, Ordering::Relaxed);
            self.total.fetch_add(size as u64, Ordering::Relaxed);
        }
        if size >= LARGE {
            note_peak();
        }
        true
    }

    fn refund(&self, size: usize) {
        if ONE_GIL {
            self.used.store(self.used().wrapping_sub(size), Ordering::Relaxed);
        } else {
            self.used.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// # Safety
    /// `block` is a live block of this heap that is not on the list.
    unsafe fn link(&self, block: *mut Block) {
        self.lock();
        let next = self.first.replace(block);
        // SAFETY: `block` is ours, `next` is on our list, and the list is locked.
        unsafe {
            (*block).prev = null_mut();
            (*block).next = next;
            if !next.is_null() {
                (*next).prev = block;
            }
        }
        self.unlock();
    }

    /// # Safety
    /// `block` is on this heap's list.
    unsafe fn unlink(&self, block: *mut Block) {
        self.lock();
        // SAFETY: the neighbours are on the same, locked list.
        unsafe {
            let (prev, next) = ((*block).prev, (*block).next);
            if prev.is_null() {
                self.first.set(next);
            } else {
                (*prev).next = next;
            }
            if !next.is_null() {
                (*next).prev = prev;
            }
        }
        self.unlock();
    }
}

/// Allocations from this size on are looked at one by one for the peak.
const LARGE: usize = 1 << 20;

static PEAK: AtomicU64 = AtomicU64::new(0);

/// Looks at what is allocated now, and returns the most that was ever seen.
pub(crate) fn note_peak() -> u64 {
    let current = totals().1 as u64;
    PEAK.fetch_max(current, Ordering::Relaxed).max(current)
}

/// Bytes that all interpreters have allocated since the start, and bytes that they occupy now.
pub(crate) fn totals() -> (u64, usize) {
    let mut seen = (MAIN.total.load(Ordering::Relaxed), MAIN.used());
    for heap in heaps().read().unwrap_or_else(PoisonError::into_inner).values() {
        if !ptr::eq(*heap, &raw const MAIN) {
            seen.0 += heap.total.load(Ordering::Relaxed);
            seen.1 += heap.used();
        }
    }
    // A heap keeps its total when it is retired and used again.
    for heap in RETIRED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        seen.0 += heap.total.load(Ordering::Relaxed);
    }
    seen
}

fn heaps() -> &'static RwLock<HashMap<usize, &'static Heap>> {
    HEAPS.get_or_init(|| RwLock::new(HashMap::new()))
}

fn raw() -> &'static RawAllocator {
    RAW.get().unwrap_or(&LIBC)
}

/// The bytes of a block with a header of type `H` and room for `size`, or `None` where that is no number.
fn total<H>(size: usize) -> Option<usize> {
    size.max(1).checked_add(size_of::<H>())
}

/// The bytes of a block that there is.
fn occupied<H>(size: usize) -> usize {
    size.max(1) + size_of::<H>()
}

/// What a small block is taken with: as malloc aligns.
fn layout(total: usize) -> Layout {
    // SAFETY: a power of two; small blocks are far from any bound.
    unsafe { Layout::from_size_align_unchecked(total, 16) }
}

/// A block of `total` bytes (at least one); NULL if there is no memory.
unsafe fn take(total: usize) -> *mut c_void {
    // SAFETY: a positive size.
    unsafe {
        if total <= SMALL_BLOCK {
            std::alloc::alloc(layout(total)).cast()
        } else {
            (raw().malloc)(total)
        }
    }
}

/// As [`take`]; the block is zero.
unsafe fn take_zeroed(total: usize) -> *mut c_void {
    // SAFETY: a positive size.
    unsafe {
        if total <= SMALL_BLOCK {
            std::alloc::alloc_zeroed(layout(total)).cast()
        } else {
            (raw().calloc)(1, total)
        }
    }
}

/// # Safety
/// `block` is of `total` bytes, and nobody uses it.
unsafe fn give(block: *mut c_void, total: usize) {
    // SAFETY: it goes back where blocks of its size come from.
    unsafe {
        if total <= SMALL_BLOCK {
            std::alloc::dealloc(block.cast(), layout(total));
        } else {
            (raw().free)(block);
        }
    }
}

/// The same block with room for `total` bytes instead of `old`; NULL leaves it as it is.
///
/// # Safety
/// As [`give`] for `old`, but that `block` may be in use until another one is returned.
unsafe fn resize(block: *mut c_void, old: usize, total: usize) -> *mut c_void {
    // SAFETY: as above; the bytes that are copied lie in both.
    unsafe {
        match (old <= SMALL_BLOCK, total <= SMALL_BLOCK) {
            (true, true) => std::alloc::realloc(block.cast(), layout(old), total).cast(),
            (false, false) => (raw().realloc)(block, total),
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

/// The heap that an allocation of this thread belongs to.
fn current() -> &'static Heap {
    let owner = OVERRIDE.get();
    if !owner.is_null() {
        // SAFETY: heaps live for ever.
        return unsafe { &*owner };
    }
    // SAFETY: these domains are used with a GIL held, so the current thread state, if any, is alive.
    let interp = unsafe {
        let thread = ffi::compat::PyThreadState_GetUnchecked();
        if thread.is_null() {
            return &MAIN;
        }
        ffi::PyThreadState_GetInterpreter(thread) as usize
    };
    let epoch = EPOCH.load(Ordering::Acquire);
    let (cached, then, heap) = CACHE.get();
    if cached == interp && then == epoch {
        // SAFETY: heaps live for ever.
        return unsafe { &*heap };
    }
    let heap: &'static Heap =
        heaps().read().unwrap_or_else(PoisonError::into_inner).get(&interp).copied().unwrap_or(&MAIN);
    CACHE.set((interp, epoch, heap));
    heap
}

/// Routes CPython's allocations here. Call it before CPython is initialised.
pub(crate) fn install(allocator: Option<RawAllocator>, linked: bool) {
    let _ = RAW.set(allocator.unwrap_or(LIBC));
    LINKED.store(linked, Ordering::Relaxed);
    let mut functions = if linked {
        ffi::PyMemAllocatorEx {
            ctx: null_mut(),
            malloc: Some(linked_malloc),
            calloc: Some(linked_calloc),
            realloc: Some(linked_realloc),
            free: Some(linked_free),
        }
    } else {
        ffi::PyMemAllocatorEx {
            ctx: null_mut(),
            malloc: Some(plain_malloc),
            calloc: Some(plain_calloc),
            realloc: Some(plain_realloc),
            free: Some(plain_free),
        }
    };
    let mut chunks = ffi::PyObjectArenaAllocator { ctx: null_mut(), alloc: Some(chunk_alloc), free: Some(chunk_free) };
    // SAFETY: nothing has been allocated in these domains before initialisation; the functions live for ever.
    unsafe {
        ffi::PyObject_SetArenaAllocator(&mut chunks);
        ffi::PyMem_SetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_MEM, &mut functions);
        ffi::PyMem_SetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut functions);
    }
}

/// What CPython otherwise asks the system for: the stack of Python frames that each thread state begins with, thousands of
/// times a second here. Without an owner, since it is freed when no interpreter is current.
extern "C" fn chunk_alloc(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: malloc of a positive size.
    unsafe { (raw().malloc)(size) }
}

extern "C" fn chunk_free(_: *mut c_void, chunk: *mut c_void, _: usize) {
    // SAFETY: from `chunk_alloc`.
    unsafe { (raw().free)(chunk) }
}

extern "C" fn plain_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    plain_new(size, |total| {
        // SAFETY: a positive size.
        unsafe { take(total) }
    })
}

extern "C" fn plain_calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else { return null_mut() };
    plain_new(size, |total| {
        // SAFETY: a positive size.
        unsafe { take_zeroed(total) }
    })
}

fn plain_new(size: usize, take: impl FnOnce(usize) -> *mut c_void) -> *mut c_void {
    let Some(total) = total::<Plain>(size) else { return null_mut() };
    let heap = current();
    if !heap.charge(size) {
        return null_mut();
    }
    let plain = take(total).cast::<Plain>();
    if plain.is_null() {
        heap.refund(size);
        return null_mut();
    }
    // SAFETY: the block has room for the header, and is aligned as malloc aligns.
    unsafe {
        plain.write(Plain { heap, size });
        plain.add(1).cast()
    }
}

extern "C" fn plain_realloc(ctx: *mut c_void, data: *mut c_void, size: usize) -> *mut c_void {
    if data.is_null() {
        return plain_malloc(ctx, size);
    }
    let Some(total) = total::<Plain>(size) else { return null_mut() };
    // SAFETY: CPython gives back what one of these functions returned, so a header lies before it.
    unsafe {
        let plain = data.cast::<Plain>().sub(1);
        let (heap, old) = (&*(*plain).heap, (*plain).size);
        if size > old && !heap.charge(size - old) {
            return null_mut();
        }
        let moved = resize(plain.cast(), occupied::<Plain>(old), total).cast::<Plain>();
        if moved.is_null() {
            heap.refund(size.saturating_sub(old));
            return null_mut();
        }
        heap.refund(old.saturating_sub(size));
        (*moved).size = size;
        moved.add(1).cast()
    }
}

extern "C" fn plain_free(_: *mut c_void, data: *mut c_void) {
    if data.is_null() {
        return;
    }
    // SAFETY: as in realloc.
    unsafe {
        let plain = data.cast::<Plain>().sub(1);
        let size = (*plain).size;
        (*(*plain).heap).refund(size);
        give(plain.cast(), occupied::<Plain>(size));
    }
}

extern "C" fn linked_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    linked_new(size, |total| {
        // SAFETY: a positive size.
        unsafe { take(total) }
    })
}

extern "C" fn linked_calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else { return null_mut() };
    linked_new(size, |total| {
        // SAFETY: a positive size.
        unsafe { take_zeroed(total) }
    })
}

fn linked_new(size: usize, take: impl FnOnce(usize) -> *mut c_void) -> *mut c_void {
    let Some(total) = total::<Block>(size) else { return null_mut() };
    let heap = current();
    if !heap.charge(size) {
        return null_mut();
    }
    let block = take(total).cast::<Block>();
    if block.is_null() {
        heap.refund(size);
        return null_mut();
    }
    // SAFETY: the block has room for the header, is aligned, and is on no list yet.
    unsafe {
        block.write(Block { prev: null_mut(), next: null_mut(), plain: Plain { heap, size } });
        heap.link(block);
        block.add(1).cast()
    }
}

extern "C" fn linked_realloc(ctx: *mut c_void, data: *mut c_void, size: usize) -> *mut c_void {
    if data.is_null() {
        return linked_malloc(ctx, size);
    }
    let Some(total) = total::<Block>(size) else { return null_mut() };
    // SAFETY: CPython gives back what one of these functions returned: a header lies before it, and the block
    // is on its heap's list until it is taken off here.
    unsafe {
        let block = data.cast::<Block>().sub(1);
        let (heap, old) = (&*(*block).plain.heap, (*block).plain.size);
        if size > old && !heap.charge(size - old) {
            return null_mut();
        }
        heap.unlink(block);
        let moved = resize(block.cast(), occupied::<Block>(old), total).cast::<Block>();
        if moved.is_null() {
            heap.link(block);
            heap.refund(size.saturating_sub(old));
            return null_mut();
        }
        heap.refund(old.saturating_sub(size));
        (*moved).plain.size = size;
        heap.link(moved);
        moved.add(1).cast()
    }
}

extern "C" fn linked_free(_: *mut c_void, data: *mut c_void) {
    if data.is_null() {
        return;
    }
    // SAFETY: as in realloc.
    unsafe {
        let block = data.cast::<Block>().sub(1);
        let heap = &*(*block).plain.heap;
        let size = (*block).plain.size;
        heap.unlink(block);
        heap.refund(size);
        give(block.cast(), occupied::<Block>(size));
    }
}
