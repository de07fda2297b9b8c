//! The lines by which an image tells of its tests: `paravane_sdk::test` writes them.

/// What a line of the protocol begins with: `paravane_sdk::test::MARK`, and a tab.
const MARK: &str = "guest-test:\t";

/// A test that an image has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// How many vCPUs it needs.
    pub vcpus: u32,
    /// How much memory it needs, in MiB; 0 when it does not say.
    pub memory: u32,
    /// It is left out unless it is asked for; and why.
    pub ignore: Option<String>,
    /// It passes when it panics with a message that this is part of, as `escape_default` writes it.
    pub should_panic: Option<String>,
}

/// The lines of the protocol in what a guest wrote, without their mark. A test may have left a
/// line unfinished.
fn lines(console: &str) -> impl Iterator<Item = &str> {
    console
        .lines()
        .filter_map(|line| line.split_once(MARK).map(|(_, rest)| rest))
}

/// The tests that an image has listed; what is wrong with the list otherwise.
pub fn tests(console: &str) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    for line in lines(console) {
        match line.split_once('\t') {
            Some(("test", fields)) => tests.push(test(fields)?),
            Some(("end", count)) if count == tests.len().to_string() => return Ok(tests),
            _ => return Err(format!("an unknown line, {line:?}")),
        }
    }
    Err("the list has no end".into())
}

fn test(fields: &str) -> Result<Test, String> {
    let mut fields = fields.split('\t');
    let mut next = || fields.next().ok_or("a line with too few fields");
    let mut test = Test {
        name: next()?.into(),
        vcpus: number(next()?)?,
        memory: number(next()?)?,
        ..Test::default()
    };
    for note in fields {
        match note.split_once(':') {
            Some(("ignore", why)) => test.ignore = Some(why.into()),
            Some(("should_panic", message)) => test.should_panic = Some(message.into()),
            _ => return Err(format!("an unknown note, {note:?}")),
        }
    }
    Ok(test)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("no number, {text:?}"))
}

/// Whether a guest has said that this test passed.
pub fn has_passed(console: &str, name: &str) -> bool {
    lines(console).any(|line| line.split_once('\t') == Some(("passed", name)))
}

/// What a guest wrote beside the lines of the protocol.
pub fn without_protocol(console: &str) -> String {
    let mut rest = String::new();
    for line in console.split_inclusive('\n') {
        rest.push_str(line.split_once(MARK).map_or(line, |(before, _)| before));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let console = "booting\n\
             guest-test:\ttest\tadds\t1\t0\n\
             guest-test:\ttest\tmod::waits\t2\t64\tignore:slow\tshould_panic:no \\\"time\\\"\n\
             guest-test:\tend\t2\n";
        let expected = [
            Test {
                name: "adds".into(),
                vcpus: 1,
                ..Test::default()
            },
            Test {
                name: "mod::waits".into(),
                vcpus: 2,
                memory: 64,
                ignore: Some("slow".into()),
                should_panic: Some("no \\\"time\\\"".into()),
            },
        ];
        assert_eq!(tests(console), Ok(expected.to_vec()));
    }

    #[test]
    fn a_list_that_is_cut_off_is_none() {
        for console in [
            "",
            "guest-test:\ttest\tadds\t1\t0\n",
            "guest-test:\ttest\tadds\t1\t0\nguest-test:\tend\t2\n",
            "guest-test:\ttest\tadds\n",
            "guest-test:\ttest\tadds\tmany\t0\n",
        ] {
            assert!(tests(console).is_err(), "{console}");
        }
    }

    #[test]
    fn a_test_has_passed_when_the_guest_says_so_of_it() {
        let console = "an unfinished lineguest-test:\tpassed\tadds\n";
        assert!(has_passed(console, "adds"));
        assert!(!has_passed(console, "add"));
        assert!(!has_passed("passed\tadds\n", "adds"));
    }
}
