//! The store on files, with disks that fail and disks that do not.

mod kill;
mod kit;
mod kit_finds;
mod real;
