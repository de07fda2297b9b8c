//! A state folder on a disk without room.

use crate::vms::{problem, request, run};
use paravane_api::VmState;
use paravane_api::snapshot::TakeSnapshot;
use paravane_api::vm::{CreateVm, StopVm};
use paravane_tests::daemon::Place;
use paravane_tests::{lanes, program};
use rustix::process::geteuid;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;

/// The disk, with room for a database and little else.
const SIZE: &str = "size=6m";

/// A small disk of its own at a folder.
struct Disk(PathBuf);

impl Disk {
    /// The error says why there is none.
    fn mount(path: PathBuf) -> Result<Self, String> {
        if !geteuid().is_root() {
            return Err("only root can mount a disk".to_string());
        }
        fs::create_dir(&path).unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&path);
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(Self(path)),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = File::create(self.filling()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            match file.write_all(&vec![1; size]) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull);
                    size /= 2;
                }
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.filling()).unwrap();
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while somebody uses it, as after a failed test.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_what_runs_goes_on() {
    let name = "a_full_disk_is_told_and_what_runs_goes_on";
    if !program::has_local_kvm(name) {
        return;
    }
    let place = Place::new();
    let disk = match Disk::mount(place.state_dir()) {
        Ok(disk) => disk,
        Err(why) => {
            assert!(!lanes::required(), "{name}: {why}");
            eprintln!("disk: {name} SKIPPED: {why}");
            return;
        }
    };
    let client = place.client();
    let daemon = place.daemon();
    run(&client, "web", "idle").await;
    disk.fill();

    // The database has a little room of its own.
    let mut made = Vec::new();
    let other = loop {
        let name = format!("other-{}", made.len());
        let idle = CreateVm {
            start: false,
            ..request(&name, "idle")
        };
        match client.create_vm(&idle).await {
            Ok(_) => made.push(name),
            refused => {
                let detail = problem(refused, 507, "storage-full");
                let says = "make room there, and try again";
                assert!(detail.contains(says), "{detail}");
                break name;
            }
        }
    };
    let image = vec![7; 1 << 20];
    let refused = client.add_image(None, 1 << 20, Cursor::new(image.clone()));
    problem(refused.await, 507, "storage-full");
    let left = fs::read_dir(place.state_dir().join("images")).unwrap();
    assert_eq!(left.count(), 0, "something of the image was left");
    let refused = client.take_snapshot("web", &TakeSnapshot::default()).await;
    assert!(refused.unwrap_err().status().is_some());
    // What is not asked of the disk is answered, and the VM goes on.
    let web = client.show_vm("web").await.unwrap();
    assert_eq!(web.state, VmState::Running);
    client.vm_stats("web").await.unwrap();

    // A daemon begins there too.
    daemon.kill();
    let daemon = place.daemon();
    client.ready().await.unwrap();
    let after = client.show_vm("web").await.unwrap();
    assert_eq!((after.state, after.pid), (VmState::Running, web.pid));
    // What was refused was not made, and what was made is there.
    let error = client.show_vm(&other).await.unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
    for vm in &made {
        let vm = client.show_vm(vm).await.unwrap();
        assert_eq!(vm.state, VmState::Stopped);
    }

    disk.make_room();
    run(&client, &other, "idle").await;
    client
        .add_image(None, 1 << 20, Cursor::new(image))
        .await
        .unwrap();
    for vm in ["web", &other] {
        let stopped = client.stop_vm(vm, &StopVm::default()).await.unwrap();
        assert_eq!(stopped.state, VmState::Stopped);
    }
    for vm in made.iter().chain([&"web".to_string(), &other]) {
        client.delete_vm(vm, false).await.unwrap();
    }
    assert!(daemon.end().success());
}
