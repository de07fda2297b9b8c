//! At which port of a switch a station is.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How many stations are remembered at each port. Who pretends to be more does not displace
/// those of others.
pub const STATIONS_MAX: usize = 64;

/// After so long without a frame of its own a station is forgotten, as IEEE 802.1D recommends.
pub const AGE_MAX: Duration = Duration::from_secs(300);

/// The address of a station.
pub type Address = [u8; 6];

/// Whether it is the address of many (IEEE 802, 8.2).
pub fn is_group(address: Address) -> bool {
    address[0] & 1 != 0
}

#[derive(Clone, Copy, Debug)]
struct Station {
    port: u64,
    seen: Instant,
}

/// Where stations are.
#[derive(Debug, Default)]
pub struct StationTable {
    stations: HashMap<Address, Station>,
    // How many there are at each port.
    counts: HashMap<u64, usize>,
}

impl StationTable {
    /// A frame of this station came from this port.
    pub fn learn(&mut self, address: Address, port: u64, now: Instant) {
        if is_group(address) {
            return;
        }
        if let Some(station) = self.stations.get_mut(&address)
            && station.port == port
        {
            station.seen = now;
            return;
        }
        if self.count(port) >= STATIONS_MAX {
            self.retain(|station| now.duration_since(station.seen) < AGE_MAX);
            if self.count(port) >= STATIONS_MAX {
                return;
            }
        }
        *self.counts.entry(port).or_default() += 1;
        let station = Station { port, seen: now };
        if let Some(moved) = self.stations.insert(address, station) {
            self.leave(moved.port);
        }
    }

    /// The port at which a station is, if that is known.
    pub fn find(&self, address: Address, now: Instant) -> Option<u64> {
        let station = self.stations.get(&address)?;
        (now.duration_since(station.seen) < AGE_MAX).then_some(station.port)
    }

    /// Forgets the stations of a port.
    pub fn forget(&mut self, port: u64) {
        self.retain(|station| station.port != port);
    }

    fn count(&self, port: u64) -> usize {
        self.counts.get(&port).copied().unwrap_or(0)
    }

    fn retain(&mut self, stays: impl Fn(&Station) -> bool) {
        self.stations.retain(|_, station| stays(station));
        self.counts.clear();
        for station in self.stations.values() {
            *self.counts.entry(station.port).or_default() += 1;
        }
    }

    fn leave(&mut self, port: u64) {
        if let Some(count) = self.counts.get_mut(&port) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> Address {
        let [high, low] = number.to_be_bytes();
        [2, 0, 0, 0, high, low]
    }

    #[test]
    fn a_station_is_where_its_last_frame_came_from() {
        let mut table = StationTable::default();
        let now = Instant::now();
        assert_eq!(table.find(address(1), now), None);
        table.learn(address(1), 7, now);
        assert_eq!(table.find(address(1), now), Some(7));
        table.learn(address(1), 8, now);
        assert_eq!(table.find(address(1), now), Some(8));
        assert_eq!((table.count(7), table.count(8)), (0, 1));
        assert_eq!(table.find(address(1), now + AGE_MAX), None);
        table.forget(8);
        assert_eq!(table.find(address(1), now), None);
        table.learn([3, 0, 0, 0, 0, 1], 7, now);
        assert!(table.stations.is_empty());
    }

    #[test]
    fn one_port_cannot_fill_the_table() {
        let mut table = StationTable::default();
        let now = Instant::now();
        table.learn(address(1), 7, now);
        for number in 100..10_000 {
            table.learn(address(number), 8, now);
        }
        assert_eq!(table.stations.len(), STATIONS_MAX + 1);
        assert_eq!(table.find(address(1), now), Some(7));
        // When they are old, others take their places.
        table.learn(address(20_000), 8, now + AGE_MAX);
        assert_eq!(table.find(address(20_000), now + AGE_MAX), Some(8));
        assert_eq!(table.stations.len(), 1);
    }
}
