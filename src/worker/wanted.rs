//! Which legs want a request: all of them have it from the same project. And what it needs room for.

/// Where RUM, SLS and the first of the second Sentries stand among the legs.
pub(super) const RUM: usize = 0;
pub(super) const SLS: usize = 1;
pub(super) const SENTRY: usize = 3;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The project.
    pub(crate) project: u64,
    /// A bit for each leg, by its place.
    legs: u8,
}

impl Wanted {
    /// By a request of this project: by nobody yet.
    pub(crate) fn new(project: u64) -> Self {
        Self { project, legs: 0 }
    }

    /// By the leg at this place, too, if `yes`.
    pub(super) fn by(mut self, place: usize, yes: bool) -> Self {
        self.legs |= u8::from(yes).unbounded_shl(u32::try_from(place).unwrap_or(u32::MAX));
        self
    }

    /// By the RUM leg, too, if `yes`.
    pub(crate) fn by_rum(self, yes: bool) -> Self {
        self.by(RUM, yes)
    }

    /// By the SLS leg, too, if `yes`.
    pub(crate) fn by_sls(self, yes: bool) -> Self {
        self.by(SLS, yes)
    }

    /// By these second Sentries, too.
    pub(crate) fn by_sentries(self, indices: impl Iterator<Item = usize>) -> Self {
        indices.fold(self, |wanted, index| {
            wanted.by(index.saturating_add(SENTRY), true)
        })
    }

    /// Whether the leg at this place wants it.
    pub(super) fn has(self, place: usize) -> bool {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.legs & 1_u8.unbounded_shl(place) != 0
    }
}

/// What an exchange needs room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// The share of the RUM leg's budgets, if that leg wants it.
    pub(crate) rum: Option<usize>,
    /// The SLS leg wants it.
    pub(crate) sls: bool,
    /// The second Sentries that want it, among others.
    pub(crate) sentries: Wanted,
    /// At least.
    pub(crate) bytes: usize,
}
