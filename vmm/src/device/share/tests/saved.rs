//! A guest that goes on with another server, from what the one before has noted.

use super::super::saved::{Place, SavedHandle, SavedInode, SavedShare};
use super::*;
use crate::device::saved::Notes;
use proptest::prelude::*;
use std::sync::Mutex;

const FILE: u32 = libc::S_IFREG;
const FOLDER: u32 = libc::S_IFDIR;

impl Guest {
    fn notes(&self) -> Vec<u8> {
        self.server.save().unwrap().encode().unwrap()
    }

    /// Goes on with another server of this folder.
    fn goes_on(shared: &Path, notes: &[u8]) -> Self {
        let mut guest = Self::with_inodes(shared, random::INODES_MAX);
        guest.server.go_on_with(notes).unwrap();
        while !guest.server.begin() {}
        guest
    }

    fn find(&mut self, path: &str) -> u64 {
        path.split('/').fold(ROOT, |folder, name| {
            self.look_up(folder, name).unwrap().inode
        })
    }
}

#[test]
fn what_was_looked_up_and_opened_is_there() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let [file, sub, one, link] = ["file", "sub", "sub/one", "link"].map(|path| guest.find(path));
    let handle = guest.open(opcode::OPEN, file, 0).unwrap();
    let folder = guest.open(opcode::OPENDIR, sub, 0).unwrap();
    let root = guest.open(opcode::OPENDIR, ROOT, 0).unwrap();
    // It is where it is now.
    fs::rename(tree.shared().join("file"), tree.shared().join("sub/moved")).unwrap();
    let notes = guest.notes();

    let mut guest = Guest::goes_on(&tree.shared(), &notes);
    assert_eq!(guest.server.in_use(), (4, 3));
    for inode in [file, sub, one, link] {
        guest.attributes(inode).unwrap();
    }
    let target = guest.call(opcode::READLINK, link, &[]).unwrap();
    assert_eq!(target, b"../secret");
    assert_eq!(
        guest.read(opcode::READ, handle, 7, 5).unwrap(),
        b"guest".to_vec()
    );
    for folder in [folder, root] {
        assert!(
            !guest
                .read(opcode::READDIR, folder, 0, 4096)
                .unwrap()
                .is_empty()
        );
    }
    // The same file is the same inode, another one is new, and so is a handle.
    assert_eq!(guest.look_up(sub, "moved").unwrap().inode, file);
    assert_eq!(guest.look_up(ROOT, "root").unwrap().inode, link + 1);
    assert_eq!(guest.open(opcode::OPEN, one, 0).unwrap(), root + 1);
    // `sub` was looked up twice before, by "sub" and by "sub/one".
    guest.tell(opcode::FORGET, sub, &1u64.to_le_bytes());
    guest.attributes(sub).unwrap();
    guest.tell(opcode::FORGET, sub, &1u64.to_le_bytes());
    assert_eq!(guest.attributes(sub).unwrap_err(), Errno::STALE);
}

#[test]
fn what_is_not_there_any_more_is_stale() {
    let tree = Tree::new();
    let shared = tree.shared();
    for name in ["removed", "replaced", "outside", "later", "stays"] {
        fs::write(shared.join(name), name).unwrap();
    }
    // What the kernel calls the first one by then.
    fs::write(shared.join("removed (deleted)"), "another file").unwrap();
    let mut guest = Guest::new(&shared);
    let names = ["removed", "replaced", "outside", "later", "stays"];
    let inodes = names.map(|name| guest.find(name));
    let handles = inodes.map(|inode| guest.open(opcode::OPEN, inode, 0).unwrap());
    fs::remove_file(shared.join("removed")).unwrap();
    fs::rename(shared.join("outside"), tree.folder.path().join("outside")).unwrap();
    let notes = guest.notes();
    // The guest that was saved has them still.
    assert_eq!(
        guest.read(opcode::READ, handles[2], 0, 9).unwrap(),
        b"outside"
    );
    fs::remove_file(shared.join("replaced")).unwrap();
    fs::create_dir(shared.join("replaced")).unwrap();
    fs::rename(shared.join("later"), shared.join("sub/later")).unwrap();

    let mut guest = Guest::goes_on(&shared, &notes);
    for (inode, handle) in inodes.into_iter().zip(handles).take(4) {
        assert_eq!(guest.attributes(inode).unwrap_err(), Errno::STALE);
        let read = guest.read(opcode::READ, handle, 0, 9);
        assert_eq!(read.unwrap_err(), Errno::STALE);
        let listed = guest.read(opcode::READDIR, handle, 0, 9);
        assert_eq!(listed.unwrap_err(), Errno::STALE);
        guest.release(handle);
    }
    assert_eq!(
        guest.read(opcode::READ, handles[4], 0, 9).unwrap(),
        b"stays"
    );
    // Their numbers are not used again.
    assert_eq!(guest.find("file"), inodes[4] + 1);
}

