//! What a document shows: its fenced blocks, and the commands in those that are sessions.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What is in it, by the first word behind the fence.
    pub language: &'a str,
    /// The rest of that line.
    pub name: &'a str,
    /// The lines between the fences.
    pub text: String,
}

/// All blocks of a document.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let (language, name) = info.split_once(' ').unwrap_or((info, ""));
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            text.push_str(line);
            text.push('\n');
        }
        blocks.push(Block {
            language,
            name,
            text,
        });
    }
    blocks
}

/// The commands of a session, each with what is shown behind it.
///
/// # Panics
///
/// When the session does not begin with a command.
pub fn commands(session: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in session.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("a session begins with {line:?}, which is no command"),
        }
    }
    commands
}

/// Whether a command printed what is shown. In what is shown, `...` stands for anything.
pub fn fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        rest = match parts.peek() {
            None => return rest.ends_with(part),
            Some(_) => match rest.split_once(part) {
                Some((_, rest)) => rest,
                None => return false,
            },
        };
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_anything() {
        for (shown, printed, expected) in [
            ("a\n", "a\n", true),
            ("a\n", "a\nb\n", false),
            ("a ... c\n", "a b b c\n", true),
            ("a ... c\n", "a b b d\n", false),
            ("...\nb...d\n", "a\nb c d\n", true),
            ("a...\n", "b\n", false),
        ] {
            assert_eq!(fits(shown, printed), expected, "{shown:?} {printed:?}");
        }
    }
}
