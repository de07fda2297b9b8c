//! The documents: what they say of the source tree is so.

use paravane_tests::{program, workspace};
use std::path::{Path, PathBuf};

/// Every document: the README, and all that is in docs/.
fn documents() -> Vec<String> {
    let mut documents = vec!["README.md".to_string()];
    let mut directories = vec!["docs".to_string()];
    while let Some(directory) = directories.pop() {
        let path = workspace::root().join(&directory);
        for entry in std::fs::read_dir(path).expect("the directory is there") {
            let entry = entry.expect("it can be read");
            let name = format!("{directory}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                directories.push(name);
            } else if name.ends_with(".md") {
                documents.push(name);
            }
        }
    }
    assert!(documents.len() > 10, "only {documents:?}");
    documents
}

fn text(document: &str) -> String {
    std::fs::read_to_string(workspace::root().join(document)).expect(document)
}

/// The links of a document: what they show and where they lead.
fn links(text: &str) -> Vec<(&str, &str)> {
    text.match_indices("](")
        .filter_map(|(middle, _)| {
            let start = text[..middle].rfind('[')?;
            let end = middle + text[middle..].find(')')?;
            Some((&text[start + 1..middle], &text[middle + 2..end]))
        })
        .filter(|(_, target)| !target.starts_with("http"))
        .collect()
}

fn target(document: &str, link: &str) -> PathBuf {
    let root = workspace::root();
    let directory = Path::new(document)
        .parent()
        .expect("a document lies in a directory");
    root.join(directory)
        .join(link.split('#').next().unwrap_or(link))
}

/// The anchors of a document's headings, as they are shown on the web.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut anchored = 0;
    for document in documents() {
        let own = text(&document);
        for (_, link) in links(&own) {
            assert!(
                target(&document, link).exists(),
                "{document}: {link} does not exist"
            );
            let Some((file, anchor)) = link.split_once('#') else {
                continue;
            };
            let other = match file {
                "" => own.clone(),
                _ => std::fs::read_to_string(target(&document, link)).expect(link),
            };
            assert!(
                anchors(&other).contains(&anchor.to_string()),
                "{document}: {link} has no such heading"
            );
            anchored += 1;
        }
    }
    assert!(anchored > 50, "only {anchored} links to headings");
}

/// A link that shows code names something in the file: its last part is defined there.
#[test]
fn what_the_map_names_is_where_it_says() {
    let document = "docs/architecture.md";
    let text = text(document);
    let mut checked = 0;
    for (shown, link) in links(&text) {
        let Some(name) = shown
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        let name = name.rsplit("::").next().unwrap_or(name);
        let source = std::fs::read_to_string(target(document, link)).expect(link);
        let defined = [
            "fn ",
            "struct ",
            "trait ",
            "enum ",
            "macro_rules! ",
            "static ",
            "type ",
            "const ",
        ]
        .iter()
        .any(|keyword| {
            source
                .match_indices(&format!("{keyword}{name}"))
                .any(|(at, found)| {
                    let next = source[at + found.len()..].chars().next();
                    !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
                })
        });
        assert!(defined, "{document}: {name} is not defined in {link}");
        checked += 1;
    }
    assert!(checked > 20, "only {checked} names in the map");
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let readme = text("README.md");
    let example = text("guest-sdk/examples/hello/src/main.rs");
    assert!(readme.contains(&format!("```rust\n{example}```")));
}

#[test]
fn the_readme_lists_the_exit_codes_of_the_program() {
    let help = program::end(&mut program::paravane(["--help"])).stdout;
    let readme = text("README.md");
    let codes: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let line = line.trim();
            match line.strip_prefix("0 to 119") {
                Some(meaning) => ("0 to 119", meaning.trim()),
                None => line
                    .split_once("  ")
                    .map(|(code, meaning)| (code, meaning.trim()))
                    .expect(line),
            }
        })
        .collect();
    assert!(codes.len() > 5, "{help}");
    for (code, meaning) in codes {
        let row = format!("| {code} | {meaning} |");
        assert!(readme.contains(&row), "README.md has no row {row:?}");
    }
}

/// The test command of the README is the one that decides what lands.
#[test]
fn the_readmes_test_command_is_the_one_that_is_run() {
    let readme = text("README.md");
    let (command, _) = readme
        .split_once("cargo test")
        .and_then(|(_, rest)| rest.split_once('#'))
        .expect("the README has a test command");
    let run = text(".ci/run");
    assert!(
        run.contains(&format!("cargo test{}", command.trim_end())),
        "{command}"
    );
}
