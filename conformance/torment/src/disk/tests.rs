//! What a disk holds, without anything mounted.

use super::image::Image;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use tempfile::TempDir;

const SECTOR: usize = 512;

fn image() -> (Image, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Image::new(directory.path().join("platter")).unwrap(), directory)
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn all(image: &Image, file: u64) -> Vec<u8> {
    image.read(file, 0, u64::MAX).unwrap()
}

#[test]
fn a_file_is_read_as_it_was_written_whatever_is_synced() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut image, _directory) = image();
    let file = image.create(name("a")).unwrap();
    let mut expected: Vec<u8> = Vec::new();
    for step in 0..3000_u32 {
        let offset = random.random_range(0..5000);
        match random.random_range(0..8) {
            0 => image.sync(file).unwrap(),
            1 => {
                image.set_size(file, offset as u64).unwrap();
                expected.resize(offset, 0);
            }
            _ => {
                let bytes = vec![step as u8; random.random_range(1..2000)];
                image.write(file, offset as u64, &bytes).unwrap();
                expected.resize(expected.len().max(offset + bytes.len()), 0);
                expected[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
        }
        assert!(all(&image, file) == expected, "step {step}");
        let (from, most) = (random.random_range(0..6000), random.random_range(0..2000));
        let end = expected.len().min(from + most);
        let part = expected.get(from.min(end)..end).unwrap();
        assert!(image.read(file, from as u64, most as u64).unwrap() == part, "step {step}");
    }
}

#[test]
fn what_was_synced_survives_and_of_the_rest_whole_sectors() {
    let (mut lost, mut kept) = (0, 0);
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut image, _directory) = image();
        let file = image.create(name("a")).unwrap();
        image.write(file, 0, &[1; 4 * SECTOR]).unwrap();
        image.sync(file).unwrap();
        image.sync_names();
        image.write(file, SECTOR as u64 - 10, &[2; 5 * SECTOR]).unwrap();
        let loss = image.lose_power(false, &mut random).unwrap();
        assert!(loss.sectors > 0, "something is always lost");
        lost += loss.sectors;
        kept += loss.kept;
        let after = all(&image, file);
        assert!((4 * SECTOR..=6 * SECTOR - 10).contains(&after.len()));
        let mut before = vec![1; 4 * SECTOR];
        before.resize(6 * SECTOR - 10, 0);
        let mut written = before.clone();
        written[SECTOR - 10..].fill(2);
        let mut outcome = Vec::new();
        for (number, sector) in after.chunks(SECTOR).enumerate() {
            let range = number * SECTOR..number * SECTOR + sector.len();
            let (is_old, is_new) = (before[range.clone()] == *sector, written[range] == *sector);
            assert!(is_old || is_new, "sector {number} is torn");
            outcome.push(is_new);
        }
        outcomes.insert(outcome);
    }
    assert!(lost > 200 && kept > 200, "{lost} sectors were lost, and {kept} kept");
    assert!(outcomes.len() > 20, "{outcomes:?}");
}

#[test]
fn everything_that_was_not_synced_can_be_lost() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut image, _directory) = image();
    let file = image.create(name("a")).unwrap();
    image.write(file, 0, b"synced").unwrap();
    image.sync(file).unwrap();
    image.sync_names();
    image.write(file, 2, b"and not").unwrap();
    image.create(name("b")).unwrap();
    image.rename(name("a"), name("c")).unwrap();
    let loss = image.lose_power(true, &mut random).unwrap();
    assert_eq!((loss.sectors, loss.kept, loss.names), (1, 0, 2));
    assert_eq!(image.names(), [(name("a").to_owned(), file)]);
    assert_eq!(all(&image, file), b"synced");
}

#[test]
fn names_are_there_in_the_order_of_their_changes() {
    let mut found = BTreeSet::new();
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut image, _directory) = image();
        image.create(name("old")).unwrap();
        image.sync_names();
        image.create(name("new")).unwrap();
        image.rename(name("new"), name("newer")).unwrap();
        image.remove(name("old")).unwrap();
        image.lose_power(false, &mut random).unwrap();
        let names: Vec<_> = image.names().into_iter().map(|(name, _)| name).collect();
        found.insert(names.join(name(" ")).into_string().unwrap());
    }
    let possible = ["new old", "newer", "newer old", "old"].map(str::to_string);
    assert_eq!(found, BTreeSet::from(possible));
}

#[test]
fn a_file_that_was_cut_off_is_cut_off_or_as_it_was() {
    let (mut was, mut cut) = (0, 0);
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut image, _directory) = image();
        let file = image.create(name("a")).unwrap();
        image.write(file, 0, &[1; 3 * SECTOR]).unwrap();
        image.sync(file).unwrap();
        image.sync_names();
        image.set_size(file, 0).unwrap();
        image.write(file, 0, &[2; SECTOR]).unwrap();
        image.lose_power(false, &mut random).unwrap();
        match all(&image, file) {
            whole if whole == [1; 3 * SECTOR] => was += 1,
            new if new == [2; SECTOR] || new == [0; SECTOR] => cut += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(was > 10 && cut > 10, "{was} and {cut}");
}

#[test]
fn after_a_sync_that_failed_the_next_does_not_bring_back_what_was_lost() {
    let (mut lost, mut there) = (0, 0);
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut image, _directory) = image();
        let file = image.create(name("a")).unwrap();
        image.write(file, 0, &[1; SECTOR]).unwrap();
        image.sync(file).unwrap();
        image.write(file, 0, &[2; SECTOR]).unwrap();
        image.sync_fails(file, &mut random).unwrap();
        image.sync(file).unwrap();
        match all(&image, file) {
            old if old == [1; SECTOR] => lost += 1,
            new if new == [2; SECTOR] => there += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(lost > 10 && there > 10, "{lost} and {there}");
}

#[test]
fn a_file_without_a_name_is_there_for_as_long_as_it_is_open() {
    let (mut image, directory) = image();
    let file = image.create(name("a")).unwrap();
    image.opened(file).unwrap();
    image.write(file, 0, b"there").unwrap();
    image.remove(name("a")).unwrap();
    image.sync_names();
    assert_eq!(all(&image, file), b"there");
    image.closed(file);
    assert!(image.read(file, 0, 1).is_err());
    assert_eq!(directory.path().join("platter").read_dir().unwrap().count(), 0);
}

#[test]
fn files_are_kept_under_their_names() {
    let (mut image, directory) = image();
    let file = image.create(name("a")).unwrap();
    image.write(file, 0, b"there").unwrap();
    image.create(name("b")).unwrap();
    image.remove(name("b")).unwrap();
    image.write_out().unwrap();
    assert_eq!(directory.path().join("platter").read_dir().unwrap().count(), 1);
    assert_eq!(std::fs::read(directory.path().join("platter/a")).unwrap(), b"there");
}