#[test]
fn two_names_of_one_file_are_two_inodes_until_they_are_forgotten() {
    let tree = Tree::new();
    let shared = tree.shared();
    let mut guest = Guest::new(&shared);
    let inodes = ["file", "sub/one"].map(|path| guest.find(path));
    let notes = guest.notes();
    fs::remove_file(shared.join("sub/one")).unwrap();
    fs::hard_link(shared.join("file"), shared.join("sub/one")).unwrap();
    let mut guest = Guest::goes_on(&shared, &notes);
    let found = guest.find("file");
    assert!(inodes.contains(&found));
    guest.tell(opcode::FORGET, found, &2u64.to_le_bytes());
    let other = if inodes[0] == found {
        inodes[1]
    } else {
        inodes[0]
    };
    guest.attributes(other).unwrap();
    guest.tell(opcode::FORGET, other, &1u64.to_le_bytes());
    assert!(guest.find("file") > inodes[1]);
}

#[test]
fn before_it_begins_a_server_notes_what_it_goes_on_with() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    guest.find("sub/one");
    let notes = guest.notes();
    let mut next = Guest::with_inodes(&tree.shared(), 1000);
    next.server.go_on_with(&notes).unwrap();
    assert_eq!(Mutex::new(next.server).bytes(), Ok(notes.clone()));
    // A reset forgets that too.
    let mut next = Guest::with_inodes(&tree.shared(), 1000);
    next.server.go_on_with(&notes).unwrap();
    next.server.end();
    assert!(next.server.begin());
    assert_eq!(next.look_up(ROOT, "file").unwrap_err(), Errno::IO);
}

#[test]
fn much_is_opened_a_little_at_a_time() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    for number in 0..600 {
        let name = number.to_string();
        fs::write(tree.shared().join(&name), &name).unwrap();
        let inode = guest.find(&name);
        guest.open(opcode::OPEN, inode, 0).unwrap();
    }
    let saved = guest.server.save().unwrap();
    let mut next = Guest::with_inodes(&tree.shared(), 1000);
    next.server.go_on_with(&saved.encode().unwrap()).unwrap();
    let mut steps = 1;
    while !next.server.begin() {
        // One that is saved meanwhile is as it was.
        assert_eq!(next.server.save().unwrap(), saved);
        steps += 1;
    }
    assert!(steps > 4, "{steps}");
    assert_eq!(next.server.in_use(), (600, 600));
    for handle in 1..=600 {
        let expected = (handle - 1).to_string().into_bytes();
        assert_eq!(next.read(opcode::READ, handle, 0, 9).unwrap(), expected);
    }
    // A reset in the middle of it forgets it.
    let mut next = Guest::with_inodes(&tree.shared(), 1000);
    next.server.go_on(saved);
    assert!(!next.server.begin());
    next.server.end();
    assert!(next.server.begin());
    assert_eq!(next.server.in_use(), (0, 0));
}

#[test]
fn what_no_server_has_noted_is_refused() {
    let tree = Tree::new();
    let mut guest = Guest::new(&tree.shared());
    let file = guest.find("file");
    let handle = guest.open(opcode::OPEN, file, 0).unwrap();
    let saved = guest.server.save().unwrap();
    let refused = |saved: &SavedShare| {
        let mut server = Guest::with_inodes(&tree.shared(), 4).server;
        server.go_on_with(&saved.encode().unwrap()).unwrap_err()
    };
    let changed = |change: &dyn Fn(&mut SavedShare)| {
        let mut saved = saved.clone();
        change(&mut saved);
        refused(&saved)
    };
    let numbers = "what its driver knows makes no sense: there can be no such numbers";
    assert_eq!(changed(&|saved| saved.inodes[0].number = ROOT), numbers);
    assert_eq!(changed(&|saved| saved.inodes[0].lookups = 0), numbers);
    assert_eq!(changed(&|saved| saved.next_inode = file), numbers);
    assert_eq!(changed(&|saved| saved.next_inode = u64::MAX), numbers);
    assert_eq!(
        changed(&|saved| saved.inodes.extend(saved.inodes.clone())),
        numbers
    );
    assert_eq!(changed(&|saved| saved.handles[0].number = 0), numbers);
    assert_eq!(changed(&|saved| saved.last_handle = handle - 1), numbers);
    assert_eq!(changed(&|saved| saved.last_handle = u64::MAX), numbers);
    let again = |saved: &mut SavedShare| saved.handles.extend(saved.handles.clone());
    assert_eq!(changed(&again), numbers);
    let too_many = |saved: &mut SavedShare| {
        let first = saved.handles[0].clone();
        saved.last_handle = 2000;
        saved.handles = (1..2000)
            .map(|number| SavedHandle {
                number,
                ..first.clone()
            })
            .collect();
    };
    assert_eq!(changed(&too_many), numbers);
    let more_than_here = |saved: &mut SavedShare| {
        let first = saved.inodes[0].clone();
        saved.next_inode = 10;
        saved.inodes = (2..7)
            .map(|number| SavedInode {
                number,
                ..first.clone()
            })
            .collect();
    };
    assert_eq!(
        changed(&more_than_here),
        "its driver knows 5 files, and this process can have 4 for it; raise its limit of open \
         files (ulimit -n)"
    );
    let paths = "what its driver knows makes no sense: there can be no such paths";
    let long = "x".repeat(256);
    for path in [
        "..", ".", "a/../b", "a/./b", "/a", "a/", "a//b", "/", "a\0b", &long,
    ] {
        let path = path.as_bytes().to_vec();
        let with_path = |saved: &mut SavedShare| saved.inodes[0].place.path = path.clone();
        assert_eq!(changed(&with_path), paths);
        let with_path = |saved: &mut SavedShare| {
            saved.handles[0].place.as_mut().unwrap().path = path.clone();
        };
        assert_eq!(changed(&with_path), paths);
    }
    let longest = |saved: &mut SavedShare| {
        saved.inodes[0].place.path = ["x"; 5 << 20].join("/").into_bytes();
    };
    assert_eq!(changed(&longest), paths);
    let mut server = Guest::with_inodes(&tree.shared(), 4).server;
    let mut notes = saved.encode().unwrap();
    notes.push(0);
    let error = server.go_on_with(&notes).unwrap_err();
    assert_eq!(
        error,
        "what its driver knows makes no sense: something follows"
    );
    assert!(server.go_on_with(&[]).is_err());
}

