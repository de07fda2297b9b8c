use super::*;
use tempfile::TempDir;

/// A folder with what a host's files say, and a group of this process that is only files.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(controllers: &str, v1: &str) -> Self {
        let host = Self {
            folder: TempDir::new().unwrap(),
        };
        let mount = host.path("mount point");
        let mount = mount.to_str().unwrap().replace(' ', "\\040");
        let mounts = format!(
            "22 1 0:20 / /proc rw,nosuid - proc proc rw\n\
             30 23 0:26 /above {mount} rw,nosuid shared:4 - cgroup2 cgroup rw\n"
        );
        fs::write(host.path("mountinfo"), mounts).unwrap();
        fs::write(host.path("cgroup"), format!("{v1}0::/above/service\n")).unwrap();
        fs::create_dir_all(host.path("mount point/service/vm1")).unwrap();
        host.write("cgroup.controllers", controllers);
        host.write("cgroup.subtree_control", "");
        for file in [
            "cpu.weight",
            "cpu.max",
            "memory.max",
            "cgroup.procs",
            "cgroup.kill",
        ] {
            host.write(&format!("vm1/{file}"), "");
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("mount point/service").join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("mount point/service").join(name)).unwrap()
    }

    fn hierarchy(&self) -> Hierarchy {
        Hierarchy::find_in(self.folder.path()).unwrap()
    }
}

fn limits() -> Limits {
    Limits {
        cpu_quota_percent: Some(25),
        memory: Some(1 << 20),
        ..Limits::default()
    }
}

#[test]
fn limits_are_written_where_the_kernel_reads_them() {
    let host = Host::new("cpuset cpu io memory pids\n", "");
    let hierarchy = host.hierarchy();
    assert_eq!(hierarchy.own(), host.path("mount point/service"));
    let group = hierarchy.create("vm1", &limits()).unwrap();
    assert_eq!(host.read("vm1/cpu.max"), "25000 100000");
    assert_eq!(host.read("vm1/memory.max"), "1048576");
    // The kernel's file takes one after the other; this one has the last.
    assert_eq!(host.read("cgroup.subtree_control"), "+memory");
    group.add(4711).unwrap();
    assert_eq!(host.read("vm1/cgroup.procs"), "4711");
    group.kill().unwrap();
    assert_eq!(host.read("vm1/cgroup.kill"), "1");
}

#[test]
fn what_was_used_is_read() {
    let host = Host::new("cpu memory\n", "");
    let group = host.hierarchy().open("vm1").unwrap();
    host.write(
        "vm1/cpu.stat",
        "usage_usec 1500\nuser_usec 1000\nthrottled_usec 20\n",
    );
    let expected = Usage {
        cpu: Duration::from_micros(1500),
        throttled: Duration::from_micros(20),
        memory: None,
    };
    assert_eq!(group.usage().unwrap(), expected);
    host.write("vm1/memory.current", "4096\n");
    assert_eq!(group.usage().unwrap().memory, Some(4096));
    host.write("vm1/memory.current", "much\n");
    let error = group.usage().unwrap_err().to_string();
    assert!(
        error.ends_with("says \"much\\n\", which is not understood"),
        "{error}"
    );
}

#[test]
fn a_controller_that_is_missing_is_named_with_where_it_would_be() {
    let host = Host::new("cpu\n", "");
    let error = host.hierarchy().create("vm1", &limits()).unwrap_err();
    let file = host.path("mount point/cgroup.subtree_control");
    let expected = format!(
        "it has not the controller memory; it is enabled in the group above: echo +memory > {}",
        file.display()
    );
    assert!(error.to_string().ends_with(&expected), "{error}");
    assert_eq!(host.read("vm1/memory.max"), "");

    let host = Host::new("cpu\n", "4:memory:/\n2:pids,io:/a\n");
    let error = host.hierarchy().create("vm1", &limits()).unwrap_err();
    let expected = "cgroup v1 has it on this host: boot with cgroup_no_v1=memory";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_name_leads_nowhere_else() {
    let host = Host::new("cpu memory\n", "");
    let long = "x".repeat(256);
    for name in ["", "..", "a/b", "/a", ".hidden", "a b", &long] {
        let error = host.hierarchy().create(name, &Limits::default());
        assert!(matches!(error, Err(CgroupError::Name(_))), "{name:?}");
    }
}

#[test]
fn a_host_without_cgroup_2_is_told() {
    let host = Host::new("", "");
    fs::write(
        host.path("mountinfo"),
        "22 1 0:20 / /proc rw - proc proc rw\n",
    )
    .unwrap();
    let error = Hierarchy::find_in(host.folder.path()).unwrap_err();
    assert!(matches!(error, CgroupError::NotMounted), "{error}");
    let error = Host::new("", "").hierarchy().open("vm2").unwrap_err();
    assert!(error.to_string().contains("vm2 cannot be used"), "{error}");
}
