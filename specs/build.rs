//! Builds the crate anew when a scope or claim file is added or removed: they are embedded by directory.

fn main() {
    println!("cargo:rerun-if-changed=scopes");
    println!("cargo:rerun-if-changed=claims");
}
