//! Any requests: nothing panics, nothing outside is read, nothing is changed, nothing grows.

use super::super::tables::HANDLES_MAX;
use super::*;
use proptest::prelude::*;

pub(super) const INODES_MAX: usize = 20;

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub code: u32,
    pub inode: u64,
    pub body: Vec<u8>,
    pub room: usize,
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let names = prop_oneof![
        Just("file"),
        Just("sub"),
        Just("one"),
        Just("link"),
        Just("root"),
        Just(".."),
        Just("secret"),
        Just("../secret"),
        Just("etc"),
    ];
    // Handle, offset, size, flags: small numbers are those that exist.
    let small = prop_oneof![4 => 0..6u64, 1 => any::<u64>()];
    let words = prop::collection::vec(small, 0..6);
    prop_oneof![
        3 => names.prop_map(|name| [name.as_bytes(), b"\0"].concat()),
        3 => words.prop_map(|words| words.as_bytes().to_vec()),
        2 => (0..6u64, 0..20u64, 0..10_000u64)
            .prop_map(|(handle, offset, size)| [handle, offset, size, 0, 0].as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        6 => prop::sample::select(vec![1, 3, 5, 14, 15, 27, 28, 44]),
        1 => prop::sample::select(vec![2, 18, 26, 29, 38, 42]),
        2 => 0..60u32,
        1 => any::<u32>(),
    ];
    let inode = prop_oneof![4 => 0..8u64, 1 => any::<u64>()];
    let room = prop_oneof![4 => Just(ROOM), 1 => 0..300usize];
    (code, inode, body(), room).prop_map(|(code, inode, body, room)| Step {
        code,
        inode,
        body,
        room,
    })
}

/// Everything in a folder: paths, types, contents.
fn picture(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(picture(&path));
        } else if kind.is_file() {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
        found.push((path, Vec::new()));
    }
    found.sort();
    found
}

/// Sends requests to a server of a tree.
pub(super) fn check_steps(tree: &Tree, guest: &mut Guest, steps: Vec<Step>) {
    let before = picture(tree.folder.path());
    for step in steps {
        let (header, body) = message(step.code, step.inode, &step.body);
        let reply = &mut guest.reply;
        let answer = guest.server.handle(&header, &body, step.room, reply);
        assert!(answer.len() <= step.room);
        let contains = |what: &[u8]| answer.windows(what.len()).any(|part| part == what);
        assert!(!contains(SECRET.as_bytes()), "{step:?}");
        if let Ok((out, _)) = OutHeader::read_from_prefix(answer) {
            assert_eq!(out.len as usize, answer.len());
            assert!((-4095..=0).contains(&out.error));
        }
        let (inodes, handles) = guest.server.in_use();
        assert!(inodes <= INODES_MAX && handles <= HANDLES_MAX);
    }
    assert_eq!(picture(tree.folder.path()), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_leaves_or_grows(steps in prop::collection::vec(step(), 0..150)) {
        let tree = Tree::new();
        let mut guest = Guest::with_inodes(&tree.shared(), INODES_MAX);
        guest.begin();
        check_steps(&tree, &mut guest, steps);
    }
}
