//! Counts what is asked of the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How often memory was allocated or reallocated since the process began.
pub fn heap_requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

fn count() {
    // One thread runs: a load and a store cost less than an atomic addition, which would be a
    // visible part of the time measured.
    REQUESTS.store(REQUESTS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The system's allocator, with a count.
pub struct Counting;

// `GlobalAlloc` is an unsafe trait with unsafe functions: there is no other way to see the calls.
#[expect(unsafe_code)]
// SAFETY: every call goes on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are handed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}
