//! Hashes that stand for what they are of.

use std::hash::Hash;
use xxhash_rust::xxh3::Xxh3;

/// A 128-bit hash of a value: the same in every run, and wide enough that no two parts of a
/// scope share one.
pub(super) fn wide_hash(value: &impl Hash) -> u128 {
    let mut hasher = Xxh3::new();
    value.hash(&mut hasher);
    hasher.digest128()
}

/// Combines two hashes, in this order.
pub(super) fn mix(first: u128, second: u128) -> u128 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let mixed = (first ^ (first >> 67)).wrapping_mul(ODD);
    (mixed ^ (mixed >> 61)).wrapping_add(second).wrapping_mul(ODD)
}
