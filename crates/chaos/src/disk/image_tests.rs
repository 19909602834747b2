//! What a power loss leaves of names and bytes.

use super::{BLOCK, Image, ROOT};
use crate::disk::{Loss, Lost};
use crate::draw::Draw;
use rustix::io::Errno;
use std::ffi::OsStr;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn names(image: &Image, folder: u64) -> Vec<&str> {
    image.list(folder).unwrap().keys().map(|name| name.to_str().unwrap()).collect()
}

/// A file of so many bytes of one value, synced, as is its folder.
fn durable(image: &mut Image, text: &str, value: u8, count: usize) -> u64 {
    let file = image.make_file(ROOT, name(text)).unwrap();
    image.write(file, 0, &vec![value; count]).unwrap();
    image.sync(file).unwrap();
    image.sync(ROOT).unwrap();
    file
}

fn drop_all(image: &mut Image) -> Lost {
    image.lose_power(Loss::Drop, &mut Draw::new(1))
}

#[test]
fn names_need_a_sync_of_their_folder_and_bytes_one_of_their_file() {
    let mut image = Image::new(1 << 20);
    let kept = durable(&mut image, "kept", 1, 100);
    image.write(kept, 50, &[2; 100]).unwrap();
    let new = image.make_file(ROOT, name("new")).unwrap();
    image.write(new, 0, &[3; 10]).unwrap();
    image.sync(new).unwrap();
    assert_eq!(names(&image, ROOT), ["kept", "new"]);
    assert_eq!(drop_all(&mut image), Lost { at_stake: 2, bytes: 100, names: 1 });
    assert_eq!(names(&image, ROOT), ["kept"]);
    assert_eq!(image.read(kept, 0, 1_000), Ok(&[1; 100][..]));
    assert_eq!(image.facts(new), Err(Errno::NOENT));
}

#[test]
fn a_rename_that_is_lost_brings_both_files_back() {
    let mut image = Image::new(1 << 20);
    durable(&mut image, "identity", 1, 4);
    let new = durable(&mut image, "identity.new", 2, 4);
    image.rename(ROOT, name("identity.new"), name("identity")).unwrap();
    assert_eq!(image.find(ROOT, name("identity")), Ok(new));
    drop_all(&mut image);
    assert_eq!(names(&image, ROOT), ["identity", "identity.new"]);
    image.rename(ROOT, name("identity.new"), name("identity")).unwrap();
    image.sync(ROOT).unwrap();
    drop_all(&mut image);
    assert_eq!(names(&image, ROOT), ["identity"]);
    assert_eq!(image.read(new, 0, 4), Ok(&[2; 4][..]));
}

#[test]
fn changes_of_a_folder_survive_in_their_order_only() {
    for seed in 0..100 {
        let mut image = Image::new(1 << 20);
        for text in ["a", "b", "c"] {
            image.make_file(ROOT, name(text)).unwrap();
        }
        image.lose_power(Loss::Tear, &mut Draw::new(seed));
        let left = names(&image, ROOT);
        assert_eq!(left, ["a", "b", "c"][..left.len()], "seed {seed}");
    }
}

#[test]
fn a_removed_file_lives_while_it_is_open_or_may_come_back() {
    let mut image = Image::new(1 << 20);
    let file = durable(&mut image, "a", 1, 4);
    image.opened(file, true);
    image.remove(ROOT, name("a")).unwrap();
    image.sync(ROOT).unwrap();
    assert_eq!(image.read(file, 0, 1), Ok(&[1][..]));
    image.opened(file, false);
    assert_eq!(image.facts(file), Err(Errno::NOENT));
}

#[test]
fn a_full_disk_refuses_to_grow_and_a_folder_with_files_to_go() {
    let mut image = Image::new(4 * BLOCK);
    let folder = image.make_folder(ROOT, name("data")).unwrap();
    let file = image.make_file(folder, name("a")).unwrap();
    image.write(file, 0, &[1; 3 * BLOCK]).unwrap();
    assert_eq!((image.blocks(), image.free_blocks()), (4, 1));
    assert_eq!(image.write(file, 4 * BLOCK - 1, &[1; 2]), Err(Errno::NOSPC));
    image.write(file, 0, &[2; 3 * BLOCK]).unwrap();
    assert_eq!(image.remove(ROOT, name("data")), Err(Errno::NOTEMPTY));
    image.remove(folder, name("a")).unwrap();
    image.remove(ROOT, name("data")).unwrap();
    assert_eq!(image.make_file(file, name("x")), Err(Errno::NOTDIR));
}
