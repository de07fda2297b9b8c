//! Finding a stock Debian kernel: the image, and its KVM modules.

use std::fs;
use std::path::{Path, PathBuf};

use super::modules::{self, KvmModule};
use super::target_directory;

/// How the names of images begin and end, around the version.
const IMAGE_PREFIX: &str = "vmlinuz-";
const IMAGE_SUFFIX: &str = "-cloud-amd64";

/// The module that has /dev/net/tun.
const TAP_MODULE: &str = "tun";

/// Kernel parameters that skip work which takes an emulator long and has no bearing on KVM:
/// self-tests of ciphers (8 s of Bochs's boot), the parsing of certificates, and tables for BPF.
pub(super) const SKIP_SLOW_WORK: &str = "cryptomgr.notests initcall_blacklist=\
    load_system_certificate_list,dev_map_init,cubictcp_register,\
    tracer_init_tracefs,trace_eval_init,init_kprobe_trace";

/// A kernel to boot.
pub(super) struct Kernel {
    /// Such as `6.1.0-56-cloud-amd64`.
    pub(super) release: String,
    /// Its image.
    pub(super) image: PathBuf,
    /// The files of the modules of KVM, and of tap devices where the package has that, in the order
    /// in which they must be loaded.
    pub(super) modules: Vec<PathBuf>,
}

impl Kernel {
    /// The newest kernel with `module` in the first of the places where there is one:
    /// `$PARAVANE_LANE_ROOT`, a folder into which a kernel package was unpacked with `dpkg -x`;
    /// `target/lane-root`, which `.ci/setup` makes; and this machine's own root.
    pub(super) fn find(module: &KvmModule) -> Result<Kernel, String> {
        let given = std::env::var_os("PARAVANE_LANE_ROOT").map(PathBuf::from);
        let roots: Vec<PathBuf> = given
            .into_iter()
            .chain([target_directory().join("lane-root"), PathBuf::from("/")])
            .collect();
        let mut flaws = Vec::new();
        for root in &roots {
            for release in releases(root) {
                match Kernel::in_root(root, release, module) {
                    Ok(kernel) => return Ok(kernel),
                    Err(flaw) => flaws.push(flaw),
                }
            }
        }
        if flaws.is_empty() {
            let places: Vec<_> = roots
                .iter()
                .map(|root| root.display().to_string())
                .collect();
            flaws.push(format!(
                "there is no boot/{IMAGE_PREFIX}*{IMAGE_SUFFIX} in {}",
                places.join(" nor in ")
            ));
        }
        Err(format!(
            "no stock Debian kernel to boot ({}): run `.ci/setup`, or `apt-get download` a \
             linux-image-<version>-cloud-amd64 package, `dpkg -x` it into a folder and name that \
             folder in PARAVANE_LANE_ROOT",
            flaws.join("; ")
        ))
    }

    fn in_root(root: &Path, release: String, module: &KvmModule) -> Result<Kernel, String> {
        let image = root.join("boot").join(format!("{IMAGE_PREFIX}{release}"));
        // The second path is where Debian 13 and later put them.
        let folder = ["lib/modules", "usr/lib/modules"]
            .map(|folder| root.join(folder).join(&release))
            .into_iter()
            .find(|folder| folder.is_dir())
            .ok_or_else(|| format!("{} has no modules beside it", image.display()))?;
        let mut modules = modules::load_order(&folder, module.name)?;
        // Where there is none, what needs it is skipped.
        modules.extend(modules::load_order(&folder, TAP_MODULE).unwrap_or_default());
        Ok(Kernel {
            release,
            image,
            modules,
        })
    }
}

/// The releases of the kernels in `root`, newest first.
fn releases(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("boot")) else {
        return Vec::new();
    };
    let mut releases: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix(IMAGE_PREFIX).map(str::to_owned))
        .filter(|release| release.ends_with(IMAGE_SUFFIX))
        .collect();
    releases.sort_by_key(|release| std::cmp::Reverse(version(release)));
    releases
}

/// The numbers in `release`, which compare as versions do.
fn version(release: &str) -> Vec<u64> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_comes_first() {
        let root = tempfile::tempdir().expect("a directory");
        let boot = root.path().join("boot");
        fs::create_dir(&boot).expect("a directory");
        for release in [
            "6.1.0-9-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "6.12.3-amd64",
        ] {
            fs::write(boot.join(format!("vmlinuz-{release}")), b"").expect("a file");
        }
        assert_eq!(
            releases(root.path()),
            ["6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"]
        );
    }
}
