//! Both guests grant, attach and take back at the same time.

use super::{Outcome, Rounds, failed, ok, other};
use paravane_sdk::Errno;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::grant::{self, Attached, Grant, Rights};
use paravane_sdk::pages::Pages;

/// How often an attached grant is used, if it is not taken back before.
const USES: u32 = 1000;

pub fn run() -> Outcome {
    let mut rounds = Rounds::begin();
    while let Some(round) = rounds.next() {
        let pages = Pages::zeroed(PAGE_SIZE as usize).ok_or("no memory")?;
        let own = Grant::give(other(), pages, Rights::ReadWrite).map_err(failed("mem_share"))?;
        let offers = grant::offers().map_err(failed("mem_offers"))?;
        for offer in offers.iter().filter(|offer| !offer.is_attached) {
            match Attached::new(offer.guest, offer.number) {
                Ok(others) => {
                    let _ = (0..USES).try_for_each(|_| others.memory().store(0, round));
                }
                // It was taken back before it was attached, or before it was mapped.
                Err(Errno::ENOENT | Errno::EFAULT) => {}
                Err(error) => return Err(failed("attaching a grant")(error)),
            }
        }
        drop(own);
    }
    ok("two guests share and take back at the same time");
    Ok(())
}
