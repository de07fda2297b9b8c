//! Turns documentation comments into the words of a guest author who may not know Rust.
//!
//! The comments link to Rust items. Outside of rustdoc such a link becomes the name by
//! which the ABI knows the thing: a struct `TrapFrame` is `pv_trap_frame` everywhere.

use super::definitions::Definitions;
use crate::Errno;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Which document the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `docs/abi.md`.
    Markdown,
    /// `include/paravane.h`, where constants have the prefix `PV_`.
    Header,
}

/// [`CallSpec::result`](crate::CallSpec::result) of a call that only returns when it fails.
pub(super) const DOES_NOT_RETURN: &str = "does not return";

/// The name of a struct in C and in the reference: `TrapFrame` is `pv_trap_frame`.
pub(super) fn struct_name(rust_name: &str) -> String {
    let mut name = String::from("pv");
    for c in rust_name.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A documentation comment as one paragraph.
pub(super) fn paragraph(definitions: &Definitions, target: Target, docs: &[String]) -> String {
    lines(definitions, target, docs)
        .join(" ")
        .trim()
        .to_string()
}

/// A documentation comment, line by line.
pub(super) fn lines(definitions: &Definitions, target: Target, docs: &[String]) -> Vec<String> {
    // A link may be broken across lines, so they are translated together.
    let text = links(definitions, target, &docs.join("\n"));
    let text = match target {
        Target::Markdown => text,
        Target::Header => prefixed(definitions, &text),
    };
    text.split('\n').map(ToString::to_string).collect()
}

/// Replaces rustdoc's links, [`X`] and [`X`](path), by plain names.
///
/// # Panics
///
/// On a link to something that has no name outside of Rust.
fn links(definitions: &Definitions, target: Target, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((item, after)) = link.split_once("`]") else {
            panic!("a link is not closed in: {text}");
        };
        out.push_str(before);
        out.push_str(&item_name(definitions, target, item));
        // The path says to rustdoc which item is meant; it is no part of the text.
        rest = match after
            .strip_prefix('(')
            .and_then(|path| path.split_once(')'))
        {
            Some((_, after)) => after,
            None => after,
        };
    }
    out.push_str(rest);
    // "an `ImageNote`", but "a `pv_image_note`".
    out.replace(" an `pv_", " a `pv_")
}

fn item_name(definitions: &Definitions, target: Target, item: &str) -> String {
    if let Some((owner, member)) = item.split_once("::") {
        if owner == "Errno" && Errno::ALL.iter().any(|errno| errno.name() == member) {
            return format!("`{member}`");
        }
        let found = definitions.find_struct(owner);
        if found.is_some_and(|found| found.fields.iter().any(|field| field.name == member)) {
            return format!("`{}.{member}`", struct_name(owner));
        }
    } else if definitions.find_struct(item).is_some() {
        return format!("`{}`", struct_name(item));
    } else if definitions.value(item).is_some() {
        return format!("`{item}`");
    }
    let name = match (target, item) {
        (Target::Markdown, "CallWord") => "[see below](#the-call-word)",
        (Target::Markdown, "Features") => "[feature bits](#feature-bits)",
        (Target::Markdown, "convention") => "[calling convention](#calling-convention)",
        (Target::Header, "CallWord") => "see docs/abi.md",
        (Target::Header, "Features") => "`FEATURE_*`",
        (Target::Header, "convention") => "`pv_hypercall`",
        _ => panic!("a comment links to {item}, which has no name outside of Rust"),
    };
    name.to_string()
}

/// Gives the names of constants and error codes the prefix that they have in C.
fn prefixed(definitions: &Definitions, text: &str) -> String {
    let is_constant = |word: &str| {
        definitions.value(word).is_some()
            || Errno::ALL.iter().any(|errno| errno.name() == word)
            // A family of constants: REGION_*.
            || (word.ends_with('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if is_constant(word) {
            out.push_str("PV_");
        }
        out.push_str(word);
        let start = after.find(is_word).unwrap_or(after.len());
        let (between, after) = after.split_at(start);
        out.push_str(between);
        rest = after;
    }
    out
}

/// Fills lines of at most `width` characters with words. A longer word has a line of its
/// own.
pub(super) fn wrapped<'a>(words: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(target: Target, text: &str) -> String {
        paragraph(&Definitions::load(), target, &[text.to_string()])
    }

    #[test]
    fn structs_are_named_as_in_c() {
        assert_eq!(struct_name("TrapFrame"), "pv_trap_frame");
        assert_eq!(struct_name("Stats"), "pv_stats");
    }

    #[test]
    fn links_become_the_names_of_things() {
        let text = "[`TrapState::vector`] or [`PAGE_SIZE`](crate::x); see [`Features`](y) [1, 2]";
        assert_eq!(
            rendered(Target::Markdown, text),
            "`pv_trap_state.vector` or `PAGE_SIZE`; see [feature bits](#feature-bits) [1, 2]"
        );
        assert_eq!(
            rendered(Target::Header, text),
            "`pv_trap_state.vector` or `PV_PAGE_SIZE`; see `PV_FEATURE_*` [1, 2]"
        );
    }

    #[test]
    #[should_panic(expected = "links to Vec, which has no name outside of Rust")]
    fn a_link_to_a_rust_item_is_not_printed() {
        rendered(Target::Markdown, "[`Vec`]");
    }

    #[test]
    fn errors_and_families_of_constants_get_the_prefix_of_c() {
        assert_eq!(
            rendered(Target::Header, "`REGION_*`, or EFAULT, not REGION"),
            "`PV_REGION_*`, or PV_EFAULT, not REGION"
        );
    }

    #[test]
    fn lines_are_filled_with_whole_words() {
        assert_eq!(wrapped(["aa", "bb", "cc"].into_iter(), 5), ["aa bb", "cc"]);
        assert_eq!(wrapped(["aaaaaaa", "b"].into_iter(), 3), ["aaaaaaa", "b"]);
    }
}
