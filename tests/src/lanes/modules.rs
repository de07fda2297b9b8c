//! The kernel's modules: which, in what order, and small enough to load fast.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use super::commands;
use super::target_directory;

/// The module that makes a lane what it is.
pub(super) struct KvmModule {
    /// Its name.
    pub(super) name: &'static str,
    /// The parameters to load it with.
    pub(super) parameters: &'static str,
    /// A parameter and what it must read once the module is loaded: whether there are nested page
    /// tables. KVM falls back to shadow paging in silence where the processor has none.
    pub(super) expected: (&'static str, &'static str),
}

impl KvmModule {
    /// AMD, nested paging.
    pub(super) const AMD: KvmModule = KvmModule {
        name: "kvm_amd",
        parameters: "",
        expected: ("npt", "Y"),
    };
    /// Intel, EPT.
    pub(super) const INTEL: KvmModule = KvmModule {
        name: "kvm_intel",
        parameters: "",
        expected: ("ept", "Y"),
    };
    /// Intel, shadow paging.
    pub(super) const INTEL_EPT0: KvmModule = KvmModule {
        name: "kvm_intel",
        parameters: "ept=0",
        expected: ("ept", "N"),
    };
}

/// What a module's file name can end with, and the tool and the package that make it plain.
const ENDINGS: [(&str, Option<(&str, &str)>); 4] = [
    (".ko", None),
    (".ko.xz", Some(("xz", "xz-utils"))),
    (".ko.zst", Some(("zstd", "zstd"))),
    (".ko.gz", Some(("gzip", "gzip"))),
];

/// Sections that take an emulator long to load and that nobody looks at: with them goes the
/// module's signature.
const UNUSED_SECTIONS: [&str; 4] = [".BTF", ".BTF_ids", "__mcount_loc", ".rela__mcount_loc"];

/// The name of the module in `file`, as the kernel spells it, if it is one.
pub(super) fn module_name(file: &Path) -> Option<String> {
    let file_name = file.file_name()?.to_str()?;
    let stem = ENDINGS
        .iter()
        .find_map(|(ending, _)| file_name.strip_suffix(ending))?;
    Some(stem.replace('-', "_"))
}

/// The files of `module` and of what it depends on, below `folder`, in the order of loading.
pub(super) fn load_order(folder: &Path, module: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = HashMap::new();
    collect_modules(folder, &mut files)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut order = Vec::new();
    add_with_dependencies(module, &files, &mut order)
        .map_err(|error| format!("{} is of no use: {error}", folder.display()))?;
    Ok(order)
}

fn collect_modules(folder: &Path, files: &mut HashMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // An installed kernel has symbolic links to its source tree here: they are not followed.
        if entry.file_type()?.is_dir() {
            collect_modules(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn add_with_dependencies(
    module: &str,
    files: &HashMap<String, PathBuf>,
    order: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let file = files
        .get(module)
        .ok_or_else(|| format!("it has no module {module}"))?;
    if order.contains(file) {
        return Ok(());
    }
    for dependency in dependencies(&read(file)?) {
        add_with_dependencies(&dependency, files, order)?;
    }
    order.push(file.clone());
    Ok(())
}

/// The names of the modules that the one with these contents says it depends on.
fn dependencies(contents: &[u8]) -> Vec<String> {
    // The section .modinfo is a sequence of "key=value" strings, each ended by a zero byte.
    const KEY: &[u8] = b"depends=";
    contents
        .split(|&byte| byte == 0)
        .find_map(|string| string.strip_prefix(KEY))
        .map(|names| String::from_utf8_lossy(names).into_owned())
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// The contents of the module in `file`, decompressed.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let tool = ENDINGS
        .iter()
        .find(|(ending, _)| name.ends_with(ending))
        .and_then(|(_, tool)| *tool);
    match tool {
        Some((tool, package)) => commands::output(
            Command::new(commands::find(tool, package)?)
                .arg("-dc")
                .arg(file),
        ),
        None => fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display())),
    }
}

/// The module in `file` with what nobody needs removed, from the cache if it is there.
///
/// Bochs loads KVM in 0.8 s this way.
pub(super) fn stripped(file: &Path, objcopy: &Path) -> Result<PathBuf, String> {
    let name = module_name(file).ok_or_else(|| format!("{} is no module", file.display()))?;
    let cache = target_directory().join("lane-cache");
    let unusable = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(&cache).map_err(|error| unusable(&cache, error))?;
    // A new kernel package has a new time stamp, even where its release has stayed the same.
    let data = file
        .metadata()
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let modified = data
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = modified.map_or(0, |time| time.as_secs());
    let cached = cache.join(format!("{name}-{}-{seconds}.ko", data.len()));
    if cached.exists() {
        return Ok(cached);
    }

    // Made under another name: whoever looks for the file finds all of it or none.
    let work = tempfile::tempdir_in(&cache).map_err(|error| unusable(&cache, error))?;
    let (plain, small) = (work.path().join("plain.ko"), work.path().join("small.ko"));
    fs::write(&plain, read(file)?).map_err(|error| unusable(&plain, error))?;
    let mut command = Command::new(objcopy);
    command.args(["--strip-debug", "--discard-all"]);
    command.args(UNUSED_SECTIONS.map(|section| format!("--remove-section={section}")));
    commands::output(command.arg(&plain).arg(&small))?;
    fs::rename(&small, &cached).map_err(|error| unusable(&cached, error))?;
    Ok(cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_load_after_what_they_depend_on() {
        let folder = tempfile::tempdir().expect("a directory");
        let write = |path: &str, depends: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            let contents = format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0");
            fs::write(path, contents).expect("a file");
        };
        write("kernel/arch/x86/kvm/kvm.ko", "irqbypass");
        write("kernel/arch/x86/kvm/kvm-amd.ko", "kvm,ccp");
        write("kernel/drivers/crypto/ccp.ko", "");
        write("kernel/virt/lib/irqbypass.ko", "");
        write("kernel/other.ko", "");
        let order = load_order(folder.path(), "kvm_amd").expect("an order");
        let names: Vec<_> = order.iter().filter_map(|file| module_name(file)).collect();
        assert_eq!(names, ["irqbypass", "kvm", "ccp", "kvm_amd"]);
        let error = load_order(folder.path(), "kvm_intel").expect_err("there is none");
        assert!(error.contains("no module kvm_intel"), "{error}");
    }

    #[test]
    fn module_names_are_the_kernels() {
        assert_eq!(
            module_name(Path::new("/x/kvm-intel.ko.xz")).as_deref(),
            Some("kvm_intel")
        );
        assert_eq!(module_name(Path::new("/x/modules.dep")), None);
    }
}
