//! Which legs want a request, with the project that all of them get it from, and what it needs room for.

/// The places of RUM, SLS, mode `sign` and the first of the second Sentries among the legs.
pub(super) const RUM: usize = 0;
pub(super) const SLS: usize = 1;
pub(super) const SIGN: usize = 2;
pub(super) const SENTRY: usize = 3;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The project.
    pub(crate) project: u64,
    /// Their places.
    places: Places,
}

impl Wanted {
    /// For a request of this project: wanted by nobody yet.
    pub(crate) fn new(project: u64) -> Self {
        Self {
            project,
            places: Places::default(),
        }
    }

    /// Also wanted by the leg at this place, if `yes`.
    pub(super) fn by(mut self, place: usize, yes: bool) -> Self {
        self.places = self.places.with(place, yes);
        self
    }

    /// Also wanted by the RUM leg, if `yes`.
    pub(crate) fn by_rum(self, yes: bool) -> Self {
        self.by(RUM, yes)
    }

    /// Also wanted by the SLS leg, if `yes`.
    pub(crate) fn by_sls(self, yes: bool) -> Self {
        self.by(SLS, yes)
    }

    /// Also wanted by these second Sentries.
    pub(crate) fn by_sentries(self, indices: impl Iterator<Item = usize>) -> Self {
        indices.fold(self, |wanted, index| {
            wanted.by(index.saturating_add(SENTRY), true)
        })
    }

    /// The places of the legs that want it.
    pub(super) fn places(self) -> Places {
        self.places
    }

    /// Whether the leg at this place wants it.
    pub(super) fn has(self, place: usize) -> bool {
        self.places.has(place)
    }
}

/// Places, from the lowest to the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(u8);

impl Places {
    /// Adds this one if `yes`.
    pub(super) fn with(self, place: usize, yes: bool) -> Self {
        let bit = u8::from(yes).unbounded_shl(u32::try_from(place).unwrap_or(u32::MAX));
        Self(self.0 | bit)
    }

    /// Those that are also among `other`.
    pub(super) fn among(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those from this one on, and the rest.
    pub(super) fn from(self, place: usize) -> [Self; 2] {
        let from = u8::MAX.unbounded_shl(u32::try_from(place).unwrap_or(u32::MAX));
        [Self(self.0 & from), Self(self.0 & !from)]
    }

    /// Whether it is one of them.
    pub(super) fn has(self, place: usize) -> bool {
        self.among(Self::default().with(place, true)) != Self::default()
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (place < u8::BITS).then(|| usize::try_from(place).unwrap_or_default())
    }
}

/// What an exchange needs room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// The share of the RUM leg's budgets, if that leg wants it.
    pub(crate) rum: Option<usize>,
    /// The SLS leg wants it.
    pub(crate) sls: bool,
    /// The second Sentries that want it (and other legs).
    pub(crate) sentries: Wanted,
    /// The least number of bytes.
    pub(crate) bytes: usize,
}
