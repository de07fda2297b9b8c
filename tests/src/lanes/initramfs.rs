//! Building the image that a lane boots into: busybox, the kernel's modules, and the job.
//!
//! It is not compressed. Bochs would take as long to unpack a smaller image as it takes to read a
//! larger one, and QEMU boots 0.3 s faster without.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::Job;
use super::commands;
use super::kernel::Kernel;
use super::libraries;
use super::modules::{self, KvmModule};

/// Runs as process 1. What it reads and runs in `/lane` is written here.
const INIT: &str = include_str!("init.sh");

/// The directories that `init.sh` mounts something on, or that programs expect.
const DIRECTORIES: [&str; 6] = ["dev", "proc", "sys", "run", "tmp", "root"];

/// The tools that build an image, and the one that goes into it.
pub(super) struct ImageTools {
    busybox: PathBuf,
    cpio: PathBuf,
    ldd: PathBuf,
    objcopy: PathBuf,
}

impl ImageTools {
    /// Finds them on this machine.
    pub(super) fn find() -> Result<ImageTools, String> {
        Ok(ImageTools {
            busybox: commands::find("busybox", "busybox-static")?,
            cpio: commands::find("cpio", "cpio")?,
            ldd: commands::find("ldd", "libc-bin")?,
            objcopy: commands::find("objcopy", "binutils")?,
        })
    }
}

/// Builds the image that runs `job`, as a new file at `image`, by way of a folder in `directory`.
pub(super) fn build(
    tools: &ImageTools,
    kernel: &Kernel,
    kvm_module: &KvmModule,
    job: &Job,
    directory: &Path,
    image: &Path,
) -> Result<(), String> {
    let root = Root(directory.join("root"));
    for folder in DIRECTORIES {
        root.create_folder(Path::new(folder))?;
    }
    root.write("init", INIT)?;
    root.copy_program(&tools.busybox, Path::new("bin/busybox"), tools)?;
    symlink("busybox", root.0.join("bin/sh"))
        .map_err(|error| format!("cannot make a symbolic link: {error}"))?;
    add_modules(&root, tools, kernel, kvm_module)?;
    add_job(&root, tools, job)?;
    archive(&root, image, &tools.cpio)?;
    fs::remove_dir_all(&root.0).map_err(|error| format!("cannot remove the image's root: {error}"))
}

fn add_modules(
    root: &Root,
    tools: &ImageTools,
    kernel: &Kernel,
    kvm_module: &KvmModule,
) -> Result<(), String> {
    let mut list = String::new();
    for file in &kernel.modules {
        let name = modules::module_name(file).unwrap_or_default();
        let inside = format!("lane/{name}.ko");
        root.copy(
            &modules::stripped(file, &tools.objcopy)?,
            Path::new(&inside),
        )?;
        let parameters = if name == kvm_module.name {
            kvm_module.parameters
        } else {
            ""
        };
        list.push_str(&format!("/{inside} {parameters}\n"));
    }
    root.write("lane/modules", &list)?;
    let (parameter, value) = kvm_module.expected;
    let path = format!("/sys/module/{}/parameters/{parameter}", kvm_module.name);
    root.write("lane/expected", &format!("{path} {value}\n"))
}

fn add_job(root: &Root, tools: &ImageTools, job: &Job) -> Result<(), String> {
    let name = job
        .program
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| format!("{} does not name a program", job.program.display()))?;
    if !commands::is_executable(&job.program) {
        return Err(format!(
            "{} is not an executable file",
            job.program.display()
        ));
    }
    let inside = format!("job/{name}");
    root.copy_program(&job.program, Path::new(&inside), tools)?;
    if job.strip_debug_data && libraries::is_elf(&job.program)? {
        let target = root.0.join(&inside);
        commands::output(
            Command::new(&tools.objcopy)
                .arg("--strip-debug")
                .arg(target),
        )?;
    }
    for (file, path) in &job.files {
        root.copy_program(file, &inside_path(path)?, tools)?;
    }

    // init.sh hides what its own shell has to say on standard error.
    let mut script = String::from("exec 2>&1\n");
    for (name, value) in &job.env {
        if !is_variable_name(name) {
            return Err(format!("`{name}` is no name for an environment variable"));
        }
        script.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    script.push_str(&format!("exec {}", quoted(&format!("/{inside}"))));
    for argument in &job.args {
        script.push_str(&format!(" {}", quoted(argument)));
    }
    script.push('\n');
    root.write("lane/job", &script)
}

