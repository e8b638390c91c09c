//! Bodies that are being received: the rules of `collect` once more, by looking at all of them every time.

/// Up to so much a body may be a newcomer.
const LARGE: usize = 262_144;
/// Nobody is too slow before, and silence of so long is.
const PATIENCE: u64 = 30_000;
/// How late ticks may find what is due: a second for the clock, one for the look, and one to be sure.
const SLACK: u64 = 3_000;
/// Half of a byte's worth is gone after so long.
const HALF_LIFE: f64 = 4_096.0;

/// The time that passes for those that are open.
#[derive(Default)]
pub struct Clock {
    now: u64,
    last: Option<u64>,
    unsure: bool,
}

impl Clock {
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The plugin looks at its clock while so many are open.
    pub fn look(&mut self, seen: u64, open: usize) {
        let Some(last) = self.last.replace(seen) else {
            return;
        };
        // What passed before the first one began is not its time.
        if std::mem::take(&mut self.unsure) || open == 0 {
            return;
        }
        self.now += (seen - last).min(2_000);
    }

    /// The only one that is open has begun.
    pub fn first_begins(&mut self) {
        self.unsure = true;
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Body {
    began: u64,
    touched: u64,
    came: usize,
    worth: f64,
    /// A tick has come when it was certainly to be looked at.
    pub was_due: bool,
}

impl Body {
    pub fn new(now: u64) -> Self {
        Self {
            began: now,
            touched: now,
            came: 0,
            worth: 0.0,
            was_due: false,
        }
    }

    pub fn grow(&mut self, size: usize, now: u64) {
        self.worth = self.worth(now) + size as f64;
        self.came += size;
        self.touched = now;
    }

    pub fn worth(&self, now: u64) -> f64 {
        self.worth * (-((now - self.touched) as f64) / HALF_LIFE).exp2()
    }

    fn age(&self, now: u64) -> u64 {
        now - self.began
    }

    /// It may be given up.
    pub fn may_be_slow(&self, now: u64) -> bool {
        let silent = now - self.touched >= PATIENCE;
        let age = self.age(now);
        silent || age >= PATIENCE && (self.came as u64) * 1_000 < age * 1_024
    }

    /// It must not be there any more, after a tick.
    pub fn must_be_slow(&self, now: u64) -> bool {
        let then = now.saturating_sub(SLACK);
        then >= self.touched + PATIENCE
            || then >= self.began + PATIENCE
                && ((self.came as u64) * 1_000) < (then - self.began) * 1_024
    }

    /// It began so lately that it must not give way.
    pub fn is_fresh(&self, now: u64) -> bool {
        self.came <= LARGE && self.age(now) < 1_000
    }

    /// After a tick it stands among those that may have to.
    pub fn is_due(&self, now: u64) -> bool {
        self.came > LARGE || self.age(now) >= SLACK + 1_000
    }

    /// Others give way to it, however it grows.
    pub fn is_newcomer(&self, now: u64) -> bool {
        self.came <= LARGE && self.age(now) < PATIENCE
    }

    /// It grows so well that it need not always give way.
    pub fn may_be_fast(&self, now: u64) -> bool {
        self.worth(now) > 50_000.0
    }
}
