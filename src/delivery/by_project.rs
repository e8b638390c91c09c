//! Waiting items by project: those of one project keep their order, and projects take turns, so that a project which sends
//! more than can be handled delays only itself.

use std::collections::{BTreeMap, VecDeque};

/// See the module's documentation.
#[derive(Debug)]
pub struct ByProject<T> {
    waiting: BTreeMap<u64, VecDeque<T>>,
    /// Projects with something waiting, the next one first.
    turns: VecDeque<u64>,
}

impl<T> Default for ByProject<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<T> ByProject<T> {
    /// Puts an item behind the others of its project.
    pub fn push(&mut self, project: u64, item: T) {
        let queue = self.waiting.entry(project).or_default();
        if queue.is_empty() {
            self.turns.push_back(project);
        }
        queue.push_back(item);
    }

    /// Takes the first item of the project whose turn it is. Projects that are `busy` lose their turn.
    pub fn pop(&mut self, busy: impl Fn(u64) -> bool) -> Option<(u64, T)> {
        // Few are busy, so this does not walk over all.
        let at = self.turns.iter().position(|project| !busy(*project))?;
        self.turns.rotate_left(at);
        let project = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&project)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&project);
        } else {
            self.turns.push_back(project);
        }
        Some((project, item))
    }

    /// The projects with something waiting, the next one first.
    #[must_use]
    pub fn projects(&self) -> &VecDeque<u64> {
        &self.turns
    }
}

#[cfg(test)]
mod tests {
    use super::ByProject;

    #[test]
    fn projects_take_turns() {
        let mut waiting = ByProject::default();
        for (number, project) in [1, 1, 1, 1, 2, 3, 3].into_iter().enumerate() {
            waiting.push(project, number);
        }
        let mut next = |busy: &[u64]| waiting.pop(|project| busy.contains(&project));
        assert_eq!(
            [next(&[]), next(&[1]), next(&[1])],
            [Some((1, 0)), Some((2, 4)), Some((3, 5))]
        );
        assert_eq!(
            [next(&[3]), next(&[3]), next(&[3])],
            [Some((1, 1)), Some((1, 2)), Some((1, 3))]
        );
        assert_eq!([next(&[3]), next(&[])], [None, Some((3, 6))]);
        assert_eq!(next(&[]), None);
        assert!(waiting.projects().is_empty());
    }
}