/// The relative path of a job's file in the image's root.
fn inside_path(path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(path).strip_prefix("/").ok();
    relative
        .filter(|path| {
            path.components()
                .all(|part| matches!(part, Component::Normal(_)))
        })
        .filter(|path| path.file_name().is_some())
        .map(Path::to_owned)
        .ok_or_else(|| format!("`{path}` must be an absolute path, without `..`, of a file"))
}

/// `text` as one word of the shell's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The folder that becomes the image.
struct Root(PathBuf);

impl Root {
    fn create_folder(&self, folder: &Path) -> Result<(), String> {
        let folder = self.0.join(folder);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))
    }

    fn create_parent(&self, file: &Path) -> Result<(), String> {
        file.parent()
            .map_or(Ok(()), |folder| self.create_folder(folder))
    }

    /// Writes an executable text file.
    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        self.create_parent(Path::new(file))?;
        let file = self.0.join(file);
        fs::write(&file, text)
            .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o755)))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    /// Copies a file, with its permissions but always writable, for objcopy's sake.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), String> {
        self.create_parent(to)?;
        let to = self.0.join(to);
        fs::copy(from, &to)
            .and_then(|_| to.metadata())
            .and_then(|data| {
                fs::set_permissions(
                    &to,
                    Permissions::from_mode(data.permissions().mode() | 0o600),
                )
            })
            .map_err(|error| {
                format!(
                    "cannot copy {} to {}: {error}",
                    from.display(),
                    to.display()
                )
            })
    }

    /// Copies a file, and the shared libraries that it needs if it is a program.
    fn copy_program(&self, from: &Path, to: &Path, tools: &ImageTools) -> Result<(), String> {
        self.copy(from, to)?;
        for library in libraries::needed_by(from, &tools.ldd)? {
            let inside = library.strip_prefix("/").unwrap_or(&library);
            if !self.0.join(inside).exists() {
                self.copy(&library, inside)?;
            }
        }
        Ok(())
    }

    /// The paths of all that is in it, each directory before its contents, each ended by a zero.
    fn listing(&self) -> std::io::Result<Vec<u8>> {
        fn add(root: &Path, folder: &Path, list: &mut Vec<u8>) -> std::io::Result<()> {
            let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let path = entry.path();
                let relative = path.strip_prefix(root).unwrap_or(&path);
                list.extend(relative.as_os_str().as_bytes());
                list.push(0);
                if entry.file_type()?.is_dir() {
                    add(root, &path, list)?;
                }
            }
            Ok(())
        }
        let mut list = Vec::new();
        add(&self.0, &self.0, &mut list)?;
        Ok(list)
    }
}

/// Packs the folder `root` into the file `image`, in the one format that the kernel unpacks.
fn archive(root: &Root, image: &Path, cpio: &Path) -> Result<(), String> {
    let failed = |error| format!("cannot write {}: {error}", image.display());
    let list = image.with_extension("list");
    fs::write(&list, root.listing().map_err(failed)?).map_err(failed)?;
    let list = File::open(&list).map_err(failed)?;
    let mut command = Command::new(cpio);
    command
        .args([
            "--create",
            "--format=newc",
            "--owner=0:0",
            "--null",
            "--quiet",
        ])
        .current_dir(&root.0)
        .stdout(File::create(image).map_err(failed)?);
    commands::output_with_input(&mut command, list).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_gets_words_as_they_are() {
        let words = ["", "a b", "it's", "$HOME `ls` \\ \"", "two\nlines", "-n"];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            let printed = commands::output(Command::new("sh").args(["-c", &script]));
            assert_eq!(printed, Ok(word.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_file_goes_where_it_stays_inside() {
        assert_eq!(inside_path("/tmp/a"), Ok(PathBuf::from("tmp/a")));
        for path in ["", "/", "a", "/../a", "/a/../../b"] {
            assert!(inside_path(path).is_err(), "{path}");
        }
    }
}
