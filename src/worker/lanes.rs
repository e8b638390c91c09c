//! nginx: which root context has a call in flight, and whose answer it receives.
//!
//! A root context of ngx_wasm_module supports one call at a time: with a second one, a connection slot leaks each time one
//! ends (manual: hosts, "One call per root context"). A root context that mirrors uses its own slot for itself. A *lane* is a
//! further root context of the same instance, which mirrors nothing: on its tick it makes the next call for one that does.
//!
//! A slot is taken until its answer comes, however late. That host always reports the end, and its timeouts are per step, so
//! a target that trickles may outlast our timeout. Giving up a slot too early would cost the worker's clients; giving it up
//! too late costs copies.

/// Identifies a root context.
pub type Root = u32;

/// The calls in flight.
#[derive(Debug, Default)]
pub struct Lanes {
    /// The root context that made it, the token, and the root context it was made for. A handful.
    calls: Vec<(Root, u32, Root)>,
    /// Who was last served by a lane.
    last: Root,
}

impl Lanes {
    /// Whether a root context may make a call.
    #[must_use]
    pub fn is_free(&self, root: Root) -> bool {
        !self.calls.iter().any(|(made_by, ..)| *made_by == root)
    }

    /// The host took a call that `root` made for `owner`.
    pub fn took(&mut self, root: Root, token: u32, owner: Root) {
        self.calls.push((root, token, owner));
        if root != owner {
            self.last = owner;
        }
    }

    /// An answer came to `root`: whose call was it?
    pub fn answered(&mut self, root: Root, token: u32) -> Root {
        let is_it = |(made_by, known, _): &(Root, u32, Root)| (*made_by, *known) == (root, token);
        match self.calls.iter().position(is_it) {
            Some(at) => self.calls.swap_remove(at).2,
            None => root,
        }
    }

    /// Who is next among those that have a call to make, each given with the number of its calls in flight. The one with the
    /// fewest, so that a hanging target does not hold every lane; on a tie, the one after the last.
    #[must_use]
    pub fn next(&self, waiting: impl Iterator<Item = (Root, usize)>) -> Option<Root> {
        let turn = |root: Root| (root <= self.last, root);
        waiting
            .min_by_key(|(root, out)| (*out, turn(*root)))
            .map(|(root, _)| root)
    }
}

/// The warning to log if the lanes present are not those that the configuration counts on. `lanes` is the number of calls at
/// a time; the root context that mirrors makes one of them.
#[must_use]
pub fn mismatch(lanes: u8, there: usize) -> Option<String> {
    let expected = usize::from(lanes).saturating_sub(1);
    let used = expected.min(there).saturating_add(1);
    (expected != there).then(|| {
        format!("lanes is {lanes}, which needs {expected} lane locations (see nginx/tee.conf), and there are {there}: at most {used} calls at a time")
    })
}

#[cfg(test)]
mod tests {
    use super::{Lanes, mismatch};

    #[test]
    fn a_slot_is_taken_until_its_own_answer_comes() {
        let mut lanes = Lanes::default();
        lanes.took(3, 10, 1);
        assert!(!lanes.is_free(3) && lanes.is_free(1));
        assert_eq!(lanes.answered(3, 9), 3, "not the one that is out");
        assert_eq!(lanes.answered(1, 10), 1, "not where it was made");
        assert!(!lanes.is_free(3));
        assert_eq!(lanes.answered(3, 10), 1);
        assert!(lanes.is_free(3));
        assert_eq!(lanes.answered(3, 10), 3, "twice");
    }

    #[test]
    fn the_one_with_the_fewest_calls_is_next_and_equals_take_turns() {
        let mut lanes = Lanes::default();
        let next = |lanes: &Lanes, out: &[(u32, usize)]| lanes.next(out.iter().copied());
        assert_eq!(next(&lanes, &[]), None);
        assert_eq!(next(&lanes, &[(1, 2), (5, 1)]), Some(5));
        let equals = [(1, 1), (5, 1), (9, 1)];
        for owner in [1, 5, 9, 1] {
            assert_eq!(next(&lanes, &equals), Some(owner));
            lanes.took(100, 0, owner);
        }
    }

    #[test]
    fn missing_and_unused_lanes_are_told() {
        assert_eq!((mismatch(1, 0), mismatch(4, 3)), (None, None));
        assert!(
            mismatch(4, 1)
                .unwrap()
                .ends_with("at most 2 calls at a time")
        );
        assert!(
            mismatch(1, 3)
                .unwrap()
                .ends_with("at most 1 calls at a time")
        );
    }
}
