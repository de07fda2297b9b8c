//! Measuring instructions in a raw VM.

use super::code::{Clock, Done, NOTHING, Timed, ending, timing_loop};
use super::layout::{DATA, DATA_ANSWER, MOST_SAMPLES, SAMPLES};
use super::other::beside;
use super::run::{End, Runner};
use super::vm::{Config, RawVm};
use crate::bench::chunk::{Chunk, Outcome, warm_up};
use crate::bench::emulate::Emulator;
use crate::bench::host::Host;
use crate::bench::result::Answer;
use crate::bench::rows::{Instruction, Silent, Trap};
use crate::bench::watch::Watch;
use std::time::Duration;

/// How long a loop may take, and more for each sample: many times what the slowest row takes on an
/// emulated host. Some instructions never end: VMCALL where KVM patches it for ever.
const PATIENCE: Duration = Duration::from_secs(3);
const EACH: Duration = Duration::from_millis(5);

/// How often the operation is carried out before all that counts.
const FIRST: u64 = 4;

/// Measures the instructions as they are, in a VM of their own.
pub fn native(
    host: &Host,
    instruction: &Instruction,
    samples: u64,
    watch: &Watch,
) -> Result<Outcome, String> {
    let config = instruction.config;
    let clock = match config.cpl {
        0 => host.clock,
        _ => Clock::Fenced,
    };
    let subject = Subject {
        instruction,
        config,
        clock,
        samples,
        watch,
    };
    subject.measure(host, None)
}

/// Measures them at CPL 3, where the VMM emulates what traps.
pub fn trapped(
    host: &Host,
    instruction: &Instruction,
    trap: &Trap,
    samples: u64,
    watch: &Watch,
) -> Result<Outcome, String> {
    let silent = match trap {
        Trap::Same(_) => None,
        Trap::Silent(silent) => Some(silent),
        Trap::Absent(reason) => return Ok(Outcome::Absent((*reason).into())),
    };
    let subject = Subject {
        instruction,
        config: Config {
            cpl: 3,
            // They would take what is to trap.
            doorbell: false,
            user_msrs: false,
            deprivileged_kernel: true,
            ..instruction.config
        },
        clock: Clock::Fenced,
        samples,
        watch,
    };
    subject.measure(host, Some(silent))
}

/// What is measured, and how.
struct Subject<'a> {
    instruction: &'a Instruction,
    config: Config,
    clock: Clock,
    samples: u64,
    watch: &'a Watch,
}

impl Subject<'_> {
    /// Measures it, with an emulator where there is a `trap`.
    fn measure(&self, host: &Host, trap: Option<Option<&Silent>>) -> Result<Outcome, String> {
        let mut vm = match RawVm::new(&host.kvm, self.config) {
            Ok(vm) => vm,
            Err(reason) => return Ok(Outcome::Absent(reason)),
        };
        if let Some((vector, handler)) = self.instruction.handler {
            if trap.is_some() {
                vm.memory.put(super::layout::HANDLER, handler())?;
            } else {
                vm.set_handler(vector, handler())?;
            }
        }
        match self.instruction.other {
            Some(other) => beside(&mut vm, other, &host.pins, |vm| {
                self.measure_in(vm, host, trap)
            }),
            None => self.measure_in(&mut vm, host, trap),
        }
    }

    /// Measures it in this VM.
    fn measure_in(
        &self,
        vm: &mut RawVm,
        host: &Host,
        trap: Option<Option<&Silent>>,
    ) -> Result<Outcome, String> {
        let counter = vm.exit_counter(0);
        let read = || counter.as_ref().and_then(|counter| counter.read());
        let mut emulator = trap.map(|_| Emulator::new(self.instruction.handler.is_some()));
        let samples = self.samples.min(self.instruction.most);
        let warm_up = warm_up(samples);
        let count = (samples + warm_up).min(MOST_SAMPLES);
        let watch = self.watch.with_patience(PATIENCE + count as u32 * EACH);
        let mut runner = Runner::new(vm, &watch);
        let mut parts = Vec::new();
        // The first loop of each kind only touches the memory, and what KVM has to do for that.
        for (empty, count, counts) in [
            (true, count, false),
            (false, FIRST.min(count), false),
            (true, count, true),
            (false, count, true),
        ] {
            let code = timing_loop(&self.instruction.timed, empty, self.clock, self.done());
            let before = (read(), runner.exits);
            let end = runner.run(&code, count, emulator.as_mut())?;
            match end {
                End::Done => {}
                End::Failed(reason) => return Ok(Outcome::Absent(reason)),
                End::Interrupted => return Ok(Outcome::Interrupted),
            }
            if !counts {
                continue;
            }
            let kvm = read().zip(before.0).map(|(after, before)| after - before);
            parts.push(Part {
                ticks: runner
                    .vm
                    .memory
                    .words(SAMPLES, count as usize)?
                    .split_off(warm_up as usize),
                kvm,
                vmm: runner.exits - before.1,
            });
        }
        let answer = match (trap, &mut emulator) {
            (Some(Some(silent)), Some(emulator)) => self.answer(&mut runner, silent, emulator)?,
            _ => Answer::Unchecked,
        };
        let (Some(operation), Some(empty)) = (parts.pop(), parts.pop()) else {
            return Err("nothing was measured".into());
        };
        let each = |number: u64| number as f64 / count as f64;
        let waits = (self.instruction.waits as f64 * host.tsc_hz as f64 / 1e9) as u64;
        let kvm = operation.kvm.zip(empty.kvm);
        Ok(Outcome::Measured(Chunk {
            ticks: operation
                .ticks
                .iter()
                .map(|&ticks| ticks.saturating_sub(waits))
                .collect(),
            empty: empty.ticks,
            per: 1,
            kvm: kvm.map(|(with, without)| each(with.saturating_sub(without))),
            vmm: each(operation.vmm.saturating_sub(empty.vmm)),
            answer,
        }))
    }

    fn done(&self) -> Done {
        match self.config.cpl {
            0 => Done::Port,
            _ => Done::Breakpoint,
        }
    }

    /// Has the instruction executed once more, and looks at what it did.
    fn answer(
        &self,
        runner: &mut Runner<'_>,
        silent: &Silent,
        emulator: &mut Emulator,
    ) -> Result<Answer, String> {
        let mut code = (silent.probe)().to_vec();
        code.extend(ending(self.done()));
        match runner.run(&code, 0, Some(emulator))? {
            End::Done => {}
            _ => return Ok(Answer::Unchecked),
        }
        let answer = runner.vm.memory.word(DATA + DATA_ANSWER)?;
        Ok(match (silent.wrong)(&emulator.cpu, answer) {
            true => Answer::Wrong,
            false => Answer::Right,
        })
    }
}

/// What came out of one loop.
struct Part {
    ticks: Vec<u64>,
    kvm: Option<u64>,
    vmm: u64,
}

/// How the time can be read at CPL 0 on this KVM.
pub fn clock(kvm: &kvm_ioctls::Kvm, watch: &Watch) -> Result<Clock, String> {
    let mut vm = RawVm::new(kvm, Config::new(0))?;
    let mut runner = Runner::new(&mut vm, watch);
    let code = timing_loop(&Timed::new(NOTHING), true, Clock::Fenced, Done::Port);
    Ok(match runner.run(&code, 16, None::<&mut Emulator>)? {
        End::Done => Clock::Fenced,
        End::Failed(_) | End::Interrupted => Clock::Plain,
    })
}
