//! Copies that leave with the request itself, in mode `rewrite`: how the RUM leg counts them.

use super::{Worker, report};
use crate::copies::capture::Refusal;
use crate::delivery::verdict::Verdict;
use crate::metric::{Leg, Metric};

impl Worker {
    /// Request callback: the copy leaves with the request.
    pub(crate) fn forward(&mut self) {
        if let Some((rum, mut context)) = self.legs.rum() {
            rum.forward(&mut context);
        }
        self.publish_soon();
    }

    /// Request callback: the only attempt of a copy that left has ended.
    pub(crate) fn forwarded_ended(
        &mut self,
        project: u64,
        bytes: usize,
        verdict: Verdict,
        waited_ms: u64,
    ) {
        if let Some((rum, mut context)) = self.legs.rum() {
            rum.forwarded_ended(project, bytes, verdict, waited_ms, &mut context);
        }
        self.publish_soon();
    }

    /// Request callback: the proxy does not replace the headers, so the copy cannot leave.
    pub(crate) fn not_in_place(&mut self, project: u64) {
        for metric in [Metric::Captured, Metric::Failed] {
            self.legs.count(Leg::Rum, metric, 1);
        }
        report::not_in_place(&mut self.legs.log, project);
        self.publish_soon();
    }

    /// Request callback: a held request goes on.
    pub(crate) fn let_go(&mut self, project: u64, refusal: Refusal) {
        report::let_go(&mut self.legs.log, project, refusal);
    }

    /// Request callback: nginx's location does not answer requests that are not copies.
    pub(crate) fn unguarded(&mut self) {
        report::unguarded(&mut self.legs.log);
    }
}
