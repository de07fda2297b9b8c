//! What the command line says.

/// What is to be logged, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Lines of each task.
    pub lines: u32,
    pub tasks: u32,
    /// Rest of a task after each line, in microseconds.
    pub rest: u64,
    /// The host's port.
    pub port: u32,
}

impl Options {
    /// Those of a command line, or the word that is none.
    pub fn parse(command_line: &str) -> Result<Self, &str> {
        let mut options = Self {
            lines: 1000,
            tasks: 4,
            rest: 1000,
            port: 5000,
        };
        for word in command_line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').ok_or(word)?;
            let number: u32 = value.parse().map_err(|_| word)?;
            match name {
                "lines" => options.lines = number,
                "tasks" => options.tasks = number,
                "rest" => options.rest = number.into(),
                "port" => options.port = number,
                _ => return Err(word),
            }
        }
        Ok(options)
    }
}
