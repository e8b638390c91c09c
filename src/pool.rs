//! The module's allocator: small blocks from a region of fixed size, by size class; everything else from the system's allocator.
//!
//! A mirrored request allocates and frees a dozen small blocks, including those for the host's results. The system's
//! allocator takes some 250 instructions for each, this one 40. The region is part of the module's memory from the start, so
//! it adds nothing to the memory formula. Blocks never change their class: when the region is used up, small blocks come from
//! the system's allocator too.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

const REGION: usize = 256 * 1024;
/// A class is a multiple of this, which is also the alignment of blocks.
const STEP: usize = 16;
/// Up to 2 KiB: the headers of a copy, a node of the outbox.
const CLASSES: usize = 128;

/// See the module's documentation.
pub(crate) struct Pool {
    lists: UnsafeCell<Lists>,
    region: Region,
}

#[repr(align(16))]
struct Region(UnsafeCell<[MaybeUninit<u8>; REGION]>);

struct Lists {
    /// The free blocks of each class: each begins with a pointer to the next.
    free: [*mut u8; CLASSES],
    /// From here on the region has never been used.
    unused: usize,
}

// Sound: WebAssembly modules of proxies have one thread.
unsafe impl Sync for Pool {}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self {
            lists: UnsafeCell::new(Lists {
                free: [null_mut(); CLASSES],
                unused: 0,
            }),
            region: Region(UnsafeCell::new([MaybeUninit::uninit(); REGION])),
        }
    }

    fn owns(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.region.0.get().addr()) < REGION
    }

    /// A block from the region, if it has one.
    fn take(&self, class: usize) -> Option<*mut u8> {
        // Sound: nothing else references the lists, since nothing in here calls anything that allocates.
        let lists = unsafe { &mut *self.lists.get() };
        let first = lists.free.get_mut(class)?;
        if !first.is_null() {
            let block = *first;
            // Sound: a free block of the region begins with a pointer, see `give`.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return Some(block);
        }
        let (start, size) = (lists.unused, size(class));
        let end = start.checked_add(size).filter(|end| *end <= REGION)?;
        lists.unused = end;
        // Sound: `start` is inside the region.
        Some(unsafe { self.region.0.get().cast::<u8>().add(start) })
    }

    /// # Safety
    /// The block is from the region, of this class, and no longer in use.
    unsafe fn give(&self, block: *mut u8, class: usize) {
        let lists = unsafe { &mut *self.lists.get() };
        if let Some(first) = lists.free.get_mut(class) {
            // Sound: a block has at least 16 bytes and is aligned to that.
            unsafe { block.cast::<*mut u8>().write(*first) };
            *first = block;
        }
    }
}

/// The class for a layout that the region can serve, from 0.
fn class(layout: Layout) -> Option<usize> {
    let class = layout.size().wrapping_sub(1) / STEP;
    (class < CLASSES && layout.align() <= STEP).then_some(class)
}

/// How many bytes the blocks of a class hold.
fn size(class: usize) -> usize {
    class.saturating_add(1).saturating_mul(STEP)
}

// Not inlined: there are thousands of callers, and the module would be 90 KB larger.
// Sound: a block has at least the layout's size, and its alignment; and its address decides where it is returned.
unsafe impl GlobalAlloc for Pool {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout).and_then(|class| self.take(class)) {
            Some(block) => block,
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            Some(class) if self.owns(block) => unsafe { self.give(block, class) },
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match class(layout).and_then(|class| self.take(class)) {
            Some(block) => {
                unsafe { block.write_bytes(0, layout.size()) };
                block
            }
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.owns(block) {
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // Sound: the caller guarantees that the new size makes a valid layout.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if class(new) == class(layout) {
            return block;
        }
        let other = unsafe { self.alloc(new) };
        if !other.is_null() {
            let kept = layout.size().min(new_size);
            // Sound: both blocks have this many bytes, and they are distinct.
            unsafe {
                other.copy_from_nonoverlapping(block, kept);
                self.dealloc(block, layout);
            }
        }
        other
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block, how it was requested, and what is in it.
    struct Block(*mut u8, Layout, u8);

    impl Block {
        fn new(pool: &Pool, size: usize, align: usize, fill: u8, is_zeroed: bool) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            let block = if is_zeroed {
                let block = unsafe { pool.alloc_zeroed(layout) };
                let bytes = unsafe { std::slice::from_raw_parts(block, size) };
                assert!(bytes.iter().all(|byte| *byte == 0));
                block
            } else {
                unsafe { pool.alloc(layout) }
            };
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            unsafe { block.write_bytes(fill, size) };
            Self(block, layout, fill)
        }

        fn check(&self, size: usize) {
            let bytes = unsafe { std::slice::from_raw_parts(self.0, size) };
            assert!(bytes.iter().all(|byte| *byte == self.2));
        }
    }

    proptest! {
        #[test]
        fn no_block_is_in_another_and_all_come_back(
            steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), 1_usize..3_000, 0_u32..7, any::<bool>()), 1..400),
        ) {
            let pool = Box::new(Pool::new());
            let mut blocks: Vec<Block> = Vec::new();
            for (fill, (what, which, size, align, is_zeroed)) in steps.into_iter().enumerate() {
                let fill = fill as u8;
                if what < 2 || blocks.is_empty() {
                    blocks.push(Block::new(&pool, size, 1 << align, fill, is_zeroed));
                    continue;
                }
                let at = which.index(blocks.len());
                let Block(block, layout, _) = blocks[at];
                blocks[at].check(layout.size());
                if what == 2 {
                    unsafe { pool.dealloc(block, layout) };
                    blocks.swap_remove(at);
                } else {
                    let other = unsafe { pool.realloc(block, layout, size) };
                    blocks[at].0 = other;
                    blocks[at].check(layout.size().min(size));
                    unsafe { other.write_bytes(fill, size) };
                    blocks[at] = Block(other, Layout::from_size_align(size, layout.align()).unwrap(), fill);
                }
            }
            for block in blocks {
                block.check(block.1.size());
                unsafe { pool.dealloc(block.0, block.1) };
            }
        }
    }

    #[test]
    fn when_the_region_is_used_up_the_system_serves() {
        let pool = Box::new(Pool::new());
        let blocks: Vec<Block> = (0..1_000)
            .map(|number| Block::new(&pool, 1_000, 8, number as u8, false))
            .collect();
        let owned = blocks.iter().filter(|block| pool.owns(block.0)).count();
        assert_eq!(owned, REGION / 1_008);
        for block in &blocks {
            block.check(1_000);
            unsafe { pool.dealloc(block.0, block.1) };
        }
        let again = Block::new(&pool, 1_001, 8, 1, false);
        assert!(pool.owns(again.0), "what came back is used");
        unsafe { pool.dealloc(again.0, again.1) };
    }
}
