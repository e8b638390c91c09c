//! What is seen at the targets, second by second.

/// Of one target.
#[derive(Debug)]
pub struct Seen {
    /// Calls that left the edges, by second.
    pub attempts: Vec<u64>,
    /// What reached the target of its quota, by second: 1 is all of it.
    pub load: Vec<f64>,
    /// Answers that a quota refused, by second.
    pub refusals: Vec<u64>,
    /// When each request's copy or log was taken, in milliseconds; the first time.
    pub when: Vec<Option<u64>>,
    /// Taken once more.
    pub doubles: u64,
}

impl Seen {
    fn new(seconds: usize) -> Self {
        Self {
            attempts: vec![0; seconds],
            load: vec![0.0; seconds],
            refusals: vec![0; seconds],
            when: Vec::new(),
            doubles: 0,
        }
    }

    /// A call has left.
    pub fn attempt(&mut self, now: u64) {
        add(&mut self.attempts, now, 1);
    }

    /// It has reached the target.
    pub fn load(&mut self, now: u64, part: f64) {
        add(&mut self.load, now, part);
    }

    /// It was refused for a quota.
    pub fn refusal(&mut self, now: u64) {
        add(&mut self.refusals, now, 1);
    }

    /// It was taken.
    pub fn taken(&mut self, number: usize, now: u64) {
        if self.when.len() <= number {
            self.when.resize(number + 1, None);
        }
        match &mut self.when[number] {
            Some(_) => self.doubles += 1,
            when => *when = Some(now),
        }
    }

    /// How many were taken.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.when.iter().flatten().count() as u64
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Measure {
    /// Copies.
    pub rum: Seen,
    /// Writes, and the logs in them. Its load is that of the bytes.
    pub sls: Seen,
    /// SLS's load of writes.
    pub writes: Vec<f64>,
    /// When each request came.
    pub offered: Vec<u64>,
    /// Copies and logs that the edges had pending, by second.
    pub pending: [Vec<i64>; 2],
}

impl Measure {
    /// For so many seconds.
    #[must_use]
    pub fn new(seconds: usize) -> Self {
        Self {
            rum: Seen::new(seconds),
            sls: Seen::new(seconds),
            writes: vec![0.0; seconds],
            offered: Vec::new(),
            pending: [Vec::new(), Vec::new()],
        }
    }

    /// A part of SLS's quota of writes is used.
    pub fn writes(&mut self, now: u64, part: f64) {
        add(&mut self.writes, now, part);
    }

    /// SLS's load: of bytes or of writes, whichever is more.
    #[must_use]
    pub fn sls_load(&self) -> Vec<f64> {
        let both = self.sls.load.iter().zip(&self.writes);
        both.map(|(bytes, writes)| bytes.max(*writes)).collect()
    }
}

fn add<T: std::ops::AddAssign>(series: &mut [T], now: u64, amount: T) {
    let second = usize::try_from(now / 1_000).ok();
    if let Some(slot) = second.and_then(|second| series.get_mut(second)) {
        *slot += amount;
    }
}
