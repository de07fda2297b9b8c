//! What a guest can do: look, list, read.

use super::super::abi::{BatchForgetIn, ForgetIn, ForgetOne, StatfsOut};
use super::*;

#[test]
fn a_file_is_read() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let entry = guest.look_up(ROOT, "file").unwrap();
    assert_eq!(entry.attributes.size, 12);
    assert_eq!(entry.attributes.mode & 0o170000, 0o100000);
    let handle = guest.open(opcode::OPEN, entry.inode, 0).unwrap();
    let all = guest.read(opcode::READ, handle, 0, 4096).unwrap();
    assert_eq!(all, b"hello, guest");
    let end = guest.read(opcode::READ, handle, 7, 3).unwrap();
    assert_eq!(end, b"gue");
    assert_eq!(guest.read(opcode::READ, handle, 12, 10).unwrap(), b"");
    guest.release(handle);
    let closed = guest.read(opcode::READ, handle, 0, 1);
    assert_eq!(closed, Err(Errno::BADF));
}

#[test]
fn a_large_file_is_read_whole() {
    let tree = Tree::new();
    let bytes: Vec<u8> = (0..700_000).map(|at| (at % 251) as u8).collect();
    fs::write(tree.shared().join("large"), &bytes).unwrap();
    let mut guest = Guest::new(&tree.shared());
    let inode = guest.look_up(ROOT, "large").unwrap().inode;
    let handle = guest.open(opcode::OPEN, inode, 0).unwrap();
    let got = guest.read(opcode::READ, handle, 0, 700_000).unwrap();
    assert!(got == bytes, "the bytes are not those of the file");
    // A short answer would look like the end of the file.
    guest.room = 1000;
    let refused = guest.read(opcode::READ, handle, 0, 4096);
    assert_eq!(refused, Err(Errno::INVAL));
}

#[test]
fn a_folder_is_listed() {
    let tree = Tree::new();
    for index in 0..500 {
        fs::write(tree.shared().join(format!("sub/file-{index:03}")), "").unwrap();
    }
    let mut guest = Guest::new(&tree.shared());
    let sub = guest.look_up(ROOT, "sub").unwrap().inode;
    let names = guest.list(sub, false, 512);
    assert_eq!(names.len(), 504);
    assert_eq!(names[0].0, ".");
    assert_eq!(names[1].0, "..");
    assert_eq!(names[2].0, "deep");
    assert_eq!(names[502].0, "file-499");
    assert_eq!(guest.server.in_use(), (1, 0));
    let inode = guest.list(sub, true, 4096)[503].1.inode;
    assert_eq!(guest.server.in_use(), (503, 0));
    assert_eq!(guest.look_up(sub, "one").unwrap().inode, inode);
}

#[test]
fn a_link_is_read_and_not_followed() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let link = guest.look_up(ROOT, "link").unwrap();
    assert_eq!(link.attributes.mode & 0o170000, 0o120000);
    let target = guest.call(opcode::READLINK, link.inode, &[]).unwrap();
    assert_eq!(target, b"../secret");
    assert_eq!(guest.open(opcode::OPEN, link.inode, 0), Err(Errno::LOOP));
    let root = guest.look_up(ROOT, "root").unwrap().inode;
    assert_eq!(guest.look_up(root, "etc"), Err(Errno::NOTDIR));
    assert_eq!(guest.open(opcode::OPENDIR, root, 0), Err(Errno::NOTDIR));
}

#[test]
fn what_is_forgotten_is_let_go_of() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let inode = guest.look_up(ROOT, "file").unwrap().inode;
    assert_eq!(guest.look_up(ROOT, "file").unwrap().inode, inode);
    let once = ForgetIn { lookups: 1 };
    guest.tell(opcode::FORGET, inode, once.as_bytes());
    guest.attributes(inode).unwrap();
    guest.tell(opcode::FORGET, inode, once.as_bytes());
    assert_eq!(guest.attributes(inode), Err(Errno::STALE));
    assert_eq!(guest.server.in_use(), (0, 0));

    let inodes = ["file", "sub"].map(|name| guest.look_up(ROOT, name).unwrap().inode);
    let ones = inodes.map(|inode| ForgetOne { inode, lookups: 1 });
    let count = BatchForgetIn {
        count: 2,
        reserved: 0,
    };
    let body = [count.as_bytes(), ones.as_bytes()].concat();
    guest.tell(opcode::BATCH_FORGET, 0, &body);
    assert_eq!(guest.server.in_use(), (0, 0));
    // The folder itself is never forgotten.
    guest.tell(opcode::FORGET, ROOT, once.as_bytes());
    guest.attributes(ROOT).unwrap();
}

#[test]
fn the_file_system_is_described() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let stat: StatfsOut = guest.get(opcode::STATFS, ROOT, &[]).unwrap();
    assert!(stat.blocks > 0 && stat.name_max == 255);
    // Extended attributes and locks are not there, and the guest asks no more.
    for code in [22, 23, 31, 46] {
        assert_eq!(guest.call(code, ROOT, &[0; 64]), Err(Errno::NOSYS));
    }
}
