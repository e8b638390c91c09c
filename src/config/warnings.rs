//! What is valid, but probably a mistake.

use super::{Config, Mode, Problem, rum};
use crate::metric::Leg;

impl Config {
    /// What is valid, but probably a mistake.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let (half, body) = (self.collecting_bytes(), self.limits.max_body_bytes);
        // In mode `rewrite` the proxy holds the bodies or they pass through; only logs are collected on the way.
        let collects = match self.mode {
            Mode::Tee => true,
            Mode::Rewrite { .. } => self.sls.is_some(),
            Mode::Sign => false,
        };
        if collects && half < body {
            warnings.push(Problem {
                path: "limits.max_pending_bytes".to_owned(),
                message: format!(
                    "bodies that are being received may hold {half} bytes, less than limits.max_body_bytes ({body}): the largest find no room"
                ),
                unset: None,
            });
        }
        for sentry in &self.sentries {
            let (pending, leg) = (sentry.max_pending_bytes, Leg::Sentry(sentry.name));
            if pending < body {
                warnings.push(Problem {
                    path: format!("{leg}.limits.max_pending_bytes"),
                    message: format!(
                        "{pending} bytes are less than limits.max_body_bytes ({body}): copies of the largest bodies find no room"
                    ),
                    unset: None,
                });
            }
        }
        let rum = self.rum.iter().map(|rum| (Leg::Rum, rum));
        let sentries = self.sentries.iter();
        let sentries = sentries.map(|sentry| (Leg::Sentry(sentry.name), &sentry.copies));
        let copies = rum.chain(sentries);
        warnings.extend(copies.flat_map(|(leg, copies)| rum::warnings(leg, copies)));
        warnings
    }
}
