//! What a guest cannot do: leave the folder, change it, or make the host keep too much.

use super::super::abi::AccessIn;
use super::super::tables::HANDLES_MAX;
use super::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

#[test]
fn nothing_outside_is_reached_by_a_name() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let names = [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "sub/one",
        "sub/../../secret",
        "sub/",
    ];
    for name in names {
        assert_eq!(guest.look_up(ROOT, name), Err(Errno::INVAL), "{name:?}");
    }
    let long = "x".repeat(256);
    assert_eq!(guest.look_up(ROOT, &long), Err(Errno::NAMETOOLONG));
    assert_eq!(guest.look_up(ROOT, "none"), Err(Errno::NOENT));
    // A name without an end.
    let endless = guest.call(opcode::LOOKUP, ROOT, b"file");
    assert_eq!(endless, Err(Errno::INVAL));
    assert_eq!(guest.server.in_use(), (0, 0));
}

#[test]
fn a_folder_that_becomes_a_link_leads_nowhere() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let sub = tree.shared().join("sub");
    let inode = guest.look_up(ROOT, "sub").unwrap().inode;
    fs::rename(&sub, tree.shared().join("old")).unwrap();
    symlink("..", &sub).unwrap();
    // The inode is the folder that was looked up, wherever its name leads now.
    assert_eq!(guest.look_up(inode, "secret"), Err(Errno::NOENT));
    let link = guest.look_up(ROOT, "sub").unwrap().inode;
    assert_eq!(guest.look_up(link, "secret"), Err(Errno::NOTDIR));
}

#[test]
fn the_list_of_the_root_says_nothing_of_what_is_above() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let handle = guest.open(opcode::OPENDIR, ROOT, 0).unwrap();
    let answer = guest.read(opcode::READDIR, handle, 0, 4096).unwrap();
    let own = guest.attributes(ROOT).unwrap().attributes.number;
    let mut numbers = Vec::new();
    let mut rest = answer.as_slice();
    while let Ok((entry, after)) = DirectoryEntry::read_from_prefix(rest) {
        let size = entry.name_size as usize;
        if after[..size].iter().all(|byte| *byte == b'.') {
            numbers.push(entry.number);
        }
        rest = &after[size.next_multiple_of(8)..];
    }
    assert_eq!(numbers, [own, own]);
}

#[test]
fn nothing_is_written() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let inode = guest.look_up(ROOT, "file").unwrap().inode;
    for code in opcode::WRITING {
        let refused = guest.call(code, inode, b"name\0other\0");
        assert_eq!(refused, Err(Errno::ROFS), "{code}");
    }
    // O_WRONLY, O_RDWR, both, O_CREAT, O_TRUNC.
    for flags in [1, 2, 3, 0o100, 0o1000] {
        assert_eq!(guest.open(opcode::OPEN, inode, flags), Err(Errno::ROFS));
    }
    let access = |mask| AccessIn { mask, reserved: 0 };
    let write = guest.call(opcode::ACCESS, inode, access(2).as_bytes());
    assert_eq!(write, Err(Errno::ROFS));
    guest
        .call(opcode::ACCESS, inode, access(4).as_bytes())
        .unwrap();
    assert_eq!(
        fs::read(tree.shared().join("file")).unwrap(),
        b"hello, guest"
    );
}

#[test]
fn what_is_not_a_file_is_not_opened() {
    let tree = Tree::new();
    let pipe = tree.shared().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut guest = Guest::new(&tree.shared());
    // Opening it would wait for a writer.
    let inode = guest.look_up(ROOT, "pipe").unwrap().inode;
    assert_eq!(guest.open(opcode::OPEN, inode, 0), Err(Errno::ACCESS));
    assert_eq!(guest.open(opcode::OPEN, ROOT, 0), Err(Errno::ISDIR));
    let file = guest.look_up(ROOT, "file").unwrap().inode;
    assert_eq!(guest.open(opcode::OPENDIR, file, 0), Err(Errno::NOTDIR));
    // A handle of one kind is none of the other.
    let handle = guest.open(opcode::OPENDIR, ROOT, 0).unwrap();
    let read = guest.read(opcode::READ, handle, 0, 10);
    assert_eq!(read, Err(Errno::BADF));
}

#[test]
fn inodes_and_handles_have_an_end() {
    let tree = Tree::new();
    let mut guest = Guest::with_inodes(&tree.shared(), 3);
    guest.begin();
    for name in ["file", "sub", "link"] {
        guest.look_up(ROOT, name).unwrap();
    }
    assert_eq!(guest.look_up(ROOT, "root"), Err(Errno::NFILE));
    // The list is complete, but does not look up what there is no room for.
    let names = guest.list(ROOT, true, 4096);
    let unknown = names.iter().filter(|(_, entry)| entry.inode == 0);
    let unknown: Vec<_> = unknown.map(|(name, _)| name.as_str()).collect();
    assert_eq!(unknown, [".", "..", "root"]);
    for _ in 0..HANDLES_MAX {
        guest.open(opcode::OPENDIR, ROOT, 0).unwrap();
    }
    assert_eq!(guest.open(opcode::OPENDIR, ROOT, 0), Err(Errno::NFILE));
    guest.begin();
    assert_eq!(guest.server.in_use(), (0, 0));
}

#[test]
fn an_answer_without_room_keeps_nothing() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    guest.room = 16;
    assert_eq!(guest.look_up(ROOT, "file"), Err(Errno::INVAL));
    assert_eq!(guest.open(opcode::OPENDIR, ROOT, 0), Err(Errno::INVAL));
    assert_eq!(guest.server.in_use(), (0, 0));
    guest.room = 15;
    guest.tell(opcode::GETATTR, ROOT, &[0; 16]);
}

#[test]
fn nothing_comes_before_the_beginning() {
    let tree = Tree::new();
    let mut guest = Guest::with_inodes(&tree.shared(), 10);
    assert_eq!(guest.look_up(ROOT, "file"), Err(Errno::IO));
    let mut init = InitIn {
        major: 6,
        minor: 31,
        max_readahead: 0,
        flags: 0,
    };
    let old = guest.call(opcode::INIT, 0, init.as_bytes());
    assert_eq!(old, Err(Errno::PROTO));
    init.major = 8;
    let answer: InitOut = guest.get(opcode::INIT, 0, init.as_bytes()).unwrap();
    assert_eq!((answer.major, answer.minor), VERSION);
    // It is to begin again with the version that it was told.
    assert_eq!(guest.look_up(ROOT, "file"), Err(Errno::IO));
    guest.begin();
    guest.look_up(ROOT, "file").unwrap();
}
