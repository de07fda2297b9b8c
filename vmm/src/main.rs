fn main() {
    let args: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&args[1]).unwrap();
    let mut stages = paravane::vm::stages::Stages::start();
    let image = paravane::image::Image::parse(bytes).unwrap();
    let kvm = paravane::vm::host::open(std::path::Path::new("/dev/kvm")).unwrap();
    stages.done("kvm");
    let p = match args.get(2).map(|s| s.as_str()) {
        Some("ring0") => Some(paravane::carrier::Privilege::Ring0),
        Some("ring3") => Some(paravane::carrier::Privilege::Ring3),
        _ => None,
    };
    let cfg = paravane::vm::VmConfig {
        memory: 128 << 20,
        vcpus: 1,
        privilege: p,
        carrier: None,
        command_line: args.get(3).cloned().unwrap_or_default(),
        initrd: None,
    };
    let mut vm = paravane::vm::Vm::new(
        &kvm,
        &image,
        &cfg,
        paravane::console::output::Output::stdout().unwrap(),
        &mut stages,
    )
    .unwrap();
    println!("{:?}", vm.mode);
    let end = vm.run().unwrap();
    stages.done("run");
    println!("{end:?}");
    if let Some(t) = vm.control().services.console.first_byte() {
        stages.done_at("first byte", t);
    }
    for s in stages.summary() {
        println!("{:20} at {} took {}", s.name, s.at_us, s.took_us);
    }
    println!("{:?}", vm.stats().summary(vm.tsc_frequency));
    println!("{:?}", vm.crash_report());
}