#[test]
fn too_many_paths_are_not_saved() {
    let tree = Tree::new();
    let mut guest = Guest::with_inodes(&tree.shared(), 5000);
    guest.begin();
    let folders = vec!["x".repeat(255); 14];
    let path = tree.shared().join(folders.join("/"));
    fs::create_dir_all(&path).unwrap();
    let deepest = guest.find(&folders.join("/"));
    let each = folders.join("/").len() + 5;
    for number in 1000..1000 + super::super::saved::PATHS_MAX / each {
        let name = number.to_string();
        fs::write(path.join(&name), "").unwrap();
        guest.look_up(deepest, &name).unwrap();
    }
    // The folders' own paths were too much; without those there is room.
    let error = "the paths of the files that its guest knows have more than 8 MiB";
    assert_eq!(guest.server.save().unwrap_err(), error);
    for inode in 2..16 {
        guest.tell(opcode::FORGET, inode, &1u64.to_le_bytes());
    }
    let notes = guest.notes();
    let mut next = Guest::with_inodes(&tree.shared(), 5000);
    next.server.go_on_with(&notes).unwrap();
}

fn place() -> impl Strategy<Value = Place> {
    let paths = prop_oneof![
        Just("file"),
        Just("sub"),
        Just("sub/one"),
        Just("sub/../file"),
        Just("link"),
        Just("root"),
        Just("root/etc/passwd"),
        Just("root/proc/self/fd/0"),
        Just(""),
        Just("."),
        Just(".."),
        Just("../secret"),
        Just("sub/../../secret"),
        Just("/etc/passwd"),
        Just("/"),
        Just("a\0b"),
        Just("none"),
    ];
    let kinds = prop_oneof![
        3 => Just(FILE), 3 => Just(FOLDER), 1 => Just(libc::S_IFLNK), 1 => any::<u32>(),
    ];
    (paths, kinds).prop_map(|(path, kind)| Place {
        path: path.as_bytes().to_vec(),
        kind,
    })
}

fn made_up() -> impl Strategy<Value = SavedShare> {
    let inodes = prop::collection::vec((place(), 1..4u64), 0..8);
    let handles = prop::collection::vec(prop::option::of(place()), 0..8);
    (inodes, handles).prop_map(|(inodes, handles)| SavedShare {
        is_begun: true,
        next_inode: inodes.len() as u64 + 2,
        inodes: (2..)
            .zip(inodes)
            .map(|(number, (place, lookups))| SavedInode {
                number,
                lookups,
                place,
            })
            .collect(),
        last_handle: handles.len() as u64,
        handles: (1..)
            .zip(handles)
            .map(|(number, place)| SavedHandle { number, place })
            .collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_made_up_leads_nowhere_outside(
        saved in made_up(),
        steps in prop::collection::vec(random::step(), 0..40),
    ) {
        let tree = Tree::new();
        // Also what is refused when it is read.
        let mut guest = Guest::with_inodes(&tree.shared(), random::INODES_MAX);
        guest.server.go_on(saved);
        while !guest.server.begin() {}
        random::check_steps(&tree, &mut guest, steps);
    }
}
