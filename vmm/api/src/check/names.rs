//! Names and paths in requests.

use crate::spec::BUILTIN;

/// A path longer than this cannot be opened (PATH_MAX of Linux, with its NUL).
const MAX_PATH: usize = 4095;
const MAX_SOCKET_PATH: usize = 107;

/// What is wrong with a name of a VM or a snapshot.
pub fn name(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (!first || !rest || name.len() > 63)
        .then(|| format!("{name:?} is no name: 1 to 63 of a-z, 0-9 and -, beginning with a letter"))
}

/// What is wrong with the name of an image of the store, as in `store:NAME`.
pub fn image_name(name: &str) -> Option<String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=127).contains(&name.len())
        && name.bytes().all(right)
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
    (!fits).then(|| {
        format!(
            "{name:?} is no name of an image: 1 to 127 of a-z, A-Z, 0-9, -, _ and ., beginning \
             with a letter or digit"
        )
    })
}

/// Whether this is the digest of an image: `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What is wrong with what a VM is to be started from.
pub(super) fn image(name: &str, may_be_built_in: bool) -> Option<String> {
    if may_be_built_in && name == BUILTIN {
        return None;
    }
    if let Some(stored) = name.strip_prefix("store:") {
        return image_name(stored);
    }
    if is_digest(name) || path(name).is_none() {
        return None;
    }
    let built_in = if may_be_built_in { "builtin, " } else { "" };
    Some(format!(
        "{name:?} is no image: {built_in}an absolute path, sha256: and 64 hexadecimal digits, or \
         store:NAME"
    ))
}

/// What is wrong with a path of the host.
pub(super) fn path(path: &str) -> Option<String> {
    let right = path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0');
    (!right).then(|| format!("{path:?} is no absolute path of at most {MAX_PATH} bytes"))
}

/// What is wrong with the path of a Unix socket.
pub(super) fn socket_path(text: &str) -> Option<String> {
    path(text).or_else(|| {
        (text.len() > MAX_SOCKET_PATH)
            .then(|| format!("the path of a socket has at most {MAX_SOCKET_PATH} bytes"))
    })
}

/// What is wrong with the name of a device or a port.
pub(super) fn device_id(id: &str) -> Option<String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=31).contains(&id.len()) && id.bytes().all(right);
    (!fits).then(|| format!("{id:?} is not 1 to 31 of a-z, A-Z, 0-9, -, _ and ."))
}

/// Whether it is the MAC address of one device, not of a group.
pub(super) fn is_mac(text: &str) -> bool {
    let bytes: Vec<Option<u8>> = text
        .split(':')
        .map(|part| {
            let hex = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        })
        .collect();
    bytes.len() == 6
        && bytes.iter().all(Option::is_some)
        && bytes
            .first()
            .is_some_and(|first| first.is_some_and(|b| b & 1 == 0))
}
