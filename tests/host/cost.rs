//! What the guest costs: counted per callback, per exchange and in total.
//!
//! Fuel is wasmtime's deterministic count of executed wasm instructions, so a table of costs is the same on every
//! machine. Bytes are payload only: the four-byte out-parameters of the getters are not counted.

use std::collections::BTreeMap;

use super::instance::Host;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Callbacks entered.
    pub callbacks: u64,
    /// Host calls by name, WASI included.
    pub host_calls: BTreeMap<&'static str, u64>,
    /// Bytes copied from the host into guest memory.
    pub bytes_to_guest: u64,
    /// Bytes the host copied out of guest memory.
    pub bytes_from_guest: u64,
    /// Calls of the allocation export, and the bytes they asked for. The guest's own allocations are its own affair.
    pub allocations: u64,
    pub allocated_bytes: u64,
    /// Wasm instructions.
    pub fuel: u64,
    /// Size of the linear memory when this was last measured; it never shrinks.
    pub memory_bytes: u64,
}

impl Cost {
    pub fn total_host_calls(&self) -> u64 {
        self.host_calls.values().sum()
    }

    pub fn host_calls_of(&self, name: &str) -> u64 {
        self.host_calls.get(name).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Cost) {
        self.callbacks += other.callbacks;
        self.bytes_to_guest += other.bytes_to_guest;
        self.bytes_from_guest += other.bytes_from_guest;
        self.allocations += other.allocations;
        self.allocated_bytes += other.allocated_bytes;
        self.fuel += other.fuel;
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        for (name, count) in &other.host_calls {
            *self.host_calls.entry(name).or_default() += count;
        }
    }
}

/// Total and per callback since the last reset.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) total: Cost,
    pub(super) by_callback: BTreeMap<&'static str, Cost>,
    /// The most instructions of one call of a callback.
    pub(super) largest: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub(super) fn book(&mut self, callback: &'static str, cost: &Cost) {
        self.total.add(cost);
        self.by_callback.entry(callback).or_default().add(cost);
        let largest = self.largest.entry(callback).or_default();
        *largest = cost.fuel.max(*largest);
    }
}

impl Host {
    /// What the guest cost since the last reset.
    pub fn cost(&self) -> &Cost {
        &self.state().ledger.total
    }

    /// The same for one callback, by the name of its export. `initialize` stands for the start functions.
    pub fn cost_of(&self, callback: &str) -> Cost {
        self.state()
            .ledger
            .by_callback
            .get(callback)
            .cloned()
            .unwrap_or_default()
    }

    /// The most instructions of one callback since the last reset, but for those of the start, and which one it was.
    pub fn largest_callback(&self) -> (&'static str, u64) {
        let largest = self.state().ledger.largest.iter();
        let running =
            largest.filter(|(name, _)| !["initialize", "proxy_on_configure"].contains(*name));
        running
            .map(|(name, fuel)| (*name, *fuel))
            .max_by_key(|(_, fuel)| *fuel)
            .unwrap_or_default()
    }

    pub fn reset_cost(&mut self) {
        self.state_mut().ledger = Ledger::default();
    }
}
