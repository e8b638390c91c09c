//! How a dead instance looks to a test.

use std::fmt;

/// The instance trapped, or was dead already. The last log lines are kept: the SDK's panic hook logs the reason.
#[derive(Clone, Debug)]
pub struct Trap {
    /// The callback in which it happened.
    pub callback: &'static str,
    /// The runtime's reason with the wasm backtrace.
    pub reason: String,
    /// The last lines the guest logged or printed.
    pub last_logs: Vec<String>,
}

impl Trap {
    pub fn raise(self) -> ! {
        panic!("{self}")
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the instance trapped in {}: {}",
            self.callback, self.reason
        )?;
        self.last_logs
            .iter()
            .try_for_each(|line| write!(f, "\n  log: {line}"))
    }
}

impl std::error::Error for Trap {}
