//! Holding VMs back until signals are handled: a guest that runs can be asked to end.

use std::sync::{Arc, OnceLock};

/// What a VM's thread passes before it enters the guest. Meanwhile it can build the VM.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<OnceLock<()>>);

impl Gate {
    /// Waits until the gate is open.
    pub fn pass(&self) {
        self.0.wait();
    }

    /// What opens it.
    pub fn opener(&self) -> Opener {
        Opener(self.clone())
    }
}

/// Opens a gate when it is dropped, also by whoever has failed: nobody waits for ever.
#[derive(Debug)]
pub struct Opener(Gate);

impl Drop for Opener {
    fn drop(&mut self) {
        // A gate that is open stays so.
        let _ = self.0.0.set(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_pass_once_it_is_open() {
        let gate = Gate::default();
        let opener = gate.opener();
        thread::scope(|scope| {
            let passing = [(); 2].map(|()| scope.spawn(|| gate.pass()));
            drop(opener);
            for thread in passing {
                thread.join().unwrap();
            }
        });
        gate.pass();
    }
}
