//! A VM's process that does nothing any more.

use crate::vms::{problem, run};
use paravane_api::VmState;
use paravane_api::vm::{EndKind, StopVm};
use paravane_tests::daemon::{Place, signal};
use paravane_tests::program;
use rustix::process::Signal;

/// Whether there is a process of this number that has not ended.
fn lives(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_process_that_hangs_holds_up_nobody_and_is_ended() {
    if !program::has_local_kvm("a_process_that_hangs_holds_up_nobody_and_is_ended") {
        return;
    }
    let place = Place::new();
    let daemon = place.daemon();
    let client = place.client();
    let hangs = run(&client, "hangs", "idle").await;
    run(&client, "other", "idle").await;
    let pid = hangs.pid.unwrap();
    signal(pid, Signal::STOP).unwrap();

    // Both ask it, and give up; others are answered meanwhile.
    let (paused, asked, others) =
        tokio::join!(client.pause_vm("hangs"), client.vm_stats("hangs"), async {
            client.pause_vm("other").await.unwrap();
            client.resume_vm("other").await.unwrap();
            client.stats().await.unwrap()
        });
    let detail = problem(paused, 504, "not-responding");
    assert!(detail.contains("has not answered within"), "{detail}");
    problem(asked, 504, "not-responding");
    let answered = others
        .iter()
        .map(|one| (one.name.as_str(), one.stats.is_some()));
    assert_eq!(
        answered.collect::<Vec<_>>(),
        [("hangs", false), ("other", true)]
    );
    let metrics = client.metrics().await.unwrap();
    assert!(
        metrics.contains("paravane_vms{state=\"running\"} 2\n"),
        "{metrics}"
    );

    let stopped = client.stop_vm("hangs", &StopVm::default()).await.unwrap();
    assert_eq!(stopped.state, VmState::Stopped);
    let message = stopped.ended.unwrap().message.unwrap();
    assert!(message.contains("its process was killed: "), "{message}");
    assert!(!lives(pid));
    client.start_vm("hangs").await.unwrap();
    for vm in ["hangs", "other"] {
        client.delete_vm(vm, true).await.unwrap();
    }
    assert!(daemon.end().success());
}

#[tokio::test]
async fn a_process_that_hangs_does_not_keep_a_daemon_from_beginning() {
    if !program::has_local_kvm("a_process_that_hangs_does_not_keep_a_daemon_from_beginning") {
        return;
    }
    let place = Place::new();
    let daemon = place.daemon();
    let client = place.client();
    let hangs = run(&client, "hangs", "idle").await;
    let other = run(&client, "other", "idle").await;
    daemon.kill();
    signal(hangs.pid.unwrap(), Signal::STOP).unwrap();
    let daemon = place.daemon();
    // It is not ready before it knows of each VM what it does.
    client.ready().await.unwrap();
    let seen = client.show_vm("hangs").await.unwrap();
    assert_eq!((seen.state, seen.pid), (VmState::Failed, None));
    let ended = seen.ended.unwrap();
    assert_eq!(ended.kind, EndKind::Error);
    let message = ended.message.unwrap();
    assert!(message.contains("has not answered within"), "{message}");
    assert!(!lives(hangs.pid.unwrap()));
    let seen = client.show_vm("other").await.unwrap();
    assert_eq!((seen.state, seen.pid), (VmState::Running, other.pid));
    for vm in ["hangs", "other"] {
        client.delete_vm(vm, true).await.unwrap();
    }
    assert!(daemon.end().success());
}
