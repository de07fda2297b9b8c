//! The control queue (virtio 1.2, 5.1.6.5): how many pairs of queues are used.

use crate::device::DeviceError;
use crate::device::chain::Chain;
use crate::device::queue::DeviceQueue;

/// VIRTIO_NET_CTRL_MQ and VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET.
const MQ_PAIRS_SET: [u8; 2] = [4, 0];

const OK: u8 = 0;
const ERR: u8 = 1;

/// Carries out commands for ever. `set_pairs` is told how many pairs the driver uses, of at most
/// `pairs_max`, and says whether it can be done.
pub async fn serve(
    mut queue: DeviceQueue,
    pairs_max: u16,
    mut set_pairs: impl FnMut(u16) -> bool,
) -> Result<(), DeviceError> {
    loop {
        let mut chain = queue.next().await?;
        let pairs = parse(&mut chain)?.filter(|pairs| (1..=pairs_max).contains(pairs));
        let done = pairs.is_some_and(&mut set_pairs);
        chain.write_all(&[if done { OK } else { ERR }])?;
        queue.push(chain, 1)?;
        queue.notify()?;
        tokio::task::yield_now().await;
    }
}

/// The number of pairs that a command sets. `None`: it is another command, or none.
fn parse(chain: &mut Chain) -> Result<Option<u16>, DeviceError> {
    let mut command = [0; 4];
    let size = chain.read(&mut command)?;
    let [class, code, low, high] = command;
    let is_set = size == command.len() && chain.readable() == 0 && [class, code] == MQ_PAIRS_SET;
    Ok(is_set.then(|| u16::from_le_bytes([low, high])))
}
